"""Sentences of any length as numbers, one after another: what is compared when texts are evaluated.

A `Text` is a rectangle for networks, padded to the longest; these are not, so that one very long
sentence costs no more than its own words.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from textgan.core.statistics import Whole
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import WordTokenizer


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
        """Make sentences of a text, without its padding and without the end token, which is no
        word."""
        mask = text.mask
        if eos is not None:
            last = torch.arange(mask.shape[1], device=mask.device) == text.lengths.unsqueeze(1) - 1
            mask = mask & ~(last & (text.tokens == eos))
        return Sentences(text.tokens[mask], mask.sum(1))

    def to_text(self, space: TextSpace) -> Text:
        """Make text of these sentences, none of them longer than the space has room for: each with
        the end token, padded to the space's length."""
        text = Text.packed(self.words, self.sizes, space.pad, space.length)
        if space.eos is None:
            return text
        text.tokens[torch.arange(len(self)), self.sizes] = space.eos
        return replace(text, lengths=self.sizes + 1)

    @staticmethod
    def padded(text: Text) -> Sentences:
        """Make sentences of a text with its end tokens and its padding, as if they were words."""
        return Sentences(text.tokens.flatten(), torch.full_like(text.lengths, text.tokens.shape[1]))

    def __len__(self) -> int:
        return self.sizes.shape[0]

    @property
    def rows(self) -> Tensor:
        """(M,) which sentence each word is in."""
        return torch.arange(len(self), device=self.sizes.device).repeat_interleave(self.sizes)

    @property
    def starts(self) -> Tensor:
        """(B,) where each sentence's first word is in `words`."""
        return self.sizes.cumsum(0) - self.sizes

    def __getitem__(self, index: Tensor | slice) -> Sentences:
        """The sentences at these indices, in their order."""
        if isinstance(index, slice):
            index = torch.arange(len(self), device=self.sizes.device)[index]
        sizes = self.sizes[index]
        places = (self.starts[index] - (sizes.cumsum(0) - sizes)).repeat_interleave(sizes)
        places += torch.arange(len(places), device=places.device)
        return Sentences(self.words[places], sizes)

    def tolist(self) -> list[list[int]]:
        """Return each sentence as a list of its words' numbers."""
        words, ends = self.words.tolist(), self.sizes.cumsum(0).tolist()
        return [words[start:end] for start, end in pairwise([0, *ends])]

    def spelt(self, place: Whole | None = None) -> Iterator[bytes]:
        """Yield each sentence as bytes, the same for the same words.

        place: (V,) of each word in an order; the bytes are then in that of lists of words.
        """
        words = self.words.cpu().numpy()
        # the first byte decides
        words = words.astype(np.uint32) if place is None else place.astype(">u4")[words]
        whole, ends = words.tobytes(), (self.sizes.cumsum(0) * words.itemsize).tolist()
        for start, end in pairwise([0, *ends]):
            yield whole[start:end]

    def digest(self) -> str:
        """Return a hash that is equal for the same sentences in the same order."""
        sha = hashlib.sha256(self.sizes.cpu().numpy().tobytes())
        sha.update(self.words.cpu().numpy().tobytes())
        return sha.hexdigest()


def joined(parts: Sequence[Sentences]) -> Sentences:
    """Join several sets of sentences to one."""
    return Sentences(
        torch.cat([part.words for part in parts]), torch.cat([part.sizes for part in parts])
    )


def encode_all(
    tokenizer: WordTokenizer, texts: Iterable[Iterable[str]]
) -> tuple[WordTokenizer, list[Sentences]]:
    """Encode several texts, each of many lines; return them and the tokenizer that knows all their
    words, those that it lacked after the others in the order in which they occur."""
    ids, encoded = _GrowingIds(tokenizer), []
    id_of, split = ids.__getitem__, tokenizer.pre_tokenizer.split
    for lines in texts:
        # arrays of numbers: lists of words of a million lines would take gigabytes
        flat, sizes = array("q"), array("q")
        for words in map(split, lines):
            flat.extend(map(id_of, words))
            sizes.append(len(words))
        encoded.append(Sentences(*(torch.from_numpy(np.asarray(part)) for part in (flat, sizes))))
    return tokenizer.extended(ids), encoded


class _GrowingIds(dict[str, int]):
    """The ids of a tokenizer's words; any other word gets the next one."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        super().__init__(tokenizer.ids)
        self.further = len(tokenizer) - len(self)  # what the special tokens take

    def __missing__(self, word: str) -> int:
        self[word] = new = len(self) + self.further
        return new
