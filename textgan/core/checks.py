"""Checks of what a command or a function is given, the same for both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path

from textgan.core.errors import UserError

SEEDS = (0, 2**62)
TEMPERATURES = (1e-4, 1e4)


def number_from(name: str, value: object, limits: tuple[float, float]) -> float:
    """The number, numpy's too; UserError that names the value and the limits where it is none."""
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise UserError(f"{name} = {_short(value)}: give a number from {low:g} to {high:g}")
    return int(value) if isinstance(value, Integral) else float(value)


def whole_from(name: str, value: object, limits: tuple[float, float]) -> int:
    """The whole number, numpy's too. Raises UserError as `number_from` does."""
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise UserError(f"{name} = {_short(value)}: give a whole number from {low:g} to {high:g}")
    return int(value)


def path_from(name: str, value: object, what: str = "a path") -> Path:
    """The path that a str or an os.PathLike names. Raises UserError, which says `what` to give."""
    if not isinstance(value, str | os.PathLike):
        raise UserError(f"{name} = {_short(value)}: give {what}, a str or a Path")
    return Path(value)


def flag_from(name: str, value: object) -> bool:
    """The value if it is a bool: 'no' is true, and must not count as consent. Else UserError."""
    if not isinstance(value, bool):
        raise UserError(f"{name} = {_short(value)}: give True or False")
    return value


def text_from(name: str, value: object, what: str) -> str:
    """The value if it is a str. Raises UserError, which says `what` to give."""
    if not isinstance(value, str):
        raise UserError(f"{name} = {_short(value)}: give {what}, a str")
    return value


def names_from(name: str, value: object, what: str) -> list[str]:
    """One name or more: a str, in which commas separate them, or a list of them, without blanks.

    Raises UserError, which says `what` to give.
    """
    words: list[object] = []
    if isinstance(value, str):
        words = [word.strip() for word in value.split(",") if word.strip()]
    elif isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        words = list(value)
    names = [word for word in words if isinstance(word, str) and word]
    if not names or len(names) < len(words):
        raise UserError(f"{name} = {_short(value)}: give {what}, a str or a list of them")
    return names


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
