"""The settings of a study of classifiers."""

import json
from pathlib import Path
from typing import Any

import pytest
from classified import trained

from textgan.classifiers.config import ClassifierConfig
from textgan.core.errors import UserError
from textgan.core.settings import make_settings


def test_numbers_may_stand_for_lists(reviews: Path) -> None:
    made = trained(reviews, **{"attack.epsilon": 0.25, "noise.rate": 1, "noise.kind": "swap"})
    assert made.measures == ["clean", "attack 0.25", "swap 1"]


def test_what_is_recorded_of_a_study_is_what_decides_it() -> None:
    plain = ClassifierConfig().recorded()
    assert not {"labels", "format", "field", "label_field", "spaced"} & plain["data"].keys()
    assert {"valid", "test", "split_seed", "length"} <= plain["data"].keys()
    assert plain["data"]["test"] == 0.2
    read = make_settings(ClassifierConfig, {"data.label_field": "mood", "data.field": "line"})
    assert read.recorded()["data"] == plain["data"] | {"label_field": "mood", "field": "line"}
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("key", "value"),
    [("epochs", 0), ("lr", 11), ("noise.rate", []), ("noise.rate", [0.1, 2]), ("attack.steps", 0)],
)
def test_settings_out_of_range_are_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=key.replace(".", r"\.")):
        make_settings(ClassifierConfig, {key: value})
