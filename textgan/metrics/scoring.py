"""One set of texts measured by several metrics: the code behind every table of scores."""

from __future__ import annotations

from collections.abc import Sequence

from textgan.core.score import Scores
from textgan.metrics.base import Metric, MetricInputs, Unavailable, finite


def lack_of(metric: Metric, inputs: MetricInputs) -> str:
    """Return why a metric cannot be measured on these inputs, known without any work; "" where it
    can."""
    try:
        metric.check(inputs)
    except Unavailable as reason:
        return str(reason)
    return ""


def score_row(inputs: MetricInputs, metrics: Sequence[Metric]) -> Scores:
    """Score these inputs by every metric that they allow; all scores are finite.

    Raises Unavailable where a score that could be measured is no finite number.
    """
    scores: Scores = {}
    for metric in metrics:
        if not lack_of(metric, inputs):
            scores |= finite(metric.measure(inputs))
    return scores
