"""Corpus: sentences as token ids, split into train, valid and test; and how they are read.

What a file may hold, and how its texts are told from their labels, is `textgan.data.texts`'s.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from textgan.core.files import file_digest, parse_json
from textgan.core.streams import Purpose, stream
from textgan.data.fit import Spaced, spacing
from textgan.data.texts import PLAIN, Form, read_rows
from textgan.datasets import recognise
from textgan.errors import UserError
from textgan.registry import suggest
from textgan.text import Text, TextSpace

EOS = 1
UNKNOWN = 2
SPECIAL = 3  # ids below this are padding, end of sentence, unknown word
UNKNOWN_WORD = "<unk>"
FEWEST = 20  # sentences without which there is nothing to split
USUAL_LENGTH = 64  # corpora whose longest sentence is longer keep the shortest 99 %
SPACED = re.compile(rf"{UNKNOWN_WORD}|\S")
PLAIN_CHARACTERS = re.compile(rf"{UNKNOWN_WORD}|.", re.DOTALL)
MOST_LABELS = 1000  # a file with more has something else before its tabs
FEWEST_OF_LABEL = 2  # training sentences; one alone is a header or a slip of the pen

Tokens = Literal["word", "char"]
PartName = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Vocabulary:
    """Words (or characters) and their ids; id 0 is padding, 1 ends a sentence, 2 is unknown.

    A word spelt `<unk>` in the data is the unknown word. `separator` stands between words when ids
    become text again.
    """

    words: tuple[str, ...]
    tokens: Tokens
    separator: str
    ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {word: SPECIAL + i for i, word in enumerate(self.words)}
        object.__setattr__(self, "ids", ids | {UNKNOWN_WORD: UNKNOWN})

    def __len__(self) -> int:
        return SPECIAL + len(self.words)

    def split(self, sentence: str) -> list[str]:
        """The words or characters of one sentence."""
        return split_sentence(sentence, self.tokens, self.separator)

    def encode(self, sentences: Sequence[Sequence[str]], length: int) -> Text:
        """Sentences already split into words, each ended, padded to `length`.

        Raises ValueError for a sentence of more than length - 1 words.
        """
        tokens = torch.zeros(len(sentences), length, dtype=torch.long)
        sizes = torch.zeros(len(sentences), dtype=torch.long)
        for row, words in enumerate(sentences):
            if len(words) >= length:
                raise ValueError(f"sentence {row} has {len(words)} words; at most {length - 1} fit")
            ids = [self.ids.get(word, UNKNOWN) for word in words] + [EOS]
            tokens[row, : len(ids)] = torch.tensor(ids)
            sizes[row] = len(ids)
        return Text(tokens, sizes)

    def decode(self, text: Text) -> list[str]:
        """One line for each sentence, without its end token."""
        spelt = ("", "", UNKNOWN_WORD, *self.words)
        return [
            self.separator.join(spelt[token] for token in row[:size] if token not in (0, EOS))
            for row, size in zip(text.tokens.tolist(), text.sizes.tolist(), strict=True)
        ]

    def to_json(self) -> str:
        """The vocabulary as JSON text."""
        content = {"tokens": self.tokens, "separator": self.separator, "words": self.words}
        return json.dumps(content, ensure_ascii=False, indent=0)

    @staticmethod
    def from_json(content: str) -> Vocabulary:
        """The vocabulary that `to_json` wrote. Raises KeyError, TypeError or ValueError for any
        other text."""
        known = parse_json(content, "the vocabulary")
        words, tokens, separator = known["words"], known["tokens"], known["separator"]
        if tokens not in get_args(Tokens) or not isinstance(separator, str):
            raise ValueError(f"tokens are {tokens!r} and their separator is {separator!r}")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("its words are no list of words")
        if len(set(words)) < len(words):
            raise ValueError("a word stands in it twice")
        "".join(words).encode()  # half a surrogate pair cannot be written again
        return Vocabulary(tuple(words), tokens, separator)


@dataclass(frozen=True)
class Corpus:
    """Real sentences, and what is known of where they come from.

    vocabulary: None where tokens are only numbers, as in the synthetic oracle's corpus.
    facts: source, hash, counts, split: what a run records about its data.
    label_names: what each label of the texts stands for; empty where they have none.
    """

    name: str
    space: TextSpace
    train: Text
    valid: Text
    test: Text
    vocabulary: Vocabulary | None
    facts: dict[str, Any]
    label_names: tuple[str, ...] = ()

    def decode(self, text: Text) -> list[str]:
        """One line for each sentence, as in a file: its words, or numbers where there are no words,
        and before them its label and a tab where it has one."""
        if self.vocabulary is not None:
            lines = self.vocabulary.decode(text)
        else:
            lines = [" ".join(map(str, row)) for row in text.tokens.tolist()]
        if text.labels is None:
            return lines
        names = (self.label_names[label] for label in text.labels.tolist())
        return [f"{name}\t{line}" for name, line in zip(names, lines, strict=True)]

    def label(self, name: str) -> int:
        """The number of a label; UserError that names the known ones if there is no such label."""
        if not self.label_names:
            raise UserError(
                f"the label {_shown(name)} was asked for, but {self.name} has no labels"
            )
        if name not in self.label_names:
            few = [label if len(label) <= 40 else _shown(label) for label in self.label_names[:10]]
            more = ", ..." if len(self.label_names) > len(few) else ""
            raise UserError(
                f"there is no label {_shown(name)}{suggest(name, self.label_names)}; "
                f"known: {', '.join(few)}{more}"
            )
        return self.label_names.index(name)

    def to(self, device: torch.device) -> Corpus:
        """The same corpus on another device."""
        return replace(
            self,
            train=self.train.to(device),
            valid=self.valid.to(device),
            test=self.test.to(device),
        )


class Batches:
    """An endless stream of shuffled batches of n items that needs no memory of where it was.

    Batch i is a function of (n, size, seed, i): items run through one random order after another,
    and a batch may end one order and begin the next, so all have the same size.
    """

    def __init__(self, n: int, size: int, seed: int) -> None:
        self.n, self.size, self.seed = n, size, seed
        self._order: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.long))

    def __getitem__(self, i: int) -> Tensor:
        """Indices (size,) of batch i."""
        parts: list[Tensor] = []
        at, end = i * self.size, (i + 1) * self.size
        while at < end:
            turn, place = divmod(at, self.n)
            part = self._turn(turn)[place : place + end - at]
            parts.append(part)
            at += len(part)
        return torch.cat(parts)

    def _turn(self, turn: int) -> Tensor:
        if self._order[0] != turn:
            # numpy's seed sequences mix the two numbers; nearby seeds give unrelated orders
            order = np.random.default_rng([self.seed, turn]).permutation(self.n)
            self._order = (turn, torch.from_numpy(order))
        return self._order[1]


class Labelled(NamedTuple):
    """A sentence, its label, and the line of the file, from 1, that they stand in."""

    line: int
    label: str
    sentence: str


def check_labels(labels: Sequence[str], name: str, least: int = 2) -> None:
    """UserError for fewer different labels of texts than `least`, and for more than MOST_LABELS or
    than one for every two texts; `name` is the file's in messages."""
    different = len(set(labels))
    most = min(MOST_LABELS, len(labels) // 2) if len(labels) >= FEWEST else MOST_LABELS
    if different > most:
        raise UserError(
            f"{name} has {different} different labels in {len(labels)} lines, at most {most} are "
            "taken; is the label before the tab (or in data.label_field) and the sentence after it?"
        )
    if different < least:
        raise UserError(
            f"{name}: every sentence has the label {_shown(labels[0])}; give at least two labels"
        )


def split_sentence(sentence: str, tokens: Tokens, separator: str) -> list[str]:
    """The words of a sentence, or its characters, all but white space where a space separates them.

    The unknown word is one token in either.
    """
    if tokens == "word":
        return sentence.split()
    if separator == " ":
        return SPACED.findall(sentence)
    return PLAIN_CHARACTERS.findall(sentence) if UNKNOWN_WORD in sentence else list(sentence)


def separator_of(sentences: Sequence[str], tokens: Tokens, spaced: Spaced = "auto") -> str:
    """What stands between tokens: a space between words; nothing between characters, unless they
    are spaced out, as corpora of Chinese poems have them.

    spaced: whether they are; "auto": as half of the lines or more have it (see `spacing`).
    """
    if tokens == "word" or spaced == "yes":
        return " "
    if spaced == "auto" and spacing(sentences, UNKNOWN_WORD).decided:
        return " "
    return ""


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
    """A corpus from a file of texts.

    vocabulary: keep at most this many words, the most frequent; 0 for all.
    min_count: words seen less often in the training part become unknown.
    length: drop sentences of more tokens; 0 chooses (the longest, or where that is over
    USUAL_LENGTH what 99 % of the sentences fit in). valid, test: shares of the *different*
    sentences, so that no sentence stands on both sides of the split; `seed` decides which. form:
    where in the file texts and labels are. Labels are numbered in alphabetical order, so that the
    order of the lines decides nothing. spaced: of characters, see `separator_of`.
    Raises UserError where the file leaves too little to train on.
    """
    lines, labelled = read_data(path, form)
    if tokens == "word" and spaced != "auto":
        raise UserError(f"data.spaced = {spaced}: it is for data.tokens = char; leave it out")
    separator = separator_of(lines, tokens, spaced)
    split = [split_sentence(line, tokens, separator) for line in lines]
    sizes = np.array([len(words) for words in split])
    if length == 0:
        longest = int(sizes.max())
        length = (
            longest if longest <= USUAL_LENGTH else int(np.quantile(sizes, 0.99, method="lower"))
        )
    fits = [row for row, words in enumerate(split) if len(words) <= length]
    if len(fits) < FEWEST:
        raise UserError(
            f"data.file = {str(path)!r} has {len(fits)} usable sentences of {len(lines)} "
            f"(of at most {length} tokens); at least {FEWEST} are needed"
        )
    length = max(len(split[row]) for row in fits)  # wider tensors would only be slower
    parts = divide(path, {row: split[row] for row in fits}, valid=valid, test=test, seed=seed)

    counts = Counter(word for row in parts["train"] for word in split[row])
    train_tokens = counts.total()
    kept = frequent(counts, vocabulary, min_count)
    if len(kept) < 2:
        raise UserError(
            f"data.file = {str(path)!r} has a vocabulary of {len(kept)} "
            f"{'words' if tokens == 'word' else 'characters'} seen {min_count} times or more; "
            "at least 2 are needed (is data.tokens right? try data.min_count = 1)"
        )
    known = Vocabulary(tuple(kept), tokens, separator)
    encoded = {
        name: known.encode([split[row] for row in rows], length + 1) for name, rows in parts.items()
    }
    sha256 = file_digest(path)
    facts: dict[str, Any] = {
        "source": path.name,
        **form.facts(),
        "sha256": sha256,
        "known_as": recognise(sha256),
        "sentences": len(lines),
        "too_long": len(lines) - len(fits),
        "split_seed": seed,
        "split": {name: len(part) for name, part in parts.items()},
        "vocabulary": len(known),
        "unknown_in_train": round(1 - sum(counts[word] for word in kept) / max(1, train_tokens), 4),
        "length": length + 1,
        "tokens": tokens,
        "spaced_characters": tokens == "char" and separator == " ",
        **spacing_facts(lines, tokens, spaced),
    }
    names: tuple[str, ...] = ()
    if labelled:
        facts["labels"], numbers = number_labels(path, labelled, parts)
        names = tuple(facts["labels"])
        for name, part in encoded.items():
            encoded[name] = replace(part, labels=numbers[name])
    return Corpus(
        path.stem,
        TextSpace(len(known), length + 1, EOS, len(names)),
        encoded["train"],
        encoded["valid"],
        encoded["test"],
        known,
        facts,
        names,
    )


def read_data(
    path: Path, form: Form = PLAIN, called: str = "data.file"
) -> tuple[list[str], list[Labelled]]:
    """The sentences of a file that are not empty, and the same with their labels where it has any.

    form: how it is read. called: what asked for it, for messages. Raises UserError as `read_rows`
    and `check_labels` do.
    """
    rows = [row for row in read_rows(path, called, form) if row.text]
    labelled = [Labelled(row.line, row.label, row.text) for row in rows if row.label is not None]
    if labelled:
        check_labels([one.label for one in labelled], f"{called} = {str(path)!r}")
    return [row.text for row in rows], labelled


def spacing_facts(lines: Sequence[str], tokens: Tokens, spaced: Spaced) -> dict[str, str]:
    """How a guess about spaces was made, where not all lines agree; otherwise nothing."""
    if tokens == "word" or spaced != "auto":
        return {}
    found = spacing(lines, UNKNOWN_WORD)
    return {"spacing": str(found)} if 0 < found.spaced < found.lines else {}


def divide(
    path: Path, rows: Mapping[int, Sequence[str]], *, valid: float, test: float, seed: int
) -> dict[PartName, list[int]]:
    """The rows of sentences (as words) in three parts, equal sentences in the same one.

    valid, test: shares of the different sentences; `seed` decides which. Raises UserError where
    nothing is left to train on.
    """
    different = sorted({tuple(words) for words in rows.values()})
    order = np.random.default_rng(stream(Purpose.SPLIT, seed)).permutation(len(different))
    n_valid, n_test = (max(1, round(share * len(different))) for share in (valid, test))
    if n_valid + n_test >= len(different):
        raise UserError(
            f"data.file = {str(path)!r} has {len(different)} different sentences, "
            f"too few for data.valid = {valid} and data.test = {test} of them"
        )
    side: dict[tuple[str, ...], PartName] = {different[i]: "test" for i in order[:n_test]}
    side |= {different[i]: "valid" for i in order[n_test : n_test + n_valid]}
    parts: dict[PartName, list[int]] = {"train": [], "valid": [], "test": []}
    for row, words in rows.items():
        parts[side.get(tuple(words), "train")].append(row)
    return parts


def frequent(counts: Mapping[str, int], vocabulary: int, min_count: int) -> list[str]:
    """At most so many words (0: all) that occur so often, the most frequent first, equally frequent
    ones in alphabetical order; not the unknown word."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [word for word, count in ranked if count >= min_count and word != UNKNOWN_WORD]
    return kept[: vocabulary or None]


def number_labels(
    path: Path, labelled: list[Labelled], parts: Mapping[PartName, list[int]]
) -> tuple[dict[str, int], dict[PartName, Tensor]]:
    """How many training sentences each label has, by name in alphabetical order, and the number of
    its label for every row of each part, (N,) int64.

    Raises UserError for a label with too few.
    """
    of_label = Counter(labelled[row].label for row in parts["train"])
    _refuse_rare_labels(path, labelled, of_label)
    names = sorted(of_label)
    ids = {name: i for i, name in enumerate(names)}
    numbers = {
        name: torch.tensor([ids[labelled[row].label] for row in rows])
        for name, rows in parts.items()
    }
    return {name: of_label[name] for name in names}, numbers


def _refuse_rare_labels(path: Path, labelled: list[Labelled], of_label: Counter[str]) -> None:
    """UserError for the first label with too few training sentences, counted in `of_label`."""
    for one in labelled:
        if of_label[one.label] < FEWEST_OF_LABEL:
            in_all = sum(other.label == one.label for other in labelled)
            raise UserError(
                f"data.file = {str(path)!r}: the label {_shown(one.label)} (line {one.line}) has "
                f"{in_all} sentence{'s' * (in_all > 1)}, {of_label[one.label]} of them for "
                f"training; at least {FEWEST_OF_LABEL} are needed: give more, or take it out"
            )


def _shown(label: str) -> str:
    """A label as a message can hold it."""
    return repr(label if len(label) <= 40 else label[:40] + "...")
