"""Intervals hold what they promise, on data of which the truth is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textgan.core.statistics import (
    NORMAL_95,
    POSITIVE,
    SHARE,
    Estimate,
    bootstrap,
    decimals,
    holm,
    over_seeds,
    over_subsets,
    p_value,
    percentiles,
    resampled_ratio,
    resamples,
    spread,
    student_95,
    subsets,
)

Array = np.ndarray


def student_quantile(degrees: int) -> float:
    """Where 2.5 % of the distribution lie above, by integrating its density."""
    constant = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    constant -= math.log(degrees * math.pi) / 2

    def inside(width: float) -> float:
        """Between 0 and width; substituting t = sqrt(degrees) tan(x) makes it cos(x)^(degrees-1)"""
        angle = math.atan(width / math.sqrt(degrees))
        x = np.linspace(0, angle, 20_001)
        density = np.cos(x) ** (degrees - 1)
        area = (density[0] + density[-1] + 4 * density[1::2].sum() + 2 * density[2:-1:2].sum()) / 3
        return float(area * angle / 20_000 * math.exp(constant) * math.sqrt(degrees))

    low, high = 0.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < 0.475 else (low, middle)
    return low


@pytest.mark.parametrize("degrees", [*range(1, 31), 50, 100, 1000])
def test_the_quantile_of_students_t(degrees: int) -> None:
    assert student_95(degrees) == pytest.approx(student_quantile(degrees), rel=1e-8)
    assert student_95(degrees) > student_95(degrees + 1)


def test_the_quantile_in_closed_form() -> None:
    assert student_95(1) == pytest.approx(math.tan(0.475 * math.pi), rel=1e-8)
    assert student_95(2) == pytest.approx(0.95 * math.sqrt(2 / (1 - 0.95**2)), rel=1e-8)
    assert student_95(10**9) == pytest.approx(NORMAL_95, abs=1e-7)


def covers(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None and estimate.high is not None
    return estimate.low <= truth <= estimate.high


@pytest.mark.parametrize("seeds", [2, 3, 5, 30])
def test_19_of_20_intervals_over_seeds_hold_the_truth(seeds: int) -> None:
    drawn = np.random.default_rng(seeds).normal(3.0, 2.0, size=(2000, seeds))
    held = np.mean([covers(over_seeds(row.tolist()), 3.0) for row in drawn])
    assert abs(held - 0.95) < 0.015  # three standard deviations


def test_over_seeds_by_hand() -> None:
    result = over_seeds([1.0, 2.0, 3.0])
    half = 4.30265273 / math.sqrt(3)
    assert (result.value, result.low, result.high) == pytest.approx((2, 2 - half, 2 + half))
    assert over_seeds([7.0]) == Estimate(7.0)
    with pytest.raises(ValueError, match="no seeds"):
        over_seeds([])


def sentences(random: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Costs and sizes of sentences of 0 to 19 tokens that cost 2 on average: longer ones more."""
    sizes = random.integers(0, 20, size=n).astype(float)
    costs = sizes * (1 + sizes / 13) + random.normal(0, 2, size=n) * np.sqrt(sizes)
    return costs, sizes


def test_19_of_20_bootstrap_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(0)
    truth = sum(s * (1 + s / 13) for s in range(20)) / sum(range(20))  # 2
    result = [bootstrap(*sentences(random, 100), 150, seed) for seed in range(400)]
    assert abs(np.mean([covers(estimate, truth) for estimate in result]) - 0.94) < 0.025
    widths = [estimate.high - estimate.low for estimate in result if estimate.low and estimate.high]
    assert len(widths) == 400
    right = np.std([estimate.value for estimate in result]) * 2 * NORMAL_95
    assert np.mean(widths) / right == pytest.approx(1, abs=0.07)


def test_a_bootstrap_is_the_ratio_of_what_it_drew() -> None:
    totals, counts = np.array([1.0, 5.0, 2.0]), np.array([1.0, 2.0, 4.0])
    drawn = list(resamples(3, 50, seed=4))
    right = [totals[rows].sum() / counts[rows].sum() for rows in drawn]
    result = resampled_ratio(totals, counts, 50, seed=4)
    assert result.tolist() == right
    assert bootstrap(totals, counts, 50, seed=4) == percentiles(8 / 7, result)
    assert bootstrap(totals, counts, 0) == Estimate(8 / 7)
    assert len({tuple(rows) for rows in drawn}) > 10
    assert not np.array_equal(result, resampled_ratio(totals, counts, 50, seed=5))


def test_sentences_that_count_nothing_change_nothing() -> None:
    totals, counts = np.array([3.0, 4.0]), np.array([1.0, 2.0])
    more = np.array([0.0, 0.0, 3.0, 0.0, 4.0]), np.array([0.0, 0.0, 1.0, 0.0, 2.0])
    assert bootstrap(*more, 100) == bootstrap(totals, counts, 100)
    # one of many: a resampling would often miss it, and there is no ratio of nothing
    alone = np.zeros(50)
    alone[7] = 2.0
    assert bootstrap(alone * 3, alone, 100) == Estimate(3.0, 3.0, 3.0)
    for none in (np.zeros(3), np.zeros(0)):
        with pytest.raises(ValueError, match="no sentences to estimate anything from"):
            bootstrap(none, none, 10)


def test_two_runs_on_the_same_sentences_differ_by_a_narrow_interval() -> None:
    random = np.random.default_rng(0)
    sizes = np.ones(400)
    hard = random.normal(5, 2, size=400)  # some sentences are hard for both
    one, other = (hard + random.normal(gap, 0.2, size=400) for gap in (0, 0.1))
    first, second = (resampled_ratio(costs, sizes, 1000, seed=1) for costs in (one, other))
    paired = percentiles(float(other.mean() - one.mean()), second - first)
    strangers = second - resampled_ratio(one, sizes, 1000, seed=2)
    assert paired.low is not None and paired.high is not None
    assert 0 < paired.low < 0.1 < paired.high
    right = 2 * NORMAL_95 * (other - one).std() / 20
    assert paired.high - paired.low == pytest.approx(right, rel=0.1)
    assert np.std(strangers) > 7 * np.std(second - first)


@pytest.mark.parametrize("n", [4, 9, 10, 19, 55, 200])
def test_subsets_leave_out_a_tenth(n: int) -> None:
    result = subsets(n, 30, seed=1)
    assert len(result) == 30
    assert {len(rows) for rows in result} == {n - max(1, n // 10)}
    for rows in result:
        assert torch.equal(rows, torch.unique(rows))  # in order, none twice
        assert rows.min() >= 0 and rows.max() < n
    assert len(set(torch.cat(result).tolist())) == n
    assert all(map(torch.equal, result, subsets(n, 30, seed=1)))
    assert not all(map(torch.equal, result, subsets(n, 30, seed=2)))


@pytest.mark.parametrize("n", [4, 30, 205])
def test_a_mean_spreads_over_subsets_as_it_should(n: int) -> None:
    values = torch.from_numpy(np.random.default_rng(n).normal(size=n))
    ones = torch.ones(n, dtype=torch.float64)
    result = over_subsets(
        [7.0, 1.0, -1.0],
        lambda rows: [float(of[rows].mean()) for of in (values, ones, -2 * values)],
        n,
        3000,
    )
    assert result.shape == (3000, 3)
    right = float(values.std()) / math.sqrt(n)  # of a mean of n
    assert result.std(axis=0, ddof=1) == pytest.approx([right, 0, 2 * right], rel=0.05)
    assert result.mean(0) == pytest.approx([7, 1, -1])
    assert result[:, 0] - 7 == pytest.approx((result[:, 2] + 1) / -2)  # of the same subsets


def test_intervals_over_subsets_hold_the_truth() -> None:
    """How many are different among 300 draws out of 1,000. Such a number, which hangs on pairs, is
    the worst there is: the interval is up to the square root of 2 too wide."""
    random = np.random.default_rng(0)
    truth = 1000 * (1 - (1 - 1 / 1000) ** 300)
    held, widths, values = [], [], []
    for seed in range(150):
        drawn = torch.from_numpy(random.integers(1000, size=300))

        def different(rows: torch.Tensor, drawn: torch.Tensor = drawn) -> list[float]:
            return [300 * len(torch.unique(drawn[rows])) / len(rows)]

        value = different(torch.arange(300))[0]
        estimate = spread(value, over_subsets([value], different, 300, 40, seed)[:, 0])
        assert estimate.low is not None and estimate.high is not None
        held.append(covers(estimate, truth))
        widths.append(estimate.high - estimate.low)
        values.append(value)
    assert np.mean(held) > 0.95
    assert 1 < np.mean(widths) / (2 * NORMAL_95 * np.std(values)) < 1.45


def test_an_estimate_as_text() -> None:
    assert str(Estimate(1 / 3)) == "0.333"
    assert str(Estimate(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert Estimate(0.5).to_dict() == {"value": 0.5, "low": None, "high": None}


def test_an_interval_ends_where_the_number_does() -> None:
    wide = np.array([0.0, 1.0, 2.0])
    assert spread(0.9, wide, SHARE).high == 1.0
    assert spread(0.9, wide, SHARE).low == 0.0
    assert spread(0.9, wide, POSITIVE).high == spread(0.9, wide).high
    # a share that rounding made a little more than 1 is still inside its own interval
    assert spread(1 + 1e-12, wide, SHARE).high == 1 + 1e-12


def test_p_values_of_the_normal_distribution() -> None:
    assert p_value(1.959963985, 1.0) == pytest.approx(0.05, abs=1e-9)
    assert p_value(-2 * 2.5758293035, 2.0) == pytest.approx(0.01, abs=1e-9)
    assert p_value(0.0, 1.0) == p_value(0.0, 0.0) == 1
    assert p_value(1e-3, 0.0) == 0


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 12, 20, 50])
def test_p_values_of_student(degrees: int) -> None:
    assert p_value(student_95(degrees), 1.0, degrees) == pytest.approx(0.05, rel=1e-8)
    t = 1.3
    if degrees == 1:  # Cauchy
        assert p_value(t, 1.0, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, rel=1e-12)
    if degrees == 2:
        assert p_value(t, 1.0, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-12)
    assert p_value(t, 1.0, degrees) > p_value(t, 1.0)
    assert p_value(40.0, 1.0, degrees) > 0


@given(st.lists(st.floats(0, 1), max_size=7))
def test_holm_is_its_definition(chances: list[float]) -> None:
    """Step by step: reject from the smallest up as long as p <= level / (how many are left)."""
    corrected = holm(chances)
    for level in (0.01, 0.05, 0.3, 0.9):
        rejected: set[int] = set()
        for i in sorted(range(len(chances)), key=lambda i: chances[i]):
            if chances[i] * (len(chances) - len(rejected)) > level:
                break
            rejected.add(i)
        assert {i for i, p in enumerate(corrected) if p <= level} == rejected
    assert all(p <= c <= 1 for p, c in zip(chances, corrected, strict=True))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.5]) == pytest.approx([0.8, 0.8])
    assert holm([]) == []


def test_nll_is_a_ratio_of_sums_not_a_mean_of_ratios() -> None:
    result = bootstrap(np.array([1.0, 10.0]), np.array([1.0, 2.0]), 0)
    assert result == Estimate(11 / 3)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    dice = np.random.default_rng(0)
    inside = 0
    for trial in range(300):
        sizes = dice.integers(1, 9, 100).astype(float)
        totals = dice.normal(2 * sizes, 1.0)  # two nats per token
        result = bootstrap(totals, sizes, 200, seed=trial)
        assert result.low is not None
        assert result.high is not None
        assert result.low < result.value < result.high
        inside += result.low <= 2 <= result.high
    assert 0.91 <= inside / 300 <= 0.98


def test_bootstrap_width_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(5, 2, 4000)
    result = bootstrap(values, np.ones(4000), 1000)
    assert result.low is not None
    assert result.high is not None
    assert (result.high - result.low) / 2 == pytest.approx(1.96 * 2 / math.sqrt(4000), rel=0.08)
    with pytest.raises(ValueError, match="no sentences"):
        bootstrap(np.array([]), np.array([]), 10)


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert [decimals(x) for x in (-0.0004, -0.0, 0.0004, -0.0006, -1.5)] == [
        "0.000", "0.000", "0.000", "-0.001", "-1.500",
    ]  # fmt: skip
    assert str(Estimate(-1e-9, -0.2, 2e-5)) == "0.000 [-0.200, 0.000]"
    assert decimals(-0.0) == "0.000" and decimals(float("nan")) == "nan"


def test_sources_are_resampled_with_all_that_answers_them() -> None:
    """Ten sources of twenty equal answers are worth ten numbers, not two hundred."""
    random = torch.Generator().manual_seed(1)
    each = torch.randn(10, generator=random, dtype=torch.float64).numpy()
    totals, ones = each.repeat(20), torch.ones(200, dtype=torch.float64).numpy()
    known = torch.arange(10).repeat_interleave(20).numpy()
    alone = bootstrap(each, ones[:10], 500, seed=3)
    together = bootstrap(totals, ones, 500, 3, known)
    wrong = bootstrap(totals, ones, 500, 3)
    assert together.value == pytest.approx(alone.value)
    assert together.low == pytest.approx(alone.low) and together.high == pytest.approx(alone.high)
    assert wrong.low is not None and alone.low is not None
    assert wrong.low - wrong.value > 0.5 * (alone.low - alone.value)
    # where every text has a source of its own it is the usual one
    assert bootstrap(totals, ones, 500, 3, torch.arange(200).numpy()) == wrong
