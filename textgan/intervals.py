"""How sure one can be of a number: intervals over sentences, over halves of a set, over seeds.

Three kinds, for three kinds of number:

- A mean or a ratio over sentences: the bootstrap (Efron 1979), sentences drawn with replacement.
- A number of a set of texts (how many are different, how far from another set): a bootstrap
  repeats texts, and whatever counts repeats would see them. So random halves, drawn without
  replacement: the number spreads over the halves of n texts as over sets of n texts (the
  delete-half jackknife; Shao and Wu 1989).
- A mean over seeds: Student's t.

Numbers resampled with the same seed belong together, repetition by repetition: where two runs were
measured on the same sentences, the differences of their replicates are a paired bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
NORMAL_95 = 1.959964  # two-sided, of the normal distribution
# the same of Student's t with 1, 2, ... degrees of freedom
STUDENT_95 = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281]
STUDENT_95 += [2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860]


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval (None where it is exact or was not asked for)."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(totals: Floats, counts: Floats, resamplings: int, seed: int = 0) -> Estimate:
    """sum(totals) / sum(counts) with a percentile bootstrap interval over sentences (N,).

    Raises ValueError for no sentences. resamplings = 0 gives no interval.
    """
    if len(totals) == 0:
        raise ValueError("there are no sentences to estimate anything from")
    value = float(totals.sum() / counts.sum())
    if resamplings == 0:
        return Estimate(value)
    return percentiles(value, resampled_ratio(totals, counts, resamplings, seed))


def percentiles(value: float, replicates: Floats) -> Estimate:
    """A value with the middle 95 % of its bootstrap replicates."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def resampled_ratio(totals: Floats, counts: Floats, resamplings: int, seed: int = 0) -> Floats:
    """sum(totals) / sum(counts) in each of the resamplings of the sentences (N,)."""
    generator = np.random.default_rng(seed)
    ratios = np.empty(resamplings)
    for i in range(resamplings):
        chosen = generator.integers(len(totals), size=len(totals))
        ratios[i] = totals[chosen].sum() / counts[chosen].sum()
    return ratios


def halves(n: int, repeats: int, seed: int = 0) -> list[Tensor]:
    """The indices, in order, of that many random halves of n texts."""
    generator = np.random.default_rng(seed)
    return [torch.from_numpy(np.sort(generator.permutation(n)[: n // 2])) for _ in range(repeats)]


def over_halves(
    value: float, statistic: Callable[[Tensor], float], n: int, repeats: int, seed: int = 0
) -> Floats:
    """Replicates of a number of n texts, from `statistic` of the texts at some indices.

    A number may grow or shrink with the size of the set; the halves say how it spreads, not where
    it lies, so their mean is moved to `value`.
    """
    found = np.array([statistic(half) for half in halves(n, repeats, seed)])
    return np.asarray(value + found - found.mean())


def spread(value: float, replicates: Floats) -> Estimate:
    """A value with the interval of a normal distribution of the replicates' standard deviation."""
    half = NORMAL_95 * float(replicates.std(ddof=1))
    return Estimate(value, value - half, value + half)


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one number a seed, with the 95 % interval of Student's t.

    Raises ValueError for none; one seed has no interval.
    """
    if not values:
        raise ValueError("there are no seeds to take a mean of")
    if len(values) == 1:
        return Estimate(float(values[0]))
    degrees = len(values) - 1
    quantile = STUDENT_95[degrees - 1] if degrees <= len(STUDENT_95) else NORMAL_95 + 2.4 / degrees
    half = quantile * stdev(values) / math.sqrt(len(values))
    middle = mean(values)
    return Estimate(middle, middle - half, middle + half)
