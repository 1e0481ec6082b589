"""What a metric must give back."""

import math
from typing import Any

import pytest
from languages import material, numbered

from textgan.core.errors import UserError
from textgan.core.score import Score
from textgan.core.statistics import Estimate
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.contract import checked_scores

INPUTS = material(numbered([[1, 2]]), numbered([[1, 3]]))


class Returns(Metric):
    def __init__(self, what: Any) -> None:
        self.what = what

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        if isinstance(self.what, Exception):
            raise self.what
        result: dict[str, Score] = self.what
        return result


def test_right_scores_are_given_back_as_they_are() -> None:
    scores = {"one": Score("One", Estimate(0.5), "signature", "like real text")}
    assert checked_scores(Returns(scores), INPUTS) is scores


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (0.5, "expected a dict of names"),
        (None, "expected a dict of names and textgan.metrics.base.Score"),
        ({"one": 0.5}, "as 'one'; expected a dict"),
        ({1: Score("", Estimate(0.5), "", "higher")}, "as 1; expected a dict"),
        ({"one": Score("", 0.5, "", "higher")}, "a Score 'one' whose estimate is"),  # type: ignore[arg-type]
        (
            {"one": Score("", Estimate(0.5), "", "up")},  # type: ignore[arg-type]
            "a Score 'one' that is better 'up'; give one of: higher, lower, like real text",
        ),
    ],
)
def test_what_are_no_scores_is_refused(returned: object, message: str) -> None:
    with pytest.raises(UserError) as refused:
        checked_scores(Returns(returned), INPUTS)
    assert message in str(refused.value)
    assert "Returns.measure returned" in str(refused.value)


def test_numbers_that_are_none_are_unavailable() -> None:
    scores = {"one": Score("", Estimate(math.nan), "", "higher")}
    with pytest.raises(Unavailable, match="one is not a number for these texts"):
        checked_scores(Returns(scores), INPUTS)


def test_what_a_metric_raises_says_who_asked() -> None:
    for reason in (Unavailable("it needs a generator"), UserError("give another file")):
        with pytest.raises(type(reason), match=str(reason)):
            checked_scores(Returns(reason), INPUTS)
    with pytest.raises(ZeroDivisionError) as raised:
        checked_scores(Returns(ZeroDivisionError()), INPUTS)
    [note] = raised.value.__notes__
    assert note.startswith("textgan called") and "Returns.measure" in note
