"""Reading text files strictly: what cannot be text is refused with one line that says why."""

from __future__ import annotations

from pathlib import Path

from textgan.errors import UserError


def read_lines(path: Path, called: str) -> list[str]:
    """All lines of a UTF-8 text file, of which at least one is not empty.

    Lines end with a line feed, a carriage return or both; one such end after the last line begins
    no further one. called: what asked for the file, for messages. Raises UserError for a file that
    is missing, a folder, empty, binary or not UTF-8.
    """
    name = f"{called} = {str(path)!r}"
    try:
        if not path.exists():
            raise UserError(f"{name}: there is no such file")
        if not path.is_file():
            raise UserError(f"{name} is not a file; give a text file")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror}") from None
    if b"\0" in content:
        raise UserError(
            f"{name} is binary (it has zero bytes); give UTF-8 text, one sentence a line"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        line = before.count(b"\n") + 1
        raise UserError(
            f"{name} is not UTF-8 in line {line} (byte {error.object[error.start]:#04x}); "
            "convert it, for example with iconv -t utf-8"
        ) from None
    if not text.strip():
        raise UserError(f"{name} is empty; give one sentence a line")
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
