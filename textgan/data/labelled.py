"""Lines of a data file, with the labels that they have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from textgan.core.errors import UserError
from textgan.data.texts import PLAIN, Form, read_rows

FEWEST = 20  # sentences without which there is nothing to split


MOST_LABELS = 1000  # a file with more has something else before its tabs


class Labelled(NamedTuple):
    """A sentence, its label, and the line of the file, from 1, that they are in."""

    line: int
    label: str
    sentence: str


def check_labels(labels: Sequence[str], name: str, least: int = 2, remedy: str = "") -> None:
    """Raise UserError where texts have fewer different labels than `least`, more than MOST_LABELS,
    or more than one for every two texts.

    name: the file's in messages. remedy: what else to do about too many, with a comma before it.
    """
    different = len(set(labels))
    most = min(MOST_LABELS, len(labels) // 2) if len(labels) >= FEWEST else MOST_LABELS
    if different > most:
        raise UserError(
            f"{name} has {different} different labels in {len(labels)} lines, at most {most} are "
            "taken; is the label before the tab (or in data.label_field) and the sentence after "
            f"it{remedy}?"
        )
    if different < least:
        raise UserError(
            f"{name}: every sentence has the label {short_label(labels[0])}; "
            "give at least two labels"
        )


class Data(NamedTuple):
    """The sentences of a file that are not empty, the same with their labels where it has any, and
    the SHA-256 of the file."""

    lines: list[str]
    labelled: list[Labelled]
    sha256: str


def read_data(path: Path, form: Form = PLAIN, called: str = "data.file") -> Data:
    """Read the sentences of a file.

    form: how it is read. called: what asked for it, for messages. Raises UserError as `read_rows`
    and `check_labels` do.
    """
    every, sha256 = read_rows(path, called, form)
    rows = [row for row in every if row.text]
    labelled = [Labelled(row.line, row.label, row.text) for row in rows if row.label is not None]
    if labelled:
        check_labels([one.label for one in labelled], f"{called} = {str(path)!r}")
    return Data([row.text for row in rows], labelled, sha256)


def short_label(label: str) -> str:
    """Shorten a label for a message."""
    return repr(label if len(label) <= 40 else label[:40] + "...")
