"""The settings that say how a file of texts is read."""

import pytest

from textgan.core.errors import UserError
from textgan.training.config import make_config


def test_the_setting_says_what_it_may_be() -> None:
    with pytest.raises(UserError, match=r"data.labels = 'maybe'.*'auto', 'yes' or 'no'"):
        make_config("mle", {"data.file": "x.tsv", "data.labels": "maybe"})
