"""The metrics over embeddings: Fréchet distance and MAUVE."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from vectors import material_of

from textgan.metrics.base import Unavailable
from textgan.metrics.embedding import Frechet, Mauve
from textgan.metrics.functional.mauve import (
    histogram,
    kmeans,
    overlap,
    prepared,
)


def whitened(n: int, size: int, seed: int) -> Tensor:
    """Vectors whose mean is exactly 0 and whose covariance is exactly the identity."""
    random = torch.Generator().manual_seed(seed)
    drawn = torch.randn(n, size, generator=random, dtype=torch.float64)
    basis = torch.linalg.qr(drawn - drawn.mean(0)).Q
    return basis * (n - 1) ** 0.5


def test_frechet() -> None:
    judged, real = whitened(60, 4, 0), whitened(50, 4, 1) + torch.tensor([3, 0, 4, 0])
    material = material_of(judged.repeat(2, 1), real.repeat(2, 1))
    score = Frechet().measure(material)["frechet"]
    # the sets are twice as large and their covariances (2n - 2) / (2n - 1) of the identity
    roots = [(2 * (n - 1) / (2 * n - 1)) ** 0.5 for n in (60, 50)]
    expected = 25 + 4 * (roots[0] - roots[1]) ** 2
    assert score.estimate.value == pytest.approx(expected, abs=1e-10)
    assert score.signature.startswith("frechet|enc:given|texts:120|real:100|tok:id|v:")
    assert score.better == "lower"
    assert len(score.replicates) == material.subsets
    assert score.replicates.mean() == pytest.approx(score.estimate.value)
    assert score.estimate.low is not None
    assert score.estimate.low < score.estimate.value


def test_frechet_wants_more_texts_than_dimensions() -> None:
    many, few = torch.randn(130, 64).double(), torch.randn(127, 64).double()
    with pytest.raises(Unavailable, match=r"at least 128 texts .* there are 127"):
        Frechet().measure(material_of(many, few))
    with pytest.raises(Unavailable, match="at least 100 texts on each side; there are 0"):
        Frechet().measure(material_of(many, few[:0]))
    with pytest.raises(Unavailable, match="not finite"):
        Frechet().measure(material_of(many, torch.full((130, 64), torch.nan)))
    flat = Frechet().measure(material_of(torch.ones(130, 64), torch.zeros(128, 64)))["frechet"]
    assert flat.estimate.value == 64


def clusters(k: int, each: int, apart: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tight clusters, far apart, in a random order, and which each vector is of."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.arange(k).repeat_interleave(each)[torch.randperm(k * each, generator=random)]
    middles = apart * torch.eye(k)
    return middles[truth] + 0.01 * torch.randn(k * each, k, generator=random), truth


def test_mauve() -> None:
    """Ten clusters that k-means cannot miss: the value is that of the known histograms."""
    vectors, truth = clusters(10, 40, 10.0)
    order = truth.argsort(stable=True)  # 40 of each cluster
    first = order.view(10, 40)
    judged = torch.cat([first[i, : 5 + 3 * i] for i in range(10)])
    real = torch.cat([first[i, 5 + 3 * i :] for i in range(10)])
    material = material_of(vectors[judged], vectors[real])
    scores = Mauve(buckets=10).measure(material)
    p, q = (torch.bincount(truth[side]).double() for side in (judged, real))
    assert scores["mauve"].estimate.value == pytest.approx(overlap(p / p.sum(), q / q.sum()))
    smooth = overlap((p + 0.5) / (p.sum() + 5), (q + 0.5) / (q.sum() + 5))
    assert scores["mauve_star"].estimate.value == pytest.approx(smooth)
    assert smooth > scores["mauve"].estimate.value
    assert scores["mauve"].signature.startswith(
        "mauve|enc:given|texts:185|real:215|buckets:10|pca:0.9|c:5|points:25|seeds:5|restarts:1|"
        "tok:id|seed:0|v:"
    )
    assert "|smooth:kt|" in scores["mauve_star"].signature
    for score in scores.values():
        assert score.better == "higher"
        assert score.estimate.low is not None
        assert score.estimate.low < score.estimate.value < 1


def test_mauve_of_the_same_texts_is_one() -> None:
    vectors = torch.randn(150, 5).double()
    scores = Mauve().measure(material_of(vectors, vectors))
    assert [score.estimate.value for score in scores.values()] == [pytest.approx(1)] * 2
    assert "|buckets:15|" in scores["mauve"].signature


def test_interval_covers_the_clusterings_too() -> None:
    vectors = torch.randn(400, 6).double()
    one, several = (
        Mauve(seeds=seeds).measure(material_of(vectors[:200], vectors[200:] + 0.3))["mauve"]
        for seeds in (1, 5)
    )
    again = Mauve(seeds=5).measure(material_of(vectors[:200], vectors[200:] + 0.3))["mauve"]
    assert np.array_equal(several.replicates, again.replicates)
    # over subsets alone their mean is the value; draws among five clusterings move it
    assert one.replicates.mean() == pytest.approx(one.estimate.value, abs=1e-12)
    assert abs(several.replicates.mean() - several.estimate.value) > 1e-6
    together = prepared(torch.cat([vectors[:200], vectors[200:] + 0.3]), 0.9)
    result = []
    for number in range(5):
        ours, theirs = kmeans(together, 20, number=number).split(200)
        result.append(overlap(histogram(ours, 20), histogram(theirs, 20)))
    assert several.estimate.value == pytest.approx(np.mean(result))
    assert one.estimate.value == pytest.approx(result[0])


def test_mauve_wants_texts_and_buckets() -> None:
    vectors = torch.randn(120, 3).double()
    with pytest.raises(Unavailable, match="at least 100 texts on each side; there are 99"):
        Mauve().measure(material_of(vectors, vectors[:99]))
    with pytest.raises(Unavailable, match="121"):
        Mauve(buckets=121).measure(material_of(vectors, vectors))
    same = Mauve().measure(material_of(torch.ones(100, 3), torch.ones(120, 3)))["mauve"]
    assert same.estimate.value == pytest.approx(1)
    apart = Mauve().measure(material_of(torch.ones(100, 3), -torch.ones(120, 3)))["mauve"]
    assert apart.estimate.value == pytest.approx(1 / math.comb(10, 5), abs=1e-3)
