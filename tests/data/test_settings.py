"""The settings that say how a file of texts is read."""

import pytest

from textgan.core.errors import UserError
from textgan.core.settings import validated
from textgan.data.settings import DataConfig
from textgan.data.texts import Form
from textgan.training.config import make_config


def test_the_setting_says_what_it_may_be() -> None:
    with pytest.raises(UserError, match=r"data.labels = 'maybe': give auto, yes or no"):
        make_config("mle", {"data.file": "x.tsv", "data.labels": "maybe"})


def test_how_a_file_is_read_is_one_value() -> None:
    assert DataConfig().form == Form()
    config = DataConfig(labels="yes", field="text", label_field="mood", format="csv")
    assert config.form == Form("yes", "text", "mood", "csv")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokens", "letter"),
        ("vocabulary", -1),
        ("min_count", 0),
        ("length", 1),
        ("valid", 0.0),
        ("test", 1.0),
        ("split_seed", 2**63),
        ("lenght", 20),
    ],
)
def test_what_cannot_be_names_its_setting(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name):
        validated(DataConfig, {name: value})
