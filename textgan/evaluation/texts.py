"""Texts that are given to be measured, or to measure others by: read from files or lists, and
looked over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from textgan.core.errors import UserError, option
from textgan.core.names import unique_names
from textgan.core.streams import Purpose
from textgan.data.datasets import recognise
from textgan.data.labelled import check_labels
from textgan.data.sentences import Sentences
from textgan.data.texts import PLAIN, Form, has_fields, read_rows
from textgan.evaluation.inputs import parted

ALIKE = 0.5  # share of the different lines of two texts above which they are one text
LENGTHS = 2.0  # ratio of median lengths above which two texts are of different kinds
MOST_CHARACTERS = 100_000  # of a line; a longer one is no sentence, and networks would read it all

Source = str | Path | Sequence[str]
"""A text file, or the texts themselves."""


@dataclass(frozen=True)
class Texts:
    """Texts that are measured, or that others are compared with.

    name: of their row. about: where they come from, for the facts.
    """

    name: str
    lines: list[str]
    about: dict[str, Any]


def read_texts(source: Source, called: str, name: str = "", form: Form = PLAIN) -> Texts:
    """Read the texts of a file, one a line, or of a sequence of strings.

    called: what asked for them, for messages. name: of their row; a file's name if not given.
    form: how a file is read.
    Raises UserError.
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        lines, sha256 = _read(path, called, form)
        about = {
            "file": path.name,
            "sha256": sha256,
            "known_as": recognise(sha256),
            "lines": len(lines),
            "empty": sum(not line.strip() for line in lines),
        }
        return Texts(name or path.name, lines, about)
    lines = []
    for number, text in enumerate(source):
        if not isinstance(text, str):
            raise UserError(
                f"{called}: item {number} is {type(text).__name__} {str(text)[:40]}; give a file, "
                "or a list of strings"
            )
        lines.append(" ".join(text.split("\n")).strip())
    if not any(lines):
        raise UserError(f"{called} is empty; give at least one text")
    whole = "".join(line + "\n" for line in lines).encode(errors="surrogatepass")
    about = {
        "file": None,
        "sha256": hashlib.sha256(whole).hexdigest(),
        "known_as": None,
        "lines": len(lines),
        "empty": sum(not line for line in lines),
    }
    return Texts(name or "texts", lines, about)


def fits_some(form: Form, given: Sequence[Source | Texts]) -> None:
    """Raise UserError for fields that are given although no file has any."""
    files = [Path(one) for one in given if isinstance(one, (str, Path))]
    if form.facts() and not any(has_fields(file, form) for file in files):
        key, value = next(iter(form.facts().items()))
        raise UserError(
            f"{option(key, value)}: none of the files has fields; give one that ends "
            "in .csv or .jsonl, or leave it out"
        )


def name_texts(files: Sequence[Source | Texts], form: Form = PLAIN) -> list[Texts]:
    """Read files and lists as texts, each with a name of its own."""
    paths = [Path(file) for file in files if isinstance(file, (str, Path))]
    lists = sum(not isinstance(file, (str, Path, Texts)) for file in files)
    made: list[Texts] = []
    for file in files:
        if isinstance(file, Texts):
            made.append(file)
        elif isinstance(file, (str, Path)):
            made.append(read_texts(file, "targets", _name(Path(file), paths), form))
        else:
            number = 1 + sum(text.about["file"] is None for text in made)
            name = f"texts {number}" if lists > 1 else "texts"
            made.append(read_texts(file, name, name))
    names = unique_names([text.name for text in made])
    return [replace(text, name=name) for text, name in zip(made, names, strict=True)]


def drawn_lines(lines: list[str], n: int, seed: int) -> list[str]:
    """Draw n of the lines at random; where there are no more, return all in their order."""
    if n >= len(lines):
        return lines
    return [lines[i] for i in parted(len(lines), n, Purpose.EQUAL_TEXTS, seed)[0].tolist()]


def alike(texts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a clause for each two kinds of real text (references, train, real) that are one text
    by their content: more than half of the different lines of the smaller are in the other too."""
    clauses = []
    for (a, ours), (b, theirs) in combinations(texts.items(), 2):
        both, fewest = _in_common(ours, theirs)
        if both > ALIKE * fewest:
            what = "are one text" if set(ours) == set(theirs) else "are nearly one text"
            clauses.append(f"{b} and {a} {what}: {both} of {fewest} different lines are in both")
    return clauses


def copy_warnings(text: Texts, real: Mapping[str, Sequence[str]]) -> list[str]:
    """Warn of each kind of real text that the measured texts are copies of."""
    warnings = []
    for role, lines in real.items():
        held = set(lines)
        same = sum(line in held for line in text.lines)
        of_role = {
            "references": "the references",
            "train": "the training text",
            "real": "the other real text",
        }[role]
        if text.lines == lines:
            consequence = ", so comparing them says nothing" if role == "references" else ""
            warnings.append(f"{text.name}: these are {of_role} themselves{consequence}")
        elif same > len(text.lines) / 2 and role != "train":  # of train, novelty tells more
            warnings.append(
                f"{text.name}: {same} of {len(text.lines)} texts are word for word in {of_role}"
            )
    return warnings


def of_other_lengths(sides: Mapping[str, Sentences]) -> list[str]:
    """Warn of each kind of real text that is much shorter or longer than the references."""
    median = {role: max(1.0, float(side.sizes.double().median())) for role, side in sides.items()}
    level = median["references"]
    return [
        f"{role} has {value:.0f} tokens a text, the references {level:.0f} (medians): numbers that "
        "are taken by it (a row of real text, a network trained on it) speak of another kind of "
        "text"
        for role, value in median.items()
        if max(value, level) >= LENGTHS * min(value, level)
    ]


def _in_common(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """Return how many different lines are in both, and how many the smaller has."""
    ours, theirs = ({" ".join(line.split()) for line in side} for side in (a, b))
    return len(ours & theirs), min(len(ours), len(theirs))


def _read(path: Path, called: str, form: Form) -> tuple[list[str], str]:
    """The texts of a file without their labels, none of them longer than a sentence can be, and
    the file's SHA-256."""
    if form.facts() and not has_fields(path, form):
        form = replace(form, field="", label_field="")
    rows, sha256 = read_rows(path, called, form)
    for row in rows:
        if len(row.text) > MOST_CHARACTERS:
            raise UserError(
                f"{called} = {str(path)!r}: line {row.line} has {len(row.text):,} characters, at "
                f"most {MOST_CHARACTERS:,} are taken; give one sentence a line"
            )
    # texts of one label are as good as any here, but labels must be labels
    labels = [row.label for row in rows if row.label is not None]
    check_labels(labels, f"{called} = {str(path)!r}", least=0)
    return [row.text for row in rows], sha256


def name_of(source: Source) -> str:
    """Return what a message calls a file or a list."""
    return Path(source).name if isinstance(source, (str, Path)) else "a list"


def _name(file: Path, files: Sequence[Path]) -> str:
    """A file's name, with its folder where two have the same."""
    return file.name if sum(file.name == other.name for other in files) == 1 else str(file)
