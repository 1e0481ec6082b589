"""The exceptions that a user is meant to read."""

from typing import Any


class UserError(Exception):
    """One line that names what is wrong, the value, and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class NotKept(UserError):
    """Everything was measured and something could not be kept; `made` is what was measured."""

    def __init__(self, message: str, made: Any) -> None:
        super().__init__(message)
        self.made = made


class ReportedElsewhere(UserError):
    """What another process of the same run tells the user; this one only ends."""


class Interrupted(Exception):
    """The user stopped training; everything is saved."""


def described(value: object) -> str:
    """What a value is, as a message about a wrong one says it: its type, and a tensor's shape."""
    if value is None or isinstance(value, bool):
        return str(value)
    kind = type(value).__name__
    if isinstance(value, tuple | list):
        return f"a {kind} of {len(value)}"
    shape = getattr(value, "shape", None)
    article = "an" if kind[0].lower() in "aeiou" else "a"
    return f"{article} {kind}" + (f" of shape {tuple(shape)}" if shape is not None else "")
