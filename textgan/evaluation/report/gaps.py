"""How far methods on pairs are from maximum likelihood, in one sentence for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textgan.core.score import Scores
from textgan.evaluation.comparison import Comparison, compare_scores, compare_seeds
from textgan.evaluation.report.runs import System, rows_of, scores_of
from textgan.training.results import MLE_ROW

KEYS = ("sacrebleu_test", "sacrebleu", "chrf", "ter")  # what is compared
Seeds = Mapping[int, Scores]


def gaps(systems: Sequence[System]) -> list[str]:
    """Compare each method with the best MLE epoch of its own runs, and with MLE that went on where
    there is such a run; over seeds where there are several."""
    methods = [one for one in systems if one.role == "method"]
    sentences = []
    for method in methods:
        ours = _last(method)
        others = {MLE_ROW: _best_epoch(method)}
        others |= {
            one.name: _last(one)
            for one in methods
            if one is not method and one.runs[0].method == "mle"
        }
        sentences += [
            _sentence(_compared(theirs, ours), method.name, name)
            for name, theirs in others.items()
            if ours and theirs
        ]
    return [one for one in sentences if one]


def _last(method: System) -> Seeds:
    """What is compared of a method's last states, by the seeds of its runs."""
    seeds = {run.name: run.seed for run in method.runs}
    return _compared_alone({seeds[run]: row for run, row in rows_of(method, scores_of).items()})


def _best_epoch(method: System) -> Seeds:
    """The same of the MLE that a method's runs began with."""
    rows: dict[int, Scores] = {}
    for run in method.runs:
        mle = (row for name, row in scores_of(run)[0].items() if name.startswith(MLE_ROW))
        for row in mle:
            rows.setdefault(run.seed, row)
    return _compared_alone(rows)


def _compared_alone(rows: Seeds) -> Seeds:
    kept = {seed: {key: row[key] for key in KEYS if key in row} for seed, row in rows.items()}
    return {seed: row for seed, row in kept.items() if row}


def _compared(theirs: Seeds, ours: Seeds) -> Comparison:
    if len(theirs) == len(ours) == 1:
        return compare_scores(next(iter(theirs.values())), next(iter(ours.values())))
    return compare_seeds(theirs, ours)


def _sentence(made: Comparison, name: str, other: str) -> str:
    """Such as "regs, last minus MLE, best epoch: chrF2 0.1 [-0.2, 0.4]; no difference ..."."""
    differences = [(one, one.estimate) for one in made.differences if one.estimate is not None]
    if not differences:
        return ""
    parts = ", ".join(
        f"{one.title} {estimate.flagged}{'' if one.p is not None else ' (no interval)'}"
        for one, estimate in differences
    )
    clear = [one.title for one, _ in differences if one.significant_corrected]
    found = f"significant (Holm): {', '.join(clear)}" if clear else "no difference is significant"
    return f"{name} minus {other}: {parts}; {found}."
