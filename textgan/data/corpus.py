"""Corpus: sentences as token ids, split into train, valid and test; and how they are read.

What a file may hold, and how labels are separated from texts, is `textgan.data.texts`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textgan.core.errors import UserError
from textgan.core.names import suggest
from textgan.data.datasets import recognise
from textgan.data.labelled import FEWEST, read_data, short_label
from textgan.data.pre_tokenizer import UNKNOWN_WORD, PreTokenizer, Tokens
from textgan.data.splits import divide, number_labels
from textgan.data.text import Condition, Text, TextSpace
from textgan.data.texts import PLAIN, Form
from textgan.data.token_fit import Spaced, spacing
from textgan.data.tokenizers import WordTokenizer, frequent

USUAL_LENGTH = 64  # corpora whose longest sentence is longer keep the shortest 99 %


@dataclass(frozen=True)
class Corpus:
    """Real sentences, and facts about their origin.

    tokenizer: of its sentences; in the synthetic oracle's corpus the words are numbers.
    source_tokenizer: of the texts that they answer; None where they answer none.
    facts: source, hash, counts, split: what a run records about its data.
    label_names: what each label of the texts means; empty where they have none.
    """

    name: str
    space: TextSpace
    train: Text
    valid: Text
    test: Text
    tokenizer: WordTokenizer
    facts: dict[str, Any]
    label_names: tuple[str, ...] = ()
    source_tokenizer: WordTokenizer | None = None

    def decode(self, text: Text) -> list[str]:
        """Return a line for each sentence, as in a file: its words, and before them, each with a
        tab, its label and its source, where it has one."""
        columns = [self.tokenizer.decode(text.tolist())]
        if text.source is not None and self.source_tokenizer is not None:
            columns.insert(0, self.source_tokenizer.decode(text.source.tolist()))
        if text.labels is not None:
            columns.insert(0, [self.label_names[label] for label in text.labels.tolist()])
        return ["\t".join(parts) for parts in zip(*columns, strict=True)]

    @property
    def conditions(self) -> Condition:
        """The conditions of a generator's texts when it is measured: classes as often as in the
        training text, or the sources of the test part, which it was not trained on."""
        return (self.train if self.space.source is None else self.test).condition

    def label(self, name: str) -> int:
        """Return the number of a label. Raises UserError, which names the known ones, if there is
        none of that name."""
        if not self.label_names:
            raise UserError(
                f"the label {short_label(name)} was asked for, but {self.name} has no labels"
            )
        if name not in self.label_names:
            few = [
                label if len(label) <= 40 else short_label(label) for label in self.label_names[:10]
            ]
            more = ", ..." if len(self.label_names) > len(few) else ""
            raise UserError(
                f"there is no label {short_label(name)}{suggest(name, self.label_names)}; "
                f"known: {', '.join(few)}{more}"
            )
        return self.label_names.index(name)

    def to(self, device: torch.device) -> Corpus:
        """Return the same corpus on another device."""
        return replace(
            self,
            train=self.train.to(device),
            valid=self.valid.to(device),
            test=self.test.to(device),
        )


def read_corpus(
    path: Path,
    *,
    tokens: Tokens,
    vocabulary: int,
    min_count: int,
    length: int,
    valid: float,
    test: float,
    seed: int,
    form: Form = PLAIN,
    spaced: Spaced = "auto",
) -> Corpus:
    """Read a corpus from a file of texts.

    vocabulary: keep at most this many words, the most frequent; 0 for all.
    min_count: words seen less often in the training part become unknown.
    length: drop sentences of more tokens; 0 chooses (the longest, or where that is over
    USUAL_LENGTH what 99 % of the sentences fit in). valid, test: shares of the *different*
    sentences, so that no sentence is on both sides of the split; `seed` decides which. form:
    where in the file texts and labels are. Labels are numbered in alphabetical order, so that the
    order of the lines decides nothing. spaced: of characters, see `PreTokenizer.of`.
    Raises UserError where the file leaves too little to train on.
    """
    lines, labelled, sha256 = read_data(path, form)
    if tokens == "word" and spaced != "auto":
        raise UserError(f"data.spaced = {spaced}: it is for data.tokens = char; leave it out")
    pre_tokenizer = PreTokenizer.of(lines, tokens, spaced)
    split = [pre_tokenizer(line) for line in lines]
    fits = _of_length(split, length, path)
    parts = divide(path, fits, valid=valid, test=test, seed=seed)

    counts = Counter(word for row in parts["train"] for word in fits[row])
    kept = frequent(counts, vocabulary, min_count)
    if len(kept) < 2:
        raise UserError(
            f"data.file = {str(path)!r} has a vocabulary of {len(kept)} "
            f"{'words' if tokens == 'word' else 'characters'} seen {min_count} times or more; "
            "at least 2 are needed (is data.tokens right? try data.min_count = 1)"
        )
    width = 1 + max(map(len, fits.values()))  # a token more ends them; wider would only be slower
    tokenizer = WordTokenizer(tuple(kept), pre_tokenizer, width)
    texts = {
        name: tokenizer.pad(tokenizer.convert_tokens_to_ids(fits[row]) for row in rows).pad_to(
            width, tokenizer.space.pad
        )
        for name, rows in parts.items()
    }
    facts: dict[str, Any] = {
        "source": path.name,
        **form.facts(),
        "sha256": sha256,
        "known_as": recognise(sha256),
        "sentences": len(lines),
        "too_long": len(lines) - len(fits),
        "split_seed": seed,
        "split": {name: len(part) for name, part in parts.items()},
        "vocabulary": len(tokenizer),
        "unknown_in_train": _share_unknown(counts, kept),
        "length": width,
        "tokens": tokens,
        "spaced_characters": tokens == "char" and pre_tokenizer.separator == " ",
        **spacing_facts(lines, tokens, spaced),
    }
    names: tuple[str, ...] = ()
    if labelled:
        facts["labels"], numbers = number_labels(path, labelled, parts)
        names = tuple(facts["labels"])
        for name, part in texts.items():
            texts[name] = replace(part, condition=Condition(numbers[name]))
    return Corpus(
        path.stem,
        replace(tokenizer.space, classes=len(names)),
        texts["train"],
        texts["valid"],
        texts["test"],
        tokenizer,
        facts,
        names,
    )


def _of_length(split: Sequence[list[str]], length: int, path: Path) -> dict[int, list[str]]:
    """Return the sentences of at most `length` tokens, by their rows; with 0 a length is chosen.
    Raises UserError for too few."""
    sizes = np.array([len(words) for words in split])
    if length == 0:
        length = int(sizes.max())
        if length > USUAL_LENGTH:
            length = int(np.quantile(sizes, 0.99, method="lower"))
    fits = {row: words for row, words in enumerate(split) if len(words) <= length}
    if len(fits) < FEWEST:
        raise UserError(
            f"data.file = {str(path)!r} has {len(fits)} usable sentences of {len(split)} "
            f"(of at most {length} tokens); at least {FEWEST} are needed"
        )
    return fits


def _share_unknown(counts: Counter[str], kept: Sequence[str]) -> float:
    """Compute the share of the training part's tokens that the vocabulary lacks."""
    return round(1 - sum(counts[word] for word in kept) / max(1, counts.total()), 4)


def spacing_facts(lines: Sequence[str], tokens: Tokens, spaced: Spaced) -> dict[str, str]:
    """Return how a guess about spaces was made where not all lines agree, else nothing."""
    if tokens == "word" or spaced != "auto":
        return {}
    guess = spacing(lines, UNKNOWN_WORD)
    return {"spacing": str(guess)} if 0 < guess.spaced < guess.lines else {}
