"""Training, validation and test parts of a file, divided so that no sentence is in two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from textgan.core.errors import UserError
from textgan.core.streams import Purpose, stream
from textgan.data.datasets import recognise
from textgan.data.labelled import FEWEST, Labelled, read_data, short_label
from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.sentences import Sentences, encode_all
from textgan.data.texts import PLAIN, Form
from textgan.data.tokenizers import WordTokenizer

FEWEST_OF_LABEL = 2  # training sentences; one alone is a header or a slip of the pen


PartName = Literal["train", "valid", "test"]
PARTS: tuple[PartName, ...] = get_args(PartName)


def spelt_in_order(sentences: Sentences, tokenizer: WordTokenizer) -> list[bytes]:
    """Return each sentence as bytes, equal for equal ones and in the order of lists of words.

    tokenizer: of their words.
    """
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    place = np.empty(len(words), np.int64)  # in alphabetical order
    place[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
    return list(sentences.spelt(place))


def divide(
    name: str,
    keys: Sequence[bytes],
    rows: Tensor,
    *,
    valid: float | None,
    test: float | None,
    seed: int,
    what: str = "sentences",
) -> dict[PartName, Tensor]:
    """Divide rows into three parts, those of equal keys in the same part: the rows of each, in
    order.

    keys: of each row. valid, test: shares of the different keys; `seed` decides which. None: no
    such part. name: the file's, and what: that of which the keys are, for messages. Raises
    UserError where nothing is left to train on.
    """
    different = sorted(set(keys))
    order = np.random.default_rng(stream(Purpose.SPLIT, seed)).permutation(len(different))
    shares = {"data.valid": valid, "data.test": test}

    def sizes(n: int) -> list[int]:
        return [0 if share is None else max(1, round(share * n)) for share in shares.values()]

    n_valid, n_test = sizes(len(different))
    if n_valid + n_test >= len(different):
        wanted = " and ".join(f"{key} = {share}" for key, share in shares.items() if share)
        needed = next((n for n in range(len(different), 100) if sum(sizes(n)) < n), 0)
        remedy = f"at least {needed} are needed" if needed else "give smaller shares"
        raise UserError(
            f"{name} has {len(different)} different {what}, too few for {wanted} of them; {remedy}"
        )
    side = {different[i]: 2 for i in order[:n_test]}
    side |= {different[i]: 1 for i in order[n_test : n_test + n_valid]}
    sides = torch.tensor([side.get(one, 0) for one in keys])
    return {part: rows[sides == i] for i, part in enumerate(PARTS)}


def number_labels(
    name: str, labelled: list[Labelled], parts: Mapping[PartName, Tensor]
) -> tuple[dict[str, int], dict[PartName, Tensor]]:
    """Number the labels: return how many training sentences each has, by name in alphabetical
    order, and the number of its label for every row of each part, (N,) int64.

    name: the file's in messages. Raises UserError for a label with too few.
    """
    of_label = Counter(labelled[row].label for row in parts["train"].tolist())
    _refuse_rare_labels(name, labelled, of_label)
    names = sorted(of_label)
    ids = {label: i for i, label in enumerate(names)}
    numbers = {
        part: torch.tensor([ids[labelled[row].label] for row in rows.tolist()])
        for part, rows in parts.items()
    }
    return {label: of_label[label] for label in names}, numbers


def _refuse_rare_labels(name: str, labelled: list[Labelled], of_label: Counter[str]) -> None:
    """UserError for the first label with too few training sentences, counted in `of_label`."""
    for one in labelled:
        if of_label[one.label] < FEWEST_OF_LABEL:
            in_all = sum(other.label == one.label for other in labelled)
            raise UserError(
                f"{name}: the label {short_label(one.label)} (line {one.line}) has "
                f"{in_all} sentence{'s' * (in_all > 1)}, {of_label[one.label]} of them for "
                f"training; at least {FEWEST_OF_LABEL} are needed: give more, or take it out"
            )


class Part(NamedTuple):
    """Lines of one side of a split, and the number (N,) int64 of each one's label, if any."""

    lines: list[str]
    labels: Tensor | None


@dataclass(frozen=True)
class Split:
    """A file in three parts that share no sentence.

    names: what each label means; empty where there are none. facts: source, hash, counts.
    """

    train: Part
    valid: Part
    test: Part
    names: tuple[str, ...]
    facts: dict[str, Any]


def split_file(
    path: Path,
    *,
    form: Form = PLAIN,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Split:
    """Split a file of texts into three parts.

    form, valid, test, seed: as for `read_corpus`. Raises UserError where the file leaves too
    little to train on.
    """
    lines, labelled, sha256 = read_data(path, form)
    called = f"data.file = {str(path)!r}"
    if len(lines) < FEWEST:
        raise UserError(f"{called} has {len(lines)} sentences; at least {FEWEST} are needed")
    tokenizer, (sentences,) = encode_all(
        WordTokenizer((), PreTokenizer("word", unknown="")), [lines]
    )
    keys = spelt_in_order(sentences, tokenizer)
    rows = torch.arange(len(lines))
    parts = divide(called, keys, rows, valid=valid, test=test, seed=seed)
    facts: dict[str, Any] = {
        "source": path.name,
        **form.facts(),
        "sha256": sha256,
        "known_as": recognise(sha256),
        "sentences": len(lines),
        "split_seed": seed,
        "split": {name: len(part) for name, part in parts.items()},
    }
    numbers: dict[PartName, Tensor] = {}
    if labelled:
        facts["labels"], numbers = number_labels(called, labelled, parts)

    def part(name: PartName) -> Part:
        return Part([lines[row] for row in parts[name].tolist()], numbers.get(name))

    names = tuple(facts.get("labels", ()))
    return Split(part("train"), part("valid"), part("test"), names, facts)
