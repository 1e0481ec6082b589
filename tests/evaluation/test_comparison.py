"""Which differences are significant: against hand calculation, and on simulated systems."""

import json
import math
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pytest
import torch
from enumerated import material_of
from torch import Tensor

from textgan.core.score import Better, Score
from textgan.core.statistics import (
    DEGENERATE,
    Estimate,
    Floats,
    holm,
    over_seeds,
    p_value,
    percentiles,
    resampled_ratio,
    student_95,
)
from textgan.core.tables import Table
from textgan.evaluation.comparison import compare_scores, compare_seeds, differing
from textgan.metrics.base import MetricInputs

RESAMPLINGS = 120


def score(
    value: float,
    replicates: Floats | None = None,
    better: Better = "lower",
    signature: str = "m|refs:10|v:1",
    title: str = "M",
) -> Score:
    taken = np.empty(0) if replicates is None else replicates
    estimate = percentiles(value, taken) if len(taken) else Estimate(value)
    return Score(title, estimate, signature, better, "", taken)


def normal(value: float, deviation: float, seed: int, better: Better = "lower") -> Score:
    """A number whose replicates have exactly this standard deviation around it."""
    noise = np.random.default_rng(seed).normal(size=RESAMPLINGS)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return score(value, value + deviation * noise, better)


def mean_of(values: Floats, seed: int = 0) -> Score:
    """The mean of sentences' values and its bootstrap."""
    replicates = resampled_ratio(values, np.ones_like(values), RESAMPLINGS, seed)
    return score(float(values.mean()), replicates)


def test_a_difference_by_hand() -> None:
    a, b = normal(2.0, 0.3, 1), normal(1.0, 0.4, 2)
    (result,) = compare_scores({"m": a}, {"m": b}).differences
    error = float((b.replicates - a.replicates).std(ddof=1))
    assert result.estimate is not None and result.p is not None
    assert result.estimate.value == -1
    assert result.estimate.low == pytest.approx(-1 - 1.959964 * error)
    assert result.p == pytest.approx(math.erfc(1 / error / math.sqrt(2)))
    assert result.significant == (result.p < 0.05) == (result.estimate.high < 0)  # type: ignore[operator]
    assert result.better == "b"
    (swapped,) = compare_scores({"m": b}, {"m": a}).differences
    assert swapped.estimate is not None
    assert (swapped.estimate.value, swapped.p, swapped.better) == (1, result.p, "a")


def test_the_direction_decides_which_is_better() -> None:
    for better, side in (("higher", "a"), ("lower", "b")):
        a, b = normal(2.0, 0.1, 1, better), normal(1.0, 0.1, 2, better)  # type: ignore[arg-type]
        assert compare_scores({"m": a}, {"m": b}).differences[0].better == side


def test_near_real_text_is_better_where_that_is_the_aim() -> None:
    def verdict(a: float, b: float, real: float | None, deviation: float = 0.1) -> str | None:
        of_real = {} if real is None else {"m": normal(real, deviation, 3, "like real text")}
        (result,) = compare_scores(
            {"m": normal(a, deviation, 1, "like real text")},
            {"m": normal(b, deviation, 2, "like real text")},
            real=of_real,
        ).differences
        assert result.significant
        return result.better

    assert verdict(5, 7, 4) == "a"
    assert verdict(5, 7, 8) == "b"
    assert verdict(5, 7, 6) is None  # they differ, and are as far from real text
    assert verdict(5, 7, 6.9) == "b"  # on either side of it
    assert verdict(5, 7, None) is None
    assert verdict(5, 6, 4, 0.25) == "a"


def test_the_same_texts_make_a_paired_comparison() -> None:
    """Common noise of the sentences cancels; the same numbers on other sentences do not."""
    random = np.random.default_rng(0)
    sentences = random.normal(3, 1, size=400)
    a, b = sentences + random.normal(0, 0.1, 400), sentences + random.normal(0.05, 0.1, 400)
    (paired,) = compare_scores({"m": mean_of(a)}, {"m": mean_of(b)}).differences
    shuffled = random.permutation(b)
    (apart,) = compare_scores({"m": mean_of(a)}, {"m": mean_of(shuffled)}).differences
    assert paired.estimate is not None and apart.estimate is not None
    assert paired.estimate.value == pytest.approx(apart.estimate.value)

    def width(estimate: Estimate) -> float:
        assert estimate.low is not None and estimate.high is not None
        return estimate.high - estimate.low

    right = 2 * 1.959964 * 0.1 * math.sqrt(2 / 400)
    assert width(paired.estimate) == pytest.approx(right, rel=0.15)
    assert width(apart.estimate) > 8 * width(paired.estimate)
    assert paired.significant and not apart.significant


def test_equal_systems_differ_by_chance_one_time_in_twenty() -> None:
    """300 times: 15 of them, but for chance (4 standard deviations: 15)."""
    random = np.random.default_rng(1)
    stood = 0
    for trial in range(300):
        a, b = (mean_of(random.gamma(2.0, size=80), trial) for _ in range(2))
        stood += compare_scores({"m": a}, {"m": b}).differences[0].significant
    assert 3 <= stood <= 30


def test_equal_sets_differ_by_chance_one_time_in_twenty() -> None:
    """The same with random subsets of two sets."""
    random = np.random.default_rng(2)
    stood = 0
    for trial in range(300):
        material = material_of(None, seed=trial)

        def measured(values: Tensor, material: MetricInputs = material) -> dict[str, Score]:
            whole = float(values.mean())
            result = material.of_set(whole, lambda some: float(values[some].mean()), len(values))
            return {"m": Score("M", result[0], "m|v:1", "lower", "", result[1])}

        a, b = (measured(torch.from_numpy(random.normal(size=60))) for _ in range(2))
        stood += compare_scores(a, b).differences[0].significant
    assert 3 <= stood <= 30


def test_different_systems_are_found_to_be() -> None:
    """A distance of 4 standard errors is significant in 98 % of the cases."""
    random = np.random.default_rng(3)
    stood = 0
    for trial in range(100):
        a, b = random.normal(0, 1, 100), random.normal(4 * math.sqrt(2 / 100), 1, 100)
        stood += (
            compare_scores({"m": mean_of(a, trial)}, {"m": mean_of(b, trial)})
            .differences[0]
            .significant
        )
    assert stood >= 92


def test_the_more_metrics_the_more_it_takes() -> None:
    """Twenty equal metrics: some differ alone in most comparisons, one among twenty seldom."""
    random = np.random.default_rng(4)
    alone = among = 0
    for trial in range(60):
        sides = [
            {f"m{i}": normal(random.normal(), 1.0, 40 * trial + 2 * i + side) for i in range(20)}
            for side in range(2)
        ]
        result = compare_scores(*sides).differences
        alone += any(one.significant for one in result)
        among += any(one.significant_corrected for one in result)
        assert [one.corrected for one in result] == holm(
            [one.p for one in result if one.p is not None]
        )
    assert alone > 25  # 1 - 0.95^20 = 64 % of 60
    assert among <= 10  # 5 % of 60, and 4 standard deviations


def test_equal_numbers_do_not_differ() -> None:
    replicates = np.full(50, 0.1)
    a = score(0.1 + 0.2, replicates)
    b = score(0.3, replicates + 1e-17)
    (result,) = compare_scores({"m": a}, {"m": b}).differences
    assert result.p == 1 and not result.significant
    (result,) = compare_scores({"m": a}, {"m": a}).differences
    assert result.p == 1 and result.better is None


def test_exact_numbers_differ_if_they_differ() -> None:
    a, b = (score(value, signature="kl|exact|v:1") for value in (0.3, 0.2))
    (result,) = compare_scores({"m": a}, {"m": b}).differences
    assert result.significant_corrected and result.better == "b" and result.p == 0
    assert not compare_scores({"m": a}, {"m": a}).differences[0].significant


def test_numbers_without_replicates_are_not_judged() -> None:
    for b in (score(2.0), score(2.0, np.arange(3.0)), score(2.0, np.ones(1))):
        (result,) = compare_scores({"m": score(1.0)}, {"m": b}).differences
        assert result.p is None and result.corrected is None and not result.significant
        assert "no interval" in result.note
        assert result.estimate == Estimate(1.0)


def test_numbers_of_different_signatures_do_not_compare() -> None:
    sides = [
        {"m": score(1.0, np.arange(9.0), signature=signature), "n": normal(1, 1, 1)}
        for signature in ("m|n:4|cum|refs:100|tok:nltk|v:1", "m|n:4|refs:90|tok:char|v:1")
    ]
    made = compare_scores(*sides)
    result = made.differences[0]
    assert result.note == "do not compare: signatures differ in cum, refs, tok"
    assert result.estimate is None and result.p is None
    assert made.differences[1].p == made.differences[1].corrected  # it does not count for Holm
    assert differing(["a|n:1", "b|n:1"]) == ["metric"]
    assert differing(["a|n:1|x", "a|n:1|x"]) == []


def test_only_common_metrics_are_compared() -> None:
    made = compare_scores({"x": normal(1, 1, 1), "m": normal(1, 1, 2)}, {"m": normal(1, 1, 3)})
    assert [result.name for result in made.differences] == ["m"]
    assert compare_scores({"x": normal(1, 1, 1)}, {}).sentences() == [
        "There is no metric that both have."
    ]


# --- several seeds ---


def seeds(
    values: list[float], better: Better = "lower", first: int = 0
) -> dict[int, dict[str, Score]]:
    return {first + i: {"m": score(value, better=better)} for i, value in enumerate(values)}


def test_the_same_seeds_are_paired() -> None:
    a, b = [3.0, 3.5, 2.9, 3.3], [2.8, 3.4, 2.7, 3.0]
    (result,) = compare_seeds(seeds(a), seeds(b)).differences
    changes = [y - x for x, y in zip(a, b, strict=True)]
    assert result.estimate == over_seeds(changes)
    assert result.a == over_seeds(a) and result.b == over_seeds(b)
    t = mean(changes) / (stdev(changes) / 2)
    assert result.p == pytest.approx(p_value(t, 1.0, 3))
    assert result.significant and result.better == "b"
    backwards = dict(reversed(seeds(b).items()))
    assert compare_seeds(seeds(a), backwards).differences[0] == result
    (apart,) = compare_seeds(seeds(a), seeds(b, first=9)).differences
    assert apart.p is not None and result.p is not None
    assert apart.p > 5 * result.p and not apart.significant
    assert "[95 % interval over seeds]" in str(compare_seeds(seeds(a), seeds(b)))


def test_other_seeds_by_welch() -> None:
    """Worked out by hand: variances 1 and 4 over 3 and 5 seeds, 5.96 degrees of freedom."""
    a, b = [1.0, 2.0, 3.0], [4.0, 4.0, 6.0, 8.0, 8.0]
    (result,) = compare_seeds(seeds(a), seeds(b, first=1)).differences
    error = math.sqrt(1 / 3 + 4 / 5)
    assert result.estimate is not None and result.estimate.low is not None
    assert result.estimate.value == 4
    assert result.estimate.low == pytest.approx(4 - student_95(5) * error)
    assert result.p == pytest.approx(p_value(4, error, 5))


def test_seeds_that_say_nothing() -> None:
    for a, b in (([1.0], [2.0]), ([1.0], [2.0, 3.0])):
        (result,) = compare_seeds(seeds(a), seeds(b)).differences
        assert result.p is None and "no interval" in result.note
    (result,) = compare_seeds(seeds([1.0, 1.0]), seeds([2.0, 2.0])).differences
    assert result.p == 0  # each seed by the same
    (result,) = compare_seeds(seeds([1.0, 1.0]), seeds([2.0, 2.0], first=5)).differences
    assert result.p == 0
    with pytest.raises(ValueError, match="no scores"):
        compare_seeds({}, seeds([1.0]))


def test_real_text_is_the_aim_over_seeds_too() -> None:
    aim: Better = "like real text"
    a, b = seeds([4.0, 4.1, 3.9], aim), seeds([6.0, 6.2, 5.9], aim)
    for level, side in ((3.5, "a"), (6.0, "b"), (5.0, None)):
        (result,) = compare_seeds(a, b, real={"m": score(level)}).differences
        assert result.significant and result.better == side


def test_seeds_of_different_signatures_do_not_compare() -> None:
    b = seeds([1.0, 2.0])
    b[1]["m"] = score(2.0, signature="m|refs:11|v:1")
    (result,) = compare_seeds(seeds([1.0, 2.0]), b).differences
    assert result.note == "do not compare: signatures differ in refs"


# --- what a reader sees ---


def test_the_table_and_its_sentences() -> None:
    def side(shift: float) -> dict[str, Score]:
        made = {
            "nll": normal(3 + shift, 0.01, int(shift > 0)),
            "bleu": normal(0.5 + 0.025 * (shift > 0), 0.01, int(shift > 0), "higher"),
            "same": normal(1.0, 0.1, int(shift > 0)),
            "kl": score(1.0 + shift),
            "refs": score(1.0, signature=f"m|refs:{shift}"),
            "entropy": normal(3 + shift, 0.01, int(shift > 0), "like real text"),
        }
        return {name: replace(one, title=name.upper()) for name, one in made.items()}

    made = compare_scores(side(0.0), side(1.0), names=("mle", "seqgan"))
    p = {result.name: result.p for result in made.differences}
    assert p["bleu"] is not None and 0.05 / 3 < p["bleu"] < 0.1
    message = made.sentences()
    assert message[0] == (
        "Significant differences, also among 4 metrics (Holm): NLL (mle is better), "
        "ENTROPY (which is nearer to real text is open)."
    )
    assert "REFS: do not compare: signatures differ in refs." in message
    assert "KL: no interval, so nothing says what is chance." in message
    table = " ".join(str(made).split())
    assert "over texts]: of these two generators as they are" in table
    assert "mle" in table and "seqgan" in table and "<0.001" in table
    for sentence in message:
        assert sentence in table
    again = json.loads(json.dumps(made.to_dict()))
    assert again["differences"]["nll"]["better"] == "a"
    assert again["differences"]["nll"]["difference"]["value"] == 1
    assert again["summary"] == message


def test_a_winner_is_named_only_where_its_difference_is_significant_among_all() -> None:
    """One p of 0.03 among four: it stands alone, and Holm takes it away."""
    noise = np.random.default_rng(0).normal(size=1000)
    noise = (noise - noise.mean()) / noise.std(ddof=1)

    def side(shift: float) -> dict[str, Score]:
        values = {"good": 2.2, "same1": 0.1, "same2": 0.0, "same3": -0.1}
        return {
            name: Score(name, Estimate(value * shift), "m|v:1", "higher", "", value * shift + x)
            for name, value in values.items()
            for x in [noise * shift]
        }

    made = compare_scores(side(0.0), side(1.0), names=("mle", "seqgan"))
    good = made.differences[0]
    assert (
        good.significant
        and not good.significant_corrected
        and good.better == "b"
        and good.winner is None
    )
    for line in str(made).splitlines():
        assert not line.startswith("good ") or "seqgan" not in line
    assert "seqgan is better" not in str(made)
    assert made.to_dict()["differences"]["good"]["winner"] is None


def test_a_flag_is_explained_where_the_table_has_one() -> None:
    """The narrow table has the interval of the difference alone."""
    still = replace(score(1.0, np.ones(RESAMPLINGS)), title="Still")
    made = compare_scores({"m": still}, {"m": normal(2.0, 0.3, 1)})
    table = next(part for part in made.shown() if isinstance(part, Table))
    for width in (200, 60):
        assert ("*" in table.text(width).replace(DEGENERATE, "")) == (width == 200)
        assert ("every resampling" in table.text(width)) == (width == 200)
    same = compare_scores({"m": still}, {"m": still})
    table = next(part for part in same.shown() if isinstance(part, Table))
    assert "0.000 [0.000, 0.000]*" in table.text(60) and "every resampling" in table.text(60)
    assert "every resampling" in str(same)
