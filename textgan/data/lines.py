"""Reading text files strictly: what cannot be text is refused with one line that says why."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import NamedTuple

from textgan.core.errors import UserError
from textgan.core.files import read_bytes
from textgan.data.decoding import decode


class FileText(NamedTuple):
    """The text of a file, each of its lines ended with a line feed alone, and the SHA-256 of the
    bytes that it was decoded from.

    A carriage return that no line feed follows ends no line: it is a space.
    """

    text: str
    sha256: str


def read_lines(path: Path, called: str, *, pipes: bool = False) -> list[str]:
    """Read all lines of a UTF-8 text file, of which at least one is not empty.

    called: what asked for the file, for messages. pipes: as for `read_bytes`. Raises UserError as
    `read_text` does.
    """
    return split_lines(read_text(path, called, pipes=pipes).text)


def read_text(path: Path, called: str, *, pipes: bool = False) -> FileText:
    """Read a UTF-8 text file that is not empty, once for both its text and its hash.

    Raises UserError for a file that is missing, a folder, empty, binary or not UTF-8, or whose
    lines end with carriage returns alone.
    """
    name = f"{called} = {str(path)!r}"
    content = read_bytes(path, name, pipes=pipes)
    text = decode(content, path, name)
    if not text or text.isspace():
        raise UserError(f"{name} is empty; give one sentence a line")
    if "\n" not in text and "\r" in text.strip():
        raise UserError(
            f"{name} ends its lines with carriage returns alone; convert it: "
            f"tr '\\r' '\\n' < {shlex.quote(str(path))}"
        )
    text = text.replace("\r\n", "\n").replace("\r", " ")
    return FileText(text, hashlib.sha256(content).hexdigest())


def split_lines(text: str) -> list[str]:
    """Split a text into lines; one line end after the last line begins no further one."""
    return text.removesuffix("\n").split("\n")
