"""textgan list: what parts there are, and the settings of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, get_args

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.names import Kind, suggest
from textgan.core.own_code import Typed
from textgan.core.settings import settings_of
from textgan.core.tables import filled, terminal_width

Parts = dict[Kind, dict[str, type[Any]]]  # by kind and name


def find_parts(wanted: Sequence[str]) -> Parts:
    """Return the parts of these names, kinds or files; all of textgan's where none is given.

    A name may be that of several kinds' parts. Raises UserError for what there is not.
    """
    kinds: tuple[Kind, ...] = get_args(Kind)
    every: Parts = {
        kind: {name: registry.find(kind, name) for name in registry.names(kind)} for kind in kinds
    }
    if not wanted:
        return every
    plural = {f"{kind}s": kind for kind in kinds}
    chosen: Parts = {kind: {} for kind in kinds}
    for word in wanted:
        if registry.is_file(word):
            for kind, named in _in_file(word).items():
                chosen[kind] |= named
            continue
        if (whole := plural.get(word, word)) in every:
            chosen[whole] |= every[whole]
        kinds_of = [kind for kind in kinds if word in every[kind]]
        for kind in kinds_of:
            chosen[kind][word] = every[kind][word]
        if not kinds_of and whole not in every:
            known = [*plural, *(name for parts in every.values() for name in parts)]
            raise UserError(
                f"there is no part called {word!r}{suggest(word, known)}; give a name, "
                f"one of {', '.join(plural)}, or path/to/file.py"
            )
    return {kind: parts for kind, parts in chosen.items() if parts}


def _in_file(word: str) -> Parts:
    """The parts in a file, or the one that is named."""
    path, colon, class_name = word.rpartition(":")
    path = path if colon else word
    own = registry.parts_in(path, "list", Typed())
    chosen: Parts = {}
    for kind, parts in own.items():
        wanted = [name for name in parts if not colon or name == class_name]
        if wanted:
            chosen[kind] = {
                f"{path}:{name}": registry.find(kind, f"{path}:{name}", "list", Typed())
                for name in wanted
            }
    if not chosen:
        known = ", ".join(name for parts in own.values() for name in parts) or "none"
        what = f"no part called {class_name}" if colon else "no part"
        raise UserError(f"{word}: the file defines {what}; its parts: {known}")
    return chosen


def facts(part: type[Any]) -> dict[str, Any]:
    """Describe a part for JSON."""
    return {
        "doc": summary(part),
        "paper": getattr(part, "paper", ""),
        "prefers": prefers(part),
        "settings": [setting._asdict() for setting in settings_of(part)],
        "remarks": registry.remarks(part),
    }


def summary(part: type[Any]) -> str:
    """Return the first line of its docstring; empty where it has none of its own."""
    doc = part.__doc__ or ""
    generated = doc.startswith(f"{part.__name__}(")  # a dataclass without one
    return "" if generated else next(iter(doc.strip().splitlines()), "")


def prefers(part: type[Any]) -> dict[str, object]:
    """Return the settings of a run that a method or a generator prefers to the common defaults."""
    return dict(getattr(part, "defaults", {}))


def describe(parts_by_kind: Parts, width: int | None = None) -> str:
    """Format the parts as text, no line wider than the terminal where its words allow it."""
    width = max(40, width or terminal_width())
    lines: list[str] = []

    def add(text: str, first: int, indent: int) -> None:
        lines.append(filled(text, width, indent, first))

    for kind, parts in parts_by_kind.items():
        lines.append(f"{kind}s")
        for name, part in parts.items():
            add(f"{name}: {summary(part)}".removesuffix(": "), 2, 2)
            if paper := getattr(part, "paper", ""):
                add(f"paper: {paper}", 4, 2)
            if kind == "objective":
                add(f"usual pair: {part.generator}, {part.discriminator or 'none'}", 4, 2)
            if preferred := prefers(part):
                shown = ", ".join(f"{key}={value}" for key, value in preferred.items())
                add(f"prefers: {shown}", 4, 2)
            for setting in settings_of(part):
                at = {"metric": f"{name}.", "perturbation": ""}.get(kind, f"{kind}.")
                default = json.dumps(setting.default)
                add(f"{at}{setting.name} = {default}", 4, 4)
                add(f"({setting.values}) {setting.doc}", 8, 0)
            for remark in registry.remarks(part):
                add(f"note: {remark}", 4, 2)
        lines.append("")
    return "\n".join(lines)
