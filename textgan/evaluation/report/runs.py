"""Records of runs' folders, and the systems that a report compares: real text, MLE, methods.

Only files are read and no network is built, so a run of a method in a file of one's own opens too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic

from textgan.core.errors import UserError
from textgan.core.files import exists, is_folder, read_json, understood
from textgan.core.format import basename, without_paths
from textgan.core.identity import CONFIG, FACTS, NO_EXPERIMENT, experiment_of, identify
from textgan.core.log import curves_fault, read_records
from textgan.core.names import join_names, unique_names
from textgan.core.score import Score, Scores
from textgan.core.settings import flatten
from textgan.core.statistics import Estimate, over_seeds
from textgan.evaluation.report.charts import PALETTE
from textgan.evaluation.results import FILE, Evaluation, read_evaluation
from textgan.evaluation.temperature_sweep import Sweep, Unkept, read_sweep
from textgan.training.results import COLUMNS, MLE_ROW, Results, read_results

Role = Literal["real", "mle", "method", "other"]
Table = Mapping[str, Any]


class _Part(pydantic.BaseModel):
    name: str


class _Config(pydantic.BaseModel):
    """The part of config.json that is read."""

    seed: int
    objective: _Part
    data: dict[str, Any] = {}
    schedule: dict[str, Any] = {}
    optimisers: dict[str, Any] = {}


class _Facts(pydantic.BaseModel):
    """The part of run.json that is read."""

    data: dict[str, Any] = {}
    command: list[str] | None = None
    init: dict[str, Any] = {}


class _Example(pydantic.BaseModel):
    """A text and the training sentence nearest to it; what it answers, and what people answered."""

    text: str
    source: str | None = None
    reference: str | None = None
    nearest: str | None = None
    share: float | None = None


class _EvaluationFacts(pydantic.BaseModel):
    """The part of evaluation.json's facts that is read."""

    examples: dict[str, list[_Example]] = {}


@dataclass(frozen=True)
class RunRecord:
    """A record of one run's folder, read without building its networks.

    name: in a report. records: the points of its curves, without those of the discriminator's
    pretraining. fault: what is wrong with them, in one sentence; "" where all is well.
    """

    name: str
    config: Table
    facts: Table
    results: Results | None
    records: Sequence[Table]
    evaluation: Evaluation | None
    curve: Sweep | None
    fault: str = ""

    @staticmethod
    def open(folder: Path, name: str = "", unkept: Unkept | None = None) -> RunRecord:
        """Read a run's folder. unkept: what was measured of it and the folder could not keep.

        Raises UserError for a folder that is not a run or is damaged.
        """
        if not exists(folder / CONFIG):
            what = "is not a run (it has no config.json)" if is_folder(folder) else "does not exist"
            raise UserError(f"{str(folder)!r} {what}; a run is a folder made by textgan train")
        identify(folder)  # raises where the files of the run do not belong together
        unkept = unkept or Unkept()
        results = read_results(folder)
        evaluation = unkept.evaluation or read_evaluation(folder)
        if evaluation is not None:
            _validate(folder / FILE, _EvaluationFacts, evaluation.facts)
        return RunRecord(
            name or folder.name,
            _validate(folder / CONFIG, _Config, read_json(folder / CONFIG)),
            _validate(folder / FACTS, _Facts, read_json(folder / FACTS))
            if exists(folder / FACTS)
            else {},
            results,
            [record for record in read_records(folder) if record["phase"] != "discriminator"],
            evaluation,
            unkept.curve or read_sweep(folder),
            curves_fault(folder, results.records if results else None),
        )

    @property
    def method(self) -> str:
        """The objective, without the folder of a file of one's own."""
        return basename(str(self.config["objective"]["name"])).rpartition("/")[2]

    @property
    def seed(self) -> int:
        """The run's."""
        return int(self.config["seed"])

    @property
    def data(self) -> Table:
        """Facts about the data."""
        data: Table = self.facts.get("data", {})
        return data

    @property
    def has_sources(self) -> bool:
        """Whether its texts answer sources."""
        return "sources" in self.data or "source_length" in self.data

    @cached_property
    def language(self) -> str:
        """Equal for runs whose texts compare: of the same data, split alike."""
        same = [self.config.get("data"), self.config.get("oracle"), self.data.get("sha256")]
        return json.dumps(same, sort_keys=True)

    @property
    def init_recipe(self) -> str:
        """Equal for runs that start from runs that differ in their seed alone; "" for others."""
        return str(self.facts.get("init", {}).get("recipe", ""))

    @cached_property
    def recipe(self) -> str:
        """Equal for runs that differ in their seed alone."""
        return experiment_of({**self.config, "init": self.init_recipe}, self.language)

    @cached_property
    def mle_recipe(self) -> str:
        """Equal for runs whose MLE is the same but for its seed, whatever came after it."""
        schedule, rates = self.config.get("schedule", {}), self.config.get("optimisers", {})
        parts = [self.language, self.config.get("generator")]
        if self.init_recipe and not schedule.get("mle_epochs"):
            return json.dumps([*parts, self.init_recipe], sort_keys=True)
        parts += [schedule.get("mle_epochs"), schedule.get("batch_size")]
        return json.dumps([*parts, rates.get("mle_lr"), rates.get("clip")], sort_keys=True)


def _validate(path: Path, kind: type[pydantic.BaseModel], content: Any) -> Table:
    """The content of a file. Raises UserError unless what is read of it is of these types."""
    with understood(path, "restore it from a copy or make it again"):
        try:
            kind.model_validate(content)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise ValueError(f"{key}: {first['msg']}") from None
    table: Table = content
    return table


@dataclass(frozen=True)
class System:
    """A system that a report compares (real text, MLE, a method), with the runs that measured it.

    name: as in a table. short: beside a line. style: of its lines, see charts; None: no line.
    """

    name: str
    short: str
    role: Role
    style: int | None
    runs: tuple[RunRecord, ...]


# what a run holds of each of its rows, and which of them is real text
Content = TypeVar("Content")
Source = Callable[[RunRecord], tuple[Mapping[str, Content], str | None]]


def systems_of(runs: Sequence[RunRecord]) -> list[System]:
    """Return the systems of runs: real text, MLE, the methods, and others that a run has a row of.

    Runs that differ in their seed alone are one method, and runs whose MLE has the same settings
    measured one MLE, which has the same colour everywhere.
    """
    groups: dict[str, list[RunRecord]] = {}
    mles: dict[str, list[RunRecord]] = {}
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
        methods = join_names(list(dict.fromkeys(run.method for run in some)), 2)
        whose = f" of {methods}" if len(mles) > 1 else ""
        name = f"{MLE_ROW}{whose}"
        systems.append(System(name, f"MLE{whose}", "mle", next(of_mle), tuple(some)))
    of_methods = (i for i in count() if i % len(PALETTE))
    names = unique_names([_name(group, list(groups.values())) for group in groups.values()])
    for name, group in zip(names, groups.values(), strict=True):
        style = next(of_mle if group[0].method == "mle" else of_methods)
        systems.append(System(f"{name}, last", name, "method", style, tuple(group)))
    return systems + [System(row, row, "other", None, tuple(runs)) for row in others]


def rows_of(system: System, source: Source[Content]) -> dict[str, Content]:
    """Return the rows of a system, by run.

    A seed counts once: two runs with the same settings and the same seed are one and the same.
    """
    by_run: dict[str, Content] = {}
    seeds: set[int] = set()
    for run in system.runs:
        rows, real = source(run)
        for row, content in rows.items():
            fits = _role(row, real) == system.role
            if system.role == "other":
                fits = fits and row == system.name
            elif system.role != "real":
                fits = fits and run.seed not in seeds
            if fits:
                seeds.add(run.seed)
                by_run[run.name] = content
    return by_run


def repeated(methods: Sequence[System]) -> list[tuple[str, str]]:
    """Return the runs that measure nothing new, each with the run that it repeats."""
    first: dict[tuple[str, int], str] = {}
    return [
        (run.name, earlier)
        for method in methods
        for run in method.runs
        if (earlier := first.setdefault((method.name, run.seed), run.name)) != run.name
    ]


def _role(row: str, real: str | None) -> Role:
    if row == real:
        return "real"
    if row.startswith(MLE_ROW):
        return "mle"
    return "method" if row.endswith(", last") else "other"


def _name(group: Sequence[RunRecord], groups: Sequence[Sequence[RunRecord]]) -> str:
    """The method, with the settings in which it differs from others of the same method."""
    alike = [flatten(other[0].config) for other in groups if other[0].method == group[0].method]
    shown = flatten(without_paths(group[0].config))
    differing = [
        f"{key.rpartition('.')[2]} {shown[key]}"
        for key, value in flatten(group[0].config).items()
        if key not in NO_EXPERIMENT and any(other.get(key) != value for other in alike)
    ]
    return group[0].method + (f" ({join_names(differing, 2)})" if differing else "")


def scores_of(run: RunRecord) -> tuple[Mapping[str, Scores], str | None]:
    """Return the rows of an evaluation, and the name of the row of real text.

    With BLEU of greedy answers, which the run's final table has; what is the same as another row is
    left out.
    """
    evaluation = run.evaluation
    if evaluation is None:
        return {}, None
    greedy: dict[str, Scores] = {}
    if run.results is not None:
        for row, scores in run.results.rows.items():
            if "sacrebleu_test" in scores:
                role = _role(row, run.results.real)
                greedy[role] = {"sacrebleu_test": scores["sacrebleu_test"]}
    rows = {
        row: scores | greedy.get(_role(row, evaluation.real), {})
        for row, scores in evaluation.rows.items()
        if row not in evaluation.same
    }
    return rows, evaluation.real


def results_of(run: RunRecord) -> tuple[Mapping[str, Scores], str | None]:
    """Return the rows of training's final table, and the name of the row of real text."""
    if run.results is None:
        return {}, None
    rows = {
        row: {name: scores[name] for name in COLUMNS if name in scores}
        for row, scores in run.results.rows.items()
        if row not in run.results.same
    }
    return rows, run.results.real


def curve_rows(run: RunRecord) -> tuple[Mapping[str, Mapping[float, Scores]], str | None]:
    """Return the rows of a curve, each as scores by temperature."""
    if run.curve is None:
        return {}, None
    return {row: at for row, at in run.curve.rows.items() if row not in run.curve.same}, None


def curve_real(run: RunRecord) -> tuple[Mapping[str, Scores], str | None]:
    """Return the row of real text that goes with a curve."""
    if run.curve is None or run.curve.real is None or not run.curve.real_scores:
        return {}, None
    return {run.curve.real: run.curve.real_scores}, run.curve.real


def examples_of(run: RunRecord) -> tuple[Mapping[str, Sequence[Mapping[str, Any]]], str | None]:
    """Return texts of each row, each with its nearest training sentence."""
    evaluation = run.evaluation
    return (evaluation.facts.get("examples", {}), evaluation.real) if evaluation else ({}, None)


def mean_over_runs(system: System, scores: Iterable[Score]) -> Estimate:
    """Average one number over the seeds of several runs; of one run return the number itself.

    Real text is no method: runs that judged the same real texts say one thing only.
    """
    estimates = [score.estimate for score in scores]
    if system.role in ("real", "other"):
        estimates = list({one.value: one for one in estimates}.values())
    return estimates[0] if len(estimates) == 1 else over_seeds([one.value for one in estimates])
