"""The n-grams of a set of texts: how far it is from real text, and how varied it is.

N-grams stay within their text, and nothing is padded. They are counted once; for a subset of the
texts, those of the others are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from operator import mul
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.score import Score
from textgan.core.statistics import SHARE, Estimate, Floats
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.functional.ngrams import Grams, common_grams, counts, grams, jensen_shannon

LARGEST = "words of the longest n-grams"


def counts_within(of: Grams, n: int) -> Callable[[Tensor], Tensor]:
    """Return the function that counts the n-grams, of those of n texts, that the texts at some
    indices have: all of them without the few that the other texts have."""
    whole = counts(of)

    def count(texts: Tensor) -> Tensor:
        left_out = torch.ones(n, dtype=torch.bool)
        left_out[texts] = False
        return whole - torch.bincount(of.kind[left_out[of.row]], minlength=of.kinds)

    return count


def variety(times: Tensor) -> float:
    """Compute different n-grams / all n-grams, of which there are some, from the counts (kinds,) of
    each."""
    return int(times.count_nonzero()) / int(times.sum())


def multiset_jaccard(a: Tensor, b: Tensor) -> float:
    """Compute sum(min(a, b)) / sum(max(a, b)) of weights (kinds,), none below 0; 0 where all are
    0."""
    larger = float(torch.maximum(a, b).sum())
    return float(torch.minimum(a, b).sum()) / larger if larger else 0.0


def over_texts(
    inputs: MetricInputs, of: Grams, statistic: Callable[[Tensor], float]
) -> tuple[Estimate, Floats]:
    """Compute a number of the counts (kinds,) of n-grams, with its spread over subsets of those
    texts that have any."""
    texts, row = torch.unique(of.row, return_inverse=True)
    count = counts_within(Grams(of.n, of.kind, row, of.kinds), len(texts))
    value = statistic(counts(of))
    return inputs.of_set(value, lambda some: statistic(count(some)), len(texts), SHARE)


@dataclass(kw_only=True)
class JensenShannon(Metric, name="jsd"):
    """Jensen-Shannon divergence in bits between the n-grams of the texts and of real ones.

    0 where both sets have the same n-grams equally often, 1 where they have none in common; lower
    is better. An order of which one side has no n-gram is left out. The interval is that of the
    texts beside the same real ones.

    Pitfalls: two samples of one source are far from 0, the more so the smaller the samples and the
    longer the n-grams. What can be reached at all, the floor, is the row of real text, and only
    numbers of as many texts compare. jsd1 does not see the order of words. The paper counts
    characters, padding included.
    """

    paper: ClassVar[str] = "Gulrajani et al. 2017, arXiv 1704.00028"

    largest: Annotated[int, Field(ge=1, le=9, description=LARGEST)] = 4

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        texts, real = inputs.paired_sample, inputs.paired_references
        scores = {}
        for mine, theirs in common_grams(texts, real, self.largest):
            if not len(mine.kind) or not len(theirs.kind):
                break
            estimate, replicates = over_texts(
                inputs, mine, partial(jensen_shannon, b=counts(theirs))
            )
            signature = inputs.sign(
                "jsd", n=mine.n, refs=len(real), hyps=len(texts), tok=inputs.token_kind
            )
            scores[f"jsd{mine.n}"] = Score(
                f"JSD-{mine.n}", estimate, signature, "lower", "bits", replicates
            )
        if not scores:
            raise Unavailable("needs at least one word on each side; one side has none")
        return scores


@dataclass(kw_only=True)
class MSJaccard(Metric, name="ms_jaccard"):
    """MS-Jaccard-n: how much of the n-grams of the texts and of real ones is common to both.

    An n-gram weighs its count / the number of texts of its set, so that sets of any two sizes
    compare. The score of an order is the sum of the smaller weights / the sum of the larger ones,
    and MS-Jaccard-n is the geometric mean of orders 1 to n: 0 where an order has nothing in common,
    1 for equal sets. Higher is better; it takes both quality and diversity. The interval is that of
    the texts beside the same real ones.

    Pitfalls: it grows with the number of texts, and two samples of one source are far from 1: what
    can be reached is the row of real text. Texts longer or shorter than real ones lose in all
    orders, however good they are.
    """

    paper: ClassVar[str] = "Montahaei et al. 2019, arXiv 1904.03971"

    largest: Annotated[int, Field(ge=2, le=9, description=LARGEST)] = 5

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        texts, real = inputs.paired_sample, inputs.paired_references
        sides = [
            (counts_within(mine, len(texts)), counts(theirs) / len(real))
            for mine, theirs in common_grams(texts, real, self.largest)
            if mine.kinds
        ]
        if len(sides) < 2:
            raise Unavailable("needs texts of at least 2 words; none has as many")

        def means(some: Tensor) -> list[float]:
            orders = (
                multiset_jaccard(count(some) / len(some), weights) for count, weights in sides
            )
            return [product ** (1 / n) for n, product in enumerate(accumulate(orders, mul), 1)][1:]

        estimates = inputs.of_sets(means(torch.arange(len(texts))), means, len(texts), SHARE)
        scores = {}
        for n, (estimate, replicates) in enumerate(estimates, start=2):
            signature = inputs.sign(
                "ms_jaccard", n=n, cum=None, refs=len(real), hyps=len(texts),
                tok=inputs.token_kind,
            )  # fmt: skip
            scores[f"ms_jaccard{n}"] = Score(
                f"MS-Jaccard-{n}", estimate, signature, "higher", replicates=replicates
            )
        return scores


@dataclass(kw_only=True)
class Distinct(Metric, name="distinct"):
    """Distinct-n: how many different n-grams the texts have, as a share of all their n-grams.

    1 where no n-gram recurs, near 0 where all texts are the same; good texts are as varied as real
    ones. An order that no text has is left out.

    Pitfalls: it falls as texts are added or get longer, for words run out, so only numbers of as
    many texts compare, of about the same length. Random words score highest.
    """

    paper: ClassVar[str] = "Li et al. 2016, arXiv 1510.03055"

    largest: Annotated[int, Field(ge=1, le=9, description=LARGEST)] = 3

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        texts = inputs.sample
        scores = {}
        for of in grams(texts, self.largest):
            if not of.kinds:
                break
            estimate, replicates = over_texts(inputs, of, variety)
            signature = inputs.sign("distinct", n=of.n, hyps=len(texts), tok=inputs.token_kind)
            scores[f"distinct{of.n}"] = Score(
                f"Distinct-{of.n}", estimate, signature, "like real text", replicates=replicates
            )
        if not scores:
            raise Unavailable("needs at least one word; there is none")
        return scores
