"""The n-grams of sentences, counted without a loop over them, and how far two sets are apart.

The divergence is the measure of the WGAN-GP character model (Gulrajani et al. 2017, arXiv
1704.00028). A sample that is small beside the number of possible n-grams is far from anything, its
own source included, so a value means little without that of as many real texts: the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from textgan.data.sentences import Sentences, joined

Number = Callable[[int, Tensor], tuple[Tensor, int]]
"""Numbers (W,) for the codes (W,) of n-grams of an order, and how many numbers there are."""


@dataclass(frozen=True)
class Grams:
    """All n-grams of one order in a set of sentences, W windows in the order of the text.

    n: how many words each has. kind: (W,) int64, equal for equal n-grams, from 0 to kinds - 1.
    row: (W,) int64, the sentence it is in.
    """

    n: int
    kind: Tensor
    row: Tensor
    kinds: int


def renumbered(n: int, codes: Tensor) -> tuple[Tensor, int]:
    """Number codes from 0 in their order; return the numbers and how many there are."""
    known, kind = torch.unique(codes, return_inverse=True)
    return kind, len(known)


def grams(sentences: Sentences, largest: int, number: Number = renumbered) -> Iterator[Grams]:
    """Yield the n-grams of every sentence for n = 1 .. largest.

    An n-gram is the (n - 1)-gram before it and a word. Both are numbered anew for each order, so
    the numbers stay small whatever the vocabulary.
    """
    kind, kinds = number(1, sentences.words)
    words, symbols = kind, kinds
    row = sentences.rows
    place = torch.arange(len(words), device=words.device)  # of the first word of each n-gram
    end = (sentences.starts + sentences.sizes).repeat_interleave(sentences.sizes)
    yield Grams(1, kind, row, kinds)
    for n in range(2, largest + 1):
        inside = place + n <= end
        place, row, end = place[inside], row[inside], end[inside]
        codes = kind[inside] * symbols + words[place + n - 1]
        kind, kinds = number(n, codes)
        yield Grams(n, kind, row, kinds)


def common_grams(a: Sentences, b: Sentences, largest: int) -> Iterator[tuple[Grams, Grams]]:
    """Yield the n-grams of two sets for n = 1 .. largest, equal ones with equal numbers in both."""
    for both in grams(joined([a, b]), largest):
        first = both.row < len(a)
        yield (
            Grams(both.n, both.kind[first], both.row[first], both.kinds),
            Grams(both.n, both.kind[~first], both.row[~first] - len(a), both.kinds),
        )


def counts(of: Grams) -> Tensor:
    """Count how often each n-gram occurs anywhere, (kinds,) float64."""
    return torch.bincount(of.kind, minlength=of.kinds).double()


def divergence(a: Grams, b: Grams) -> float:
    """Compute the Jensen-Shannon divergence in bits between two sets of n-grams with common
    numbers.

    Raises ValueError where one of them has no n-gram.
    """
    if not len(a.kind) or not len(b.kind):
        raise ValueError(f"no {a.n}-grams to compare")
    return jensen_shannon(counts(a), counts(b))


def jensen_shannon(a: Tensor, b: Tensor) -> float:
    """Compute the Jensen-Shannon divergence in bits between two sets of n-grams, of which each
    occurs so often (kinds,), float64, some of them at all."""
    p, q = a / a.sum(), b / b.sum()
    middle = ((p + q) / 2).clamp(min=torch.finfo(p.dtype).tiny)  # some may be in neither
    nats = torch.xlogy(p, p / middle).sum() + torch.xlogy(q, q / middle).sum()
    return float(nats) / 2 / float(torch.tensor(2.0, dtype=torch.float64).log())
