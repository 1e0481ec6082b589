"""The tables of numbers: a system a column, a metric a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from textgan.core.names import join_names
from textgan.core.score import Better, Score, Scores, names_of
from textgan.core.statistics import Estimate
from textgan.evaluation.report.gaps import gaps
from textgan.evaluation.report.runs import (
    RunRecord,
    Source,
    System,
    mean_over_runs,
    results_of,
    rows_of,
    scores_of,
)
from textgan.evaluation.results import decoded

# what a reader wants to know first
HEADLINE = (
    "nll_oracle", "nll_test", "bleu4", "self_bleu4", "lm_score", "reverse_lm", "frechet", "mauve",
    "d_accuracy", "novelty", "sacrebleu", "chrf", "ter", "sacrebleu_test", "adversuc",
    "machine_vs_random", "ere",
)  # fmt: skip

HEADLINE_OF_PAIRS = (  # in this order
    "sacrebleu_test", "sacrebleu", "chrf", "ter", "nll_oracle", "nll_test", "peakiness",
    "distinct2", "adversuc", "machine_vs_random", "ere",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One number of one system: over its seeds, and each of them by the run it is of."""

    system: System
    estimate: Estimate
    each: Mapping[str, Score]
    best: bool = False
    past: bool = False  # beyond real text

    @property
    def about(self) -> str:
        """Every run's number and its signature, for who points at the cell."""
        lines = [f"{run}: {one.estimate}" for run, one in self.each.items()]
        return "\n".join([*lines, *self.signatures])

    @property
    def signatures(self) -> list[str]:
        """The different ones; none where the numbers came without."""
        return [one for one in dict.fromkeys(s.signature for s in self.each.values()) if one]


@dataclass(frozen=True)
class Line:
    """One metric of a table: a cell for each column, None where it was not measured."""

    key: str
    title: str
    better: Better
    unit: str
    cells: Sequence[Cell | None]

    @property
    def signatures(self) -> dict[str, list[str]]:
        """Every signature with the names of the columns whose numbers carry it."""
        columns: dict[str, list[str]] = {}
        for cell in filter(None, self.cells):
            for signature in cell.signatures:
                columns.setdefault(signature, []).append(cell.system.name)
        return columns

    @property
    def comparable(self) -> bool:
        """Whether all models' numbers carry one signature."""
        return len({one for cell in _models(self.cells) for one in cell.signatures}) <= 1


def tables(runs: Sequence[RunRecord], systems: Sequence[System]) -> list[dict[str, Any]]:
    """Make the table of evaluations; where a run lacks one, that of the end of training too."""
    sources: list[tuple[str, Source[Scores]]] = []
    if any(run.evaluation for run in runs):
        sources.append(("", scores_of))
    if any(run.results and not run.evaluation for run in runs):
        sources.append(("At the end of training", results_of))
    return [table(title, systems, source) for title, source in sources]


def table(title: str, systems: Sequence[System], source: Source[Scores]) -> dict[str, Any]:
    """Make a table with a column for each system of which there is a row, and a line for each
    metric."""
    columns = [(one, rows) for one in systems if (rows := rows_of(one, source))]
    keys = names_of([row for _, rows in columns for row in rows.values()])
    lines = []
    for key in keys:
        cells: list[Cell | None] = []
        for system, rows in columns:
            each = {run: row[key] for run, row in rows.items() if key in row}
            cells.append(
                Cell(system, mean_over_runs(system, each.values()), each) if each else None
            )
        first = next(score for cell in filter(None, cells) for score in cell.each.values())
        lines.append(marked(Line(key, first.title, first.better, first.unit, cells)))
    facts = [run.evaluation.facts for run in systems[0].runs if run.evaluation]
    lacking: dict[tuple[str, str], list[str]] = {}
    if source is scores_of:
        for run in systems[0].runs:
            for metric, why in (run.evaluation.unavailable if run.evaluation else {}).items():
                lacking.setdefault((metric, why), []).append(run.name)
    else:
        ended = [run.results for run in systems[0].runs if run.results]
        facts = [{"samples": one.samples, "temperature": 1.0} for one in ended]
    several = any(len(rows) > 1 for one, rows in columns if one.role in ("mle", "method"))
    return {
        "title": title,
        "columns": [
            {"system": one, "runs": list(rows), "about": _seeds(one, list(rows), source)}
            for one, rows in columns
        ],
        "lines": lines,
        "headline": _headline(lines, any(run.has_sources for run in systems[0].runs)),
        "gaps": gaps(systems) if source is scores_of else [],
        "flagged": any(cell.estimate.degenerate for line in lines for cell in line.cells if cell),
        "several": several,
        "lacking": [(metric, why, names) for (metric, why), names in lacking.items()],
        "evaluators": any("|n_test:" in one for line in lines for one in line.signatures),
        "signed": any(line.signatures for line in lines),
        "how": _measured(facts),
    }


def _headline(lines: Sequence[Line], pairs: bool) -> list[Line]:
    """What a reader wants to know first; of pairs what compares answers with references."""
    if not pairs:
        return [line for line in lines if line.key in HEADLINE]
    by_key = {line.key: line for line in lines}
    return [by_key[key] for key in HEADLINE_OF_PAIRS if key in by_key]


def marked(line: Line) -> Line:
    """Return a line with the best of the models marked, where it is clear, and what is past real
    text.

    The best is clear where its interval and that of every other model do not overlap. What is past
    real text is not better for it, and is not marked as the best.
    """
    real = next((cell.estimate for cell in line.cells if cell and cell.system.role == "real"), None)
    models = list(_models(line.cells))
    past = []
    if real is not None and line.better != "like real text":
        level = _loss(real, line.better, None)
        past = [cell for cell in models if _loss(cell.estimate, line.better, None)[1] < level[0]]
    best = None
    sure = all(cell.estimate.low is not None and not cell.estimate.degenerate for cell in models)
    if len(models) > 1 and sure and line.comparable and (real or line.better != "like real text"):
        losses = [_loss(cell.estimate, line.better, real) for cell in models]
        first = min(range(len(models)), key=lambda i: losses[i][1])
        others = [low for i, (low, _) in enumerate(losses) if i != first]
        if losses[first][1] < min(others) and models[first] not in past:
            best = models[first]
    cells = [
        replace(cell, best=cell is best, past=any(cell is one for one in past)) if cell else None
        for cell in line.cells
    ]
    return replace(line, cells=cells)


def _loss(one: Estimate, better: Better, real: Estimate | None) -> tuple[float, float]:
    """An interval of how bad a number is: how far from real text, or from good."""
    low = one.value if one.low is None else one.low
    high = one.value if one.high is None else one.high
    if better == "lower":
        return low, high
    if better == "higher":
        return -high, -low
    assert real is not None
    bottom = real.value if real.low is None else real.low
    top = real.value if real.high is None else real.high
    return max(0.0, low - top, bottom - high), max(high - bottom, top - low)


def _models(cells: Iterable[Cell | None]) -> Iterable[Cell]:
    return (cell for cell in cells if cell and cell.system.role in ("mle", "method"))


def _seeds(system: System, names: Sequence[str], source: Source[Scores]) -> str:
    """Under a column's name: over how many seeds it is; of real text what it is."""
    if system.role == "real":
        rows = dict.fromkeys(source(run)[1] for run in system.runs if run.name in names)
        return join_names([row for row in rows if row != system.name], 2)
    if system.role == "other":
        return ""
    if len(names) > 1:
        return f"{len(names)} seeds"
    run = next(run for run in system.runs if run.name == names[0])
    best = run.evaluation is not None and run.evaluation.same and source is scores_of
    return f"seed {run.seed}" + (", its best MLE epoch" if best else "")


def _measured(facts: Sequence[Mapping[str, Any]]) -> str:
    """On what the numbers of a table were taken."""
    parts = []
    described = [{**one, "decoding": decoded(one)} for one in facts]
    for key, phrase in (
        ("samples", "on {} texts"),
        ("decoding", "{}"),
        ("tokenizer", "tokeniser {}"),
    ):
        values = dict.fromkeys(one[key] for one in described if one.get(key))
        if values:
            shown = [f"{v:,.9g}" if isinstance(v, int | float) else str(v) for v in values]
            parts.append(phrase.format(join_names(shown, 4)))
    return ", ".join(parts)
