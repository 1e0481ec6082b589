"""Sentences of any length as numbers, one after another: what is compared when texts are evaluated.

A `Text` is a rectangle for networks, padded to the longest; these are not, so that one very long
sentence costs no more than its own words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textgan.data.text import Text


@dataclass(frozen=True)
class Sentences:
    """B sentences of M words in all.

    words: (M,) int64, at least 0, the words of all sentences in their order.
    sizes: (B,) int64, how many words each sentence has; 0 for an empty one.
    """

    words: Tensor
    sizes: Tensor

    @staticmethod
    def of(text: Text, eos: int | None) -> Sentences:
        """The words of a text, without its padding and without the end token, which is no word."""
        mask = text.mask
        if eos is not None:
            last = torch.arange(mask.shape[1], device=mask.device) == text.sizes.unsqueeze(1) - 1
            mask = mask & ~(last & (text.tokens == eos))
        return Sentences(text.tokens[mask], mask.sum(1))

    def __len__(self) -> int:
        return self.sizes.shape[0]

    @property
    def rows(self) -> Tensor:
        """(M,) which sentence each word stands in."""
        return torch.arange(len(self), device=self.sizes.device).repeat_interleave(self.sizes)

    @property
    def starts(self) -> Tensor:
        """(B,) where each sentence's first word stands in `words`."""
        return self.sizes.cumsum(0) - self.sizes

    def __getitem__(self, index: Tensor | slice) -> Sentences:
        """The sentences at these indices, in their order."""
        if isinstance(index, slice):
            index = torch.arange(len(self), device=self.sizes.device)[index]
        sizes = self.sizes[index]
        first = (self.starts[index] - (sizes.cumsum(0) - sizes)).repeat_interleave(sizes)
        places = first + torch.arange(len(first), device=first.device)
        return Sentences(self.words[places], sizes)

    def tolist(self) -> list[list[int]]:
        """Each sentence as a list of its words' numbers."""
        return [part.tolist() for part in self.words.split(self.sizes.tolist())]

    def digest(self) -> str:
        """The same for the same sentences in the same order."""
        sha = hashlib.sha256(self.sizes.cpu().numpy().tobytes())
        sha.update(self.words.cpu().numpy().tobytes())
        return sha.hexdigest()


def joined(parts: Sequence[Sentences]) -> Sentences:
    """One set of sentences out of several."""
    return Sentences(
        torch.cat([part.words for part in parts]), torch.cat([part.sizes for part in parts])
    )


class Words:
    """Numbers for words, given out as words are met, so that all texts of one evaluation share
    them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def encode(self, sentences: Iterable[Sequence[str]]) -> Sentences:
        """Sentences already split into words."""
        numbers = self._numbers
        flat: list[int] = []
        sizes: list[int] = []
        for sentence in sentences:
            flat.extend(numbers.setdefault(word, len(numbers)) for word in sentence)
            sizes.append(len(sentence))
        return Sentences(torch.tensor(flat, dtype=torch.long), torch.tensor(sizes).long())

    def decode(self, sentences: Sentences) -> list[list[str]]:
        """The words of each sentence."""
        spelt = list(self._numbers)
        return [[spelt[number] for number in sentence] for sentence in sentences.tolist()]
