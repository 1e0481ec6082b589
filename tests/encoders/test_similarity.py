"""Alignment, uniformity, search and rank correlation: closed forms, and definitions by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from textgan.core.streams import Purpose, stream
from textgan.encoders.similarity import (
    alignment,
    distances,
    pair_cosines,
    resampled_spearman,
    retrieval,
    spearman,
    uniformities,
    uniformity,
    unit,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotation(size: int) -> Tensor:
    turn: Tensor = torch.linalg.qr(random(size, size, seed=9))[0]
    return turn


# --- where vectors lie ---


def test_only_directions_count() -> None:
    a, b = random(7, 5), random(7, 5, seed=1)
    powers = torch.tensor([-300, -9, -1, 0, 1, 9, 300], dtype=torch.float64)
    scale = (10**powers).unsqueeze(1)
    assert torch.allclose(unit(a * scale), unit(a), atol=1e-15)
    assert unit(a).norm(dim=1).tolist() == pytest.approx([1.0] * 7)
    assert unit(a.float()).dtype == torch.float64
    turn = rotation(5)
    for measure in (alignment, lambda x, y: retrieval(x, y).reciprocal.sum()):
        assert float(measure(3 * a @ turn, b @ turn)) == pytest.approx(float(measure(a, b)))
    assert uniformity(3 * a @ turn) == pytest.approx(uniformity(a))


def test_a_vector_of_zeros_has_no_direction() -> None:
    a = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert unit(a).tolist() == [[0, 0], [0.6, 0.8]]
    assert pair_cosines(a, a).tolist() == pytest.approx([0, 1])
    assert distances(a, a[[1, 0]]).tolist() == pytest.approx([1, 1])
    assert uniformity(a) == pytest.approx(-2)  # one pair, at distance 1
    assert uniformity(torch.zeros(3, 2)) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_vectors_that_are_not_finite_are_refused(bad: float) -> None:
    a = torch.tensor([[1.0, 2.0], [3.0, bad]])
    for measure in (unit, uniformity, lambda x: alignment(x, x), lambda x: retrieval(x, x)):
        with pytest.raises(ValueError, match="not finite"):
            measure(a)


def test_alignment_in_closed_form() -> None:
    a = random(6, 4)
    assert alignment(a, 5 * a) == pytest.approx(0, abs=1e-15)
    assert alignment(a, -a) == pytest.approx(4)
    eye = torch.eye(4, dtype=torch.float64)
    assert alignment(eye, eye.roll(1, 0)) == pytest.approx(2)
    b = random(6, 4, seed=1)
    assert alignment(a, b) == pytest.approx(float((2 - 2 * pair_cosines(a, b)).mean()))
    assert distances(a, b).tolist() == pytest.approx((unit(a) - unit(b)).norm(dim=1).square())


@pytest.mark.parametrize("t", [0.5, 2.0, 10.0])
def test_uniformity_in_closed_form(t: float) -> None:
    point = random(1, 5)
    assert uniformity(point.repeat(7, 1), t) == pytest.approx(0, abs=1e-14)
    assert uniformity(torch.cat([point, -2 * point]), t) == pytest.approx(-4 * t)
    assert uniformity(torch.eye(6, dtype=torch.float64) @ rotation(6), t) == pytest.approx(-2 * t)
    # two points, n times each: of n(2n - 1) pairs n(n - 1) are at distance 0 and n^2 at 4
    n = 3
    both = torch.cat([point, -point]).repeat(n, 1)
    share = (n - 1) / (2 * n - 1)
    expected = math.log(share + (1 - share) * math.exp(-4 * t))
    assert uniformity(both, t) == pytest.approx(expected)


def test_uniformity_is_over_pairs_of_two() -> None:
    """The definition, pair by pair; in blocks of any size; of sets as of their own vectors."""
    x = random(11, 3)
    u = unit(x)
    pairs = [
        math.exp(-2 * float((u[i] - u[j]).square().sum())) for i in range(11) for j in range(i)
    ]
    expected = math.log(sum(pairs) / len(pairs))
    assert uniformity(x) == pytest.approx(expected)
    sets = [torch.tensor([0, 3, 4, 10]), torch.tensor([9, 2]), torch.arange(11)]
    for at_once in (1, 22, 40, 1000):
        result = uniformities(x, sets, at_once=at_once)
        assert result.tolist() == pytest.approx([uniformity(x[some]) for some in sets])
        assert float(result[2]) == pytest.approx(expected)
    with pytest.raises(ValueError, match="two vectors"):
        uniformity(x[:1])


def test_uniform_vectors_are_lower_than_bunched_ones() -> None:
    x = random(200, 8)
    assert uniformity(x) < uniformity(x + 1) < uniformity(x + 5) < 0


# --- what vectors find ---


def test_every_line_finds_itself() -> None:
    x = random(9, 4)
    first, reciprocal = retrieval(x, 2 * x)
    assert first.tolist() == [1] * 9
    assert reciprocal.tolist() == [1] * 9


def test_search_by_the_definition() -> None:
    queries, keys = random(13, 3), random(13, 3, seed=1)
    scores = unit(queries) @ unit(keys).T
    place = [1 + int((scores[i] > scores[i, i]).sum()) for i in range(13)]
    for at_once in (1, 40, 1000):
        first, reciprocal = retrieval(queries, keys, at_once)
        assert first.tolist() == [float(n == 1) for n in place]
        assert reciprocal.tolist() == pytest.approx([1 / n for n in place])
    assert first.dtype == reciprocal.dtype == torch.float64


def test_what_knows_nothing_finds_one_in_n() -> None:
    n = 10
    same = retrieval(torch.ones(n, 3), torch.ones(n, 3))
    assert same.first.tolist() == pytest.approx([1 / n] * n)
    harmonic = sum(1 / k for k in range(1, n + 1))
    assert same.reciprocal.tolist() == pytest.approx([harmonic / n] * n)
    unrelated = retrieval(random(400, 30), random(400, 30, seed=1))
    assert float(unrelated.first.mean()) == pytest.approx(1 / 400, abs=5 / 400)  # five deviations


def test_a_tie_is_shared() -> None:
    keys = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 1]]
    first, reciprocal = retrieval(keys, keys)
    assert first.tolist() == pytest.approx([0.5] * 4)
    assert reciprocal.tolist() == pytest.approx([0.75] * 4)  # the mean of 1 and 1/2
    # after one that is nearer, two share the second and the third place
    queries = torch.tensor([[1.0, 0.1], [1.0, 0.1], [1.0, 0.0]])
    keys = torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, 0.0]])
    first, reciprocal = retrieval(queries, keys)
    assert first.tolist() == [0, 0, 1]
    assert reciprocal.tolist() == pytest.approx([(1 / 2 + 1 / 3) / 2] * 2 + [1])


# --- rank correlation ---

values = st.lists(st.integers(-3, 3), min_size=2, max_size=12)


@given(values.flatmap(lambda x: st.tuples(st.just(x), st.permutations(x))))
def test_spearman_is_that_of_scipy(pair: tuple[list[int], list[int]]) -> None:
    x, y = ([float(v) for v in side] for side in pair)
    if len(set(x)) == 1:
        with pytest.raises(ValueError, match="all equal"):
            spearman(x, y)
        return
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert spearman(x, x) == 1
    assert spearman(x, [-v for v in x]) == -1
    assert spearman(y, x) == pytest.approx(spearman(x, y))
    assert spearman([math.exp(v) for v in x], [v**3 for v in y]) == spearman(x, y)


def test_spearman_without_ties_in_closed_form() -> None:
    """1 - 6 sum d^2 / (n (n^2 - 1))."""
    shuffled = np.random.default_rng(0).permutation(50)
    squares = float(((shuffled - np.arange(50)) ** 2).sum())
    expected = 1 - 6 * squares / (50 * (50**2 - 1))
    assert spearman(np.arange(50), shuffled) == pytest.approx(expected)
    assert spearman([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        ([1.0, 2.0], [1.0, 2.0, 3.0], "cannot go with"),
        ([1.0, 2.0], [5.0, 5.0], "all equal"),
        ([1.0], [2.0], "all equal"),
        ([], [], "all equal"),
        ([1.0, math.nan], [1.0, 2.0], "not finite"),
    ],
)
def test_numbers_without_a_correlation(x: list[float], y: list[float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        spearman(x, y)


def test_resampled_correlations_are_those_of_the_resampled_pairs() -> None:
    generator = np.random.default_rng(1)
    x = generator.integers(0, 4, 30).astype(float)
    y = x + generator.normal(size=30)
    result = resampled_spearman(x, y, 20, seed=3)
    again = np.random.default_rng(stream(Purpose.BOOTSTRAP, 3, 0))
    for one in result:
        some = again.integers(30, size=30)
        assert one == pytest.approx(stats.spearmanr(x[some], y[some]).statistic, abs=1e-12)
    assert len(result) == 20
    # of two pairs, half of the resamplings are of one alone and have no correlation
    two = resampled_spearman([0, 1], [0, 1], 200)
    assert set(two.tolist()) == {1}
    assert 70 < len(two) < 130
    assert len(resampled_spearman(x, y, 0)) == 0


def test_the_interval_of_a_normal_sample_is_about_right() -> None:
    """At rho = 0 the correlation of 200 pairs has a standard deviation of about 1 / sqrt(199)."""
    generator = np.random.default_rng(2)
    replicates = resampled_spearman(generator.normal(size=200), generator.normal(size=200), 1000)
    assert replicates.std() == pytest.approx(199**-0.5, rel=0.15)
