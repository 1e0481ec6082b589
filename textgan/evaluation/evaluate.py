"""Evaluate files and runs, and compare them: what the commands do."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from textgan.core.arguments import checked_arguments
from textgan.core.checks import (
    METRIC_SEEDS,
    RESAMPLINGS,
    SAMPLES,
    SIZES,
    TEMPERATURES,
    names_from,
    path_from,
)
from textgan.core.device import Device
from textgan.core.errors import NotKept, UserError, option
from textgan.core.files import system_errors
from textgan.core.progress import say, status
from textgan.core.statistics import SUBSETS
from textgan.core.streams import SCHEME
from textgan.data.pre_tokenizer import LineTokens
from textgan.data.texts import PLAIN, Form
from textgan.evaluation.comparison import (
    Comparison,
    Comparisons,
    among_all,
    compare_scores,
    compare_seeds,
)
from textgan.evaluation.inputs import (
    EvaluationOptions,
    Source,
    Texts,
    inputs_from_files,
    inputs_from_run,
    texts_of_run,
)
from textgan.evaluation.results import Evaluation, read_evaluation
from textgan.evaluation.scoring import by_metric, choose_metrics, label_of, score, warnings_of
from textgan.evaluation.store import store_evaluation, warn_unkept
from textgan.metrics.base import Metric
from textgan.training.results import MLE_ROW
from textgan.training.run import Run, open_run

TEXTS_OR_FILE = "a list of strings, or a file or folder of texts"
Metrics = Annotated[str | Sequence[str], "at least one name (see textgan list)"]
Target = str | Path | Run | Sequence[str]
"""A run's folder, an open run, a file of texts, or the texts themselves."""


@system_errors()
@checked_arguments
def evaluate(
    *targets: Annotated[Target, TEXTS_OR_FILE],
    references: Annotated[Source | None, TEXTS_OR_FILE] = None,
    train: Annotated[Source | None, TEXTS_OR_FILE] = None,
    real: Annotated[Source | None, TEXTS_OR_FILE] = None,
    aligned: Annotated[Sequence[Source], "files, or lists of strings"] = (),
    tokenizer: LineTokens | None = None,
    form: Form = PLAIN,
    metrics: Metrics = "all",
    samples: Annotated[int, SAMPLES] | None = None,
    temperature: Annotated[float, TEMPERATURES] = 1.0,
    size: Annotated[int, SIZES] = 0,
    resamplings: Annotated[int, RESAMPLINGS] = 1000,
    seed: Annotated[int, METRIC_SEEDS] = 0,
    device: Device | None = None,
    quiet: bool = False,
    memory: dict[Hashable, Any] | None = None,
    trust_code: bool = False,
    equal: bool = False,
    keep: bool = False,
    **settings: Any,
) -> Evaluation:
    """Evaluate runs, files of texts and lists of strings as `textgan evaluate` does, in one table.

    targets: a run's folder (or an open run), a file of one text a line, or the texts themselves.
    references, train, real, aligned: files or lists of strings. Without references, runs are
    measured against the held-out text of the first, which they must share, and files beside them
    against the same; see `evaluate_run` and `evaluate_files`.
    form: how files are read. samples: texts to draw of a run; None: as in its config. equal: of
    every file as many texts as the smallest has.
    keep: store the numbers in the run's folder and show them in TensorBoard, as the command does,
    where they are of one run alone, at temperature 1, against its own held-out text.
    memory: shared by evaluations on one corpus, so that what is trained on it is trained once.
    trust_code: run the code in files of its maker's own that a run's folder keeps.
    settings: of metrics, as in `**{"bleu.largest": 4}`.
    Raises UserError; NotKept, which has the evaluation, where the folder cannot be written.

    Example:
        >>> textgan.evaluate("runs/mine", metrics="bleu,self_bleu")
        >>> textgan.evaluate("samples.txt", references="test.txt", **{"bleu.largest": 4})
    """
    subsets = SUBSETS if resamplings else 0
    options = EvaluationOptions(
        seed=seed, size=size, resamplings=resamplings, subsets=subsets, quiet=quiet, equal=equal
    )
    for source in aligned:
        _source("aligned", source)
    given = [_target(target) for target in targets]
    if not given:
        raise UserError("give a run's folder, or files of texts")
    chosen = choose_metrics(names_of_metrics(metrics), settings, bool(aligned))
    folders = [target for target in given if isinstance(target, _Folder)]
    if not folders and (samples or temperature != 1.0):
        raise UserError(
            f"{option('samples')} and {option('temperature')} are for a run's folder; a file's "
            f"texts are what they are ({option('size')} takes fewer of them)"
        )
    if not folders or references is not None:
        return evaluate_files(
            [one.open(device, trust_code) if isinstance(one, _Folder) else one for one in given],
            references,
            chosen,
            options,
            train=train,
            real=real,
            aligned=aligned,
            tokenizer=tokenizer or "nltk",
            form=form,
            samples=samples,
            temperature=temperature,
            device=device or "auto",
        )
    files = {"train": train is not None, "real": real is not None, "aligned": bool(aligned)}
    for name in (name for name, is_given in files.items() if is_given):
        raise UserError(
            f"{option(name)} is for files of texts; a run has its own held-out text, unless "
            f"{option('references')} are given"
        )
    if form != PLAIN and len(folders) == len(given):
        ways = ", ".join(map(option, ("field", "labels", "format")))
        raise UserError(f"how files are read ({ways}) is for files of texts")
    alone = len(given) == 1
    first = folders[0].open(device, trust_code)
    kept = keep and alone and temperature == 1.0
    if kept:
        warn_unkept(first.folder)
    elif alone:
        read_evaluation(first.folder)  # one that cannot be added to is refused at once
    made = evaluate_run(
        first,
        chosen,
        options,
        others=[
            one.open(device, trust_code) if isinstance(one, _Folder) else one
            for one in given
            if one is not folders[0]
        ],
        tokenizer=tokenizer,
        form=form,
        samples=samples,
        temperature=temperature,
        memory=memory,
    )
    return store_evaluation(first.folder, made) if kept else made


def evaluate_run(
    run: Run,
    metrics: Sequence[Metric],
    options: EvaluationOptions,
    *,
    others: Sequence[Run | Source] = (),
    tokenizer: LineTokens | None = None,
    form: Form = PLAIN,
    samples: int | None = None,
    temperature: float = 1.0,
    memory: dict[Hashable, Any] | None = None,
) -> Evaluation:
    """Measure a run, and others beside it, against its own held-out text.

    others: further runs on the same corpus, and files or lists of texts. tokenizer: None takes the
    run's own words. The rest is that of `evaluate`. Raises UserError.
    """
    with status("drawing texts", options.quiet):
        inputs = inputs_from_run(
            run,
            options,
            samples=samples or run.config.evaluation.final_samples,
            temperature=temperature,
            split=tokenizer,
            memory=memory,
            others=others,
            form=form,
        )
    return score(inputs, metrics, quiet=options.quiet)


def evaluate_files(
    targets: Sequence[Run | Source],
    references: Source | None,
    metrics: Sequence[Metric],
    options: EvaluationOptions,
    *,
    train: Source | None = None,
    real: Source | None = None,
    aligned: Sequence[Source] = (),
    tokenizer: LineTokens = "nltk",
    form: Form = PLAIN,
    samples: int | None = None,
    temperature: float = 1.0,
    device: str = "auto",
) -> Evaluation:
    """Measure files and lists of texts, and texts of runs, against references.

    references: held-out real text; None where `aligned` serve as such. train: what the texts'
    generator was trained on. real: other real text, for the row of real text. aligned: references
    of which line i answers line i of every target. Raises UserError.
    """
    texts: list[Source | Texts] = []
    for target in targets:
        if isinstance(target, Run):
            with status(f"drawing texts of {target.folder}", options.quiet):
                texts.append(texts_of_run(target, samples or 0, options.seed, temperature))
        else:
            texts.append(target)
    with status("reading texts", options.quiet):
        inputs = inputs_from_files(
            texts,
            references,
            options,
            train=train,
            real=real,
            aligned=aligned,
            split=tokenizer,
            form=form,
            device=device,
        )
    return score(inputs, metrics, quiet=options.quiet)


@dataclass(frozen=True)
class _Folder:
    """A run that is given by its folder, or open."""

    folder: Path
    run: Run | None = None

    def open(self, device: str | None, trust_code: bool) -> Run:
        return self.run or open_run(self.folder, device, trust_code=trust_code)


def _target(target: Target) -> _Folder | Source:
    if isinstance(target, Run):
        return _Folder(target.folder, target)
    source = _source("target", target)
    if not isinstance(source, Path):
        return source
    if not source.exists():
        raise UserError(f"{str(source)!r} does not exist; give a run's folder, or files of texts")
    return _Folder(source) if source.is_dir() else source


def _source(name: str, value: object) -> Path | Sequence[str]:
    """A path, or a list of texts. Raises UserError for anything else."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | os.PathLike):
        return value  # type: ignore[return-value]  # its lines are looked at where they are read
    return path_from(name, value, TEXTS_OR_FILE)


def names_of_metrics(metrics: str | Sequence[str]) -> list[str]:
    """Names of metrics, one by one or separated by commas. Raises UserError for none."""
    return names_from("metrics", metrics, "at least one name (see textgan list)")


@system_errors()
@checked_arguments
def compare(
    *targets: Annotated[Target, TEXTS_OR_FILE],
    references: Annotated[Source | None, TEXTS_OR_FILE] = None,
    train: Annotated[Source | None, TEXTS_OR_FILE] = None,
    real: Annotated[Source | None, TEXTS_OR_FILE] = None,
    aligned: Annotated[Sequence[Source], "files, or lists of strings"] = (),
    tokenizer: LineTokens | None = None,
    form: Form = PLAIN,
    metrics: Metrics | None = None,
    samples: Annotated[int, SAMPLES] | None = None,
    temperature: Annotated[float, TEMPERATURES] = 1.0,
    size: Annotated[int, SIZES] = 0,
    resamplings: Annotated[int, RESAMPLINGS] = 1000,
    seed: Annotated[int, METRIC_SEEDS] = 0,
    device: Device | None = None,
    quiet: bool = False,
    trust_code: bool = False,
    **settings: Any,
) -> Comparison | Comparisons:
    """Compare systems, as `textgan compare` does: between runs, or files and lists of
    texts, or both.

    More than two systems are each compared with the first, as with a baseline: all pairs would ask
    so many questions that no answer is significant. Holm's correction is over all of them.
    Runs alone are compared as `compare_runs` does it; wherever more is given than metrics and a
    device, and for files, texts are drawn and measured as `evaluate` does it.
    metrics: None takes those that runs were evaluated by, and all for files. The rest is that of
    `evaluate`. Raises UserError; NotKept as `compare_runs` does.

    Example:
        >>> textgan.compare("runs/mine", "runs/other")
        >>> textgan.compare("a.txt", "b.txt", references="test.txt", metrics="bleu")
    """
    given = [_target(target) for target in targets]
    runs = [target for target in given if isinstance(target, _Folder)]
    options: dict[str, Any] = {
        "references": references,
        "train": train,
        "real": real,
        "aligned": tuple(aligned),
        "tokenizer": tokenizer,
        "form": form,
        "samples": samples,
        "temperature": temperature,
        "size": size,
        "resamplings": resamplings,
        "seed": seed,
    }
    usual = {name: one.default for name, one in inspect.signature(compare).parameters.items()}
    anew = [name for name, value in options.items() if value is not usual[name] != value]
    anew += by_metric(settings)
    if runs and len(runs) == len(given) and not anew:
        folders = [target.folder for target in runs]
        return compare_runs(
            folders, metrics=metrics, device=device, quiet=quiet, trust_code=trust_code
        )
    if runs and len(given) == 1:
        raise UserError(
            "one run is compared with its MLE, as both were measured: leave out "
            f"{option(anew[0])}, or give a second run or file"
        )
    if len(given) < 2:
        raise UserError("give at least two files or runs to compare, or one run")
    evaluation = evaluate(
        *targets,
        metrics="all" if metrics is None else metrics,
        device=device,
        quiet=quiet,
        trust_code=trust_code,
        equal=True,
        **options,
        **settings,
    )
    systems = {
        name: row for name, row in evaluation.rows.items() if name not in (evaluation.real, MLE_ROW)
    }
    (baseline, first), *others = systems.items()
    level = evaluation.real_scores
    made = [
        replace(
            compare_scores(first, other, names=(baseline, name), real=level),
            over="texts" if len(runs) == len(given) else "files",
        )
        for name, other in others
    ]
    notes = tuple(text for text in evaluation.warnings if text not in warnings_of(evaluation))
    return replace(among_all(made), warnings=notes)


def compare_runs(
    folders: Sequence[str | Path],
    *,
    metrics: str | Sequence[str] | None = None,
    device: str | None = None,
    quiet: bool = False,
    trust_code: bool = False,
) -> Comparison | Comparisons:
    """Compare runs as `textgan compare` does.

    One run: its last state with its best MLE epoch. More: those that share all settings but the
    seed are one system, and all systems must be on one corpus. What has not been evaluated yet is,
    and kept. metrics: only by these; None: by those that were measured, all where none were.
    Raises UserError; NotKept, which has the comparison, where a folder cannot be written.
    """
    unkept: list[NotKept] = []
    made = _compare_runs(folders, metrics, device, quiet, trust_code, unkept)
    if unkept:
        raise NotKept(str(unkept[0]), made)
    return made


def _compare_runs(
    folders: Sequence[str | Path],
    metrics: str | Sequence[str] | None,
    device: str | None,
    quiet: bool,
    trust_code: bool,
    unkept: list[NotKept],
) -> Comparison | Comparisons:
    runs = [open_run(folder, device, trust_code=trust_code) for folder in folders]
    groups: dict[str, dict[int, Run]] = {}
    for run in runs:
        seeds = groups.setdefault(run.recipe, {})
        if run.config.seed in seeds:
            raise UserError(
                f"{seeds[run.config.seed].folder} and {run.folder} have the same settings and "
                "seed; give one of them"
            )
        seeds[run.config.seed] = run
    if len(runs) > 1 and len(groups) < 2:
        raise UserError(
            "these runs are seeds of one experiment; give the seeds of two, or one run to compare "
            "with its MLE"
        )
    if len({json.dumps(run.corpus.facts, sort_keys=True) for run in runs}) > 1:
        raise UserError("these runs have different data, so their numbers do not compare")
    memory: dict[Hashable, Any] = {}
    wanted = None if metrics is None else names_of_metrics(metrics)
    measured = {
        run.folder: _measured(run, wanted, quiet, memory, len(runs), unkept) for run in runs
    }
    first = measured[runs[0].folder]
    real = first.real_scores
    if len(runs) == 1:
        if MLE_ROW not in first.rows:
            raise UserError(f"{runs[0].folder} has no MLE to compare with; give a second run")
        last = list(first.rows)[-1]
        return compare_scores(
            first.rows[MLE_ROW], first.rows[last], names=(MLE_ROW, last), real=real
        )
    systems = [
        {seed: list(measured[run.folder].rows.values())[-1] for seed, run in seeds.items()}
        for seeds in groups.values()
    ]
    firsts = [next(iter(seeds.values())) for seeds in groups.values()]
    names = [run.method for run in firsts]
    if len(set(names)) < len(names):  # they differ in something else than the method
        names = [str(run.folder) for run in firsts]
    a, *others = systems
    made = []
    for name, b in zip(names[1:], others, strict=True):
        pair = (names[0], name)
        if len(a) == len(b) == 1:
            [one], [other] = a.values(), b.values()
            made.append(compare_scores(one, other, names=pair, real=real))
        else:
            made.append(compare_seeds(a, b, names=pair, real=real))
    return among_all(made)


def _measured(
    run: Run,
    metrics: Sequence[str] | None,
    quiet: bool,
    memory: dict[Hashable, Any],
    runs: int,
    unkept: list[NotKept],
) -> Evaluation:
    """What was measured of a run, kept or new; of `metrics` alone, if any are asked for. What could
    not be kept is added to `unkept`."""
    kept = _drawn_alike(run.folder)

    def measure(names: Sequence[str]) -> Evaluation:
        if not quiet and runs > 1:
            say(f"evaluating {run.folder}")
        try:
            return evaluate(run, metrics=names, quiet=quiet, memory=memory, keep=True)
        except NotKept as error:
            unkept.append(error)
            made: Evaluation = error.made
            return made

    if metrics is None:
        return kept or measure(["all"])
    wanted = [label_of(metric) for metric in choose_metrics(metrics, {}, False)]
    numbers = kept.facts.get("numbers", {}) if kept else {}
    if kept is None or any(name not in numbers and name not in kept.unavailable for name in wanted):
        kept = measure(metrics)
        numbers = kept.facts["numbers"]
    chosen = {number for name in wanted for number in numbers.get(name, ())}
    rows = {
        name: {number: score for number, score in row.items() if number in chosen}
        for name, row in kept.rows.items()
    }
    return replace(kept, rows=rows)


def _drawn_alike(folder: Path) -> Evaluation | None:
    """What is kept of a run's evaluation; None where its resamplings were those of the first
    version, for the differences of replicates would be of unlike texts."""
    kept = read_evaluation(folder)
    return kept if kept is not None and kept.facts.get("streams") == SCHEME else None
