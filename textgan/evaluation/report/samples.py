"""Texts beside the training sentences that are nearest to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from textgan.evaluation.report.runs import (
    System,
    examples_of,
    rows_of,
)
from textgan.metrics.functional.nearest import longest_common

LONGEST = 600  # letters of an example


def examples(systems: Sequence[System]) -> list[dict[str, Any]]:
    """Return each model's texts beside their nearest training sentences, run by run."""
    blocks = []
    for system in systems:
        rows = {run: few for run, few in rows_of(system, examples_of).items() if few}
        if rows and system.role in ("mle", "method"):
            aligned = [(run, [_aligned(one) for one in few]) for run, few in rows.items()]
            blocks.append({"name": system.name, "runs": aligned})
    return blocks


def _aligned(example: Mapping[str, Any]) -> dict[str, Any]:
    """A text and its nearest training sentence in pieces, what both have marked; its source and its
    reference where it has any."""
    text, near, share = str(example["text"]), example.get("nearest"), example.get("share")
    answering = {
        key: None if example.get(key) is None else _short(str(example[key]))
        for key in ("source", "reference")
    }
    if near is None or share is None:
        alone = {"text": [(_short(text), False)], "near": None, "share": None, "copied": False}
        return alone | answering
    near = str(near)
    spaced = " " in text.strip() or " " in near.strip()
    words, others = (_short(one).split() if spaced else list(_short(one)) for one in (text, near))
    glue = " " if spaced else ""
    return {
        "text": _pieces(words, others, glue),
        "near": _pieces(others, words, glue),
        "share": f"{math.floor(100 * share)} %",
        "copied": text.split() == near.split(),
        **answering,
    }


def _pieces(words: Sequence[str], others: Sequence[str], glue: str) -> list[tuple[str, bool]]:
    """The text in pieces, those that it shares with another marked."""
    pieces, done = [], 0
    for start, end in longest_common(words, others):
        pieces += [(glue.join(words[done:start]), False), (glue.join(words[start:end]), True)]
        done = end
    pieces = [piece for piece in [*pieces, (glue.join(words[done:]), False)] if piece[0]]
    return [one for piece in pieces for one in ((glue, False), piece)][1:]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
