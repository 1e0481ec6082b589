"""The exceptions that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_typed: ContextVar[bool] = ContextVar("the command line runs", default=False)


class UserError(Exception):
    """One line that names what is wrong, the value, and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class UnknownSetting(UserError):
    """An error that names a setting, `key`, which does not exist."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


class NotKept(UserError):
    """Everything was measured and something could not be kept; `made` is what was measured."""

    def __init__(self, message: str, made: Any) -> None:
        super().__init__(message)
        self.made = made


class ReportedElsewhere(UserError):
    """An error that another process of the same run reports to the user; this one only ends."""


class Interrupted(Exception):
    """The user stopped training; everything is saved."""


@contextmanager
def command_line() -> Iterator[None]:
    """Name options in messages as the command line has them, while this is entered."""
    before = _typed.set(True)
    try:
        yield
    finally:
        _typed.reset(before)


def option(name: str, value: object = "") -> str:
    """Spell an argument as the reader of a message gives it: `--out FOLDER`, or `out=FOLDER` in
    Python.

    name: as Python has it.
    """
    if _typed.get():
        return f"--{name.replace('_', '-')} {value}".rstrip()
    return f"{name}={value}" if value != "" else name


def described(value: object) -> str:
    """Describe a wrong value for a message: its type, and a tensor's shape."""
    if value is None or isinstance(value, bool):
        return str(value)
    kind = type(value).__name__
    if isinstance(value, tuple | list):
        return f"a {kind} of {len(value)}"
    shape = getattr(value, "shape", None)
    article = "an" if kind[0].lower() in "aeiou" else "a"
    return f"{article} {kind}" + (f" of shape {tuple(shape)}" if shape is not None else "")
