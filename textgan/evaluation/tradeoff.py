"""Quality-diversity curves, and where one is better than another.

Any generator gets more quality at the price of diversity by sampling colder, so a single point of
it says little: whole curves over temperature are compared (Caccia et al. 2020, arXiv 1811.02549),
one measure against the other at equal diversity. Between two temperatures a curve is a straight
line. It may fold back; what counts at a given diversity is the best quality that the curve reaches
there, at whatever temperature.

Two curves differ where the distance between them exceeds its 95 % interval: half of it is h with

    h^2 = sum over both curves of  h_y^2 + (slope h_x)^2

h_x and h_y being those of the points, interpolated like the points: a value of y is uncertain by
itself and by where along x it belongs. Errors that both curves share, such as those of the same
held-out texts, would cancel and are counted nevertheless, so the verdicts are cautious.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, groupby, pairwise
from typing import Any, Literal, NamedTuple

from textgan.core.score import Score
from textgan.core.statistics import Estimate, over_seeds

Side = Literal["a", "b"]


@dataclass(frozen=True)
class Axis:
    """One measure of a plot: its name among scores, as in a table, which way is better."""

    key: str
    title: str
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class Pair:
    """Two measures of which a lower temperature betters one and worsens the other (of the KLs, only
    on one side of where a model is nearest to the truth).

    x: of diversity. y: of quality.
    """

    x: Axis
    y: Axis
    meaning: str


_NLL_ORACLE = Axis("nll_oracle", "NLL_oracle", "lower")
PAIRS = (
    Pair(
        Axis("nll_test", "NLL_test", "lower"),
        _NLL_ORACLE,
        "how much of the real texts is covered, and how plausible the generator's are",
    ),
    Pair(
        Axis("forward_kl", "KL(O‖G)", "lower"),
        Axis("reverse_kl", "KL(G‖O)", "lower"),
        "the same without the entropies: what the generator leaves out, and what it should not "
        "write",
    ),
    Pair(
        Axis("self_bleu4", "Self-BLEU-4", "lower"),
        Axis("bleu4", "BLEU-4", "higher"),
        "how much the texts repeat each other, and how much of them occurs in real text",
    ),
    Pair(
        Axis("reverse_lm", "reverse LM", "lower"),
        Axis("lm_score", "LM score", "lower"),
        "what real text costs a model of the texts, and what the texts cost a model of real text",
    ),
    Pair(
        Axis("entropy", "entropy", "higher"),
        _NLL_ORACLE,
        "how unforeseeable the generator is to itself, and how plausible its texts are",
    ),
)


@dataclass(frozen=True)
class Point:
    """The scores at one temperature."""

    temperature: float
    x: Estimate
    y: Estimate


@dataclass(frozen=True)
class Curve:
    """The points of one system, in order of temperature."""

    name: str
    pair: Pair
    points: tuple[Point, ...]

    @staticmethod
    def of(name: str, pair: Pair, steps: Mapping[float, Mapping[str, Score]]) -> Curve:
        """Make the curve through the scores at each temperature that has both measures."""
        points = (
            Point(temperature, scores[pair.x.key].estimate, scores[pair.y.key].estimate)
            for temperature, scores in sorted(steps.items())
            if all(
                key in scores and math.isfinite(scores[key].value)
                for key in (pair.x.key, pair.y.key)
            )
        )
        return Curve(name, pair, tuple(points))


class Stretch(NamedTuple):
    """A straight piece of a curve from low to high x; each pair is of the values at both ends.

    y: as a cost, lower being better. h_x, h_y: half-widths of intervals.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    h_x: tuple[float, float]
    h_y: tuple[float, float]
    temperature: tuple[float, float]

    @property
    def slope(self) -> float:
        """dy / dx."""
        return (self.y[1] - self.y[0]) / (self.x[1] - self.x[0])

    def at(self, x: float, ends: tuple[float, float]) -> float:
        """Interpolate the value at x between the values at both ends."""
        share = (x - self.x[0]) / (self.x[1] - self.x[0])
        return ends[0] + share * (ends[1] - ends[0])


@dataclass(frozen=True)
class Range:
    """Values of x for which one curve is better, or (None) neither distinguishably."""

    low: float
    high: float
    better: Side | None


@dataclass(frozen=True)
class Crossing:
    """A crossing of two curves, intervals or not, and the temperature that each has there."""

    x: float
    y: float
    temperatures: tuple[float, float]


@dataclass(frozen=True)
class CurveComparison:
    """A comparison of two curves: where one is better than the other.

    common: the values of x that both curves reach; None where there are none, and then nothing is
    compared. ranges: of these, from the lowest x to the highest, without gaps.
    """

    a: Curve
    b: Curve
    common: tuple[float, float] | None = None
    ranges: tuple[Range, ...] = ()
    crossings: tuple[Crossing, ...] = ()

    @property
    def dominates(self) -> Side | None:
        """The curve that is distinguishably better at every x that both reach, if any."""
        return self.ranges[0].better if len(self.ranges) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "a": self.a.name,
            "b": self.b.name,
            "x": self.a.pair.x.key,
            "y": self.a.pair.y.key,
            "common": self.common,
            "ranges": [asdict(one) for one in self.ranges],
            "crossings": [asdict(one) for one in self.crossings],
            "dominates": self.dominates,
            "summary": describe(self),
        }


def mean_curve(curves: Sequence[Curve], name: str = "") -> Curve:
    """Average curves over seeds at every temperature that all have, with Student's t interval.

    One curve is its own mean and keeps its intervals. Raises ValueError for none, and for curves of
    different measures.
    """
    if not curves:
        raise ValueError("there are no curves to take a mean of")
    first = curves[0]
    name = name or first.name
    if len(curves) == 1:
        return Curve(name, first.pair, first.points)
    if any(curve.pair != first.pair for curve in curves):
        raise ValueError("there is no mean of curves of different measures")
    at = [{point.temperature: point for point in curve.points} for curve in curves]
    points = (
        Point(
            temperature,
            over_seeds([points[temperature].x.value for points in at]),
            over_seeds([points[temperature].y.value for points in at]),
        )
        for temperature in sorted(set(at[0]).intersection(*at))
    )
    return Curve(name, first.pair, tuple(points))


def compare_curves(a: Curve, b: Curve) -> CurveComparison:
    """Compare two curves on their common range of x: where each is better, and where they cross.

    Raises ValueError for curves of different measures.
    """
    if a.pair != b.pair:
        raise ValueError("curves of different measures do not compare")
    of_a, of_b = _stretches(a), _stretches(b)
    if not of_a or not of_b:
        return CurveComparison(a, b)
    low = max(min(stretch.x[0] for stretch in of) for of in (of_a, of_b))
    high = min(max(stretch.x[1] for stretch in of) for of in (of_a, of_b))
    if not low < high:
        return CurveComparison(a, b)
    # distances below this are rounding
    nothing = 1e-9 * max(abs(y) for stretch in of_a + of_b for y in stretch.y)
    ranges: list[Range] = []
    crossings: list[Crossing] = []
    ahead_before: Side | None = None
    for start, end in pairwise(_ends(of_a + of_b, low, high)):
        both = _best(of_a, (start + end) / 2), _best(of_b, (start + end) / 2)
        for left, right in pairwise([start, *_turns(both, start, end), end]):
            distance, half = _distance(both, (left + right) / 2)
            ranges.append(Range(left, right, _winner(distance, max(half, nothing))))
        ahead = _winner(_distance(both, (start + end) / 2)[0], nothing)
        if ahead and ahead_before and ahead != ahead_before:
            crossings.append(_crossing(both, start, a.pair))
        ahead_before = ahead or ahead_before
    return CurveComparison(a, b, (low, high), _merged(ranges), tuple(crossings))


def _stretches(curve: Curve) -> list[Stretch]:
    """The straight pieces of a curve, without upright ones, which have no x of their own."""
    sign = -1.0 if curve.pair.y.better == "higher" else 1.0
    ends = [
        (p.x.value, sign * p.y.value, _half(p.x), _half(p.y), p.temperature)
        for p in sorted(curve.points, key=lambda point: point.temperature)
    ]
    from_left = (sorted(piece) for piece in pairwise(ends))
    return [Stretch(*zip(p, q, strict=True)) for p, q in from_left if p[0] < q[0]]


def _half(estimate: Estimate) -> float:
    """Half the width of an interval, 0 where there is none."""
    if estimate.low is None or estimate.high is None:
        return 0.0
    return (estimate.high - estimate.low) / 2


def _best(stretches: list[Stretch], x: float) -> Stretch:
    """The piece of a curve with the lowest cost at x."""
    there = [stretch for stretch in stretches if stretch.x[0] <= x <= stretch.x[1]]
    return min(there, key=lambda stretch: stretch.at(x, stretch.y))


def _ends(stretches: list[Stretch], low: float, high: float) -> list[float]:
    """Values of x from low to high between which no piece ends and no two cross."""
    places = {low, high, *(x for stretch in stretches for x in stretch.x)}
    for p, q in combinations(stretches, 2):
        if p.slope != q.slope:
            places.add(p.x[0] + (q.at(p.x[0], q.y) - p.y[0]) / (p.slope - q.slope))
    ends = [low]
    for x in sorted(x for x in places if low < x < high):
        if x - ends[-1] > 1e-12 * (high - low):  # else rounding has torn apart what is one
            ends.append(x)
    return [*ends, high]


def _distance(both: tuple[Stretch, Stretch], x: float) -> tuple[float, float]:
    """Return by how much a is above b at x, and half of the interval of that."""
    a, b = both
    halves = [part for s in both for part in (s.at(x, s.h_y), s.slope * s.at(x, s.h_x))]
    return a.at(x, a.y) - b.at(x, b.y), math.hypot(*halves)


def _turns(both: tuple[Stretch, Stretch], start: float, end: float) -> list[float]:
    """The values of x between start and end where the distance is as wide as half its interval.

    Both squares are of the second degree in x.
    """

    def line(stretch: Stretch, ends: tuple[float, float]) -> tuple[float, float]:
        """Return a curve's value at the start, and its gain up to the end."""
        first = stretch.at(start, ends)
        return first, stretch.at(end, ends) - first

    a, b = both
    (level_a, gain_a), (level_b, gain_b) = line(a, a.y), line(b, b.y)
    squares = [(1.0, level_a - level_b, gain_a - gain_b)]
    for stretch in both:
        level, gain = line(stretch, stretch.h_x)
        squares.append((-1.0, stretch.slope * level, stretch.slope * gain))
        squares.append((-1.0, *line(stretch, stretch.h_y)))
    shares = _zeros(
        sum(sign * gain * gain for sign, _, gain in squares),
        sum(sign * 2 * level * gain for sign, level, gain in squares),
        sum(sign * level * level for sign, level, _ in squares),
    )
    return [start + share * (end - start) for share in sorted(shares) if 0 < share < 1]


def _zeros(a: float, b: float, c: float) -> list[float]:
    """Return where a x^2 + b x + c changes its sign."""
    square = b * b - 4 * a * c
    if square <= 0:
        return []
    q = -(b + math.copysign(math.sqrt(square), b)) / 2
    return [up / down for up, down in ((q, a), (c, q)) if down]


def _winner(distance: float, half: float) -> Side | None:
    """Return the better side where a is that much above b, give or take half an interval."""
    if abs(distance) <= half:
        return None
    return "a" if distance < 0 else "b"


def _crossing(both: tuple[Stretch, Stretch], x: float, pair: Pair) -> Crossing:
    """Two pieces that meet at x; y is between them where one curve folds back and so jumps."""
    a, b = both
    y = (a.at(x, a.y) + b.at(x, b.y)) / 2
    temperatures = (a.at(x, a.temperature), b.at(x, b.temperature))
    return Crossing(x, -y if pair.y.better == "higher" else y, temperatures)


def _merged(ranges: list[Range]) -> tuple[Range, ...]:
    """The same ranges, neighbours of the same verdict taken together, without those so narrow that
    they are rounding."""
    low, high = ranges[0].low, ranges[-1].high
    wide = [one for one in ranges if one.high - one.low > 1e-9 * (high - low)]
    firsts = [next(group) for _, group in groupby(wide, key=lambda one: one.better)]
    ends = [low, *(one.low for one in firsts[1:]), high]
    return tuple(
        Range(start, end, one.better)
        for one, (start, end) in zip(firsts, pairwise(ends), strict=True)
    )


def name_in_sentence(row: str) -> str:
    """Return a row's name for a sentence: seqgan for `seqgan, last`, and in brackets what else
    follows a comma."""
    name, comma, state = row.rpartition(", ")
    if not comma or state == "last":
        return name or row
    return f"{name} ({state})"


def describe(comparison: CurveComparison) -> str:
    """Describe the result of a comparison in a sentence or two: of which curves, at equal what,
    over which values that both reach; beyond them nothing can be said."""
    a, b = comparison.a, comparison.b
    x, y = a.pair.x.title, a.pair.y.title
    if comparison.common is None:
        return f"{a.name} and {b.name}: {_nothing_in_common(a, b)}"
    ranges = comparison.ranges
    values = [*comparison.common, *(end for part in ranges for end in (part.low, part.high))]
    show = _formatter(values)
    name = {"a": a.name, "b": b.name}
    way = "lower" if a.pair.y.better == "lower" else "higher"
    clauses: list[str] = []
    for part in ranges:
        everywhere = "everywhere" if len(ranges) == 1 else ""
        where = everywhere or f"from {show(part.low)} to {show(part.high)}"
        if part.better is None:
            clauses.append(f"no significant difference {'anywhere' if everywhere else where}")
        elif any(earlier.better for earlier in ranges[: ranges.index(part)]):
            clauses.append(f"{name[part.better]} does {where}")
        else:
            clauses.append(f"{name[part.better]} has the {way} {y} {where}")
    clauses += _crossings(comparison, show)
    low, high = map(show, comparison.common)
    sentence = f"{a.name} and {b.name} at equal {x} ({low} to {high}): {'; '.join(clauses)}."
    if all(point.y.low is None for curve in (a, b) for point in curve.points):
        sentence += " There are no intervals, so this may be chance."
    return sentence


def _crossings(comparison: CurveComparison, show: Callable[[float], str]) -> list[str]:
    """Describe where curves cross of which first one and then the other is distinguishably
    better."""
    clauses = []
    for left, right in pairwise(part for part in comparison.ranges if part.better):
        if left.better == right.better:
            continue
        slack = 1e-6 * (right.high - left.low)  # for rounding
        low, high = left.high - slack, right.low + slack
        at = [crossing.x for crossing in comparison.crossings if low <= crossing.x <= high]
        if len(at) == 1:
            clauses.append(f"they cross at {show(at[0])}")
        else:
            clauses.append(f"they cross between {show(left.high)} and {show(right.low)}")
    return clauses


def _nothing_in_common(a: Curve, b: Curve) -> str:
    """Explain why two curves cannot be compared."""
    x = a.pair.x.title
    reach: list[str] = []
    for curve in (a, b):
        values = sorted(point.x.value for point in curve.points)
        if not values:
            return f"{curve.name} has no point, so there is nothing to compare."
        if values[0] == values[-1]:
            return (
                f"{curve.name} has only one point: nothing can be said of a curve. Draw its texts "
                "at more temperatures."
            )
        show = _formatter(values)
        reach.append(f"{curve.name}: {show(values[0])} to {show(values[-1])}")
    return (
        f"their ranges of {x} do not overlap ({'; '.join(reach)}), so nothing can be said at equal "
        f"{x}."
    )


def _formatter(values: Iterable[float]) -> Callable[[float], str]:
    """Return a function that formats numbers: two decimals, and more where the values would look
    the same."""
    ordered = sorted(set(values))
    nearest = min((high - low for low, high in pairwise(ordered)), default=1.0)
    decimals = min(6, max(2, math.ceil(-math.log10(nearest))))
    return lambda value: f"{value:.{decimals}f}"
