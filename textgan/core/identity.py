"""The identity of a run, by which a file belongs to it.

A run's digest is of all that decides its course: its settings, and the files it was made with
(data, vocabulary, oracle, parts of its user's own), whose SHA-256 run.json lists. Every file that
comes later (checkpoints, the best MLE epoch, results, evaluations, curves) carries the digest of
its run and of its own content. So a file of another run, or one that was changed, is noticed,
whoever opens the folder. None of it is a signature: it keeps from mistakes, not from forgers.

Runs of version 0.1 have no such list; what can be compared in them still is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textgan.core.errors import UserError
from textgan.core.files import (
    exists,
    file_digest,
    read_bytes,
    read_json,
    require_file,
    understood,
    write_file,
)  # fmt: skip
from textgan.core.own_code import Kept

CONFIG, FACTS, DATA = "config.json", "run.json", "data.safetensors"
RUN, DIGEST = "run", "digest"  # keys: of the run that a file belongs to, and of its content
# settings that decide nothing of a run's course, but for the last bits
NO_COURSE = ("device", "matmul", "checkpoint_seconds")
NO_EXPERIMENT = ("seed", *NO_COURSE)  # settings in which the runs of one experiment may differ
_RESTORE = "restore it from a copy"


@dataclass(frozen=True)
class Identity:
    """The identity of a run, as its folder gives it.

    files: the SHA-256 of what the run was made with, by its place in the folder; None where version
    0.1 made it. copies: where the run keeps parts of its user's own, by their names in the config.
    """

    folder: Path
    digest: str
    files: Mapping[str, str] | None = None
    copies: Mapping[str, str] = field(default_factory=dict)

    def code(self, trusted: bool) -> Kept:
        """Return the files of code that the run may import."""
        if self.files is None:
            return Kept(self.folder, trusted)
        return Kept(self.folder, trusted, self.copies, self.files)

    def check_file(self, name: str) -> None:
        """Raise UserError unless a file is the one that the run was made with."""
        if self.files is None:
            return
        try:
            digest = file_digest(self.folder / name)
        except UserError as error:
            raise UserError(f"{error}; {_RESTORE}") from None
        if digest != self.files.get(name):
            raise UserError(
                f"{self.folder / name} is not the one that this run was made with; {_RESTORE}"
            )

    def check(self, path: Path, facts: Mapping[str, Any], remedy: str) -> None:
        """Raise UserError, with the remedy, unless a file's facts say that it is of this run."""
        owner = facts.get(RUN)
        if owner == self.digest or (owner is None and self.files is None):
            return
        what = "does not say which run it is of" if owner is None else "belongs to another run"
        if self.files is None:  # as in a run of 0.1, or where somebody took the list away
            what += f", or {FACTS} was altered"
        raise UserError(f"{path} {what}; {remedy}")


def identify(folder: Path) -> Identity:
    """Read the identity of a run from its folder's files alone; nothing in it is built or imported.

    Raises UserError where they are damaged, or do not belong together.
    """
    settings = _table(folder / CONFIG)
    facts = _table(folder / FACTS) if exists(folder / FACTS) else {}
    files = facts.get("files")
    if files is None and not facts.keys() & {RUN, DIGEST}:  # made before there were digests
        return Identity(folder, _old_digest(folder, settings))
    copies = facts.get("code", {})
    if files is None or not (_is_sealed(facts) and _all_text(files) and _all_text(copies)):
        raise UserError(f"{folder / FACTS} was altered after it was written; {_RESTORE}")
    digest = digest_of(settings, files, copies)
    if facts.get(RUN) != digest:
        raise UserError(
            f"{folder / CONFIG} was changed since the run was made, or {folder / FACTS} is "
            "another run's; restore what was there, or train anew"
        )
    return Identity(folder, digest, files, copies)


def identity_in(folder: Path) -> Identity | None:
    """Return the identity of a run's folder, as `identify` does; None for a folder that is no
    run's."""
    return identify(folder) if exists(folder / CONFIG) else None


def digest_of(
    settings: Mapping[str, Any], files: Mapping[str, str], copies: Mapping[str, str]
) -> str:
    """Compute the digest of a run with these settings, made with these files."""
    course = {key: value for key, value in settings.items() if key not in NO_COURSE}
    return _digest([course, files, copies])


def experiment_of(settings: Mapping[str, Any], *others: object) -> str:
    """Return a text that is equal for runs of one experiment: those with the same settings, and the
    same `others`, but for the seed and what decides nothing of a run's course."""
    kept = {key: value for key, value in settings.items() if key not in NO_EXPERIMENT}
    return json.dumps([kept, *others], sort_keys=True)


def sealed(content: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return the content of a JSON file with the digest of its run and one of itself."""
    owned = dict(content) | {RUN: run}
    return owned | {DIGEST: _digest(owned)}


def write_sealed(path: Path, content: Mapping[str, Any], run: str) -> None:
    """Write a JSON file that `read_sealed` reads. run: the digest of its run; empty for none."""
    text = json.dumps(sealed(content, run), indent=1, ensure_ascii=False) + "\n"
    write_file(path, text.encode())


def read_sealed(path: Path, identity: Identity | None, remedy: str) -> dict[str, Any]:
    """Read what `sealed` made. identity: of the run that the file must be of; None where it is of
    none.

    Raises UserError, with the remedy, for a file that is damaged, altered or of another run.
    """
    try:
        content = _table(path)
    except UserError as error:
        raise UserError(f"{str(error).removesuffix(f'; {_RESTORE}')}; {remedy}") from None
    if DIGEST in content and not _is_sealed(content):
        raise UserError(f"{path} was altered after it was written; {remedy}")
    if identity is not None:
        if DIGEST not in content and identity.files is not None:
            raise UserError(f"{path} does not say which run it is of; {remedy}")
        identity.check(path, content, remedy)
    return content


def _table(path: Path) -> dict[str, Any]:
    try:
        require_file(path)
    except UserError as error:
        raise UserError(f"{error}; {_RESTORE}") from None
    with understood(path):
        content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no table); {_RESTORE}")
    return content


def _is_sealed(content: Mapping[str, Any]) -> bool:
    inside = {key: value for key, value in content.items() if key != DIGEST}
    return content.get(DIGEST) == _digest(inside)


def _digest(value: Any) -> str:
    """Of JSON-able content as a reader finds it, whatever its layout and the order of its keys."""
    as_read = json.loads(json.dumps(value))
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def _old_digest(folder: Path, settings: Mapping[str, Any]) -> str:
    """Compute the digest as version 0.1 did: of the settings and the data."""
    course = {key: value for key, value in settings.items() if key not in NO_COURSE}
    sha = hashlib.sha256(json.dumps(course, sort_keys=True).encode())
    if exists(folder / DATA):  # a report can do without
        sha.update(read_bytes(folder / DATA))
    return sha.hexdigest()


def _all_text(values: Any) -> bool:
    return isinstance(values, dict) and all(isinstance(value, str) for value in values.values())
