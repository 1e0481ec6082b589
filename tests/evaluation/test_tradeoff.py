"""Curves drawn by hand, of which it is known where one is better."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from textgan.core.score import Score
from textgan.core.statistics import Estimate, over_seeds
from textgan.evaluation.tradeoff import (
    PAIRS,
    Axis,
    Curve,
    CurveComparison,
    Pair,
    Point,
    Range,
    compare_curves,
    describe,
    mean_curve,
    name_in_sentence,
)

LIKELIHOODS, BLEU = PAIRS[0], PAIRS[2]
Places = list[tuple[float, float]]


def known(value: float, half: float = 0.0) -> Estimate:
    return Estimate(value, value - half, value + half)


def curve(
    name: str,
    places: Places,
    half: float = 0.0,
    half_x: float = 0.0,
    pair: Pair = LIKELIHOODS,
    grow: float = 0.0,
) -> Curve:
    """Points (x, y) at temperatures 1, 2, ...; half-widths grow by a share from one to the next."""
    points = (
        Point(
            float(number),
            known(x, half_x * (1 + grow * number)),
            known(y, half * (1 + grow * number)),
        )
        for number, (x, y) in enumerate(places, start=1)
    )
    return Curve(name, pair, tuple(points))


def verdicts(result: CurveComparison) -> list[tuple[float, float, str | None]]:
    return [(round(part.low, 9), round(part.high, 9), part.better) for part in result.ranges]


DOWN: Places = [(0, 4), (4, 0)]
UP: Places = [(0, 1), (4, 3)]


def test_two_lines_cross_where_they_cross() -> None:
    result = compare_curves(curve("a", DOWN), curve("b", UP))
    assert result.common == (0, 4)
    assert verdicts(result) == [(0, 2, "b"), (2, 4, "a")]
    (crossing,) = result.crossings
    assert (crossing.x, crossing.y) == pytest.approx((2, 2))
    assert crossing.temperatures == pytest.approx((1.5, 1.5))
    assert result.dominates is None


def test_intervals_keep_apart_what_can_be_told() -> None:
    """Distance 3 - 1.5 x; half-widths of 0.3 and 0.4 make 0.5: decided beyond 2 -+ 1/3."""
    result = compare_curves(curve("a", DOWN, 0.3), curve("b", UP, 0.4))
    first, last = round(5 / 3, 9), round(7 / 3, 9)
    assert verdicts(result) == [(0, first, "b"), (first, last, None), (last, 4, "a")]
    assert [crossing.x for crossing in result.crossings] == pytest.approx([2])


def test_an_uncertain_x_is_an_uncertain_y_by_the_slope() -> None:
    """Slopes -1 and 0.5: half-widths of 0.3 in x make 0.3 and 0.15 in y."""
    result = compare_curves(curve("a", DOWN, 0, 0.3), curve("b", UP, 0, 0.3))
    reach = math.hypot(0.3, 0.15) / 1.5
    assert [end for part in verdicts(result) for end in part[:2]] == pytest.approx(
        [0, 2 - reach, 2 - reach, 2 + reach, 2 + reach, 4], abs=1e-8
    )


def test_intervals_are_interpolated() -> None:
    """Distance 1 everywhere, half its interval x / 2 of one curve alone: decided below x = 2."""
    widening = Curve(
        "a",
        LIKELIHOODS,
        (Point(1.0, known(0), known(0)), Point(2.0, known(4), known(0, 2.0))),
    )
    result = compare_curves(widening, curve("b", [(0, 1), (4, 1)]))
    assert verdicts(result) == [(0, 2, "a"), (2, 4, None)]


def test_intervals_of_x_are_interpolated_too() -> None:
    """Distance 1 everywhere; a rises by 2 with half-widths of x from 0 to 1, so x / 2 in y."""
    points = (Point(1.0, known(0), known(0)), Point(2.0, known(4, 1.0), known(8)))
    result = compare_curves(Curve("a", LIKELIHOODS, points), curve("b", [(0, 1), (4, 9)]))
    assert verdicts(result) == [(0, 2, "a"), (2, 4, None)]


def test_a_range_of_rounding_is_none() -> None:
    result = compare_curves(curve("a", DOWN, 1e-12), curve("b", UP, 1e-12))
    assert verdicts(result) == [(0, 2, "b"), (2, 4, "a")]


def test_a_lower_curve_dominates() -> None:
    result = compare_curves(curve("a", [(0, 1), (2, 0)]), curve("b", [(-1, 3), (1, 2), (3, 1)]))
    assert result.common == (0, 2)
    assert verdicts(result) == [(0, 2, "a")]
    assert result.dominates == "a"
    assert not result.crossings
    unsure = compare_curves(curve("a", [(0, 1), (2, 0)], 1.2), curve("b", [(-1, 3), (3, 1)], 1.2))
    assert verdicts(unsure) == [(0, 2, None)]
    assert unsure.dominates is None


def test_higher_is_better_where_the_measure_says_so() -> None:
    result = compare_curves(curve("a", DOWN, pair=BLEU), curve("b", UP, pair=BLEU))
    assert verdicts(result) == [(0, 2, "a"), (2, 4, "b")]
    assert result.crossings[0].y == pytest.approx(2)
    assert "a has the higher BLEU-4 from 0.00 to 2.00" in describe(result)


def test_the_best_of_a_curve_that_folds_back() -> None:
    """a runs right along y = 2 and comes back along y = x / 2; b lies at 1."""
    folded = curve("a", [(0, 2), (4, 2), (0, 0)])
    result = compare_curves(folded, curve("b", [(0, 1), (4, 1)]))
    assert verdicts(result) == [(0, 2, "a"), (2, 4, "b")]
    (crossing,) = result.crossings
    assert (crossing.x, crossing.y) == pytest.approx((2, 1))
    assert crossing.temperatures == pytest.approx((2.5, 1.5))


def test_a_fold_inside_the_range_is_a_jump() -> None:
    """a gets back as far as x = 1 and is there better than b at once."""
    folded = curve("a", [(0, 2), (4, 2), (1, 0), (5, 0)])
    result = compare_curves(folded, curve("b", [(0, 1.5), (4, 1.5)]))
    assert verdicts(result) == [(0, 1, "b"), (1, 4, "a")]
    assert [crossing.x for crossing in result.crossings] == [1]


def test_a_curve_that_crosses_itself() -> None:
    """The best of y = 2 - x / 2 and y = x / 2, against 1: never above."""
    crossed = curve("a", [(0, 2), (4, 0), (4, 2), (0, 0)])
    result = compare_curves(crossed, curve("b", [(0, 1), (4, 1)], 0.5))
    assert verdicts(result) == [(0, 1, "a"), (1, 3, None), (3, 4, "a")]
    assert not result.crossings


def test_identical_curves_cannot_be_told_apart() -> None:
    places: Places = [(3.1, 4.2), (3.3, 4.1), (3.2, 3.9), (3.7, 3.3)]
    for half in (0.0, 0.1):
        result = compare_curves(curve("a", places, half), curve("b", places, half))
        assert verdicts(result) == [(3.1, 3.7, None)]
        assert not result.crossings
    halfway = [(3.1, 4.2), (3.2, 4.15), *places[1:]]  # one point more on the same line
    result = compare_curves(curve("a", places), curve("b", halfway))
    assert verdicts(result) == [(3.1, 3.7, None)]
    assert not result.crossings


def test_order_of_temperature_not_of_the_points() -> None:
    ordered = curve("a", [(0, 2), (4, 2), (0, 0)])
    shuffled = Curve("a", LIKELIHOODS, (ordered.points[2], ordered.points[0], ordered.points[1]))
    level = curve("b", [(0, 1), (4, 1)])
    assert verdicts(compare_curves(shuffled, level)) == verdicts(compare_curves(ordered, level))


def test_what_cannot_be_compared() -> None:
    level = curve("b", [(0, 1), (4, 1)])
    for other, why in (
        (curve("a", [(5, 1), (7, 1)]), "do not overlap (a: 5.00 to 7.00; b: 0.00 to 4.00)"),
        (curve("a", [(4, 1), (7, 1)]), "do not overlap"),
        (curve("a", [(2, 1)]), "a has only one point"),
        (curve("a", [(2, 1), (2, 3)]), "a has only one point"),
        (curve("a", []), "a has no point"),
    ):
        for result in (compare_curves(other, level), compare_curves(level, other)):
            assert result.common is None
            assert not result.ranges and not result.crossings and result.dominates is None
            message = describe(result)
            swapped = why.replace("(a: 5.00 to 7.00; b: 0.00 to 4.00)", "")
            assert swapped.strip() in message
    with pytest.raises(ValueError, match="different measures"):
        compare_curves(level, curve("a", DOWN, pair=BLEU))


coordinates = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
places = st.lists(
    st.tuples(coordinates, st.floats(0, 1)), min_size=2, max_size=6, unique_by=lambda p: p[0]
)


def lowest(of: Curve, x: float) -> tuple[float, float]:
    """The lowest y at x, by its definition, and half its interval."""
    best = (math.inf, 0.0)
    for p, q in zip(of.points, of.points[1:], strict=False):
        first, last = sorted((p, q), key=lambda point: point.x.value)
        if not first.x.value <= x <= last.x.value:
            continue
        share = (x - first.x.value) / (last.x.value - first.x.value)
        slope = (last.y.value - first.y.value) / (last.x.value - first.x.value)

        def between(ends: tuple[float, float], share: float = share) -> float:
            return ends[0] + share * (ends[1] - ends[0])

        def half(one: Estimate) -> float:
            assert one.low is not None and one.high is not None
            return (one.high - one.low) / 2

        y = between((first.y.value, last.y.value))
        h_y = between((half(first.y), half(last.y)))
        h_x = between((half(first.x), half(last.x)))
        best = min(best, (y, math.hypot(h_y, slope * h_x)))
    return best


@example([(0, 0), (1, 0)], [(0, 0), (1e-300, 1), (1, 1)], 0.0, 0.03, [0.5])
@given(places, places, st.floats(0, 0.2), st.floats(0, 0.05), st.lists(st.floats(0, 1)))
def test_every_verdict_is_its_definition(
    of_a: Places, of_b: Places, half: float, half_x: float, shares: list[float]
) -> None:
    a, b = curve("a", of_a, half, half_x, grow=1.0), curve("b", of_b, half, half_x, grow=0.3)
    result = compare_curves(a, b)
    if result.common is None:
        return
    low, high = result.common
    assert (result.ranges[0].low, result.ranges[-1].high) == (low, high)
    for left, right in zip(result.ranges, result.ranges[1:], strict=False):
        assert abs(left.high - right.low) < 1e-9
        assert left.better != right.better
    for x in [low + share * (high - low) for share in [*shares, 0.123, 0.456, 0.789]]:
        if any(abs(x - point.x.value) < 1e-9 for point in (*a.points, *b.points)):
            continue  # there a verdict may change at once
        (y_a, half_a), (y_b, half_b) = lowest(a, x), lowest(b, x)
        distance, reach = y_a - y_b, math.hypot(half_a, half_b)
        if abs(abs(distance) - reach) < 1e-6 or not math.isfinite(distance):
            continue
        better = None if abs(distance) < reach else "a" if distance < 0 else "b"
        there = {part.better for part in result.ranges if part.low - 1e-9 <= x <= part.high + 1e-9}
        assert better in there
    swapped = compare_curves(b, a)
    other = {"a": "b", "b": "a", None: None}
    assert [other[part.better] for part in result.ranges] == [p.better for p in swapped.ranges]


# --- sentences ---


def test_the_sentence_of_two_lines() -> None:
    result = compare_curves(
        curve("seqgan", [(3.24, 3.8), (3.60, 3.8)]), curve("mle", [(3.24, 4.15), (3.60, 2.35)])
    )
    assert describe(result) == (
        "seqgan and mle at equal NLL_test (3.24 to 3.60): seqgan has the lower NLL_oracle from "
        "3.24 to 3.31; mle does from 3.31 to 3.60; they cross at 3.31."
    )


def test_the_sentence_of_what_cannot_be_told() -> None:
    result = compare_curves(curve("a", DOWN, 0.3), curve("b", UP, 0.4))
    assert describe(result) == (
        "a and b at equal NLL_test (0.00 to 4.00): b has the lower NLL_oracle from 0.00 to 1.67; "
        "no significant difference from 1.67 to 2.33; a does from 2.33 to 4.00; they cross at 2.00."
    )
    result = compare_curves(curve("a", DOWN, 9), curve("b", UP))
    assert describe(result) == (
        "a and b at equal NLL_test (0.00 to 4.00): no significant difference anywhere."
    )
    assert "cross" not in describe(result)  # nor is it known where


def test_the_sentence_of_curves_that_cross_often() -> None:
    """Level with b for a while, within the intervals, after b and before a is better."""
    waves: Places = [(0, 5), (1, 0.1), (2, -0.1), (3, 0.1), (4, -5)]
    result = compare_curves(curve("a", waves), curve("b", [(0, 0), (4, 0)], 0.5))
    assert [part.better for part in result.ranges] == ["b", None, "a"]
    assert len(result.crossings) == 3
    assert "they cross between 0.92 and 3.12" in describe(result)


def test_the_sentence_of_dominance() -> None:
    result = compare_curves(curve("a", [(0, 1), (2, 0)]), curve("b", [(-1, 3), (3, 1)]))
    assert describe(result) == (
        "a and b at equal NLL_test (0.00 to 2.00): a has the lower NLL_oracle everywhere."
    )


def test_numbers_are_as_long_as_they_differ() -> None:
    result = compare_curves(
        curve("a", [(0.301, 1), (0.303, 0)]), curve("b", [(0.3, 0.5), (0.31, 0.5)])
    )
    assert "from 0.301 to 0.302" in describe(result)


def test_without_intervals_it_says_so() -> None:
    bare = [
        Curve(
            name,
            LIKELIHOODS,
            tuple(Point(t, Estimate(x), Estimate(y)) for t, (x, y) in enumerate(places, 1)),
        )
        for name, places in (("a", DOWN), ("b", UP))
    ]
    assert describe(compare_curves(*bare)).endswith(
        "There are no intervals, so this may be chance."
    )


def test_names_of_rows_are_spoken() -> None:
    rows = ["seqgan, last", "MLE, best epoch", "seqgan, rollouts = 4, last", "mine"]
    message = ["seqgan", "MLE (best epoch)", "seqgan, rollouts = 4", "mine"]
    assert [name_in_sentence(row) for row in rows] == message


def test_it_can_be_json() -> None:
    result = compare_curves(curve("a", DOWN), curve("b", UP)).to_dict()
    again = json.loads(json.dumps(result))
    assert again["ranges"][0] == {"low": 0, "high": 2, "better": "b"}
    assert (again["a"], again["x"], again["y"]) == ("a", "nll_test", "nll_oracle")
    assert again["summary"] == result["summary"]


# --- making curves ---


def test_a_curve_of_what_was_measured() -> None:
    def score(value: float) -> Score:
        return Score("", known(value), "", "lower")

    def level(value: float) -> dict[str, Score]:
        return {"nll_test": score(value), "nll_oracle": score(-value), "bleu4": score(0)}

    result = Curve.of("a", LIKELIHOODS, {2.0: level(2), 0.5: level(1), 1.0: {"nll_test": score(3)}})
    assert result.points == (
        Point(0.5, known(1), known(-1)), Point(2.0, known(2), known(-2))
    )  # fmt: skip
    assert Curve.of("a", BLEU, {1.0: level(1)}).points == ()
    assert Curve.of("a", LIKELIHOODS, {1.0: level(math.nan)}).points == ()


def test_the_mean_of_seeds() -> None:
    curves = [curve("s", [(x, 2 * x), (x + 1, 0)]) for x in (1.0, 2.0, 4.0)]
    curves[0] = Curve("s", LIKELIHOODS, (*curves[0].points, Point(9.0, known(0), known(0))))
    result = mean_curve(curves, "mean")
    assert result.name == "mean"
    assert [point.temperature for point in result.points] == [1, 2]  # 9 is not everywhere
    assert result.points[0].x == over_seeds([1.0, 2.0, 4.0])
    assert result.points[0].y == over_seeds([2.0, 4.0, 8.0])
    assert result.points[1].y == Estimate(0, 0, 0)
    assert mean_curve(curves[:1]) == curves[0]
    with pytest.raises(ValueError, match="no curves"):
        mean_curve([])
    with pytest.raises(ValueError, match="different measures"):
        mean_curve([curve("a", UP), curve("a", UP, pair=BLEU)])


def test_pairs_are_of_diversity_and_quality() -> None:
    keys: list[Any] = [(pair.x.key, pair.y.key) for pair in PAIRS]
    assert keys == [
        ("nll_test", "nll_oracle"), ("forward_kl", "reverse_kl"), ("self_bleu4", "bleu4"),
        ("reverse_lm", "lm_score"), ("entropy", "nll_oracle"),
    ]  # fmt: skip
    assert [(pair.x.better, pair.y.better) for pair in PAIRS] == [
        ("lower", "lower"), ("lower", "lower"), ("lower", "higher"), ("lower", "lower"),
        ("higher", "lower"),
    ]  # fmt: skip
    assert isinstance(PAIRS[0].x, Axis) and all(pair.meaning for pair in PAIRS)
    assert Range(0, 1, None).better is None
