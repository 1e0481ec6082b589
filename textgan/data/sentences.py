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
        first = (self.starts[index] - (sizes.cumsum(0) - sizes)).repeat_interleave(sizes)
        places = first + torch.arange(len(first), device=first.device)
        return Sentences(self.words[places], sizes)

    def tolist(self) -> list[list[int]]:
        """Return each sentence as a list of its words' numbers."""
        return [part.tolist() for part in self.words.split(self.sizes.tolist())]

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
    ids, encoded = dict(tokenizer.ids), []
    further = len(tokenizer) - len(ids)  # what the special tokens take
    for lines in texts:
        flat: list[int] = []
        sizes: list[int] = []
        for words in map(tokenizer.tokenize, lines):
            flat.extend(ids.setdefault(word, len(ids) + further) for word in words)
            sizes.append(len(words))
        encoded.append(Sentences(torch.tensor(flat, dtype=torch.long), torch.tensor(sizes).long()))
    return tokenizer.extended(ids), encoded
