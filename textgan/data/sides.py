"""The two sides of a corpus, its targets and its sources: the same is done with each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textgan.core.progress import bar
from textgan.data.pre_tokenizer import UNKNOWN_WORD, PreTokenizer
from textgan.data.sentences import Sentences, encode_all
from textgan.data.token_fit import Spaced, spacing
from textgan.data.tokenizers import WordTokenizer

USUAL_LENGTH = 64  # corpora whose longest sentence is longer keep the shortest 99 %


@dataclass(frozen=True)
class Side:
    """The texts of one side, their words numbered as they come.

    tokenizer: knows all their words.
    """

    sentences: Sentences
    tokenizer: WordTokenizer

    @staticmethod
    def of(lines: Sequence[str], pre_tokenizer: PreTokenizer, what: str, quiet: bool) -> Side:
        """Number the words of lines, in one pass. what: the name of a progress bar."""
        empty = WordTokenizer((), pre_tokenizer)
        tokenizer, (sentences,) = encode_all(empty, [bar(lines, what, quiet)])
        return Side(sentences, tokenizer)

    @property
    def sizes(self) -> Tensor:
        """(B,) tokens of each text."""
        return self.sentences.sizes

    def longest(self, length: int, rows: Tensor) -> int:
        """Return the most tokens that a text may have: `length`, or where that is 0 as many as the
        texts of these rows have, or where that is over USUAL_LENGTH as 99 % of them fit in."""
        if length:
            return length
        sizes = self.sizes[rows]
        most = int(sizes.max())
        if most > USUAL_LENGTH:
            most = int(np.quantile(sizes.numpy(), 0.99, method="lower"))
        return most

    def counts(self, rows: Tensor) -> Counter[str]:
        """Count how often each word occurs in the texts of these rows, what is between utterances
        not counted."""
        times = self.sentences[rows].words.bincount(minlength=len(self.tokenizer)).tolist()
        words = self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))
        turn = self.tokenizer.pre_tokenizer.turn
        return Counter({w: n for w, n in zip(words, times, strict=True) if n and w != turn})

    def tokenizer_of(self, words: Sequence[str], rows: Tensor) -> WordTokenizer:
        """Make the tokenizer of a vocabulary; the texts of these rows are as long as it allows."""
        split = self.tokenizer.pre_tokenizer
        # a token more ends them; wider would only be slower
        width = 1 + int(self.sizes[rows].max())
        return WordTokenizer((*([split.turn] if split.turn else ()), *words), split, width)

    def encode(self, tokenizer: WordTokenizer) -> Sentences:
        """Return all texts as ids of a tokenizer that splits alike."""
        spelt = self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))
        ids = torch.tensor(tokenizer.convert_tokens_to_ids(spelt))
        return replace(self.sentences, words=ids[self.sentences.words])

    def facts(self, tokenizer: WordTokenizer, counts: Counter[str]) -> dict[str, Any]:
        """Return what a run records about a side. counts: of the words of its training part."""
        known = sum(counts[word] for word in tokenizer.words)
        split = tokenizer.pre_tokenizer
        return {
            "vocabulary": len(tokenizer),
            "unknown_in_train": round(1 - known / max(1, counts.total()), 4),
            "length": tokenizer.space.length,
            "spaced_characters": split.kind == "char" and split.separator == " ",
        }


def spacing_facts(lines: Sequence[str], tokens: str, spaced: Spaced) -> dict[str, str]:
    """Return how a guess about spaces was made where not all lines agree, else nothing."""
    if tokens != "char" or spaced != "auto":
        return {}
    guess = spacing(lines, UNKNOWN_WORD)
    return {"spacing": str(guess)} if 0 < guess.spaced < guess.lines else {}
