"""What runs' folders hold, and whom it is about: real text, MLE, methods over their seeds.

Only files are read, no network is built, so a run of a method in a file of one's own opens too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, Literal, TypeVar

from textgan.core.format import bare, without_paths
from textgan.core.names import different, listed
from textgan.core.score import Score, Scores, read_score
from textgan.core.settings import flat
from textgan.evaluation.report.charts import PALETTE
from textgan.evaluation.results import Evaluation
from textgan.training.results import COLUMNS, Results

DULL = ("seed", "device", "checkpoint_seconds")  # settings that make no other method
Role = Literal["real", "mle", "method", "other"]


@dataclass(frozen=True)
class Told:
    """What one run's folder holds."""

    name: str
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    results: Results | None
    records: Sequence[Mapping[str, Any]]
    evaluation: Evaluation | None
    curve: Mapping[str, Any] | None

    @property
    def method(self) -> str:
        """The objective, without the folder of a file of one's own."""
        return bare(str(self.config["objective"]["name"])).rpartition("/")[2]

    @property
    def seed(self) -> int:
        """The run's."""
        return int(self.config["seed"])

    @property
    def data(self) -> Mapping[str, Any]:
        """Facts about the data."""
        found = self.facts.get("data", {})
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def language(self) -> str:
        """Equal for runs whose texts compare: of the same data, split alike."""
        same = [self.config.get("data"), self.config.get("oracle"), self.data.get("sha256")]
        return json.dumps(same, sort_keys=True)

    @cached_property
    def recipe(self) -> str:
        """Equal for runs that differ in their seed alone."""
        settings = {key: value for key, value in self.config.items() if key not in DULL}
        return json.dumps([settings, self.language], sort_keys=True)

    @cached_property
    def mle_recipe(self) -> str:
        """Equal for runs whose MLE is the same but for its seed, whatever came after it."""
        schedule, rates = self.config.get("schedule", {}), self.config.get("optimisers", {})
        parts = [self.language, self.config.get("generator")]
        parts += [schedule.get("mle_epochs"), schedule.get("batch_size")]
        return json.dumps([*parts, rates.get("mle_lr"), rates.get("clip")], sort_keys=True)


@dataclass(frozen=True)
class System:
    """What a column or a line is about: real text, MLE, a method; with the runs that tell of it.

    name: as in a table. short: beside a line. style: of its lines, see charts; None: no line.
    """

    name: str
    short: str
    role: Role
    style: int | None
    runs: tuple[Told, ...]


# what a run has to say of each of its rows, and which of them is real text
Content = TypeVar("Content")
Source = Callable[[Told], tuple[Mapping[str, Content], str | None]]


def systems_of(runs: Sequence[Told]) -> list[System]:
    """Real text, MLE, the methods, and whatever else a run has a row of.

    Runs that differ in their seed alone are one method, and runs whose MLE was told the same tell
    of one MLE, which has the same colour everywhere.
    """
    groups: dict[str, list[Told]] = {}
    mles: dict[str, list[Told]] = {}
    others: dict[str, None] = {}
    for run in runs:
        groups.setdefault(run.recipe, []).append(run)
        mles.setdefault(run.mle_recipe, []).append(run)
        for source in (scores_of, results_of):
            rows, real = source(run)
            others |= dict.fromkeys(row for row in rows if _role(row, real) == "other")
    systems = [System("real text", "real text", "real", None, tuple(runs))]
    of_mle = count(0, len(PALETTE))
    for some in mles.values():
        methods = listed(list(dict.fromkeys(run.method for run in some)), 2)
        whose = f" of {methods}" if len(mles) > 1 else ""
        name = f"MLE, best epoch{whose}"
        systems.append(System(name, f"MLE{whose}", "mle", next(of_mle), tuple(some)))
    of_methods = (i for i in count() if i % len(PALETTE))
    names = different([_name(group, list(groups.values())) for group in groups.values()])
    for name, group in zip(names, groups.values(), strict=True):
        style = next(of_mle if group[0].method == "mle" else of_methods)
        systems.append(System(f"{name}, last", name, "method", style, tuple(group)))
    return systems + [System(row, row, "other", None, tuple(runs)) for row in others]


def rows_of(subject: System, source: Source[Content]) -> dict[str, Content]:
    """What the runs say of a subject, by run.

    A seed counts once: two runs with the same settings and the same seed are one and the same.
    """
    found: dict[str, Content] = {}
    seeds: set[int] = set()
    for run in subject.runs:
        rows, real = source(run)
        for row, content in rows.items():
            fits = _role(row, real) == subject.role
            if subject.role == "other":
                fits = fits and row == subject.name
            elif subject.role != "real":
                fits = fits and run.seed not in seeds
            if fits:
                seeds.add(run.seed)
                found[run.name] = content
    return found


def repeated(methods: Sequence[System]) -> list[tuple[str, str]]:
    """Runs that tell nothing new, each with the run that it repeats."""
    first: dict[tuple[str, int], str] = {}
    return [
        (run.name, spoke)
        for method in methods
        for run in method.runs
        if (spoke := first.setdefault((method.name, run.seed), run.name)) != run.name
    ]


def _role(row: str, real: str | None) -> Role:
    if row == real:
        return "real"
    if row.startswith("MLE, best epoch"):
        return "mle"
    return "method" if row.endswith(", last") else "other"


def _name(group: Sequence[Told], groups: Sequence[Sequence[Told]]) -> str:
    """The method, with the settings in which it differs from others of the same method."""
    alike = [flat(other[0].config) for other in groups if other[0].method == group[0].method]
    differing = [
        f"{key.rpartition('.')[2]} {value}"
        for key, value in flat(without_paths(group[0].config)).items()
        if key not in DULL and any(other.get(key) != value for other in alike)
    ]
    return group[0].method + (f" ({listed(differing, 2)})" if differing else "")


def scores_of(run: Told) -> tuple[Mapping[str, Scores], str | None]:
    """Rows of an evaluation."""
    found = run.evaluation
    return (found.rows, found.real) if found else ({}, None)


def results_of(run: Told) -> tuple[Mapping[str, Scores], str | None]:
    """Rows of the final table of training, which came without signatures."""
    if run.results is None:
        return {}, None
    rows = {
        row: {
            key: Score(
                title,
                numbers[key],
                "",
                "lower" if key.startswith(("nll", "jsd")) else "like real text",
                "nats per token" if key.startswith(("nll", "entropy")) else "",
            )
            for key, title in COLUMNS.items()
            if key in numbers
        }
        for row, numbers in run.results.rows.items()
    }
    return rows, next((row for row in ("oracle", "real, held out") if row in rows), None)


def curve_rows(run: Told) -> tuple[Mapping[str, dict[float, Scores]], str | None]:
    """Rows of a curve: by temperature their scores."""
    if run.curve is None:
        return {}, None
    return {
        row: {
            float(step["temperature"]): {k: read_score(v) for k, v in step["scores"].items()}
            for step in steps
        }
        for row, steps in run.curve["rows"].items()
    }, None


def curve_real(run: Told) -> tuple[Mapping[str, Scores], str | None]:
    """Real text, beside a curve."""
    real = run.curve.get("real") if run.curve else None
    if not real or not real["scores"]:
        return {}, None
    return {real["row"]: {k: read_score(v) for k, v in real["scores"].items()}}, real["row"]


def examples_of(run: Told) -> tuple[Mapping[str, Sequence[Mapping[str, Any]]], str | None]:
    """Texts of each row, with their nearest training sentence."""
    found = run.evaluation
    return (found.facts.get("examples", {}), found.real) if found else ({}, None)
