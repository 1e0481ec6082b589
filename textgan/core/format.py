"""How a page words numbers, names and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from textgan.core.statistics import Estimate


def number(value: object) -> str:
    """As a table shows it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) >= 1000):
        return f"{int(value):,}".replace("-", "−")
    return _decimal(value, value)


def said(value: object) -> str:
    """A number, or several with commas."""
    return ", ".join(map(number, value)) if isinstance(value, list) else number(value)


def middle(estimate: Estimate) -> str:
    """The number itself."""
    return _decimal(estimate.value, estimate.value)


def interval(estimate: Estimate) -> str:
    """Its ends, to as many decimals as the number has; nothing where there are none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{_decimal(estimate.low, estimate.value)}, {_decimal(estimate.high, estimate.value)}]"


def _decimal(value: float, like: float) -> str:
    size = abs(like)
    if 0 < size < 0.001:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:,.{3 if size < 100 else 1 if size < 10_000 else 0}f}".replace("-", "−")


def bare(word: str) -> str:
    """The word; of an absolute path, also one after an equals sign, only the name."""
    key, equals, value = word.partition("=")
    if equals:
        return f"{key}={bare(value)}"
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(word).is_absolute():
            return kind(word).name
    return word


def without_paths(value: Any) -> Any:
    """The same with every absolute path cut down to its name, in whatever it is nested."""
    if isinstance(value, Mapping):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner) for inner in value]
    return bare(value) if isinstance(value, str) else value


def strip_paths(sentence: object) -> str:
    """A sentence, with the paths in it cut down to their names."""
    return re.sub(
        r"(?<![\w.~<:/])/(?:[^\s/'\"<>]+/)+|\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)*", "", str(sentence)
    )
