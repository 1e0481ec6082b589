"""The sweep of a run's generator and its MLE baseline over temperatures.

A single point says little: whoever samples colder gets more quality and less diversity, with no
training at all (Caccia et al. 2020, arXiv 1811.02549). So whole curves are compared, and MLE's is
beside every other. Nor is the temperature of tokens all that takes no training: curves along the
joint temperature of texts and along mixtures of a hot and a cold temperature are controls, see
`textgan.evaluation.envelope`. curve.json in a run's folder holds them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

from textgan.core.arguments import checked_arguments
from textgan.core.checks import METRIC_SEEDS, SAMPLES, numbers_from
from textgan.core.checks import TEMPERATURES as TEMPERATURE_LIMITS
from textgan.core.device import Device
from textgan.core.errors import NotKept, UserError
from textgan.core.files import exists, is_file, require_writable, system_errors, understood
from textgan.core.identity import identity_in, read_sealed, write_sealed
from textgan.core.locks import keeping
from textgan.core.progress import say, status
from textgan.core.score import Scores, scores_from_dict, scores_to_dict, table_of
from textgan.core.tables import Shown, Table
from textgan.core.version import __version__
from textgan.evaluation.envelope import (
    JOINT,
    MIXTURE,
    TEMPERATURE,
    Envelope,
    EnvelopeComparison,
    compare_envelopes,
)
from textgan.evaluation.evaluate import EncoderName, Metrics, evaluate, names_of_metrics
from textgan.evaluation.inputs import EvaluationOptions
from textgan.evaluation.results import Evaluation, read_evaluation
from textgan.evaluation.run_inputs import inputs_from_run, writers
from textgan.evaluation.scoring import choose_metrics, score
from textgan.evaluation.tradeoff import PAIRS, Curve, compare_curves, describe, name_in_sentence
from textgan.metrics.base import Metric
from textgan.metrics.divergence import Divergence
from textgan.metrics.likelihood import Likelihood
from textgan.models.tempering import Asked, JointTemperature, Mixture
from textgan.training.results import MLE_ROW
from textgan.training.run import Run, open_run

FILE = "curve.json"
ENOUGH = 5000  # texts at each temperature of curves that nobody asked for more closely
# the inverse temperatures 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2
TEMPERATURES = (1.25, 1.111, 1.0, 0.909, 0.8, 0.667, 0.5)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of cold texts in a mixture
TIMES = 4  # texts drawn for each of a joint temperature; fewer than elsewhere, for many points
Controls = dict[str, dict[str, dict[float, Scores]]]


@dataclass(frozen=True, repr=False)
class Sweep(Shown):
    """Scores of each row of a run at each temperature, and of real text.

    rows: by name, then temperature. findings: where one curve is better than another. controls: by
    the way that their texts are drawn, then as rows, along the joint temperature, or the share of
    cold texts. envelopes: each method beside MLE and its controls.
    """

    rows: dict[str, dict[float, Scores]]
    real: str | None
    real_scores: Scores
    findings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    controls: Controls = field(default_factory=dict)
    envelopes: list[EnvelopeComparison] = field(default_factory=list)

    @property
    def same(self) -> dict[str, str]:
        """The rows that are another one, with the name of that."""
        same: dict[str, str] = self.facts.get("same", {})
        return same

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "textgan": __version__,
            "temperatures": sorted({t for row in self.rows.values() for t in row}, reverse=True),
            "rows": {
                name: [
                    {"temperature": temperature, "scores": scores_to_dict(row[temperature])}
                    for temperature in sorted(row, reverse=True)
                ]
                for name, row in self.rows.items()
            },
            "real": {"row": self.real, "scores": scores_to_dict(self.real_scores)},
            "findings": self.findings,
            "facts": self.facts,
            "controls": {
                way: {
                    name: [{"at": at, "scores": scores_to_dict(row[at])} for at in sorted(row)]
                    for name, row in rows.items()
                }
                for way, rows in self.controls.items()
            },
            "envelopes": [one.to_dict() for one in self.envelopes],
        }

    def ways(self, row: str) -> dict[str, Mapping[float, Scores]]:
        """Return the curves of a row by the way that its texts are drawn."""
        along = {way: rows[row] for way, rows in self.controls.items() if row in rows}
        return {TEMPERATURE: self.rows[row], **along}

    def shown(self) -> list[Table | str]:
        shown: list[Table | str] = []
        names = {other: f"{row} = {other}" for row, other in self.same.items()}
        for name, row in self.rows.items():
            if name in self.same:
                continue
            at = {f"T = {t:g}": _untitled(row[t]) for t in sorted(row, reverse=True)}
            if self.real is not None:
                at = {self.real: self.real_scores, **at}
            shown += [table_of(at, intervals=False, title=names.get(name, name)), ""]
        shown += self.findings
        for one in self.envelopes:
            shown += ["", *one.shown()]
        return shown


@system_errors()
@checked_arguments
def curve(
    *runs: Annotated[str | Path, "a run's folder"],
    temperatures: Annotated[str | float | Sequence[float], "numbers"] = TEMPERATURES,
    metrics: Metrics = "all",
    encoder: EncoderName | None = None,
    samples: Annotated[int, SAMPLES] | None = None,
    controls: bool = True,
    against: Annotated[Sequence[str | Path], "runs' folders"] = (),
    seed: Annotated[int, METRIC_SEEDS] = 0,
    device: Device | None = None,
    quiet: bool = False,
    trust_code: bool = False,
    **settings: Any,
) -> list[Sweep]:
    """Draw texts of runs at a grid of temperatures and measure them, as `textgan curve` does: one
    result for each run, which its folder keeps.

    samples: texts at each temperature; None: as in a run's config. encoder: as of `evaluate`.
    controls: also measure joint temperatures and mixtures, by the likelihoods where there is an
    oracle, else by the metrics that train no network. Of several seeds of one experiment, the last
    result compares them all with their MLE. against: runs whose last states, such as of MLE that
    went on, are compared with as well: one for each run, in their order, or one for all.
    settings: of metrics, by dotted key. Raises UserError; NotKept, which has the results, where a
    folder cannot be written.

    Example:
        >>> textgan.curve("runs/mine", temperatures=[1.25, 1, 0.8], metrics="bleu,self_bleu")
    """
    grid = set(numbers_from("temperatures", temperatures, TEMPERATURE_LIMITS))
    chosen = choose_metrics(names_of_metrics(metrics), settings, encoder=encoder)
    if not runs:
        raise UserError("runs: give the folder of at least one run")
    others = [against] if isinstance(against, str | Path) else list(against)
    opened = [open_run(folder, device, trust_code=trust_code) for folder in [*runs, *others]]
    _refuse_unlike(opened, len(runs))
    for run in opened:
        writers(run)  # a run that has none yet is refused before the others are measured
        read_sweep(run.folder)  # and so are curves that cannot be added to
        try:
            require_writable(run.folder / FILE)
        except UserError as error:
            say(f"warning: {error}; curves will be shown, and not kept")
    memories: dict[str, dict[Hashable, Any]] = {}
    made: list[Sweep] = []
    unkept: list[str] = []
    for run in opened:
        # what is trained on a corpus serves all runs on it
        memory = memories.setdefault(json.dumps(run.corpus.facts, sort_keys=True), {})
        n = samples or run.config.evaluation.final_samples
        measured = _sweep_run(
            run, sorted(grid, reverse=True), chosen, n, seed, memory, quiet, controls
        )
        try:
            made.append(_keep(run, measured))
        except UserError as error:
            made.append(measured)
            unkept.append(str(error))
    made, baselines = made[: len(runs)], made[len(runs) :]
    alone, opened = list(made), opened[: len(runs)]
    made = _over_seeds(opened, made)
    if baselines:
        each = baselines * len(made) if len(baselines) == 1 else baselines
        for place, (sweep, baseline) in enumerate(zip(alone, each, strict=True)):
            beside = envelopes([sweep], baselines=[baseline])
            made[place] = replace(made[place], envelopes=[*made[place].envelopes, *beside])
        if len(baselines) > 1:
            made = _over_seeds(opened, made, each)
    if unkept:
        raise NotKept(f"{unkept[0]}; the curves are not kept", made)
    return made


def _refuse_unlike(runs: Sequence[Run], n: int) -> None:
    """UserError unless the runs after the first n can be compared with those."""
    first, *_ = runs
    for other in runs[n:]:
        if other.corpus.facts != first.corpus.facts:
            raise UserError(f"{first.folder} and {other.folder} have different data; leave one out")
    if len(runs) - n not in (0, 1, n):
        raise UserError(
            f"against: {len(runs) - n} runs for {n} others; give one for each, or one for all"
        )


def _over_seeds(
    runs: Sequence[Run], made: Sequence[Sweep], baselines: Sequence[Sweep] = ()
) -> list[Sweep]:
    """The same curves, those of the last seed of an experiment with what its seeds say together.

    baselines: of each run, what it is compared with; none: its own MLE.
    """
    result = list(made)
    experiments: dict[str, dict[int, int]] = {}
    for place, run in enumerate(runs):
        experiments.setdefault(run.recipe, {})[run.config.seed] = place
    for seeds in experiments.values():
        if len(seeds) > 1:
            last = [*seeds.values()][-1]
            places = list(seeds.values())
            beside = [baselines[place] for place in places] if baselines else []
            together = envelopes([made[place] for place in places], baselines=beside)
            result[last] = replace(made[last], envelopes=[*made[last].envelopes, *together])
    return result


def _keep(run: Run, new: Sweep) -> Sweep:
    """Store curves in a run's folder, beside what earlier ones took in the same way; all of it."""
    with keeping(run.folder):
        before = read_sweep(run.folder)
        ways = ("samples", "seed", "tokenizer", "checkpoint")
        if before is not None and all(before.facts.get(w) == new.facts.get(w) for w in ways):
            rows = {
                name: {
                    t: before.rows.get(name, {}).get(t, {}) | new.rows.get(name, {}).get(t, {})
                    for t in {**before.rows.get(name, {}), **new.rows.get(name, {})}
                }
                for name in {**before.rows, **new.rows}
            }
            had = set().union(*(scores for row in new.rows.values() for scores in row.values()))
            lacking = before.facts.get("unavailable", {})
            lacking = {name: why for name, why in lacking.items() if name not in had}
            facts = new.facts | {"unavailable": lacking | new.facts["unavailable"]}
            real = before.real_scores | new.real_scores
            found = findings(rows, new.same)
            controls = _both(before.controls, new.controls)
            beside = new.envelopes or before.envelopes
            real_row = new.real or before.real
            new = Sweep(rows, real_row, real, found, facts, controls, beside)
        write_sealed(run.folder / FILE, new.to_dict(), run.digest)
    return new


def _sweep_run(
    run: Run,
    temperatures: Sequence[float],
    metrics: Sequence[Any],
    samples: int,
    seed: int,
    memory: dict[Hashable, Any],
    quiet: bool,
    with_controls: bool,
) -> Sweep:
    options = EvaluationOptions(seed=seed, quiet=quiet)
    rows: dict[str, dict[float, Scores]] = {}
    real, real_scores = None, {}
    facts: dict[str, Any] = {}
    began = time.monotonic()
    for number, temperature in enumerate(temperatures):
        where = f"{run.folder}: temperature {temperature:g} ({number + 1} of {len(temperatures)})"
        if not quiet:
            say(where)
        with run.products(), status("drawing texts", quiet):
            inputs = inputs_from_run(
                run,
                options,
                samples=samples,
                temperature=temperature,
                memory=memory,
                with_real=number == 0,
            )
        with run.products():
            evaluation = score(inputs, metrics, quiet=quiet)
        if number == 0:
            real, real_scores = evaluation.real, evaluation.real_scores
            ways = ("run", "samples", "seed", "tokenizer", "checkpoint")
            facts = {key: evaluation.facts[key] for key in ways}
            facts |= {"unavailable": evaluation.unavailable, "same": evaluation.same}
        for name, scores in evaluation.rows.items():
            if name != evaluation.real:
                rows.setdefault(name, {})[temperature] = scores
    made = Sweep(rows, real, real_scores, findings(rows, facts["same"]), facts)
    if with_controls:
        some = _of_controls(run, metrics)
        made = replace(made, controls=_controls(run, rows, options, some, samples, memory, facts))
        made = replace(made, envelopes=envelopes([made]))
    facts["seconds"] = time.monotonic() - began
    return made


def _of_controls(run: Run, metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics that controls are measured by."""
    if run.oracle is not None:
        return [metric for metric in metrics if isinstance(metric, Likelihood | Divergence)]
    return [metric for metric in metrics if not metric.trains]


def _controls(
    run: Run,
    rows: Mapping[str, Mapping[float, Scores]],
    options: EvaluationOptions,
    metrics: Sequence[Metric],
    samples: int,
    memory: dict[Hashable, Any],
    facts: dict[str, Any],
) -> Controls:
    """Measure joint temperatures and mixtures of each row. What cannot be drawn is left out, and
    `facts` says why."""
    grid = sorted({temperature for row in rows.values() for temperature in row})
    made: Controls = {JOINT: {}, MIXTURE: {}}
    asked: list[tuple[str, float, Asked]] = [
        (JOINT, heat, JointTemperature(heat, TIMES)) for heat in grid if heat != 1
    ]
    cold, hot = grid[0], min(grid, key=lambda heat: abs(heat - 1))
    if cold < hot:
        facts["mixture"] = [hot, cold]
        asked += [(MIXTURE, e, Mixture((hot, cold), (1 - e, e))) for e in SHARES]
    if not metrics:
        return {}
    steps = [(name, *one) for name in rows if name not in facts["same"] for one in asked]
    total = len(steps)
    for number, (name, way, at, drawing) in enumerate(steps):
        if not options.quiet:
            say(f"{run.folder}: {name}, {drawing} ({number + 1} of {total} controls)")
        try:
            with run.products():
                inputs = inputs_from_run(
                    run, options, samples=samples, temperature=drawing, memory=memory,
                    with_real=False, only=[name],
                )  # fmt: skip
                measured = score(inputs, metrics, quiet=options.quiet).rows[name]
        except UserError as error:
            facts["unavailable"] = facts["unavailable"] | {f"{name}, {drawing}": str(error)}
            continue
        made[way].setdefault(name, {})[at] = measured
    for name, row in rows.items():  # where they meet the curve along the temperature
        if name in facts["same"]:
            continue
        if 1.0 in row:
            made[JOINT].setdefault(name, {})[1.0] = row[1.0]
        if name in made[MIXTURE]:
            made[MIXTURE][name] |= {0.0: row[hot], 1.0: row[cold]}
    return {way: by_row for way, by_row in made.items() if by_row}


def envelopes(
    sweeps: Sequence[Sweep], knots: Sequence[float] = (), baselines: Sequence[Sweep] = ()
) -> list[EnvelopeComparison]:
    """Compare each method with MLE, by each pair of likelihoods: over the texts of one run, or over
    runs of several seeds.

    knots: of the first measure of a pair; none: spread evenly. baselines: other runs whose last
    rows are in the place of MLE, one for each.
    """
    made = []
    first = sweeps[0]
    rivals = [(one, list(one.rows)[-1]) for one in baselines] or [(s, MLE_ROW) for s in sweeps]
    rival = name_in_sentence(rivals[0][1]) if baselines else "MLE"
    for name in first.rows:
        sides_of = [*((one, name) for one in sweeps), *rivals]
        if name == MLE_ROW or any(
            row not in one.rows.keys() - one.same.keys() for one, row in sides_of
        ):
            continue
        for pair in PAIRS:
            if pair.x.better == "higher":  # no smallest x is worth anything
                continue
            sides = [
                (Envelope.of(pair, one.ways(name)), Envelope.of(pair, other.ways(row)))
                for one, (other, row) in zip(sweeps, rivals, strict=True)
            ]
            names = name_in_sentence(name), rival
            made.append(compare_envelopes(pair, sides, names, knots))
    return [one for one in made if one is not None]


def _both(before: Controls, new: Controls) -> Controls:
    """Controls of two sweeps, the later first where both have a point."""
    result: Controls = {}
    for way in {**before, **new}:
        old_rows, new_rows = before.get(way, {}), new.get(way, {})
        result[way] = {
            name: {
                at: old_rows.get(name, {}).get(at, {}) | new_rows.get(name, {}).get(at, {})
                for at in {**old_rows.get(name, {}), **new_rows.get(name, {})}
            }
            for name in {**old_rows, **new_rows}
        }
    return result


def findings(
    rows: Mapping[str, Mapping[float, Scores]], same: Mapping[str, str] | None = None
) -> list[str]:
    """Describe where one curve is better than another, for every pair of measures and of rows.

    same: rows that are left out, because they are others.
    """
    rows = {name: row for name, row in rows.items() if name not in (same or {})}
    sentences = []
    for pair in PAIRS:
        curves = [Curve.of(name_in_sentence(name), pair, row) for name, row in rows.items()]
        shown = [one for one in curves if one.points]
        sentences += [describe(compare_curves(a, b)) for a, b in combinations(shown, 2)]
    return sentences


def read_sweep(folder: Path) -> Sweep | None:
    """Read the curves that `sweep` wrote into a run's folder; None where there are none.

    Raises UserError for a damaged file.
    """
    path = folder / FILE
    if not exists(path):
        return None
    remedy = "delete it and draw it again"
    content = read_sealed(path, identity_in(folder), remedy)
    with understood(path, remedy):
        rows = {
            name: {point["temperature"]: scores_from_dict(point["scores"]) for point in points}
            for name, points in content["rows"].items()
        }
        real = content["real"]
        real_scores = scores_from_dict(real["scores"])
        controls = {
            way: {
                name: {point["at"]: scores_from_dict(point["scores"]) for point in points}
                for name, points in by_row.items()
            }
            for way, by_row in content.get("controls", {}).items()
        }
        return Sweep(
            rows,
            real["row"],
            real_scores,
            content["findings"],
            content["facts"],
            controls,
            [EnvelopeComparison.from_dict(one) for one in content.get("envelopes", [])],
        )


@dataclass(frozen=True)
class Unkept:
    """The measurements that a run's folder could not keep; None for what the folder has."""

    evaluation: Evaluation | None = None
    curve: Sweep | None = None


def complete(
    folders: Sequence[str | Path], *, quiet: bool = False, trust_code: bool = False
) -> dict[Path, Unkept]:
    """Measure what finished runs lack for a report: all metrics, and curves by the quick ones.

    Returns what could not be kept, by the run's folder.
    """
    for folder in map(Path, folders):
        open_run(folder)  # before anything is measured, all of them must be runs
    memories: dict[str, dict[Hashable, Any]] = {}
    unkept: dict[Path, Unkept] = {}
    for folder in map(Path, folders):
        if not is_file(folder / "results.json"):
            continue
        evaluation: Evaluation | None = None
        drawn: Sweep | None = None
        if read_evaluation(folder) is None:
            facts = json.dumps(open_run(folder).corpus.facts, sort_keys=True)
            memory = memories.setdefault(facts, {})
            try:
                evaluate(folder, quiet=quiet, memory=memory, trust_code=trust_code, keep=True)
            except NotKept as error:
                evaluation = error.made
        if read_sweep(folder) is None:
            samples = min(ENOUGH, open_run(folder).config.evaluation.final_samples)
            try:
                curve(
                    folder, metrics=["quick"], samples=samples, quiet=quiet, trust_code=trust_code
                )
            except NotKept as error:
                [drawn] = error.made
        if evaluation or drawn:
            unkept[folder.resolve()] = Unkept(evaluation, drawn)
    return unkept


def _untitled(scores: Scores) -> Scores:
    """Scores whose titles leave the temperature to the column's."""
    return {
        name: replace(score, title=score.title.partition(" at T=")[0])
        for name, score in scores.items()
    }
