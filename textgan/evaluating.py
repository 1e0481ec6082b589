"""Evaluating files and runs, keeping what was found, comparing runs: what the commands do."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from textgan.comparison import Comparison, compare, compare_seeds
from textgan.data.texts import PLAIN, Form
from textgan.errors import UserError
from textgan.evaluation import Evaluation, read_evaluation, write_evaluation
from textgan.judge import choose_metrics, judge, warnings_of
from textgan.log import show_numbers
from textgan.materials import MLE, Told, lay_out_files, lay_out_run
from textgan.run import Run, keeping, open_run
from textgan.tokenizers import Tokenizer

SUBSETS = 40  # random subsets behind the interval of a number of a set


def evaluate(
    *targets: str | Path,
    references: str | Path | None = None,
    train: str | Path | None = None,
    real: str | Path | None = None,
    aligned: Sequence[str | Path] = (),
    tokenizer: Tokenizer | None = None,
    form: Form = PLAIN,
    metrics: Sequence[str] = ("all",),
    samples: int = 0,
    temperature: float = 1.0,
    size: int = 0,
    resamplings: int = 1000,
    seed: int = 0,
    device: str | None = None,
    quiet: bool = False,
    memory: dict[Hashable, Any] | None = None,
    trust_code: bool = False,
    **settings: Any,
) -> Evaluation:
    """Evaluate as `textgan evaluate` does: one run's folder, or one or more files of texts.

    form: how files are read. memory: shared by evaluations on one corpus, so that what is trained
    on it is trained once. trust_code: run the code in files of its maker's own that a run's folder
    keeps. settings: of metrics, as in `**{"bleu.largest": 4}`. Raises UserError.
    """
    paths = [Path(target) for target in targets]
    if not paths:
        raise UserError("give a run's folder, or files of texts")
    for path in paths:
        if not path.exists():
            raise UserError(f"{str(path)!r} does not exist; give a run's folder, or files of texts")
    chosen = choose_metrics(metrics, settings, bool(aligned))
    told = Told(
        seed=seed,
        size=size,
        resamplings=resamplings,
        subsets=SUBSETS if resamplings else 0,
        quiet=quiet,
    )
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        if references is not None:
            references = Path(references)
        if samples or temperature != 1.0:
            raise UserError(
                "--samples and --temperature are for a run's folder; a file's texts are what they "
                "are (--size takes fewer of them)"
            )
        layout = lay_out_files(
            paths,
            references,
            told,
            train=None if train is None else Path(train),
            real=None if real is None else Path(real),
            aligned=[Path(path) for path in aligned],
            split=tokenizer or "nltk",
            form=form,
            device=device or "auto",
        )
        return judge(layout, chosen, quiet=quiet)
    if len(paths) > 1:
        raise UserError(
            f"{str(folders[0])!r} is a folder; give one run at a time, or files of texts "
            "(textgan compare sets two runs side by side)"
        )
    for flag, value in (("references", references), ("train", train), ("real", real)):
        if value is not None:
            raise UserError(f"--{flag} is for files of texts; a run has its own held-out text")
    if form != PLAIN:
        raise UserError("how files are read (--field, --labels, --format) is for files of texts")
    if aligned:
        raise UserError("--aligned is for files of texts; a run has its own held-out text")
    run = open_run(folders[0], device, trust_code=trust_code)
    read_evaluation(run.folder)  # one that cannot be added to is refused before hours of work
    n = samples or run.config.evaluation.final_samples
    layout = lay_out_run(
        run, told, samples=n, temperature=temperature, split=tokenizer, memory=memory
    )
    return judge(layout, chosen, quiet=quiet)


def compare_runs(
    folders: Sequence[str | Path],
    *,
    device: str | None = None,
    quiet: bool = False,
    trust_code: bool = False,
) -> Comparison:
    """Compare runs as `textgan compare` does.

    One run: its last state with its best MLE epoch. More: those that share all settings but the
    seed are one system, and there must be two systems on one corpus. What has not been evaluated
    yet is, and kept. Raises UserError.
    """
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
    if len(runs) > 1 and len(groups) != 2:
        raise UserError(
            f"these runs are {len(groups)} different experiments; give the seeds of two, or one "
            "run to compare with its MLE"
        )
    if len({json.dumps(run.corpus.facts, sort_keys=True) for run in runs}) > 1:
        raise UserError("these runs have different data, so their numbers do not compare")
    memory: dict[Hashable, Any] = {}
    found = {
        run.folder: read_evaluation(run.folder)
        or keep(
            run.folder,
            evaluate(run.folder, device=device, quiet=quiet, memory=memory, trust_code=trust_code),
        )
        for run in runs
    }
    first = found[runs[0].folder]
    real = first.rows.get(first.real or "", {})
    if len(runs) == 1:
        if MLE not in first.rows:
            raise UserError(f"{runs[0].folder} has no MLE to compare with; give a second run")
        last = list(first.rows)[-1]
        return compare(first.rows[MLE], first.rows[last], names=(MLE, last), real=real)
    a, b = (
        {seed: list(found[run.folder].rows.values())[-1] for seed, run in seeds.items()}
        for seeds in groups.values()
    )
    names = [next(iter(seeds.values())).method for seeds in groups.values()]
    if names[0] == names[1]:  # told apart by something other than the method
        names = [str(next(iter(seeds.values())).folder) for seeds in groups.values()]
    if len(a) == len(b) == 1:
        [one], [other] = a.values(), b.values()
        return compare(one, other, names=(names[0], names[1]), real=real)
    return compare_seeds(a, b, names=(names[0], names[1]), real=real)


def keep(folder: Path, evaluation: Evaluation) -> Evaluation:
    """Store an evaluation in its run's folder and in TensorBoard, and return what is stored.

    Numbers that an earlier one took in the same way stay beside the new ones.
    """
    with keeping(folder):
        evaluation = _merged(read_evaluation(folder), evaluation)
        write_evaluation(folder, evaluation)
    final = list(evaluation.rows.values())[-1]
    show_numbers(folder, {f"eval/{name}": score.estimate.value for name, score in final.items()})
    return evaluation


def _merged(before: Evaluation | None, evaluation: Evaluation) -> Evaluation:
    """An evaluation with the numbers that one before it took in the same way."""
    told = [text for text in evaluation.warnings if text not in warnings_of(evaluation)]
    ways = ["samples", "alone", "paired", "seed", "streams"]
    ways += ["tokenizer", "temperature", "checkpoint"]
    if before is not None and all(
        before.facts.get(key) == evaluation.facts.get(key) for key in ways
    ):
        rows = {name: before.rows.get(name, {}) | row for name, row in evaluation.rows.items()}
        lacking = {
            name: why
            for name, why in before.unavailable.items()
            if name not in evaluation.facts["metrics"]
        } | evaluation.unavailable
        metrics = dict.fromkeys([*before.facts["metrics"], *evaluation.facts["metrics"]])
        facts = evaluation.facts | {"metrics": list(metrics)}
        evaluation = replace(evaluation, rows=rows, unavailable=lacking, warnings=[], facts=facts)
        evaluation = replace(evaluation, warnings=[*told, *warnings_of(evaluation)])
    return evaluation
