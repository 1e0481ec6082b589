"""Reading text files strictly: what cannot be text is refused with one line that says why."""

from __future__ import annotations

from pathlib import Path

from textgan.core.errors import UserError
from textgan.core.files import read_bytes
from textgan.data.decoding import decode


def read_lines(path: Path, called: str) -> list[str]:
    """All lines of a UTF-8 text file, of which at least one is not empty.

    called: what asked for the file, for messages. Raises UserError as `read_text` does.
    """
    return split_lines(read_text(path, called))


def read_text(path: Path, called: str) -> str:
    """A UTF-8 text file that is not empty; each of its lines ends with a line feed alone.

    Raises UserError for a file that is missing, a folder, empty, binary or not UTF-8.
    """
    name = f"{called} = {str(path)!r}"
    text = decode(read_bytes(path, name), path, name)
    if not text.strip():
        raise UserError(f"{name} is empty; give one sentence a line")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_lines(text: str) -> list[str]:
    """The lines of a text; one line end after the last line begins no further one."""
    return text.removesuffix("\n").split("\n")
