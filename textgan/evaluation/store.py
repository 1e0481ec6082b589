"""Store an evaluation in its run's folder, beside the numbers that were taken in the same way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from textgan.core.errors import NotKept, UserError
from textgan.core.files import require_writable
from textgan.core.locks import keeping
from textgan.core.log import show_numbers
from textgan.core.progress import say
from textgan.evaluation.results import FILE, Evaluation, read_evaluation, write_evaluation
from textgan.evaluation.scoring import warnings_of


def store_evaluation(folder: Path, evaluation: Evaluation) -> Evaluation:
    """Store an evaluation in its run's folder and in TensorBoard, and return what is stored.

    Numbers that an earlier one took in the same way stay beside the new ones. Raises NotKept,
    which has the evaluation, where the folder cannot be written.
    """
    try:
        with keeping(folder):
            evaluation = _merged(read_evaluation(folder), evaluation)
            write_evaluation(folder, evaluation)
        final = list(evaluation.rows.values())[-1]
        metrics = {f"eval/{name}": score.estimate.value for name, score in final.items()}
        show_numbers(folder, metrics)
    except UserError as error:
        raise NotKept(f"{error}; the numbers are not kept", evaluation) from None
    return evaluation


def warn_unkept(folder: Path) -> None:
    """Say, before hours of measuring, that a run's folder will not keep it.

    Raises UserError for an earlier evaluation that is damaged.
    """
    read_evaluation(folder)
    try:
        require_writable(folder / FILE)
    except UserError as error:
        say(f"warning: {error}; numbers will be shown, and not kept")


def _merged(before: Evaluation | None, evaluation: Evaluation) -> Evaluation:
    """An evaluation with the numbers that one before it took in the same way."""
    given = [text for text in evaluation.warnings if text not in warnings_of(evaluation)]
    ways = ["samples", "sample", "paired_sample", "seed", "streams"]
    ways += ["tokenizer", "temperature", "checkpoint"]
    if before is not None and all(
        before.facts.get(key) == evaluation.facts.get(key) for key in ways
    ):
        rows = {name: before.rows.get(name, {}) | row for name, row in evaluation.rows.items()}
        if evaluation.real is None and before.real is not None:
            rows = {before.real: before.real_scores} | rows
        lacking = {
            name: why
            for name, why in before.unavailable.items()
            if name not in evaluation.facts["metrics"]
        } | evaluation.unavailable
        metrics = dict.fromkeys([*before.facts["metrics"], *evaluation.facts["metrics"]])
        numbers = before.facts.get("numbers", {}) | evaluation.facts.get("numbers", {})
        facts = evaluation.facts | {"metrics": list(metrics), "numbers": numbers}
        if (real := evaluation.real or before.real) is not None:
            facts.pop("no_real", None)
        evaluation = replace(
            evaluation, rows=rows, real=real, unavailable=lacking, warnings=[], facts=facts
        )
        evaluation = replace(evaluation, warnings=[*given, *warnings_of(evaluation)])
    return evaluation
