"""Names as messages and tables have them: close ones, short lists, what tells several apart."""

from __future__ import annotations

import difflib
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Kind = Literal["objective", "generator", "discriminator", "metric", "perturbation", "contrast"]


def title(part: type) -> str:
    """Return the name of a part in messages: `mine.py:Mine`, or its class alone where textgan
    defines it."""
    file = getattr(sys.modules.get(part.__module__), "__file__", None)
    if part.__module__.partition(".")[0] == "textgan" or file is None:
        return part.__name__
    return f"{Path(file).name}:{part.__qualname__}"


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """Return `; did you mean ...?` where a known word is spelt like this one, else ""."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def join_names(names: Sequence[object], most: int) -> str:
    """Join names as `a, b and c`; beyond `most` names, the rest is a number."""
    words = [str(name) for name in names]
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def unique_names(names: Sequence[str]) -> list[str]:
    """Number the names that came before: `a`, `a (2)`."""
    return [
        f"{name} ({before + 1})" if (before := names[:i].count(name)) else name
        for i, name in enumerate(names)
    ]


def short_repr(value: object, longest: int = 160) -> str:
    """Return the repr of any value on one line, shortened to at most `longest` letters."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in itself
        return f"a {type(value).__name__} too large to be shown"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
