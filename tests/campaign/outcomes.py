"""What became of a case, and which of that is a failure."""

from __future__ import annotations

import re
from enum import Enum

from .process import Finished


class Outcome(Enum):
    """One word for what a user of the command would have seen."""

    OK = "finished as it should"
    IDENTICAL = "ended in the same bytes"
    NO_EFFECT = "same output as without the damage"
    REFUSED = "refused in one line"
    SAID = "another output, and a line that says why"
    SHOWN = "another output: the file is what is shown"
    FORGED = "another output: the file was signed again"
    TRACEBACK = "a traceback"
    HANG = "did not end"
    SILENT = "another result, silently"
    EXECUTED = "ran code from a folder"
    UNCLEAR = "another end than 0, or 2 and one line"


FAILURES = {
    Outcome.TRACEBACK, Outcome.HANG, Outcome.SILENT, Outcome.EXECUTED, Outcome.UNCLEAR,
}  # fmt: skip

# seconds and memory are no part of a result
_TIMES = re.compile(r"^[0-9.]+ s, peak memory.*$|\b[0-9.]+ s\b", re.MULTILINE)
_PROGRESS = re.compile(r"^.*(\d+/\d+|%\||[0-9.]+(it|step|round|epoch|number)/s).*$")


def plain(text: str) -> str:
    """A command's output without what differs from run to run."""
    return _TIMES.sub("", text)


def notes(err: str, folder: str) -> set[str]:
    """The lines of an error stream but for progress, with the folder's name taken out."""
    lines = re.split(r"[\r\n]+", err.replace(folder, "FOLDER") if folder else err)
    return {plain(line).strip() for line in lines if line.strip() and not _PROGRESS.match(line)}


def failed_badly(finished: Finished) -> Outcome | None:
    """What is a failure whatever the case was about."""
    if finished.code is None:
        return Outcome.HANG
    if "Traceback (most recent call last)" in finished.err:
        return Outcome.TRACEBACK
    if finished.code == 0:
        return None
    last = finished.err.strip().splitlines()[-1:] or [""]
    if finished.code != 2 or not last[0].startswith("textgan: "):
        return Outcome.UNCLEAR
    return None


def judge(
    finished: Finished, expected: Finished | None = None, folder: str = "", forged: bool = False
) -> Outcome:
    """What became of a command on bad input.

    expected: how it ends on good input; None: any end in order will do.
    """
    bad = failed_badly(finished)
    if bad is not None:
        return bad
    if finished.code == 2:
        return Outcome.REFUSED
    if expected is None:
        return Outcome.OK
    if plain(finished.out) == plain(expected.out):
        return Outcome.NO_EFFECT
    if notes(finished.err, folder) - notes(expected.err, folder):
        return Outcome.SAID
    if finished.out.count("warning:") > expected.out.count("warning:"):
        return Outcome.SAID
    return Outcome.FORGED if forged else Outcome.SILENT
