"""MAUVE (Pillutla et al. 2021, arXiv 2102.01454): how far two sets of vectors overlap.

Both sets are sorted into the same buckets by k-means. Their histograms P and Q are compared with
the mixtures R = λP + (1 − λ)Q between them: KL(Q‖R) grows with what Q has and P lacks, KL(P‖R) with
what P has and Q lacks. Along λ the points (exp(−c KL(Q‖R)), exp(−c KL(P‖R))) draw a curve. The area
under it is 1 for equal histograms and 1 / binomial(2c, c) for disjoint ones: 0.004 with c = 5.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from textgan.core.streams import Purpose, stream

SCALE = 5.0  # c of the paper
POINTS = 25  # values of λ, as in the authors' implementation
LEAST = 1e-6  # the first λ there; at 0 whatever only P has would cost infinitely much
TURNS = 500  # of k-means, at most
SETTLED = 1e-4  # k-means ends when a turn takes away no more than this share of the inertia
ROWS = 1024  # vectors whose distances to all centres are held at once: 2 MB with 500 centres


def divergence_curve(p: Tensor, q: Tensor, scale: float = SCALE, points: int = POINTS) -> Tensor:
    """Compute the curve of two histograms (K,) from (0, 1) to (1, 0): (points + 2, 2) float64."""
    p, q = (side[(p + q) > 0].double() for side in (p, q))
    share = torch.linspace(1 - LEAST, LEAST, points, dtype=p.dtype).unsqueeze(1)
    mixtures = share * p + (1 - share) * q
    lacking = [torch.xlogy(side, side / mixtures).sum(1) for side in (q, p)]
    curve = torch.exp(-scale * torch.stack(lacking, 1))
    return torch.cat([curve.new_tensor([[0, 1]]), curve, curve.new_tensor([[1, 0]])])


def overlap(p: Tensor, q: Tensor, scale: float = SCALE, points: int = POINTS) -> float:
    """Compute the area under the divergence curve of two histograms (K,), from 0 to 1."""
    curve = divergence_curve(p, q, scale, points)
    return float(torch.trapezoid(curve[:, 1], curve[:, 0]))


def histogram(labels: Tensor, buckets: int, added: float = 0.0) -> Tensor:
    """Compute the share of texts in each bucket, (K,) float64, after `added` texts more in every
    bucket.

    One half is the estimator of Krichevsky and Trofimov (1981). It keeps a bucket that is empty by
    chance from counting as one that cannot be filled.
    """
    counts = torch.bincount(labels, minlength=buckets).double()
    return (counts + added) / (len(labels) + buckets * added)


def prepared(vectors: Tensor, variance: float) -> Tensor:
    """Prepare vectors (B, F) for clustering, (B, D) float32: scaled to length 1, then the fewest
    principal components that hold this share of the variance."""
    vectors = F.normalize(vectors.double(), dim=1)
    vectors = vectors - vectors.mean(0)
    values, axes = torch.linalg.eigh(vectors.T @ vectors)
    held = values.flip(0).clamp(min=0).cumsum(0)
    kept = int((held < variance * held[-1]).sum()) + 1
    main: Tensor = axes.flip(1)[:, :kept]
    return (vectors @ main).float()


def kmeans(
    vectors: Tensor, buckets: int, seed: int = 0, restarts: int = 1, number: int = 0
) -> Tensor:
    """Assign each of B vectors (B, D) to a bucket, (B,): the best of some k-means clusterings.

    number: which of several such clusterings with one seed.
    """
    generator = torch.Generator().manual_seed(stream(Purpose.CLUSTERING, seed, number))
    starts = (spread_out(vectors, buckets, generator) for _ in range(restarts))
    return min(
        (settled(vectors, centres) for centres in starts), key=lambda clustering: clustering[1]
    )[0]


def settled(vectors: Tensor, centres: Tensor) -> tuple[Tensor, float]:
    """Run `lloyd` until a turn changes next to nothing; return its last turn."""
    turns = lloyd(vectors, centres)
    labels, inertia = next(turns)
    for now in turns:
        gain, (labels, inertia) = inertia - now[1], now
        if gain <= SETTLED * inertia:
            break
    return labels, inertia


def spread_out(vectors: Tensor, buckets: int, generator: torch.Generator) -> Tensor:
    """Choose some of the vectors as first centres, (K, D), each drawn in proportion to its squared
    distance from the nearest one drawn before (k-means++, Arthur and Vassilvitskii 2007).

    Fewer than `buckets` where there are fewer different vectors.
    """
    chosen = [int(torch.randint(len(vectors), (1,), generator=generator))]
    nearest = torch.full((len(vectors),), torch.inf, dtype=torch.float64)
    while len(chosen) < buckets:
        newest = vectors[chosen[-1]]
        nearest = nearest.minimum((vectors - newest).square_().sum(1).double())
        reached = nearest.cumsum(0)
        if reached[-1] == 0:  # all vectors are centres
            break
        drawn = torch.rand(1, generator=generator, dtype=torch.float64) * reached[-1]
        # the first that reaches beyond what was drawn, so never one at distance 0
        chosen.append(int(torch.searchsorted(reached, drawn, right=True)))
    return vectors[chosen]


def lloyd(vectors: Tensor, centres: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Yield the turns of k-means from these centres (K, D): the nearest centre of each vector,
    (B,), and the sum of squared distances to the means of the new buckets, which are the next
    centres.

    An empty bucket keeps its centre.
    """
    exact = vectors.double()
    total = exact.square().sum()
    for _ in range(TURNS):
        heights = centres.square().sum(1) / 2
        labels = torch.cat(
            [
                torch.addmm(heights, part, centres.T, alpha=-1).min(1).indices
                for part in vectors.split(ROWS)
            ]
        )
        counts = torch.bincount(labels, minlength=len(centres)).unsqueeze(1)
        sums = torch.zeros(centres.shape, dtype=torch.float64).index_add_(0, labels, exact)
        means = sums / counts.clamp(min=1)
        yield labels, float(total - (counts * means.square()).sum())
        centres = torch.where(counts > 0, means.float(), centres)
