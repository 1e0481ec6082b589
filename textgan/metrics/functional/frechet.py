"""The Fréchet distance between two sets of vectors, each taken for a normal distribution.

‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), the squared 2-Wasserstein distance of two normal
distributions (Dowson and Landau 1982), everything in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """mean: (F,) float64. covariance: (F, F) float64, the unbiased one."""

    mean: Tensor
    covariance: Tensor

    @staticmethod
    def of(vectors: Tensor) -> Moments:
        """Compute the moments of at least two vectors (B, F)."""
        vectors = vectors.double()
        mean = vectors.mean(0)
        centred = vectors - mean
        return Moments(mean, centred.T @ centred / (len(vectors) - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """Compute the distance between two normal distributions with these moments.

    With Σ = RᵀR, the eigenvalues of Σ₁Σ₂ are the squared singular values of R₁R₂ᵀ, so the trace of
    its root is their sum. That needs no root of a matrix that is not symmetric, has no imaginary
    part to drop, and is exact to rounding where covariances are singular: a root of computed
    eigenvalues would make 1e-8 of a rounding error of 1e-16.
    """
    roots = _root(a.covariance) @ _root(b.covariance).T
    shared = torch.linalg.svdvals(roots).sum()
    apart = (a.mean - b.mean).square().sum()
    distance = apart + a.covariance.trace() + b.covariance.trace() - 2 * shared
    return max(0.0, float(distance))


def _root(covariance: Tensor) -> Tensor:
    """R (F, F) with RᵀR = covariance; eigenvalues that are nothing but rounding are left out."""
    values, vectors = torch.linalg.eigh(covariance)
    rounding = values[-1] * len(values) * torch.finfo(values.dtype).eps
    root: Tensor = torch.where(values > rounding, values, 0).sqrt().unsqueeze(1) * vectors.T
    return root
