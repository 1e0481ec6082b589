"""BLEU of many texts against one reference each, without a loop over texts or n-grams.

A reward by BLEU scores thousands of completions of few sentences in every update. What a reference
holds is counted once. An n-gram of a completion is then looked up in it by two numbers, those that
the (n - 1)-gram before and the last word have there, so that nothing is sorted and nothing hashed.

Shapes: B references of S words, R texts of T words, V vocabulary. The number of an n-gram is the
place where its reference first has it, 0 .. S - 1; S stands for all that the reference lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from textgan.data.text import Text, TextSpace
from textgan.metrics.functional.bleu import Smoothing, bleu

LookUp = Callable[[int, Tensor, Tensor], Tensor]
"""Numbers (R, T) of n-grams of an order, from codes (R, T) and where (R, T) there is an n-gram."""


class PairedReferences:
    """One reference for each of B sentences, counted once for BLEU-1 .. BLEU-order.

    An end token is no word. Memory: about B * (V + order * S^2) numbers.
    """

    def __init__(self, references: Text, space: TextSpace, order: int = 4) -> None:
        self.space = space
        self.words = _without_end(references, space)
        self.tables: list[Tensor] = []  # of each order, (B, codes): the number that a code has
        self.times = [self._count(kinds) for kinds in self._numbers(self.words, order, self._learn)]

    def score(
        self, texts: Text, origin: Tensor | None = None, smoothing: Smoothing = "add_one"
    ) -> Tensor:
        """Compute BLEU-1 .. BLEU-order of texts, (R, order) in float64.

        origin: (R,) which reference is each one's; None: the references are in their order.
        smoothing: see `textgan.metrics.functional.bleu.bleu`.
        """
        words = _without_end(texts, self.space)
        if origin is None:
            origin = torch.arange(len(texts), device=texts.tokens.device)

        def find(n: int, codes: Tensor, known: Tensor) -> Tensor:
            table = self.tables[n - 1]  # by one index: the rows of each text would be copied
            kinds = table.flatten()[origin.unsqueeze(1) * table.shape[1] + codes]
            return kinds.masked_fill(~known, self.none)

        kinds_of = self._numbers(words, len(self.times), find)
        matches = [
            torch.minimum(self._count(kinds), times[origin]).sum(1)
            for kinds, times in zip(kinds_of, self.times, strict=True)
        ]
        lengths = self.words.lengths[origin].double()
        return bleu(torch.stack(matches, 1), words.lengths, lengths, smoothing)

    @property
    def none(self) -> int:
        """The number of what a reference lacks."""
        return self.words.tokens.shape[1]

    def _learn(self, n: int, codes: Tensor, known: Tensor) -> Tensor:
        size = self.space.vocabulary if n == 1 else (self.none + 1) ** 2
        places = torch.arange(self.none, device=codes.device).expand_as(codes)
        table = codes.new_full((len(codes), size), self.none)
        table.scatter_reduce_(1, codes, places, "amin")
        self.tables.append(table)
        return table.gather(1, codes).masked_fill(~known, self.none)

    def _numbers(self, text: Text, order: int, look_up: LookUp) -> Iterator[Tensor]:
        """Yield the number of the n-gram at every place, for n = 1 .. order."""
        words = kinds = look_up(1, text.tokens, text.mask)
        yield kinds
        for n in range(2, order + 1):
            after = min(n - 1, words.shape[1])
            last = F.pad(words[:, after:], (0, after), value=self.none)
            known = (kinds < self.none) & (last < self.none)
            kinds = look_up(n, kinds * (self.none + 1) + last, known)
            yield kinds

    def _count(self, kinds: Tensor) -> Tensor:
        """How often a text has each n-gram of its reference, (R, S + 1); 0 of what that lacks."""
        times = kinds.new_zeros(len(kinds), self.none + 1)
        times.scatter_add_(1, kinds, torch.ones_like(kinds))
        times[:, self.none] = 0
        return times


def _without_end(text: Text, space: TextSpace) -> Text:
    if space.eos is None:
        return text
    last = text.tokens.gather(1, (text.lengths - 1).unsqueeze(1)).squeeze(1)
    return replace(text, lengths=text.lengths - (last == space.eos).long())
