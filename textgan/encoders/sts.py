"""Semantic textual similarity: does what people call alike have vectors that are alike?

The field's protocol, "all" (Gao et al. 2021, arXiv 2104.08821, appendix B): Spearman's correlation
x 100 of cosines with people's scores, over the pairs of all subsets put together. The mean over the
subsets, which older papers give, is another number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from textgan.core.errors import UserError
from textgan.core.statistics import Estimate, Floats, percentiles
from textgan.data.lines import read_lines
from textgan.encoders.similarity import resampled_spearman, spearman

ALL = "all"
FORM = "give score, sentence, sentence in every line, or a subset's name before them, between tabs"
FEWEST = 3  # pairs; any two correlate by 1 or -1


@dataclass(frozen=True)
class Sts:
    """Pairs of sentences, how alike people call those of each, and which subset each is of.

    gold: (N,) on any scale. subsets: N names, or none where the file has no subsets.
    """

    gold: Floats
    first: list[str]
    second: list[str]
    subsets: list[str]

    def parts(self) -> dict[str, NDArray[np.int64]]:
        """Return the indices of the pairs (M,) of each number: `all`, then each subset in the
        file's order."""
        subsets = np.array(self.subsets)
        parts = {ALL: np.arange(len(self.gold), dtype=np.int64)}
        parts |= {name: np.flatnonzero(subsets == name) for name in dict.fromkeys(self.subsets)}
        return parts


def read_sts(path: Path) -> Sts:
    """Read the pairs of a TSV file: score, sentence, sentence; or subset, score, sentence,
    sentence.

    Empty lines are left out, and so is a first line that names the column `score`. Raises UserError
    that names the line for one that is of another form, and for scores that order nothing.
    """
    name = f"sts = {str(path)!r}"
    rows: list[list[str]] = []
    gold: list[float] = []
    for number, line in enumerate(read_lines(path, "sts"), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not any(cells):
            continue
        columns = len(rows[0]) if rows else len(cells)
        if len(cells) not in (3, 4) or len(cells) != columns:
            tabs = f"{len(cells) - 1} tab{'' if len(cells) == 2 else 's'}"
            before = f" and those before it {columns - 1}" if rows else ""
            raise UserError(f"{name}: line {number} has {tabs}{before}; {FORM}")
        *subset, score, first, second = cells
        if not rows and score.lower() == "score":
            continue
        wrong = ""
        if not (first and second and all(subset)):
            wrong = "a sentence is missing" if all(subset) else "the subset's name is missing"
        elif (value := _number(score)) is None:
            wrong = f"the score {score[:40]!r} is not a number"
        elif subset == [ALL]:
            wrong = f"no subset can be called {ALL!r}"
        if wrong or value is None:
            raise UserError(f"{name}: in line {number} {wrong}; {FORM}")
        rows.append(cells)
        gold.append(value)
    if len(rows) < FEWEST:
        raise UserError(f"{name} has {len(rows)} pairs of sentences; at least {FEWEST} are needed")
    if len(set(gold)) == 1:
        raise UserError(f"{name}: all scores are {gold[0]:g}, which orders nothing; {FORM}")
    named = len(rows[0]) == 4
    return Sts(
        np.array(gold),
        [cells[-2] for cells in rows],
        [cells[-1] for cells in rows],
        [cells[0] for cells in rows] if named else [],
    )


def correlation(
    cosines: ArrayLike, gold: ArrayLike, resamplings: int = 0, seed: int = 0
) -> Estimate:
    """Compute Spearman's correlation x 100 of cosines with people's scores (N,).

    The interval is of the bootstrap over pairs. Raises ValueError for fewer than three pairs, and
    where one side is all equal.
    """
    if np.size(gold) < FEWEST:
        raise ValueError(f"{np.size(gold)} pairs; at least {FEWEST} are needed")
    rounded = np.round(np.asarray(cosines, dtype=np.float64), 12)  # rounding orders nothing
    value = 100 * spearman(rounded, gold)
    replicates = 100 * resampled_spearman(rounded, gold, resamplings, seed)
    return percentiles(value, replicates) if len(replicates) else Estimate(value)


def _number(cell: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
