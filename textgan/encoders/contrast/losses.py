"""The contrastive loss, as pure functions.

Shapes: N anchors, M candidates, F features. Row i of the anchors belongs to row i of the
candidates; all other rows of these are its negatives.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors (..., F) to length 1; one of zeros stays as it is, and gets no gradient."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / norms.masked_fill(norms == 0, math.inf)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Compute the cosine of every vector of a (N, F) with every vector of b (M, F): (N, M)."""
    return unit(a) @ unit(b).T


def info_nce(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Compute -log exp(cos(a_i, b_i) / T) / sum_j exp(cos(a_i, b_j) / T), the mean over i; a
    scalar.

    a: (N, F) anchors. b: (M, F) with M >= N; rows from N on are negatives only. Zero for a single
    sentence, which has no negatives (van den Oord et al. 2018, arXiv 1807.03748, eq. 4).
    """
    return matching_loss(cosines(a, b) / temperature)


def matching_loss(logits: Tensor) -> Tensor:
    """Compute -log of the probability of candidate i in row i of logits (N, M), the mean over
    rows."""
    return functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
