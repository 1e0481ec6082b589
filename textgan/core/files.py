"""Files: the one way in and the one way out.

What is read may come from anybody, so only regular files are opened (a pipe or a device would make
a command wait for ever; few arguments may be a pipe), no more of them is read than is sensible, and
JSON and TOML are bounded in depth and in the length of their numbers before anything is made of
them. What is written appears whole or not at all. Whatever goes wrong is a UserError of one line
that names the file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from textgan.core.errors import UserError
from textgan.core.own_errors import misuse

LARGEST = 2**36  # bytes of any file that is read as a whole
LARGEST_JSON = 2**28  # bytes; an evaluation of many rows with examples has some megabytes
LARGEST_TOML = 2**20  # bytes; a file of all settings has some kilobytes
PIECE = 2**20  # bytes that are read of a pipe at once
DEEPEST = 64  # levels of nested tables and lists; what is written here has less than ten
LONGEST_KEY = 32  # parts of a dotted key; TOML's reader needs the square of their number
MOST_DIGITS = 64  # of a whole number
OLD = 24 * 3600  # seconds after which nobody is still writing a partial file

_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_PARTIAL = re.compile(r"(?P<name>.+)\.(?P<process>\d{1,10})\.partial")
# of names that textgan gives; a stranger's partial file is none of ours
_WRITTEN = (".json", ".jsonl", ".safetensors", ".txt", ".png", ".html", ".npz")
_TOML_QUOTED = re.compile(
    r'"""(?:\\[\s\S]|(?!""")[^\\])*+(?:"{3,5})?'
    r"|'''(?:(?!''')[\s\S])*+(?:'{3,5})?"
    r'|"(?:\\.|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
)


class Malformed(UserError):
    """A content that nobody can have meant: no text, too deep, too long."""


class NoSyntax(Malformed):
    """A text that is not JSON, or not TOML."""


# --- reading --------------------------------------------------------------------------------------


def require_file(path: Path, called: str = "") -> None:
    """Raise UserError unless `path` is a regular file that can be opened, without waiting.

    called: what messages call it, its path if nothing is given.
    """
    with _opened(path, called or str(path)):
        pass


def read_bytes(path: Path, called: str = "", most: int = LARGEST, *, pipes: bool = False) -> bytes:
    """Read a regular file of at most `most` bytes.

    pipes: also a pipe, to its end, and the standard input, whose path is "-". Raises UserError,
    which calls it `called`, for what is missing, no file, too large, unreadable.
    """
    name = called or str(path)
    standard = pipes and str(path) == "-"
    with nullcontext(sys.stdin.buffer) if standard else _opened(path, name, pipes) as file:
        try:
            if pipes:  # the size of a pipe is not known
                pieces = iter(partial(file.read, PIECE), b"")
                content = b"".join(islice(pieces, most // PIECE + 1))
                size = len(content)
            else:
                size = os.fstat(file.fileno()).st_size
                content = file.read() if size <= most else b""
        except (OSError, MemoryError) as error:
            raise UserError(f"{name} cannot be read: {_why(error)}") from None
    if max(size, len(content)) > most:
        raise UserError(f"{name} is too large: more than {most:,} bytes are not read")
    return content


def read_text(path: Path, called: str = "", most: int = LARGEST_JSON) -> str:
    """Read a text file. Raises UserError as `read_bytes` does, and for what is not UTF-8."""
    content = read_bytes(path, called, most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(
            f"{called or path} is not UTF-8 (byte {error.start:,} is {content[error.start]:#04x})"
        ) from None


def read_json(path: Path, called: str = "") -> Any:
    """Read a JSON file. Raises UserError for what is damaged, or absurdly deep or long."""
    return parse_json(read_text(path, called), called or str(path))


def read_toml(path: Path, called: str = "") -> dict[str, Any]:
    """Read a TOML file. Raises UserError for what is damaged, or absurdly deep or long."""
    return parse_toml(read_text(path, called, LARGEST_TOML), called or str(path))


def parse_json(text: str, called: str) -> Any:
    """Parse a JSON text. Raises UserError as `read_json` does."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise NoSyntax(f"{called} is not JSON: {_why(error)}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Malformed(f"{called} cannot be read: {_why(error)}") from None
    _bounded(value, called)
    return value


def parse_toml(text: str, called: str) -> dict[str, Any]:
    """Parse a TOML text. Raises UserError as `read_toml` does."""
    if len(text) > LARGEST_TOML:
        raise UserError(f"{called} is too large: more than {LARGEST_TOML:,} bytes are not read")
    _bounded_toml(text, called)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NoSyntax(f"{called} is not TOML: {_why(error)}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Malformed(f"{called} cannot be read: {_why(error)}") from None
    _bounded(value, called)
    return value


@contextmanager
def understood(path: Path, remedy: str = "restore it from a copy") -> Iterator[None]:
    """Turn what goes wrong while a file's content is used into a UserError that names the file and
    the remedy."""
    try:
        yield
    except Malformed as error:
        why = str(error).removeprefix(f"{path} ").removeprefix("is ")
        raise UserError(f"{path} is damaged ({why}); {remedy}") from None
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, AssertionError,
        RecursionError,
    ) as error:  # fmt: skip
        why = f"{type(error).__name__}: {_why(error)}"
        raise UserError(f"{path} is damaged ({why}); {remedy}") from None


def is_file(path: Path) -> bool:
    """Return whether there is a regular file. Raises UserError where that cannot be seen."""
    with _seen(path):
        return path.is_file()


def is_folder(path: Path) -> bool:
    """Return whether there is a folder. Raises UserError where that cannot be seen."""
    with _seen(path):
        return path.is_dir()


def exists(path: Path) -> bool:
    """Return whether there is anything. Raises UserError where that cannot be seen."""
    with _seen(path):
        return path.exists()


def files_in(folder: Path) -> list[Path]:
    """Return everything in a folder but other folders, sorted. Raises UserError where it cannot be
    read."""
    with _seen(folder):
        return sorted(path for path in folder.iterdir() if not path.is_dir())


@contextmanager
def _seen(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be looked at: {_why(error)}") from None


@contextmanager
def system_errors() -> Iterator[None]:
    """Turn an OSError that nothing else caught into one line for the user, and so a call between
    textgan and a file of one's own that does not fit."""
    try:
        yield
    except (AttributeError, TypeError) as error:
        if (line := misuse(error)) is None:
            raise
        raise UserError(line) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        if getattr(error, "__notes__", ()):  # of a part's own code: the note says whose it is
            raise
        files = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
        what = " and ".join(files) or "the system"
        raise UserError(f"{what}: {_why(error)}") from error


def file_digest(path: Path, called: str = "") -> str:
    """Compute the SHA-256 of a regular file, in hexadecimal. Raises UserError as `read_bytes`
    does."""
    name = called or str(path)
    with _opened(path, name) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{name} cannot be read: {_why(error)}") from None


@contextmanager
def _opened(path: Path, name: str, pipes: bool = False) -> Iterator[BufferedReader]:
    """A regular file, or if `pipes` a pipe, open; never waits until somebody opens a pipe's other
    end."""
    try:
        # without O_NONBLOCK opening a pipe waits for whoever writes into it
        handle = os.open(path, os.O_RDONLY | _WITHOUT_WAITING)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise UserError(f"{name}: there is no such file") from None
        what = _kind(path)
        if what:
            raise UserError(f"{name} is {what}, not a file") from None
        raise UserError(f"{name} cannot be read: {_why(error)}") from None
    mode = os.fstat(handle).st_mode
    if pipes and stat.S_ISFIFO(mode):
        os.set_blocking(handle, True)  # now wait for what is written
    elif not stat.S_ISREG(mode):
        os.close(handle)
        raise UserError(f"{name} is {_kind_of(mode)}, not a file")
    with os.fdopen(handle, "rb") as file:
        yield file


def _kind(path: Path) -> str:
    """Describe a path that is no regular file; "" where it is one, or cannot be seen."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return "" if stat.S_ISREG(mode) else _kind_of(mode)


def _kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def _bounded(value: Any, called: str) -> None:
    """UserError where a value is nested too deeply or holds a number that nobody can have meant."""
    level = [value]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, int) and abs(one) >= 10**MOST_DIGITS:
                raise Malformed(f"{called} holds a number of more than {MOST_DIGITS} digits")
        if not inner:
            return
        level = inner
    raise Malformed(f"{called} is nested more than {DEEPEST} levels deep")


def _bounded_toml(text: str, called: str) -> None:
    """The same before TOML is read: its reader recurses, and squares the length of keys."""
    bare = _TOML_QUOTED.sub(lambda match: "#" if match[0][0] == "#" else '"', text)
    depth = 0
    for piece in re.split(r"([\[\]{}])", bare):
        if piece in ("[", "{"):
            depth += 1
        elif piece in ("]", "}"):
            depth -= 1
        if depth > DEEPEST:
            raise Malformed(f"{called} is nested more than {DEEPEST} levels deep")
    before = ""
    for piece in re.split(r"([\[\]{}=,\n])", bare):
        # after a sign of equality comes a value, such as a path without quotes
        if before != "=" and piece.count(".") >= LONGEST_KEY:
            raise Malformed(f"{called} has a key of more than {LONGEST_KEY} parts between dots")
        before = piece.strip(" \t") or before


def _why(error: BaseException) -> str:
    """The reason of an error in a few words."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "integer string conversion" in str(error):
        return "it holds a number of thousands of digits"
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 200 else words[:197] + "..."


# --- writing --------------------------------------------------------------------------------------


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old content or the new, never a part.

    Temporary file, fsync, rename, fsync of the folder. What killed processes left of theirs is
    removed. Raises UserError, the old content and nothing else left, where it cannot be written.
    """
    _require_no_other(path)
    with writing(path):
        temporary = _partial(path)
        _remove_leftovers(path)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file. Raises UserError, a part of the line perhaps there, as above."""
    if exists(path):
        require_file(path)  # opening a pipe would wait for whoever reads it
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@contextmanager
def writing(path: Path, called: str = "") -> Iterator[None]:
    """An OSError inside becomes a UserError that says which file could not be written, and why."""
    try:
        yield
    except OSError as error:
        raise UserError(unwritable(called or str(path), error)) from None


def unwritable(called: str, error: OSError) -> str:
    """Return the message for something that cannot be written: which, why and what helps."""
    remedies = {
        errno.ENOSPC: "make room there; what was saved before stands",
        errno.EDQUOT: "make room there; what was saved before stands",
        errno.EFBIG: "raise the limit on a file's size (ulimit -f); what was saved before stands",
        errno.EACCES: "get the right to write there, or use another folder",
        errno.EPERM: "get the right to write there, or use another folder",
        errno.EROFS: "use another folder",
    }
    remedy = remedies.get(error.errno or 0, "")
    return f"{called} cannot be written: {_why(error)}" + (f"; {remedy}" if remedy else "")


def make_folder(folder: Path, called: str = "") -> None:
    """Make a folder, and those above it, where there is none. Raises UserError."""
    with writing(folder, called):
        folder.mkdir(parents=True, exist_ok=True)


def require_writable(path: Path) -> None:
    """Raise UserError unless `write_file` can write `path`; called before hours of work, not after.

    The folder must be there; a block is written into it and removed.
    """
    _require_no_other(path)
    with writing(path):
        trial = _partial(path)
        try:
            with trial.open("xb") as file:
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())  # some file systems say only now that they are full
        finally:
            with suppress(OSError):
                trial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk, where the system can do that."""
    if os.name != "posix":
        return
    with suppress(OSError):  # the files themselves are there; a folder may be write-only
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _require_no_other(path: Path) -> None:
    """UserError where a folder, a pipe or a device is in the way: a rename would replace it."""
    what = _kind(path)
    if what:
        raise UserError(f"{path} cannot be written: it is {what}; give another name, or remove it")


def is_partial(path: Path) -> bool:
    """Return whether a file has the name of a temporary part of a file that is being written."""
    return _PARTIAL.fullmatch(path.name) is not None


def _partial(path: Path) -> Path:
    """Return the path where this process writes a partial file; nothing is there."""
    made = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with suppress(FileNotFoundError):
        made.unlink()  # of a process that had this number before, and was killed
    return made


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left in the folder of `path`."""
    with suppress(OSError):
        for other in path.parent.glob("*.partial"):
            partial = _PARTIAL.fullmatch(other.name)
            ours = partial and (partial["name"] == path.name or partial["name"].endswith(_WRITTEN))
            if not partial or not ours:
                continue
            with suppress(OSError):
                about = other.lstat()
                idle = time.time() - about.st_mtime > OLD
                if stat.S_ISREG(about.st_mode) and (idle or not _alive(int(partial["process"]))):
                    other.unlink()


def _alive(process: int) -> bool:
    """Return whether there may be such a process on this machine, as far as can be known."""
    if process == os.getpid() or sys.platform == "win32":  # there, asking would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # somebody else's
    return True
