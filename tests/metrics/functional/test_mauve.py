import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from textgan.core.streams import Purpose, stream
from textgan.metrics.functional.mauve import (
    LEAST,
    divergence_curve,
    histogram,
    kmeans,
    lloyd,
    overlap,
    prepared,
    settled,
    spread_out,
)

COUNTS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=9)
FINE = 20_001


def pair(counts: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Two histograms from counts, one text more in the first bucket of each."""
    p, q = torch.tensor(counts).double().T
    p[0] += 1
    q[0] += 1
    return p / p.sum(), q / q.sum()


def by_hand(p: list[float], q: list[float], scale: float, points: int) -> float:
    """The area in plain Python, by trapezoids."""
    corners = [(0.0, 1.0)]
    for i in range(points):
        share = 1 - LEAST - i * (1 - 2 * LEAST) / (points - 1)
        mixed = [share * a + (1 - share) * b for a, b in zip(p, q, strict=True)]
        corners.append(
            tuple(  # type: ignore[arg-type]
                math.exp(
                    -scale
                    * sum(a * math.log(a / m) for a, m in zip(side, mixed, strict=True) if a > 0)
                )
                for side in (q, p)
            )
        )
    corners.append((1.0, 0.0))
    return sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(corners))


@given(COUNTS)
def test_equal_histograms_overlap_wholly(counts: list[tuple[int, int]]) -> None:
    p, q = pair(counts)
    assert overlap(p, p) == pytest.approx(1, abs=1e-12)
    assert overlap(q, q) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_disjoint_histograms_are_at_the_floor(scale: int) -> None:
    """Points ((1 − λ)^c, λ^c): the area is c B(c + 1, c) = 1 / binomial(2c, c)."""
    p, q = torch.tensor([0.3, 0.7, 0, 0]), torch.tensor([0, 0, 0.9, 0.1])
    floor = 1 / math.comb(2 * scale, scale)
    assert overlap(p, q, scale, FINE) == pytest.approx(floor, abs=1e-7)
    # a chord of a curve that bends to the origin lies above it
    assert floor < overlap(p, q, scale) < floor + 0.01


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_two_buckets_by_integration(a: float, b: float) -> None:
    """∫ y dx/dλ dλ with the derivative written out, where dKL(Q‖R)/dλ = −Σ q (p − q) / r."""
    p, q = np.array([a, 1 - a]), np.array([b, 1 - b])
    share = (np.arange(FINE) + 0.5)[:, None] / FINE
    mixed = share * p + (1 - share) * q
    x = np.exp(-5 * (q * np.log(q / mixed)).sum(1))
    y = np.exp(-5 * (p * np.log(p / mixed)).sum(1))
    slope = x * 5 * (q * (p - q) / mixed).sum(1)
    # beside the curve: the rectangle above its first point, where R = P
    first = math.exp(-5 * float((q * np.log(q / p)).sum()))
    area = first - float((y * slope).mean())
    result = overlap(torch.from_numpy(p), torch.from_numpy(q), points=FINE)
    assert result == pytest.approx(area, abs=2e-6)


@given(COUNTS, st.integers(2, 30), st.sampled_from([1.0, 5.0]))
def test_any_histograms_by_hand(counts: list[tuple[int, int]], points: int, scale: float) -> None:
    p, q = pair(counts)
    expected = by_hand(p.tolist(), q.tolist(), scale, points)
    assert overlap(p, q, scale, points) == pytest.approx(expected, abs=1e-12)


@given(COUNTS)
def test_curve(counts: list[tuple[int, int]]) -> None:
    p, q = pair(counts)
    curve = divergence_curve(p, q)
    assert curve.shape == (27, 2)
    assert torch.equal(curve[[0, -1]], torch.tensor([[0.0, 1], [1, 0]]).double())
    assert bool((curve[1:, 0] >= curve[:-1, 0] - 1e-12).all())
    assert bool((curve[1:, 1] <= curve[:-1, 1] + 1e-12).all())
    assert 0 < overlap(p, q) <= 1 + 1e-12
    assert overlap(p, q) == pytest.approx(overlap(q, p), abs=1e-12)
    # buckets that are empty on both sides, or in another order, are nothing
    assert overlap(torch.cat([p, torch.zeros(3)]), torch.cat([q, torch.zeros(3)])) == overlap(p, q)
    assert overlap(p.flip(0), q.flip(0)) == pytest.approx(overlap(p, q), abs=1e-12)


@given(COUNTS)
def test_mixing_brings_together(counts: list[tuple[int, int]]) -> None:
    p, q = pair(counts)
    result = [overlap(p, share * p + (1 - share) * q) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(less <= more + 1e-12 for less, more in pairwise(result))


def test_merged_buckets_overlap_more() -> None:
    random = torch.Generator().manual_seed(0)
    p, q = torch.rand(2, 40, generator=random).double()
    p, q = p / p.sum(), q / q.sum()
    result = [overlap(p.view(k, -1).sum(1), q.view(k, -1).sum(1)) for k in (40, 20, 10, 5, 1)]
    assert result == sorted(result)
    assert result[-1] == pytest.approx(1)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_histogram(labels: list[int]) -> None:
    result = histogram(torch.tensor(labels), 6)
    smooth = histogram(torch.tensor(labels), 6, 0.5)
    for bucket in range(6):
        count, n = labels.count(bucket), len(labels)
        assert float(result[bucket]) == pytest.approx(count / n, abs=1e-15)
        expected = (Fraction(count) + Fraction(1, 2)) / (n + 3)
        assert float(smooth[bucket]) == pytest.approx(float(expected), abs=1e-15)


def clusters(k: int, each: int, apart: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tight clusters, far apart, in a random order, and which each vector is of."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.arange(k).repeat_interleave(each)[torch.randperm(k * each, generator=random)]
    middles = apart * torch.eye(k)
    return middles[truth] + 0.01 * torch.randn(k * each, k, generator=random), truth


@pytest.mark.parametrize("seed", range(5))
def test_kmeans_finds_separate_clusters(seed: int) -> None:
    vectors, truth = clusters(12, 9, 10.0, seed)
    labels = kmeans(vectors, 12, seed)
    matches = torch.stack([labels, truth]).unique(dim=1)
    assert matches.shape[1] == 12, "each cluster is one bucket"


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(12, 60))
def test_inertia_never_rises(seed: int, buckets: int, n: int) -> None:
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(n, 3, generator=random)
    centres = spread_out(vectors, buckets, random)
    turns = [turn for turn, _ in zip(lloyd(vectors, centres), range(12), strict=False)]
    for labels, inertia in turns:
        groups = [vectors[labels == i].double() for i in labels.unique()]
        expected = sum(float((group - group.mean(0)).square().sum()) for group in groups)
        assert inertia == pytest.approx(expected, rel=1e-9, abs=1e-9)
    # to the rounding of distances, which are taken in float32
    falls = [inertia for _, inertia in turns]
    assert all(now <= before + 1e-5 for before, now in pairwise(falls))


def test_every_vector_is_with_its_nearest_centre() -> None:
    vectors = torch.randn(3000, 4)  # more than are compared at once
    centres = vectors[:7].clone()
    labels, _ = next(lloyd(vectors, centres))
    assert torch.equal(labels, torch.cdist(vectors, centres).argmin(1))


def test_kmeans_settles() -> None:
    vectors = torch.randn(400, 2)
    labels, inertia = settled(vectors, vectors[:8].clone())
    means = torch.stack([vectors[labels == i].mean(0) for i in range(8)])
    _, less = next(lloyd(vectors, means))
    assert less <= inertia
    assert inertia - less <= 1e-3 * inertia


def test_first_centres_are_drawn_by_squared_distance() -> None:
    """From 0, with the others at 1 and 3: the second is at 3 with probability 9 / 10."""
    line = torch.tensor([[0.0], [1.0], [3.0]])
    random = torch.Generator().manual_seed(0)
    drawn = torch.stack([spread_out(line, 2, random).flatten() for _ in range(3000)])
    from_zero = drawn[drawn[:, 0] == 0]
    assert 900 < len(from_zero) < 1100
    assert float((from_zero[:, 1] == 3).double().mean()) == pytest.approx(0.9, abs=0.03)
    assert bool((drawn[:, 0] != drawn[:, 1]).all())


def test_restarts_take_the_best() -> None:
    vectors, _ = clusters(10, 6, 1.0)
    vectors = vectors + 0.3 * torch.randn(60, 10)

    def inertia(labels: Tensor) -> float:
        groups = [vectors[labels == i] for i in labels.unique()]
        return float(sum((group - group.mean(0)).square().sum() for group in groups))

    random = torch.Generator().manual_seed(stream(Purpose.CLUSTERING, 3, 0))
    each = [settled(vectors, spread_out(vectors, 10, random))[1] for _ in range(6)]
    assert min(each) < each[0]
    assert inertia(kmeans(vectors, 10, 3, restarts=6)) == pytest.approx(min(each), rel=1e-5)
    assert inertia(kmeans(vectors, 10, 3, restarts=1)) == pytest.approx(each[0], rel=1e-5)


def test_kmeans_is_the_same_each_time_and_draws_nothing() -> None:
    vectors = torch.randn(200, 5)
    before = torch.get_rng_state()
    first = kmeans(vectors, 20, 7, restarts=2)
    torch.manual_seed(99)
    assert torch.equal(first, kmeans(vectors, 20, 7, restarts=2))
    assert not torch.equal(first, kmeans(vectors, 20, 8, restarts=2))
    torch.manual_seed(0)
    torch.randn(200, 5)
    kmeans(vectors, 20, 7)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kinds", [1, 3])
def test_fewer_kinds_than_buckets(kinds: int) -> None:
    vectors = torch.randn(kinds, 4)[torch.arange(50) % kinds]
    labels = kmeans(prepared(vectors, 0.9), 10)
    assert len(labels.unique()) == kinds
    assert torch.equal(labels[kinds:], labels[:-kinds])
    p, q = (histogram(part, 10) for part in labels.split([24, 26]))
    assert math.isfinite(overlap(p, q))


def test_preparing() -> None:
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 6, generator=random) * torch.tensor([5, 3, 1, 0.1, 0.1, 0.1])
    result = prepared(vectors, 1.0)
    assert result.dtype == torch.float32
    assert torch.allclose(result, prepared(vectors * torch.rand(300, 1).add(0.5), 1.0), atol=1e-6)
    # all components keep all distances between vectors of length 1
    unit = (vectors / vectors.norm(dim=1, keepdim=True)).double()
    between = torch.cdist(result.double(), result.double())
    assert torch.allclose(between, torch.cdist(unit, unit), atol=1e-5)
    shares = np.sort(np.linalg.eigvalsh(np.cov(unit.numpy().T)))[::-1]
    held = shares.cumsum() / shares.sum()
    for kept in range(1, 6):
        less = prepared(vectors, float(held[kept - 1] + held[kept]) / 2)
        assert less.shape == (300, kept + 1)
        assert float(less.double().var(0).sum() / shares.sum()) == pytest.approx(held[kept])
    assert prepared(torch.zeros(9, 3), 0.9).shape == (9, 1)
