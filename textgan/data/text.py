"""Text: a batch of sentences, as token ids or as relaxed rows.

This module knows nothing about words. One convention is shared by every room of the house:
token 0 is what a generator reads first; where sentences vary in length it is also the padding
and is never written (see `TextSpace`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from textgan.core.device import is_asynchronous

Part = TypeVar("Part")

START = 0  # what a generator reads before its first token; also the padding of shorter sentences


@dataclass(frozen=True)
class TextSpace:
    """The texts that a generator may write: `length` tokens at most, ids 0 .. vocabulary - 1.

    With `eos=None` every text has exactly `length` tokens and every id is an ordinary one, as in
    the synthetic-oracle experiments. With an `eos`, a text ends with that id (or at `length`), and
    token 0 is padding: it is never sampled and has probability zero. With `classes`, every text has
    a label from 0 to classes - 1.
    """

    vocabulary: int
    length: int
    eos: int | None = None
    classes: int = 0


@dataclass(frozen=True)
class Text:
    """A batch of B sentences of at most T tokens, without the start token.

    tokens: (B, T) int64, zero after the end of a sentence.
    sizes: (B,) int64, how many tokens are real, the end token included.
    rows: (B, T, V) relaxed one-hot rows, or None. Relaxed text has no length: every size is T.
    source: what each sentence answers or translates, B texts, or None.
    labels: (B,) int64, the class of each sentence, or None.
    given: how many leading tokens came from data and not from the generator.
    """

    tokens: Tensor
    sizes: Tensor
    rows: Tensor | None = None
    source: Text | None = None
    labels: Tensor | None = None
    given: int = 0

    @staticmethod
    def full(tokens: Tensor) -> Text:
        """Text in which every one of the (B, T) tokens is real."""
        return Text(tokens, tokens.new_full((tokens.shape[0],), tokens.shape[1]))

    @staticmethod
    def ended(tokens: Tensor, space: TextSpace) -> Text:
        """Text whose sentences stop at their first end token; what follows it becomes padding."""
        if space.eos is None:
            return Text.full(tokens)
        length = tokens.shape[1]
        is_end = tokens == space.eos
        # argmax of a 0/1 row is its first 1; a row without one is as long as it can be
        sizes = torch.where(is_end.any(1), is_end.int().argmax(1) + 1, length)
        inside = torch.arange(length, device=tokens.device) < sizes.unsqueeze(1)
        return Text(tokens * inside, sizes)

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def tolist(self) -> list[list[int]]:
        """Each sentence as a list of its tokens, the end token included, without padding."""
        sizes = self.sizes.tolist()
        return [row[:size] for row, size in zip(self.tokens.tolist(), sizes, strict=True)]

    @property
    def symbols(self) -> Tensor:
        """What an embedding reads: the rows if there are any, else the tokens."""
        return self.tokens if self.rows is None else self.rows

    @property
    def mask(self) -> Tensor:
        """(B, T) bool: which tokens are real."""
        positions = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return positions < self.sizes.unsqueeze(1)

    def __getitem__(self, index: Tensor | slice) -> Text:
        """The sentences at `index`, everything that belongs to them included."""
        return replace(
            self,
            tokens=self.tokens[index],
            sizes=self.sizes[index],
            rows=None if self.rows is None else self.rows[index],
            source=None if self.source is None else self.source[index],
            labels=None if self.labels is None else self.labels[index],
        )

    def repeat(self, n: int) -> Text:
        """Each sentence n times in a row: sentence b stands at b * n .. b * n + n - 1."""
        return self[torch.arange(len(self), device=self.tokens.device).repeat_interleave(n)]

    def padded(self, length: int) -> Text:
        """The same sentences in tensors of `length` positions, which must not be fewer than now.

        Raises ValueError for relaxed text, which has no padding.
        """
        extra = length - self.tokens.shape[1]
        if self.rows is not None or extra < 0:
            raise ValueError(f"cannot pad {'relaxed text' if extra >= 0 else 'to fewer tokens'}")
        return replace(self, tokens=torch.nn.functional.pad(self.tokens, (0, extra)))

    def narrowed(self) -> Text:
        """The same sentences, as wide as the longest of them, where that is cheap to know."""
        if self.rows is not None or is_asynchronous(self.sizes):
            return self
        return replace(self, tokens=self.tokens[:, : int(self.sizes.max())])

    def relaxed(self, like: Tensor) -> Text:
        """The same sentences as one-hot rows of the vocabulary and type of rows `like` (..., V).

        Padding becomes a symbol like the others, for relaxed text has no length.
        """
        if self.rows is not None:
            return self
        rows = torch.nn.functional.one_hot(self.tokens, like.shape[-1]).to(like)
        return replace(self, sizes=torch.full_like(self.sizes, self.tokens.shape[1]), rows=rows)

    def split(self, n: int) -> list[Text]:
        """The batch in pieces of at most n sentences."""
        return [self[slice(start, start + n)] for start in range(0, len(self), n)]

    def to(self, device: torch.device) -> Text:
        """The batch on another device."""
        return replace(
            self,
            tokens=self.tokens.to(device),
            sizes=self.sizes.to(device),
            rows=None if self.rows is None else self.rows.to(device),
            source=None if self.source is None else self.source.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


def concatenate(texts: Sequence[Text]) -> Text:
    """One batch out of several of the same width.

    Raises ValueError where only some have rows, sources or labels.
    """
    first = texts[0]
    sources = _all_or_none([text.source for text in texts])
    rows = _all_or_none([text.rows for text in texts])
    labels = _all_or_none([text.labels for text in texts])
    return replace(
        first,
        tokens=torch.cat([text.tokens for text in texts]),
        sizes=torch.cat([text.sizes for text in texts]),
        rows=torch.cat(rows) if rows else None,
        source=concatenate(sources) if sources else None,
        labels=torch.cat(labels) if labels else None,
    )


def text_tensors(text: Text) -> dict[str, Tensor]:
    """A text as tensors by name, for a file; what it answers, and `given`, are not among them."""
    parts = {"tokens": text.tokens, "sizes": text.sizes, "rows": text.rows, "labels": text.labels}
    return {name: part for name, part in parts.items() if part is not None}


def text_of(tensors: Mapping[str, Tensor]) -> Text:
    """The text of `text_tensors`, whatever integers its ids were stored as."""
    labels = tensors.get("labels")
    return Text(
        tensors["tokens"].long(),
        tensors["sizes"].long(),
        tensors.get("rows"),
        labels=None if labels is None else labels.long(),
    )


def class_rows(text: Text, classes: int) -> list[Tensor]:
    """Which texts are of each class, indices in their order; all of them where there are none."""
    if not classes:
        return [torch.arange(len(text), device=text.tokens.device)]
    if text.labels is None:
        raise ValueError(f"texts of {classes} classes need labels")
    return [(text.labels == label).nonzero().squeeze(1) for label in range(classes)]


def _all_or_none(parts: Sequence[Part | None]) -> list[Part]:
    present = [part for part in parts if part is not None]
    if present and len(present) < len(parts):
        raise ValueError("cannot concatenate texts of which only some have rows, source or labels")
    return present
