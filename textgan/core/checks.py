"""Checks of what a command or a function is given, the same for both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path

from textgan.core.errors import UserError
from textgan.core.names import short_repr

LONGEST = 60  # letters of a value in a message
# from the least to the most that a command or a function takes
SEEDS = (0, 2**62)
METRIC_SEEDS = (0, 2**31)
TEMPERATURES = (1e-4, 1e4)
TEXTS = (1, 10**8)
BEAMS = (0, 1000)  # hypotheses of a beam search; 0: sampling
CANDIDATES = (0, 10**6)  # of each resampled text; 0: no resampling
LENGTH_PENALTIES = (-10.0, 10.0)
DIVERSITIES = (0.0, 1e6)
SAMPLES = (10, 10**8)  # texts that a number is taken on
SIZES = (0, 10**8)  # 0: all
RESAMPLINGS = (0, 10**6)  # 0: no intervals
CLASSIFIERS = (1, 1000)  # of each perturbation
MOST_LINES = (20, 20_000)  # that sentence encoders are compared on
RATES = (1e-9, 1.0)  # the share of words that noise touches
REPEATS = (1, 10**6)
SCALES = (1e-3, 1.0)  # the share of a benchmark that is done


def number_from(name: str, value: object, limits: tuple[float, float]) -> float:
    """Return the value as a float, numpy's numbers too. Raises UserError, which names the value and
    the limits."""
    low, high = limits
    number: float | None = None
    if isinstance(value, Real) and not isinstance(value, bool):
        number = int(value) if isinstance(value, Integral) else float(value)
    if number is None or not low <= number <= high:
        raise UserError(f"{name} = {short(value)}: give a number from {low:g} to {high:g}")
    return number


def whole_from(name: str, value: object, limits: tuple[int, int]) -> int:
    """Return the value as an int, numpy's too. Raises UserError as `number_from` does."""
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise UserError(f"{name} = {short(value)}: give a whole number from {low} to {high}")
    return int(value)


def numbers_from(name: str, value: object, limits: tuple[float, float]) -> list[float]:
    """Return one number or more: a str, in which commas separate them, or several of them.

    Raises UserError as `number_from` does.
    """
    values: Iterable[object] = [value]
    if isinstance(value, str):
        values = [_read_number(name, word) for word in value.split(",") if word.strip()]
    elif isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        values = value
    numbers = [number_from(name, one, limits) for one in values]
    if not numbers:
        raise UserError(f"{name} = {short(value)}: give at least one number")
    return numbers


def choice_from(name: str, value: object, choices: Sequence[str]) -> str:
    """Return the value if it is one of these words. Raises UserError, which lists them."""
    if not isinstance(value, str) or value not in choices:
        *others, last = choices
        listed = f"{', '.join(others)} or {last}" if others else last
        raise UserError(f"{name} = {short(value)}: give {listed}")
    return value


def path_from(name: str, value: object, what: str = "a path") -> Path:
    """Return the path that a str or an os.PathLike names. Raises UserError, which names `what` to
    give."""
    if not isinstance(value, str | os.PathLike):
        raise UserError(f"{name} = {short(value)}: give {what}, a str or a Path")
    return Path(value)


def flag_from(name: str, value: object) -> bool:
    """Return the value if it is a bool: 'no' is true, and must not count as consent. Raises
    UserError for anything else."""
    if not isinstance(value, bool):
        raise UserError(f"{name} = {short(value)}: give True or False")
    return value


def names_from(name: str, value: object, what: str) -> list[str]:
    """Return one name or more: a str, in which commas separate them, or a list of them, without
    blanks.

    Raises UserError, which names `what` to give.
    """
    words: list[object] = []
    if isinstance(value, str):
        words = [word.strip() for word in value.split(",") if word.strip()]
    elif isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        words = list(value)
    names = [word for word in words if isinstance(word, str) and word]
    if not names or len(names) < len(words):
        raise UserError(f"{name} = {short(value)}: give {what}")
    return names


def _read_number(name: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise UserError(
            f"{name}: {word.strip()!r} is not a number; give for example 1.25,1,0.8"
        ) from None


def short(value: object) -> str:
    """Return a value's repr for a message, shortened where it is long."""
    return short_repr(value, LONGEST)
