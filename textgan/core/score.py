"""Scores: numbers that say how they were taken, and tables of them.

A number without its conditions cannot be compared. So every score carries a signature, in the
manner of sacrebleu (Post 2018, arXiv 1804.08771): everything that would change the number. A final
table of a run, an evaluation and a comparison of encoders are all tables of scores.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pydantic

from textgan.core.statistics import DEGENERATE, Estimate, Floats, decimals
from textgan.core.tables import ARROWS, LEGEND, Shown, Table
from textgan.core.version import __version__

Better = Literal["higher", "lower", "like real text"]


@dataclass(frozen=True)
class Score:
    """One number of one set of texts.

    title: as in a table. replicates: the number in each resampling; empty where it has no interval.
    """

    title: str
    estimate: Estimate
    signature: str
    better: Better
    unit: str = ""
    replicates: Floats = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    @property
    def value(self) -> float:
        """The number itself."""
        return self.estimate.value

    @property
    def low(self) -> float | None:
        """The lower end of its 95 % interval."""
        return self.estimate.low

    @property
    def high(self) -> float | None:
        """The upper end of its 95 % interval."""
        return self.estimate.high

    def __str__(self) -> str:
        return str(self.estimate)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON, without the replicates."""
        return {
            **self.estimate.to_dict(),
            "title": self.title,
            "better": self.better,
            "unit": self.unit,
            "signature": self.signature,
        }

    @staticmethod
    def from_dict(content: Mapping[str, Any], replicates: Floats | None = None) -> Score:
        """Rebuild the score from what `to_dict` wrote. Raises KeyError or ValueError for anything
        else."""
        return Score(
            checked_value(content, "title", str),
            Estimate(*(checked_value(content, key, kind) for key, kind in _NUMBERS.items())),
            checked_value(content, "signature", str),
            checked_value(content, "better", Better),
            checked_value(content, "unit", str),
            np.empty(0) if replicates is None else replicates,
        )


Scores = dict[str, Score]
"""Scores by name, in the order of a table."""

_NUMBERS: dict[str, Any] = {"value": float, "low": float | None, "high": float | None}


def sign(name: str, **facts: object) -> str:
    """Make a signature: the name of a number, everything that would change it, and this version.

    Such as `bleu|n:4|tok:nltk|v:0.1.0`; a fact without a value (None) is its key alone.
    """
    parts = [f"{key}:{value}" if value is not None else key for key, value in facts.items()]
    return "|".join([name, *parts, f"v:{__version__}"])


def scores_to_dict(scores: Mapping[str, Score]) -> dict[str, Any]:
    """Convert scores for JSON."""
    return {name: score.to_dict() for name, score in scores.items()}


def scores_from_dict(content: Mapping[str, Any]) -> Scores:
    """Rebuild scores from what `scores_to_dict` wrote. Raises KeyError or ValueError."""
    return {name: Score.from_dict(score) for name, score in content.items()}


@dataclass(frozen=True, repr=False)
class ScoreTable(Shown):
    """Scores of several sets of texts, or of several encoders: a row each.

    rows: the scores of each row by their names. real: the name of the row of real text, None where
    there is none. unavailable: metrics that could not be measured, and what they would have needed.
    warnings: what a reader must know of the numbers. facts: what was measured, and how.
    """

    rows: dict[str, Scores]
    real: str | None = None
    unavailable: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def real_scores(self) -> Scores:
        """The row of real text; empty where there is none."""
        return self.rows.get(self.real, {}) if self.real is not None else {}

    @property
    def same(self) -> dict[str, str]:
        """The rows that are another one, measured once, with the name of that: the best MLE epoch
        where it is the last state."""
        same: dict[str, str] = self.facts.get("same", {})
        return same

    @property
    def columns(self) -> dict[str, Scores]:
        """The rows as a table has them, those that are one and the same in one."""
        names = {other: f"{row} = {other}" for row, other in self.same.items()}
        rows = ((row, scores) for row, scores in self.rows.items() if row not in self.same)
        return {names.get(row, row): scores for row, scores in rows}

    @property
    def last(self) -> Scores:
        """The last row: of a run, the generator as training left it."""
        return list(self.rows.values())[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "textgan": __version__,
            "rows": {row: scores_to_dict(scores) for row, scores in self.rows.items()},
            "real": self.real,
            "unavailable": self.unavailable,
            "warnings": self.warnings,
            "facts": self.facts,
        }

    @abstractmethod
    def footnotes(self) -> list[str]:
        """Return the notes below the table, without the warnings."""

    def shown(self) -> list[Table | str]:
        return [table_of(self.columns), *self.lines_below()]

    def lines_below(self) -> list[str]:
        """Return all lines below the table."""
        scores = (score for row in self.rows.values() for score in row.values())
        flag = [DEGENERATE] if any(score.estimate.degenerate for score in scores) else []
        return [*flag, *self.footnotes(), *(f"warning: {warning}" for warning in self.warnings)]


def checked_value(content: Mapping[str, Any], key: str, kind: Any) -> Any:
    """Return the value under a key of parsed JSON. Raises KeyError, or ValueError unless it is of
    that type."""
    try:
        return pydantic.TypeAdapter(kind).validate_python(content[key], strict=True)
    except pydantic.ValidationError as error:
        raise ValueError(f"{key}: {error.errors()[0]['msg']}") from None


def names_of(rows: Sequence[Mapping[str, Score]]) -> list[str]:
    """Return the names of all scores in the order of a table: those of the longest row first."""
    fullest = sorted(rows, key=len, reverse=True)
    return list(dict.fromkeys(name for row in fullest for name in row))


def table_of(
    rows: Mapping[str, Mapping[str, Score]], intervals: bool = True, title: str = ""
) -> Table:
    """Make a table with a line for each metric and a column for each row of scores."""

    def cell(score: Score) -> str:
        return score.estimate.flagged if intervals else decimals(score.value)

    body, narrow = [], []
    for name in names_of(list(rows.values())):
        # the last row's: real text, the first, is not at the temperature that a title may name
        score = next(rows[row][name] for row in reversed(list(rows)) if name in rows[row])
        cells = [cell(scores[name]) if name in scores else "" for scores in rows.values()]
        body.append([score.title, score.better, *cells, score.unit])
        unit = f"\n  {score.unit}" if score.unit else ""
        narrow.append([f"{score.title} {ARROWS[score.better]}{unit}", *cells])
    slim = Table(["", *rows], narrow, footnote=LEGEND)
    return Table(["", "better", *rows, ""], body, title=title, narrow=slim)
