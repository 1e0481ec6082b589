"""The contract of a metric."""

from __future__ import annotations

from typing import get_args

from textgan.core.contract import name_of
from textgan.core.errors import UserError, described
from textgan.core.registry import refuse_call
from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
from textgan.metrics.base import Metric, MetricInputs, Unavailable, finite


def checked_scores(metric: Metric, inputs: MetricInputs) -> dict[str, Score]:
    """Compute the scores of a metric and check them: all are finite.

    Raises Unavailable where it cannot be measured on these inputs, UserError where what it returns
    are no scores by their names; what its own code raises is noted to be that.
    """
    who = name_of(metric, "measure")
    refuse_call(metric.measure, who, inputs)
    try:
        returned: object = metric.measure(inputs)
    except (Unavailable, UserError):
        raise
    except Exception as error:
        error.add_note(f"textgan called {who} to measure texts")
        raise
    expected = "expected a dict of names and textgan.metrics.base.Score"
    if not isinstance(returned, dict):
        raise UserError(f"{who} returned {described(returned)}; {expected}")
    for name, score in returned.items():
        if not isinstance(name, str) or not isinstance(score, Score):
            raise UserError(f"{who} returned {described(score)} as {name!r}; {expected}")
        if not isinstance(score.estimate, Estimate):
            raise UserError(
                f"{who} returned a Score {name!r} whose estimate is {described(score.estimate)}; "
                "expected an Estimate, such as inputs.mean gives"
            )
        if score.better not in get_args(Better):
            raise UserError(
                f"{who} returned a Score {name!r} that is better {score.better!r}; "
                f"give one of: {', '.join(get_args(Better))}"
            )
    return finite(returned)
