"""EncoderResult: what came of training an encoder, as a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textgan.core.tables import Shown, Table
from textgan.core.version import __version__

NOISE = 0.2  # share of the words that a copy of a line lacks
_ARROWS = {"alignment": " ↓", "uniformity": " ↓", "accuracy@1": " ↑"}


@dataclass(frozen=True, repr=False)
class EncoderResult(Shown):
    """The folder of a trained encoder and its table.

    rows: measures of the test lines, before training and at its best. best: the metric that chose
    the weights, its value, and after which update. lines: how many it was measured on. warnings:
    what a reader should know.
    """

    folder: Path
    rows: dict[str, dict[str, float]]
    best: dict[str, Any]
    lines: int
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "textgan": __version__,
            "rows": self.rows,
            "best": self.best,
            "lines": self.lines,
            "warnings": list(self.warnings),
        }

    def shown(self) -> list[Table | str]:
        names = list(next(iter(self.rows.values())))
        body = [[row, *(f"{one[name]:.3f}" for name in names)] for row, one in self.rows.items()]
        headers = [name + _ARROWS.get(name, "") for name in names]
        return [
            Table(["", *headers], body),
            f"on {self.lines} held-out lines and copies that lack {NOISE:.0%} of the words",
            *(f"warning: {text}" for text in self.warnings),
            f"next       textgan evaluate TEXTS --references FILE --encoder {self.folder}",
        ]
