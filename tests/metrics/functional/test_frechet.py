import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from textgan.metrics.functional.frechet import Moments, frechet_distance

SEEDS = st.integers(0, 10_000)
SIZES = st.integers(1, 9)


def covariance(size: int, seed: int, rank: int | None = None) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    root = torch.randn(size, rank or size, generator=random, dtype=torch.float64)
    return root @ root.T


def whitened(n: int, size: int, seed: int) -> Tensor:
    """Vectors whose mean is exactly 0 and whose covariance is exactly the identity."""
    random = torch.Generator().manual_seed(seed)
    drawn = torch.randn(n, size, generator=random, dtype=torch.float64)
    basis = torch.linalg.qr(drawn - drawn.mean(0)).Q
    return basis * (n - 1) ** 0.5


def brute_force(a: Moments, b: Moments) -> float:
    """The formula as it stands, with the eigenvalues of the product, which is not symmetric."""
    values = np.linalg.eigvals((a.covariance @ b.covariance).numpy()).astype(complex)
    roots = float(np.sqrt(values).sum().real)
    apart = float((a.mean - b.mean).square().sum())
    return apart + float(a.covariance.trace() + b.covariance.trace()) - 2 * roots


def denman_beavers(matrix: Tensor) -> Tensor:
    """The principal square root by the iteration of Denman and Beavers."""
    root, inverse = matrix, torch.eye(len(matrix), dtype=matrix.dtype)
    for _ in range(50):
        root, inverse = (root + inverse.inverse()) / 2, (inverse + root.inverse()) / 2
    return root


@given(SIZES, SEEDS)
def test_moments_are_numpys(size: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    vectors = 100 + torch.randn(size + 2, size, generator=random)
    result = Moments.of(vectors)
    assert result.mean.dtype == result.covariance.dtype == torch.float64
    exact = vectors.double().numpy()
    assert np.allclose(result.mean, exact.mean(0), rtol=1e-12)
    expected = np.cov(exact, rowvar=False).reshape(size, size)
    assert np.allclose(result.covariance, expected, rtol=1e-9, atol=1e-12)


@given(SIZES, SEEDS)
def test_normals_apart_by_a_shift(size: int, seed: int) -> None:
    a = torch.randn(size, generator=torch.Generator().manual_seed(seed)).double()
    first = whitened(size + 20, size, seed)
    second = whitened(size + 33, size, seed + 1) + a
    result = frechet_distance(Moments.of(first), Moments.of(second))
    assert result == pytest.approx(float(a.square().sum()), abs=1e-11)


@given(SIZES, SEEDS, st.floats(0, 10))
def test_scaling(size: int, seed: int, scale: float) -> None:
    here = Moments(torch.zeros(size).double(), covariance(size, seed))
    there = Moments(here.mean, here.covariance * scale**2)
    expected = (1 - scale) ** 2 * float(here.covariance.trace())
    assert frechet_distance(here, there) == pytest.approx(expected, rel=1e-9, abs=1e-10)


@given(SIZES, SEEDS, st.integers(1, 9))
def test_nothing_lies_between_a_set_and_itself(size: int, seed: int, rank: int) -> None:
    moments = Moments(torch.ones(size).double(), covariance(size, seed, rank))
    assert 0 <= frechet_distance(moments, moments) <= 1e-11
    vectors = torch.randn(50, size, generator=torch.Generator().manual_seed(seed)) * 30
    assert frechet_distance(Moments.of(vectors), Moments.of(vectors)) <= 1e-9


def test_commuting_covariances() -> None:
    """Σ (√a − √b)² where both are diagonal."""
    a, b = (
        torch.tensor([4.0, 9.0, 0.0, 1.0]).double(),
        torch.tensor([1.0, 16.0, 25.0, 0.0]).double(),
    )
    zero = torch.zeros(4).double()
    result = frechet_distance(Moments(zero, a.diag()), Moments(zero, b.diag()))
    assert result == pytest.approx(1 + 1 + 25 + 1, abs=1e-12)


@given(SIZES, SEEDS)
def test_any_covariances(size: int, seed: int) -> None:
    ridge = 0.1 * torch.eye(size).double()
    a = Moments(torch.ones(size).double(), covariance(size, seed) + ridge)
    b = Moments(torch.zeros(size).double(), covariance(size, seed + 1) + ridge)
    result = frechet_distance(a, b)
    assert result == pytest.approx(brute_force(a, b), rel=1e-9, abs=1e-9)
    root = denman_beavers(a.covariance @ b.covariance)
    traces = (a.covariance + b.covariance - 2 * root).trace()
    assert result == pytest.approx(size + float(traces), rel=1e-6, abs=1e-6)
    assert result == pytest.approx(frechet_distance(b, a), rel=1e-12, abs=1e-12)


@given(SEEDS)
def test_flat_sets_are_exact_too(seed: int) -> None:
    """The same sets in more dimensions, turned so that no axis is empty."""
    turn = torch.linalg.qr(covariance(40, seed)).Q
    sets = [whitened(30, 3, seed) * torch.tensor([1, 2, 3]), whitened(25, 3, seed + 1) + 1]
    small = frechet_distance(*(Moments.of(vectors) for vectors in sets))
    wide = [torch.nn.functional.pad(vectors, (0, 37)) @ turn for vectors in sets]
    assert frechet_distance(*(Moments.of(vectors) for vectors in wide)) == pytest.approx(
        small, abs=1e-11
    )
    # one flat, the other not: the covariances of a point and of a normal distribution
    point = Moments(torch.zeros(40).double(), torch.zeros(40, 40).double())
    other = Moments(point.mean, covariance(40, seed))
    assert frechet_distance(point, other) == pytest.approx(float(other.covariance.trace()))


def test_rounding_does_not_become_distance() -> None:
    """A flat set against a full one, by the closed form for diagonal covariances, turned."""
    turn = torch.linalg.qr(covariance(64, 1)).Q
    a, b = torch.ones(64).double(), torch.linspace(1, 2, 64).double()
    a[8:] = 0
    zero = torch.zeros(64).double()
    result = frechet_distance(
        Moments(zero, turn @ a.diag() @ turn.T), Moments(zero, turn @ b.diag() @ turn.T)
    )
    assert result == pytest.approx(float((a.sqrt() - b.sqrt()).square().sum()), abs=1e-11)
