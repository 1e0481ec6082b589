"""What lies outside of all that maximum likelihood offers without an adversary.

A model has three curves that no training is needed for: along the temperature of tokens, along the
joint temperature of texts, and along the share of cold texts in a mixture (see
`textgan.models.tempering`). Their envelope is the best y that any of them reaches at an x. At fixed
knots of x, both sides interpolated along straight lines, a method is compared with MLE:

    each way     its curve along the temperature, minus MLE's along the temperature, joint, mixture
    best         its own envelope minus MLE's: a mixture beats any curve along the temperature, so
                 what only beats that may be beaten by a mixture of either
    least x      its smallest x minus MLE's: what no mixture can buy, for it costs x

Intervals at the knots of one column hold together (max-t). Of one run, texts are drawn again (the
replicates of its scores): with d the difference at a knot, s its standard deviation, and d* those
of the resamplings, all of d +- c s hold where c is the 95 % quantile of max |d* - d| / s over the
knots. Over seeds, differences are paired by seed, and c is that quantile of a multivariate t of
their correlation. A verdict is for the range of knots, not for what is beyond or between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgan.core.score import Scores
from textgan.core.statistics import Estimate, Floats, decimals, percentiles, student_95
from textgan.core.streams import Purpose, stream
from textgan.core.tables import Shown, Table
from textgan.evaluation.tradeoff import Pair

TEMPERATURE, JOINT, MIXTURE, BEST = "temperature", "joint temperature", "mixture", "best"
KNOTS = 7
DRAWN = 20_000  # of the multivariate t

Steps = Mapping[float, Scores]
"""Scores along a curve, by what it goes along."""


@dataclass(frozen=True)
class Frontier:
    """The points of one curve in their order, each as a number and in every resampling: (P,) and
    (P, N)."""

    x: Floats
    y: Floats
    x_drawn: Floats
    y_drawn: Floats

    @staticmethod
    def of(pair: Pair, steps: Steps) -> Frontier | None:
        """Take the curve through the scores that have both measures; y as a cost. None where there
        are fewer than two."""
        both = [
            (scores[pair.x.key], scores[pair.y.key])
            for _, scores in sorted(steps.items())
            if all(
                key in scores and math.isfinite(scores[key].value)
                for key in (pair.x.key, pair.y.key)
            )
        ]
        if len(both) < 2:
            return None
        sign = -1.0 if pair.y.better == "higher" else 1.0
        drawn = [[score.replicates for score in column] for column in zip(*both, strict=True)]
        fewest = min(len(one) for column in drawn for one in column)
        x_drawn, y_drawn = (np.array([one[:fewest] for one in column]) for column in drawn)
        x, y = (np.array([score.value for score in column]) for column in zip(*both, strict=True))
        return Frontier(x, sign * y, x_drawn, sign * y_drawn)

    def resampled(self) -> Frontier:
        """Return the resamplings as the numbers: (P, N)."""
        return Frontier(self.x_drawn, self.y_drawn, self.x_drawn, self.y_drawn)


def lowest_at(x: Floats, y: Floats, knots: Floats) -> Floats:
    """Compute the lowest y (K, N) at each knot (K,) on the straight lines between points (P, N).

    Beyond its ends a curve has the value at its end.
    """
    at = np.clip(knots[:, None, None], x.min(0), x.max(0))  # (K, 1, N)
    start, end = x[:-1], x[1:]
    inside = (np.minimum(start, end) <= at) & (at <= np.maximum(start, end))
    width = np.where(end == start, 1.0, end - start)
    share = np.clip((at - start) / width, 0, 1)
    values = y[:-1] + share * (y[1:] - y[:-1])
    values = np.where(end == start, np.minimum(y[:-1], y[1:]), values)
    lowest: Floats = np.where(inside, values, np.inf).min(1)
    return lowest


@dataclass(frozen=True)
class Envelope:
    """Some curves of one model, by the way they are made."""

    curves: Mapping[str, Frontier]

    @staticmethod
    def of(pair: Pair, ways: Mapping[str, Steps]) -> Envelope:
        """Take the curves of a model that have at least two points."""
        made = {way: Frontier.of(pair, steps) for way, steps in ways.items()}
        return Envelope({way: curve for way, curve in made.items() if curve is not None})

    def reach(self, *ways: str) -> tuple[float, float]:
        """Return the least and the largest x of the curves of these ways, all if none."""
        some = [self.curves[way] for way in ways or self.curves]
        ends = [(curve.x.min(), curve.x.max()) for curve in some]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def lowest(self, knots: Floats, ways: Sequence[str] = ()) -> tuple[Floats, Floats]:
        """Compute the lowest y at each knot, (K,), on the curves of these ways (all if none), and
        in each resampling, (K, N). A curve that does not reach a knot has no part in it; infinite
        where none does."""
        some = [self.curves[way] for way in ways or self.curves]
        value = np.full(len(knots), np.inf)
        drawn = np.full((len(knots), min(curve.x_drawn.shape[1] for curve in some)), np.inf)
        for curve in some:
            reached = (curve.x.min() <= knots) & (knots <= curve.x.max())
            at = lowest_at(curve.x[:, None], curve.y[:, None], knots)[:, 0]
            value = np.where(reached, np.minimum(value, at), value)
            n = drawn.shape[1]
            if n:
                at = lowest_at(curve.x_drawn[:, :n], curve.y_drawn[:, :n], knots)
                drawn = np.where(reached[:, None], np.minimum(drawn, at), drawn)
        return value, drawn

    def least(self) -> tuple[float, Floats]:
        """Return the smallest x of all curves, and in each resampling."""
        drawn = [curve.x_drawn.min(0) for curve in self.curves.values()]
        n = min(map(len, drawn))
        return self.reach()[0], np.min([one[:n] for one in drawn], axis=0)


@dataclass(frozen=True, repr=False)
class EnvelopeComparison(Shown):
    """A method beside MLE at fixed knots.

    knots: values of x. columns: by what is compared, the difference at each knot, None where one
    side does not reach it; below 0 is better. least: the difference of the smallest x. over: what
    the intervals are over: texts, or so many seeds.
    """

    method: str
    baseline: str
    x: str
    y: str
    knots: tuple[float, ...]
    columns: Mapping[str, tuple[Estimate | None, ...]]
    least: Estimate
    over: str

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "method": self.method,
            "baseline": self.baseline,
            "x": self.x,
            "y": self.y,
            "knots": list(self.knots),
            "columns": {
                name: [one.to_dict() if one else None for one in column]
                for name, column in self.columns.items()
            },
            "least": self.least.to_dict(),
            "over": self.over,
        }

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> EnvelopeComparison:
        """Rebuild the comparison from what `to_dict` wrote. Raises KeyError, TypeError or
        ValueError for anything else."""
        columns = {
            str(name): tuple(None if one is None else _estimate(one) for one in column)
            for name, column in content["columns"].items()
        }
        knots = tuple(float(knot) for knot in content["knots"])
        if any(len(column) != len(knots) for column in columns.values()):
            raise ValueError("columns: one number for each of the knots")
        method, baseline, x, y, over = (
            str(content[key]) for key in ("method", "baseline", "x", "y", "over")
        )
        least = _estimate(content["least"])
        return EnvelopeComparison(method, baseline, x, y, knots, columns, least, over)

    def shown(self) -> list[Table | str]:
        head = [f"at {self.x}", *(self.heading(name) for name in self.columns)]
        body = [
            [decimals(knot), *(str(column[row] or "") for column in self.columns.values())]
            for row, knot in enumerate(self.knots)
        ]
        title = f"{self.y} of {self.method} minus that of {self.baseline}"
        return [Table(head, body, title=title), *self.sentences()]

    @staticmethod
    def heading(name: str) -> str:
        """Return the heading of a column."""
        return "best - best" if name == BEST else f"- {name}"

    def sentences(self) -> list[str]:
        """Say where the method lies outside of MLE's curves (better), inside, or neither."""
        method, baseline = self.method, self.baseline
        said = []
        for name, column in self.columns.items():
            whose = {BEST: f"{method} at its best against {baseline} at its best"}.get(
                name, f"{method} along the temperature against {baseline} along the {name}"
            )
            if name == MIXTURE:
                whose = f"{method} along the temperature against mixtures of {baseline}"
            said.append(f"{whose}, at equal {self.x}: {_ranges(self.knots, column)}.")
        verdict = {None: "no significant difference", True: "lower", False: "higher"}
        said.append(
            f"The smallest {self.x} of {method}, which mixtures cannot lower, is {self.least} from "
            f"that of {baseline}: {verdict[_better(self.least)]}."
        )
        return said


def _estimate(content: Mapping[str, Any]) -> Estimate:
    ends = (content[key] for key in ("low", "high"))
    return Estimate(float(content["value"]), *(None if end is None else float(end) for end in ends))


def _better(difference: Estimate | None) -> bool | None:
    """Whether a difference is below 0, or above it; None where that may be chance."""
    if difference is None or difference.low is None or difference.high is None:
        return None
    if difference.low <= 0 <= difference.high:
        return None
    return difference.high < 0


def _ranges(knots: Sequence[float], column: Sequence[Estimate | None]) -> str:
    words = {True: "outside", False: "inside", None: "no significant difference"}
    parts = []
    reached = [(knot, one) for knot, one in zip(knots, column, strict=True) if one is not None]
    for better, group in groupby(reached, key=lambda pair: _better(pair[1])):
        some = [decimals(knot) for knot, _ in group]
        where = f"from {some[0]} to {some[-1]}" if len(some) > 1 else f"at {some[0]}"
        parts.append(f"{words[better]} {where}")
    return "; ".join(parts) or "they reach nothing in common"


def common_knots(sides: Sequence[tuple[Envelope, Envelope]], n: int = KNOTS) -> Floats:
    """Return n values of x, evenly spread over what a method's curve along the temperature and any
    of MLE's reach in all of these pairs (of seeds), ends left out, where resampled curves may fall
    short; none where nothing is common."""
    reach = [ends for a, b in sides for ends in (a.reach(TEMPERATURE), b.reach())]
    low, high = max(low for low, _ in reach), min(high for _, high in reach)
    if not low < high:
        return np.empty(0)
    return np.linspace(low, high, n + 2)[1:-1]


def compare_envelopes(
    pair: Pair,
    sides: Sequence[tuple[Envelope, Envelope]],
    names: tuple[str, str],
    knots: Sequence[float] = (),
) -> EnvelopeComparison | None:
    """Compare a method with MLE, whose envelopes are the second of each pair: of one run over its
    texts, of several over seeds.

    knots: of x; none: evenly spread over what is common. None where nothing can be compared.
    """
    if any(TEMPERATURE not in one.curves for both in sides for one in both):
        return None
    at = np.array(knots) if len(knots) else common_knots(sides)
    if not len(at):
        return None
    several = len(sides) > 1
    columns: dict[str, tuple[Estimate | None, ...]] = {}
    ways = [way for way in sides[0][1].curves if all(way in b.curves for _, b in sides)]
    for name in [*ways, *([BEST] if len(ways) > 1 else [])]:
        mine, theirs = ((), ()) if name == BEST else ((TEMPERATURE,), (name,))
        value, drawn = [], []
        for a, b in sides:
            (of_a, drawn_a), (of_b, drawn_b) = a.lowest(at, mine), b.lowest(at, theirs)
            n = min(drawn_a.shape[1], drawn_b.shape[1])
            with np.errstate(invalid="ignore"):
                value.append(of_a - of_b)
                drawn.append(drawn_a[:, :n] - drawn_b[:, :n])
        differences = np.array(value)
        reached: NDArray[np.bool_] = np.all(np.isfinite(differences), axis=0)
        some = differences[:, reached]
        made = iter(
            over_seeds_together(some) if several else over_texts(some[0], drawn[0][reached])
        )
        columns[name] = tuple(next(made) if has else None for has in reached.tolist())
    leasts = [(a.least(), b.least()) for a, b in sides]
    changes = np.array([[mine[0] - theirs[0]] for mine, theirs in leasts])
    if several:
        [least] = over_seeds_together(changes)
    else:
        [((_, least_a), (_, least_b))] = leasts
        n, change = min(len(least_a), len(least_b)), float(changes[0, 0])
        least = percentiles(change, least_a[:n] - least_b[:n]) if n else Estimate(change)
    over = f"{len(sides)} seeds" if several else "texts"
    return EnvelopeComparison(
        *names, pair.x.title, pair.y.title, tuple(map(float, at)), columns, least, over
    )


def over_texts(values: Floats, drawn: Floats) -> list[Estimate]:
    """Return differences (K,) with intervals that hold together, from their resamplings (K, N)."""
    if not drawn.shape[1]:
        return [Estimate(float(value)) for value in values]
    spread = drawn.std(1, ddof=1)
    usable = np.where(spread > 0, spread, 1.0)
    furthest = (np.abs(drawn - values[:, None]) / usable[:, None]).max(0, initial=0.0)
    return _within(values, float(np.quantile(furthest, 0.95)) * spread)


def over_seeds_together(values: Floats) -> list[Estimate]:
    """Return means over seeds of differences (S, K) with intervals that hold together; none of one
    seed."""
    n = len(values)
    if n == 1:
        return [Estimate(float(value)) for value in values[0]]
    error = values.std(0, ddof=1) / math.sqrt(n)
    return _within(values.mean(0), together_95(values) * error)


def together_95(values: Floats) -> float:
    """Return the 95 % quantile of the largest of K correlated Student's t, from paired values
    (S, K); for one it is that of Student's t."""
    n, k = values.shape
    centred = values - values.mean(0)
    size = np.sqrt((centred**2).sum(0))
    if k < 2 or not (size > 0).any():
        return student_95(n - 1)
    directions = centred[:, size > 0] / size[size > 0]
    random = np.random.default_rng(stream(Purpose.BOOTSTRAP, 0, 3))
    normal = random.standard_normal((DRAWN, n)) @ directions
    scale = np.sqrt(random.chisquare(n - 1, DRAWN) / (n - 1))
    largest: NDArray[np.float64] = np.abs(normal).max(1) / scale
    # the correlation is itself estimated, so no narrower than one knot alone
    return max(float(np.quantile(largest, 0.95)), student_95(n - 1))


def _within(values: Floats, half: Floats) -> list[Estimate]:
    return [
        Estimate(float(value), float(value - width), float(value + width))
        for value, width in zip(values, half, strict=True)
    ]
