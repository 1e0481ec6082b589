"""Corpus: sentences as token ids, split into train, valid and test; and how they are read.

What a file may hold, and how labels are separated from texts, is `textgan.data.texts`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from textgan.core.errors import UserError
from textgan.core.names import suggest
from textgan.core.progress import bar
from textgan.data.datasets import recognise
from textgan.data.labelled import FEWEST, Labelled, read_data, short_label
from textgan.data.pre_tokenizer import UNKNOWN_WORD, PreTokenizer, Tokens
from textgan.data.sentences import Sentences, encode_all
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
    quiet: bool = True,
) -> Corpus:
    """Read a corpus from a file of texts.

    vocabulary: keep at most this many words, the most frequent; 0 for all.
    min_count: words seen less often in the training part become unknown.
    length: drop sentences of more tokens; 0 chooses (the longest, or where that is over
    USUAL_LENGTH what 99 % of the sentences fit in). valid, test: shares of the *different*
    sentences, so that no sentence is on both sides of the split; `seed` decides which. form:
    where in the file texts and labels are. Labels are numbered in alphabetical order, so that the
    order of the lines decides nothing. spaced: of characters, see `PreTokenizer.of`. quiet: show no
    progress.
    Raises UserError where the file leaves too little to train on.
    """
    if tokens == "word" and spaced != "auto":
        raise UserError(f"data.spaced = {spaced}: it is for data.tokens = char; leave it out")
    sentences, every, labelled, sha256, spaces = _read(path, form, tokens, spaced, quiet)
    fits = _of_length(sentences.sizes, length, path)
    parts = divide(path, sentences, fits, every, valid=valid, test=test, seed=seed)

    counts = _count(sentences[parts["train"]], every)
    kept = frequent(counts, vocabulary, min_count)
    if len(kept) < 2:
        raise UserError(
            f"data.file = {str(path)!r} has a vocabulary of {len(kept)} "
            f"{'words' if tokens == 'word' else 'characters'} seen {min_count} times or more; "
            "at least 2 are needed (is data.tokens right? try data.min_count = 1)"
        )
    # a token more ends them; wider would only be slower
    width = 1 + int(sentences.sizes[fits].max())
    tokenizer = WordTokenizer(tuple(kept), every.pre_tokenizer, width)
    spelt = every.convert_ids_to_tokens(range(len(every)))
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(spelt))
    sentences = replace(sentences, words=ids[sentences.words])
    texts = {name: sentences[rows].to_text(tokenizer.space) for name, rows in parts.items()}
    facts: dict[str, Any] = {
        "source": path.name,
        **form.facts(),
        "sha256": sha256,
        "known_as": recognise(sha256),
        "sentences": len(sentences),
        "too_long": len(sentences) - len(fits),
        "split_seed": seed,
        "split": {name: len(part) for name, part in parts.items()},
        "vocabulary": len(tokenizer),
        "unknown_in_train": _share_unknown(counts, kept),
        "length": width,
        "tokens": tokens,
        "spaced_characters": tokens == "char" and every.pre_tokenizer.separator == " ",
        **spaces,
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


class _Read(NamedTuple):
    """All sentences of a file, their words numbered as they come, and what is known of the file."""

    sentences: Sentences
    tokenizer: WordTokenizer
    labelled: list[Labelled]
    sha256: str
    spacing: dict[str, str]


def _read(path: Path, form: Form, tokens: Tokens, spaced: Spaced, quiet: bool) -> _Read:
    """Read a file and number its words in one pass; its lines are no longer needed then."""
    lines, labelled, sha256 = read_data(path, form)
    pre_tokenizer = PreTokenizer.of(lines, tokens, spaced)
    tokenizer, (sentences,) = encode_all(
        WordTokenizer((), pre_tokenizer), [bar(lines, f"reading {path.name}", quiet)]
    )
    return _Read(sentences, tokenizer, labelled, sha256, spacing_facts(lines, tokens, spaced))


def _of_length(sizes: Tensor, length: int, path: Path) -> Tensor:
    """Return the rows of the sentences of at most `length` tokens, whose sizes are (B,); with 0 a
    length is chosen. Raises UserError for too few."""
    if length == 0:
        length = int(sizes.max())
        if length > USUAL_LENGTH:
            length = int(np.quantile(sizes.numpy(), 0.99, method="lower"))
    fits = (sizes <= length).nonzero().squeeze(1)
    if len(fits) < FEWEST:
        raise UserError(
            f"data.file = {str(path)!r} has {len(fits)} usable sentences of {len(sizes)} "
            f"(of at most {length} tokens); at least {FEWEST} are needed"
        )
    return fits


def _count(sentences: Sentences, tokenizer: WordTokenizer) -> Counter[str]:
    """Count how often each word occurs in sentences."""
    times = sentences.words.bincount(minlength=len(tokenizer)).tolist()
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    return Counter({word: n for word, n in zip(words, times, strict=True) if n})


def _share_unknown(counts: Counter[str], kept: Sequence[str]) -> float:
    """Compute the share of the training part's tokens that the vocabulary lacks."""
    return round(1 - sum(counts[word] for word in kept) / max(1, counts.total()), 4)


def spacing_facts(lines: Sequence[str], tokens: Tokens, spaced: Spaced) -> dict[str, str]:
    """Return how a guess about spaces was made where not all lines agree, else nothing."""
    if tokens == "word" or spaced != "auto":
        return {}
    guess = spacing(lines, UNKNOWN_WORD)
    return {"spacing": str(guess)} if 0 < guess.spaced < guess.lines else {}
