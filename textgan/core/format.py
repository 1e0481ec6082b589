"""Numbers, estimates and paths as the report shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from textgan.core.statistics import Estimate


def format_number(value: object) -> str:
    """Format a number with separators and a few decimals; anything else as its `str`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) >= 1000):
        return f"{int(value):,}".replace("-", "−")
    return _decimal(value, value)


def format_value(value: object) -> str:
    """Format a number, or several with commas."""
    return ", ".join(map(format_number, value)) if isinstance(value, list) else format_number(value)


def format_estimate(estimate: Estimate) -> str:
    """Format the value of an estimate, without its interval."""
    return _decimal(estimate.value, estimate.value)


def format_interval(estimate: Estimate) -> str:
    """Format the interval of an estimate, to the decimals of its value; "" where it has none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{_decimal(estimate.low, estimate.value)}, {_decimal(estimate.high, estimate.value)}]"


def _decimal(value: float, like: float) -> str:
    size = abs(like)
    if 0 < size < 0.001:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:,.{3 if size < 100 else 1 if size < 10_000 else 0}f}".replace("-", "−")


def basename(word: str) -> str:
    """Return a word, but of an absolute path, also one after an equals sign, only its last part."""
    key, equals, value = word.partition("=")
    if equals:
        return f"{key}={basename(value)}"
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(word).is_absolute():
            return kind(word).name
    return word


def without_paths(value: Any) -> Any:
    """Return a value in which every absolute path, at any depth, is cut down to its name."""
    if isinstance(value, Mapping):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner) for inner in value]
    return basename(value) if isinstance(value, str) else value


def strip_paths(sentence: object) -> str:
    """Return a sentence in which paths are cut down to their names."""
    return re.sub(
        r"(?<![\w.~<:/])/(?:[^\s/'\"<>]+/)+|\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)*", "", str(sentence)
    )
