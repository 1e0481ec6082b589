"""Scores of one set of texts by several metrics."""

import math

import pytest
from languages import material, numbered

from textgan.core.score import Score
from textgan.core.statistics import Estimate
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.scoring import lack_of, score_row

INPUTS = material(numbered([[1, 2]]), numbered([[1, 3]]))


class Count(Metric):
    def __init__(self, of: str, value: float = 1.0, lacks: str = "") -> None:
        self.of, self.value, self.lacks = of, value, lacks

    def check(self, inputs: MetricInputs) -> None:
        if self.lacks:
            raise Unavailable(self.lacks)

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        assert not self.lacks, "it was measured all the same"
        return {self.of: Score(self.of, Estimate(self.value), "signature", "higher")}


def test_scores_are_of_all_metrics_that_can_be_measured_in_their_order() -> None:
    metrics = [Count("b", 2), Count("x", lacks="a generator"), Count("a", 3)]
    assert [lack_of(metric, INPUTS) for metric in metrics] == ["", "a generator", ""]
    result = score_row(INPUTS, metrics)
    assert [(name, one.value) for name, one in result.items()] == [("b", 2), ("a", 3)]
    assert score_row(INPUTS, []) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_named(value: float) -> None:
    with pytest.raises(Unavailable, match=r"^other is not a number for these texts$"):
        score_row(INPUTS, [Count("one"), Count("other", value)])
