"""What lies outside of all that maximum likelihood offers, worked out by hand and simulated."""

import json

import numpy as np
import pytest

from textgan.core.score import Score, Scores
from textgan.core.statistics import Estimate, student_95
from textgan.evaluation.envelope import (
    BEST,
    JOINT,
    MIXTURE,
    TEMPERATURE,
    Envelope,
    EnvelopeComparison,
    common_knots,
    compare_envelopes,
    lowest_at,
    over_seeds_together,
    over_texts,
    together_95,
)
from textgan.evaluation.tradeoff import PAIRS

NLLS = PAIRS[0]
NAMES = ("seqgan", "MLE")


def steps(
    points: list[tuple[float, float]], noise: float = 0.0, n: int = 0, seed: int = 0
) -> dict[float, Scores]:
    """Scores (NLL_test, NLL_oracle) along a curve, with replicates of that standard deviation."""
    dice = np.random.default_rng(seed)

    def scores(values: tuple[float, float]) -> Scores:
        keys = (NLLS.x.key, NLLS.y.key)
        return {
            key: Score(key, Estimate(value), "s", "lower", "", value + noise * dice.normal(size=n))
            for key, value in zip(keys, values, strict=True)
        }

    return {float(place): scores(point) for place, point in enumerate(points)}


def envelope(**ways: list[tuple[float, float]]) -> Envelope:
    named = {"temperature": TEMPERATURE, "joint": JOINT, "mixture": MIXTURE}
    return Envelope.of(NLLS, {named[way]: steps(points) for way, points in ways.items()})


LINE = [(3.0, 5.0), (4.0, 3.0), (5.0, 1.0)]  # NLL_test, NLL_oracle: colder and colder


# --- interpolation ---


def test_a_curve_is_straight_between_its_points_and_the_lowest_branch_counts() -> None:
    x, y = np.array([[3.0], [2.0], [4.0], [4.0]]), np.array([[9.0], [5.0], [3.0], [2.0]])
    knots = np.array([1.0, 2.0, 2.5, 3.0, 4.0, 9.0])
    # back from 3 to 2, on to 4, and there straight down; beyond its ends as at its ends
    assert lowest_at(x, y, knots)[:, 0].tolist() == [5.0, 5.0, 4.5, 4.0, 2.0, 2.0]
    both = lowest_at(np.hstack([x, x + 1]), np.hstack([y, y]), knots)
    assert both.shape == (6, 2) and both[3, 1] == 5.0


def test_knots_are_inside_of_what_both_sides_reach() -> None:
    a, b = envelope(temperature=LINE), envelope(temperature=[(3.8, 1.0), (6.0, 0.0)])
    assert common_knots([(a, b)], 3) == pytest.approx([4.1, 4.4, 4.7])
    assert not len(common_knots([(a, envelope(temperature=[(6.0, 1.0), (7.0, 0.0)]))]))
    assert compare_envelopes(NLLS, [(a, envelope(temperature=[(6, 1), (7, 0)]))], NAMES) is None
    assert compare_envelopes(NLLS, [(a, envelope(temperature=LINE[:1]))], NAMES) is None
    assert compare_envelopes(NLLS, [(a, envelope(joint=LINE))], NAMES) is None


# --- differences ---


def test_each_way_and_the_best_of_all() -> None:
    mle = envelope(temperature=LINE, joint=[(3.5, 3.0), (4.5, 1.5)], mixture=[(3.0, 5), (5.0, 0)])
    method = envelope(temperature=[(2.9, 5.0), (4.9, 1.0)], mixture=[(2.9, 5.0), (4.9, -0.5)])
    made = compare_envelopes(NLLS, [(method, mle)], NAMES, [3.2, 4.0, 4.4])
    assert made is not None

    def values(name: str) -> list[float | None]:
        return [one and one.value for one in made.columns[name]]

    assert list(made.columns) == [TEMPERATURE, JOINT, MIXTURE, BEST]
    assert values(TEMPERATURE) == pytest.approx([-0.2, -0.2, -0.2])
    joint = values(JOINT)  # which does not reach the first knot
    assert joint[0] is None and joint[1:] == pytest.approx([2.8 - 2.25, 2.0 - 1.65])
    assert values(MIXTURE) == pytest.approx([4.4 - 4.5, 2.8 - 2.5, 2.0 - 1.5])
    # of both the lowest: mixtures against temperature, joint temperature, mixture
    mixed = [5 - 2.75 * (x - 2.9) for x in (3.2, 4.0, 4.4)]
    assert values(BEST) == pytest.approx([mixed[0] - 4.5, mixed[1] - 2.25, mixed[2] - 1.5])
    assert made.least.value == pytest.approx(-0.1)
    assert made.least.low is None and "no significant difference" in made.sentences()[0]


def test_of_a_measure_of_which_more_is_better_less_is_worse() -> None:
    pair = next(pair for pair in PAIRS if pair.y.better == "higher")

    def curve(shift: float) -> Envelope:
        points = {
            float(i): {
                pair.x.key: Score("", Estimate(x), "", "lower"),
                pair.y.key: Score("", Estimate(x + shift), "", "higher"),
            }
            for i, x in enumerate((0.2, 0.6))
        }
        return Envelope.of(pair, {TEMPERATURE: points})

    made = compare_envelopes(pair, [(curve(0.1), curve(0.0))], NAMES, [0.4])
    assert made is not None
    [difference] = made.columns[TEMPERATURE]
    assert difference is not None and difference.value == pytest.approx(-0.1)  # better


def test_sentences_say_where_a_method_is_outside() -> None:
    knots = (3.0, 3.1, 3.2, 3.3)
    better, worse = Estimate(-0.2, -0.3, -0.1), Estimate(0.2, 0.1, 0.3)
    column = (better, better, Estimate(0.0, -0.1, 0.1), worse)
    made = EnvelopeComparison(
        *NAMES, "NLL_test", "NLL_oracle", knots,
        {TEMPERATURE: column, MIXTURE: (None, worse, worse, worse), BEST: (None,) * 4},
        Estimate(-0.02, -0.03, -0.01), "texts",
    )  # fmt: skip
    first, second, third, last = made.sentences()
    assert first == (
        "seqgan along the temperature against MLE along the temperature, at equal NLL_test: "
        "outside from 3.000 to 3.100; no significant difference at 3.200; inside at 3.300."
    )
    assert second.endswith(
        "against mixtures of MLE, at equal NLL_test: inside from 3.100 to 3.300."
    )
    assert third.endswith("they reach nothing in common.")
    assert "-0.020 [-0.030, -0.010] from that of MLE: lower." in last
    assert EnvelopeComparison.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert "- mixture" in str(made) and "best - best" in str(made)
    for damage in ({"knots": [1.0]}, {"least": None}, {"columns": 3}):
        with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
            EnvelopeComparison.from_dict(made.to_dict() | damage)


# --- intervals ---


def test_intervals_over_texts_hold_together() -> None:
    """The truth is no difference: of 200 trials, 95 % of all knots' intervals together hold it."""
    dice = np.random.default_rng(0)
    k, held, alone = 6, 0, 0
    for _ in range(200):
        error = dice.normal(size=k)  # of each knot for itself
        drawn = error[:, None] + dice.normal(size=(k, 300))
        held += all((one.low or 0) <= 0 <= (one.high or 0) for one in over_texts(error, drawn))
        alone += bool((abs(error) < 1.96).all())
    assert 178 <= held <= 200 and alone < 178
    [exact] = over_texts(np.array([0.5]), np.full((1, 50), 0.5))
    assert exact == Estimate(0.5, 0.5, 0.5)
    assert over_texts(np.array([0.5]), np.empty((1, 0))) == [Estimate(0.5)]


def test_texts_that_both_sides_share_are_resampled_alike() -> None:
    a = Envelope.of(NLLS, {TEMPERATURE: steps(LINE, noise=0.3, n=400)})
    shifted = [(x, y + 0.01) for x, y in LINE]
    b = Envelope.of(NLLS, {TEMPERATURE: steps(shifted, noise=0.3, n=400)})
    made = compare_envelopes(NLLS, [(a, b)], NAMES)
    assert made is not None
    for one in made.columns[TEMPERATURE]:
        assert one is not None and one.high is not None
        assert one.value == pytest.approx(-0.01) and one.high < 0
    assert "outside from" in made.sentences()[0]


def test_intervals_over_seeds_hold_together() -> None:
    dice = np.random.default_rng(1)
    same = np.repeat(dice.normal(size=(5, 1)), 4, axis=1)
    assert together_95(same) == pytest.approx(student_95(4), rel=0.05)
    assert together_95(same[:, :1]) == student_95(4)
    assert together_95(np.zeros((5, 4))) == student_95(4)
    apart = dice.normal(size=(8, 6))
    bonferroni = 4.03  # t(7) at 1 - 0.025 / 6, which no correlation can exceed
    assert student_95(7) < together_95(apart) < bonferroni * 1.03
    mean, *_ = over_seeds_together(np.array([[1.0], [3.0]]))
    assert mean.value == 2 and mean.high == pytest.approx(2 + student_95(1))
    assert over_seeds_together(np.array([[1.0]])) == [Estimate(1.0)]


def test_seeds_are_paired() -> None:
    sides = []
    for level in (0.0, 1.0, 2.0):  # seeds differ much, and both sides alike
        mine = [(x, y + level - 0.1 - level / 100) for x, y in LINE]
        theirs = [(x, y + level) for x, y in LINE]
        sides.append((envelope(temperature=mine), envelope(temperature=theirs)))
    made = compare_envelopes(NLLS, sides, NAMES, [3.5, 4.5])
    assert made is not None and made.over == "3 seeds"
    for one in made.columns[TEMPERATURE]:
        assert one is not None and one.value == pytest.approx(-0.11)
        assert one.high is not None and one.high < 0
