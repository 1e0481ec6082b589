"""Confidence intervals over sentences, subsets and seeds; p-values.

Three kinds of interval, for three kinds of number:

- A mean or a ratio over sentences: the bootstrap (Efron 1979), sentences drawn with replacement,
  or sources with all that answers them, where sentences answer any.
- A number of a set of texts (how many are different, how far from another set): a bootstrap
  repeats texts, and whatever counts repeats would see them. So random subsets, drawn without
  replacement, and their spread scaled to that of a mean (the delete-d jackknife; Shao and Wu 1989).
  A tenth is left out: the number of half of the texts is another number, and where n-grams seldom
  recur it spreads half as far. Simulated intervals have 0.9 to 1.2 times the right width for
  n-grams of several words, and up to 1.4 times for single words and for texts that come twice.
- A mean over seeds: Student's t.

Numbers resampled with the same seed belong together, repetition by repetition: where two runs were
measured on the same sentences, the differences of their replicates are a paired bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textgan.core.streams import Purpose, stream

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
UNBOUNDED = (-math.inf, math.inf)
SUBSETS = 40  # random subsets behind the interval of a number of a set
SHARE = (0.0, 1.0)  # what a share can be
POSITIVE = (0.0, math.inf)  # what a distance can be
DEGENERATE = "* every resampling has the same value: such an interval says nothing of chance"
NORMAL_95 = 1.959964  # two-sided, of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval (None where it is exact or was not asked for)."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def degenerate(self) -> bool:
        """Whether every resampling had one value, so that the interval says nothing of chance."""
        return self.low is not None and self.high is not None and math.isclose(self.low, self.high)

    @property
    def flagged(self) -> str:
        """The number and its interval as a table has them, with a * where that is degenerate."""
        return f"{self}*" if self.degenerate else str(self)

    def to_dict(self) -> dict[str, float | None]:
        """Return a dictionary for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return decimals(self.value)
        return f"{decimals(self.value)} [{decimals(self.low)}, {decimals(self.high)}]"


def decimals(value: float, digits: int = 3) -> str:
    """Format the number with so many decimals; what rounds to zero has no sign."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def bootstrap(
    totals: Floats, counts: Floats, resamplings: int, seed: int = 0, sources: Whole | None = None
) -> Estimate:
    """Estimate sum(totals) / sum(counts), with a percentile bootstrap interval over sentences (N,).

    sources: (N,) which source each answers. Sources are then drawn, each with all its sentences,
    for these depend on each other (the cluster bootstrap; Davison and Hinkley 1997, section 3.8).
    Raises ValueError where nothing is counted. resamplings = 0 gives no interval.
    """
    if not counts.any():
        raise ValueError("there are no sentences to estimate anything from")
    value = float(totals.sum() / counts.sum())
    if resamplings == 0:
        return Estimate(value)
    if sources is not None:
        totals, counts = of_sources(totals, sources), of_sources(counts, sources)
    return percentiles(value, resampled_ratio(totals, counts, resamplings, seed))


def of_sources(values: Floats, sources: Whole) -> Floats:
    """Sum the values (N,) of each source's sentences; sources: (N,) the number of each."""
    return np.bincount(sources, values).astype(np.float64)


def percentiles(value: float, replicates: Floats) -> Estimate:
    """Return a value with the middle 95 % of its bootstrap replicates as its interval."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def resamples(
    n: int, resamplings: int, seed: int = 0, side: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of n sentences drawn out of n with replacement, once for each resampling.

    side: another number for sentences that are resampled apart from the first ones.
    """
    generator = np.random.default_rng(stream(Purpose.BOOTSTRAP, seed, side))
    for _ in range(resamplings):
        yield generator.integers(n, size=n)


def resampled_ratio(
    totals: Floats, counts: Floats, resamplings: int, seed: int = 0, side: int = 0
) -> Floats:
    """Compute sum(totals) / sum(counts) in each of the resamplings of the sentences (N,).

    Sentences that count 0, with a total of 0, change no sum and are left out: a resampling of
    nothing else would have no ratio.
    """
    counted = counts > 0
    totals, counts = totals[counted], counts[counted]
    drawn = resamples(len(totals), resamplings, seed, side)
    return np.array([totals[chosen].sum() / counts[chosen].sum() for chosen in drawn])


def subsets(n: int, repeats: int, seed: int = 0) -> list[Tensor]:
    """Draw random subsets of n texts, without a tenth and at least one: their indices, in order."""
    generator = np.random.default_rng(stream(Purpose.SUBSETS, seed))
    kept = n - max(1, n // 10)
    return [torch.from_numpy(np.sort(generator.permutation(n)[:kept])) for _ in range(repeats)]


def over_subsets(
    values: Sequence[float],
    statistic: Callable[[Tensor], Sequence[float]],
    n: int,
    repeats: int,
    seed: int = 0,
) -> Floats:
    """Compute replicates (repeats, K) of K numbers of n texts: `statistic` of the texts at some
    indices.

    A number may grow or shrink with the size of the set; the subsets say how it spreads, not where
    it lies, so their mean is moved to the value.
    """
    chosen = subsets(n, repeats, seed)
    measured = np.array([statistic(subset) for subset in chosen])
    kept = len(chosen[0])
    # a mean of the kept texts has (n - kept) / kept of the variance of a mean of n texts
    return np.asarray(
        np.array(values) + math.sqrt(kept / (n - kept)) * (measured - measured.mean(0))
    )


def spread(value: float, replicates: Floats, bounds: tuple[float, float] = UNBOUNDED) -> Estimate:
    """Return a value with the interval of a normal distribution of the replicates' standard
    deviation, cut at what the number can be."""
    half = NORMAL_95 * float(replicates.std(ddof=1))
    least, most = bounds
    # a value past its bounds by rounding stays inside its interval
    low, high = max(value - half, min(value, least)), min(value + half, max(value, most))
    return Estimate(value, low, high)


def over_seeds(values: Sequence[float]) -> Estimate:
    """Average numbers over seeds, one a seed, with the 95 % interval of Student's t.

    Raises ValueError for none; one seed has no interval.
    """
    if not values:
        raise ValueError("there are no seeds to take a mean of")
    if len(values) == 1:
        return Estimate(float(values[0]))
    half = student_95(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    middle = mean(values)
    return Estimate(middle, middle - half, middle + half)


def over_evaluators(
    values: Sequence[float], bounds: tuple[float, float] = UNBOUNDED
) -> tuple[Estimate, Floats]:
    """Average numbers of two evaluators or more, each of texts of its own, with the interval of
    Student's t, cut at what the number can be, and replicates.

    The replicates are the numbers, drawn together to the spread of their mean and stretched by
    Student's t over the normal distribution. So what is made of the differences of two systems'
    replicates, evaluator by evaluator, is the paired t-interval.
    """
    n, middle = len(values), mean(values)
    scale = student_95(n - 1) / NORMAL_95 / math.sqrt(n)
    replicates = middle + scale * (np.array(values) - middle)
    return spread(middle, replicates, bounds), replicates


def student_95(degrees: float) -> float:
    """Return the two-sided 95 % quantile of Student's t with these degrees of freedom."""
    from scipy import stats  # late: it takes 0.3 s to import

    return float(stats.t.ppf(0.975, degrees))


def p_value(change: float, error: float, degrees: int | None = None) -> float:
    """Return the two-sided p-value of a change, given its standard error.

    degrees: of freedom of Student's t; None for the normal distribution.
    """
    if not change:
        return 1.0
    if not error:
        return 0.0
    size = abs(change) / error
    if degrees is None:
        return math.erfc(size / math.sqrt(2))
    from scipy import stats  # late: it takes 0.3 s to import

    return float(2 * stats.t.sf(size, degrees))


def holm(chances: Sequence[float]) -> list[float]:
    """Correct p-values for their number: the smallest times it, the next times one less, ..., none
    below a smaller one's and none above 1 (Holm 1979)."""
    corrected = [0.0] * len(chances)
    largest = 0.0
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[i]))
        corrected[i] = largest
    return corrected
