"""The comparison of runs and files, as the command does it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from textgan.core.arguments import checked_arguments
from textgan.core.checks import METRIC_SEEDS, RESAMPLINGS, SAMPLES, SIZES, TEMPERATURES
from textgan.core.device import Device
from textgan.core.errors import NotKept, UserError, option
from textgan.core.files import exists, system_errors
from textgan.core.progress import say
from textgan.core.streams import SCHEME
from textgan.data.pre_tokenizer import LineTokens
from textgan.data.texts import FieldName, Format, Labels
from textgan.evaluation.comparison import (
    Comparison,
    Comparisons,
    among_all,
    compare_scores,
    compare_seeds,
)
from textgan.evaluation.evaluate import (
    TEXTS_OR_FILE,
    Decode,
    Metrics,
    RunFolder,
    Target,
    evaluate,
    names_of_metrics,
    read_target,
)
from textgan.evaluation.results import Evaluation, decoded, read_evaluation
from textgan.evaluation.run_inputs import warnings_of_runs
from textgan.evaluation.scoring import by_metric, choose_metrics, label_of, warnings_of
from textgan.evaluation.texts import Source
from textgan.training.checkpoint import checkpoints
from textgan.training.results import MLE_ROW, same_weights
from textgan.training.run import MLE, Run, open_run


@system_errors()
@checked_arguments
def compare(
    *targets: Annotated[Target, TEXTS_OR_FILE],
    references: Annotated[Source | None, TEXTS_OR_FILE] = None,
    train: Annotated[Source | None, TEXTS_OR_FILE] = None,
    real: Annotated[Source | None, TEXTS_OR_FILE] = None,
    aligned: Annotated[Sequence[Source], "files, or lists of strings"] = (),
    source: Annotated[Source | None, TEXTS_OR_FILE] = None,
    tokenizer: LineTokens | None = None,
    field: FieldName = "",
    label_field: FieldName = "",
    labels: Labels = "auto",
    format: Format = "auto",
    metrics: Metrics | None = None,
    samples: Annotated[int, SAMPLES] | None = None,
    temperature: Annotated[float, TEMPERATURES] = 1.0,
    decode: Decode = "sample",
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
    given = [read_target(target) for target in targets]
    runs = [target for target in given if isinstance(target, RunFolder)]
    options: dict[str, Any] = {
        "references": references,
        "train": train,
        "real": real,
        "aligned": tuple(aligned),
        "source": source,
        "tokenizer": tokenizer,
        "field": field,
        "label_field": label_field,
        "labels": labels,
        "format": format,
        "samples": samples,
        "temperature": temperature,
        "decode": decode,
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
            decoding=decoded(evaluation.facts),
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
    warnings = tuple(warnings_of_runs(runs))
    first = measured[runs[0].folder]
    real = first.real_scores
    if len(runs) == 1:
        if MLE_ROW not in first.rows:
            raise UserError(f"{runs[0].folder} has no MLE to compare with; give a second run")
        if MLE_ROW in first.same:
            raise UserError(
                f"the last state of {runs[0].folder} is its best MLE epoch, so there is nothing to "
                "compare; give a second run"
            )
        last = list(first.rows)[-1]
        alone = compare_scores(
            first.rows[MLE_ROW], first.rows[last], names=(MLE_ROW, last), real=real
        )
        return replace(alone, decoding=decoded(first.facts), warnings=warnings)
    systems = [
        {seed: list(measured[run.folder].rows.values())[-1] for seed, run in seeds.items()}
        for seeds in groups.values()
    ]
    firsts = [next(iter(seeds.values())) for seeds in groups.values()]
    names = [run.method for run in firsts]
    if len(set(names)) < len(names):  # they differ in something else than the method
        names = [str(run.folder) for run in firsts]
    passed = _passed_starts(runs)
    names = [
        f"{name}, last" if run.recipe in passed else name
        for name, run in zip(names, firsts, strict=True)
    ]
    a, *others = systems
    made = []
    for name, b in zip(names[1:], others, strict=True):
        pair = (names[0], name)
        if len(a) == len(b) == 1:
            [one], [other] = a.values(), b.values()
            made.append(compare_scores(one, other, names=pair, real=real))
        else:
            made.append(compare_seeds(a, b, names=pair, real=real))
    whole = among_all([replace(one, decoding=decoded(first.facts)) for one in made])
    return replace(whole, warnings=(*warnings, *passed.values()))


def _passed_starts(runs: Sequence[Run]) -> dict[str, str]:
    """By the recipes of runs of MLE that others began at and that went on since: a warning, for
    what is compared is their last epoch."""
    passed = {}
    for run in runs:
        recipe = hashlib.sha256(run.recipe.encode()).hexdigest()
        begun = next((one for one in runs if one.config.init and one.init_recipe == recipe), None)
        if begun is None or run.method != "mle" or not exists(run.folder / MLE):
            continue
        if not same_weights(run.load_generator("mle"), run.load_generator()):
            _, start = begun.load_init()
            passed[run.recipe] = (
                f"{run.folder} is compared as its last epoch left it, and {begun.folder} began at "
                f"MLE epoch {start['epoch']} of {start['epochs']}: textgan compare {begun.folder} "
                "compares with that"
            )
    return passed


def _measured(
    run: Run,
    metrics: Sequence[str] | None,
    quiet: bool,
    memory: dict[Hashable, Any],
    runs: int,
    unkept: list[NotKept],
) -> Evaluation:
    """Return the evaluation of a run, kept or new; of `metrics` alone, if any are asked for. What
    could not be kept is added to `unkept`."""
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
    """Read the kept evaluation of a run; None where its resamplings were those of the first
    version, for the differences of replicates would be of unlike texts, and where the run went on
    since."""
    kept, saved = read_evaluation(folder), checkpoints(folder)
    if kept is None or kept.facts.get("streams") != SCHEME:
        return None
    went_on = saved and kept.facts.get("checkpoint", saved[-1].stem) != saved[-1].stem
    return None if went_on else kept
