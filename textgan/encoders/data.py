"""The lines of a file as encoders are trained, chosen and measured on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textgan.core.errors import UserError
from textgan.core.progress import bar
from textgan.core.streams import Purpose, stream
from textgan.data.splits import Part, Split
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.contrast.base import Batch

MOST_MEASURED = 2000  # lines on which a metric is taken


@dataclass(frozen=True)
class TokenizedLines:
    """Lines, and the same as lists of tokens."""

    lines: list[str]
    batch: Batch

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, rows: Tensor) -> Batch:
        labels = self.batch.labels
        ids = [self.batch.ids[row] for row in rows.tolist()]
        return Batch(ids, None if labels is None else labels[rows])

    def some(self, seed: int) -> TokenizedLines:
        """Draw at most MOST_MEASURED of them, in a random order, for they may be sorted by
        label."""
        random = np.random.default_rng(stream(Purpose.ENCODER_LINES, seed))
        order = random.permutation(len(self))[:MOST_MEASURED]
        return TokenizedLines([self.lines[row] for row in order], self[torch.from_numpy(order)])


@dataclass(frozen=True)
class EncoderData:
    """The three parts of a file.

    facts: its name, hash and counts. warnings: what a reader should know of it.
    """

    train: TokenizedLines
    valid: TokenizedLines
    test: TokenizedLines
    facts: dict[str, Any]
    warnings: tuple[str, ...] = ()


def tokenize(
    path: Path,
    split: Split,
    tokenizer: Tokenizer,
    *,
    labelled: bool,
    seed: int,
    warnings: Sequence[str] = (),
    quiet: bool = False,
) -> EncoderData:
    """Split a file's lines into tokens as an encoder reads them.

    labelled: whether the encoder learns from labels. seed: draws the lines that are measured.
    Raises UserError, with the first warning as the remedy, where a part has less than two different
    sentences.
    """
    train, valid, test = (
        _tokenize(part, tokenizer, labelled, name, quiet)
        for part, name in ((split.train, "train"), (split.valid, "valid"), (split.test, "test"))
    )
    remedy = warnings[0] if warnings else "give more text, or a larger data.valid and data.test"
    for name, part in (("train", train), ("valid", valid), ("test", test)):
        if len(part) < 2:
            raise UserError(
                f"data.file = {str(path)!r} leaves {len(part)} different sentence for {name}, and "
                f"a contrast takes two; {remedy}"
            )
    facts = split.facts | {"different": [len(train), len(valid), len(test)]}
    return EncoderData(train, valid.some(seed), test.some(seed), facts, tuple(warnings))


def _tokenize(
    part: Part, tokenizer: Tokenizer, labelled: bool, name: str, quiet: bool
) -> TokenizedLines:
    """A part of the split as lists of tokens. Without labels each list is there once: a sentence
    cannot be told from itself."""
    ids = tokenizer.encode(bar(part.lines, f"reading {name}", quiet))
    if labelled:
        return TokenizedLines(part.lines, Batch(ids, part.labels))
    first: dict[tuple[int, ...], int] = {}
    for row, tokens in enumerate(ids):
        first.setdefault(tuple(tokens), row)
    return TokenizedLines([part.lines[row] for row in first.values()], Batch(list(first)))


def batch_rows(n: int, size: int) -> Sequence[Tensor]:
    """Divide the numbers 0 .. n - 1 into parts of nearly equal sizes, at most `size`, but none
    alone: a batch of one contrasts nothing."""
    return torch.arange(n).tensor_split(max(1, min(math.ceil(n / size), n // 2)))
