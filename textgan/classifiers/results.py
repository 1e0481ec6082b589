"""Classification: the results of a study of classifiers, a table over seeds, and its file.

classify.json in the folder of a study holds the result of every classifier that is trained.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydantic

from textgan.core.errors import UserError, option
from textgan.core.files import (
    exists,
    is_file,
    is_folder,
    is_partial,
    make_folder,
    read_json,
    understood,
    write_file,
)
from textgan.core.locks import locked
from textgan.core.statistics import Estimate, over_seeds
from textgan.core.tables import Shown, Table

FILE = "classify.json"
NONE = "none"  # the name of no perturbation
CLEAN = "clean"  # the name of sentences as they are
FORMER_FACTS = {"commonest": "majority", "reader": "tokenizer"}  # keys of version 0.1
LEARNT = 0.02  # accuracy above the share of the majority label that shows that anything was learnt

Runs = dict[tuple[str, int], "TrainedClassifier"]  # by perturbation and seed


@dataclass(frozen=True)
class TrainedClassifier:
    """The course of one classifier's training, and its accuracies.

    accuracy: on the test sentences as they are (CLEAN), under each attack and with each noise, by
    name. valid: accuracy in validation after its best epoch, the `epoch`-th of `epochs`. seconds:
    of its updates alone. norm: of a typical vector, the unit of the attacks' radii.
    """

    perturb: str
    seed: int
    accuracy: dict[str, float]
    valid: float
    epoch: int
    epochs: int
    seconds: float
    norm: float


_RUNS = pydantic.TypeAdapter(list[TrainedClassifier])


@dataclass(frozen=True, repr=False)
class Classification(Shown):
    """All classifiers of a study. facts: what was done, and on what."""

    facts: dict[str, Any]
    runs: tuple[TrainedClassifier, ...]

    @property
    def names(self) -> list[str]:
        """The perturbations, in the order in which they were given."""
        return list(dict.fromkeys(run.perturb for run in self.runs))

    @property
    def measures(self) -> list[str]:
        """The names of the accuracies."""
        return list(self.runs[0].accuracy)

    def accuracies(self) -> dict[str, dict[str, Estimate]]:
        """Return the accuracies by perturbation and measure, over seeds."""
        return {
            name: {
                measure: over_seeds([run.accuracy[measure] for run in self._of(name)])
                for measure in self.measures
            }
            for name in self.names
        }

    def differences(self) -> dict[str, dict[str, Estimate]]:
        """Return the accuracies of each perturbation less those of none, seed by seed, over
        seeds."""
        return {
            name: {
                measure: over_seeds(
                    [
                        run.accuracy[measure] - base.accuracy[measure]
                        for run, base in zip(self._of(name), self._of(NONE), strict=True)
                    ]
                )
                for measure in self.measures
            }
            for name in self.names
            if name != NONE
        }

    def times(self) -> dict[str, Estimate]:
        """Return the seconds of training, each divided by those of none with the same seed, over
        seeds."""
        return {
            name: over_seeds(
                [
                    run.seconds / max(base.seconds, 1e-9)
                    for run, base in zip(self._of(name), self._of(NONE), strict=True)
                ]
            )
            for name in self.names
        }

    def _of(self, name: str) -> list[TrainedClassifier]:
        return sorted((run for run in self.runs if run.perturb == name), key=lambda run: run.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "facts": self.facts,
            "runs": [asdict(run) for run in self.runs],
            "accuracies": {
                name: {measure: one.to_dict() for measure, one in row.items()}
                for name, row in self.accuracies().items()
            },
            "differences": {
                name: {
                    measure: one.to_dict() | {"significant": significant(one)}
                    for measure, one in row.items()
                }
                for name, row in self.differences().items()
            },
            "times": {name: one.to_dict() for name, one in self.times().items()},
        }

    def shown(self) -> list[Table | str]:
        times, headers = self.times(), [_stacked(measure) for measure in self.measures]
        short = _short(self.names)
        rows = [
            [short[name], *map(_percent, row.values()), _format(times[name])]
            for name, row in self.accuracies().items()
        ]
        parts: list[Table | str] = [Table(["accuracy", *headers, "time"], rows), ""]
        differences = self.differences()
        if differences:
            rows = [
                [
                    short[name],
                    *(_percent(one, "+") + "*" * significant(one) for one in row.values()),
                ]
                for name, row in differences.items()
            ]
            headers = [f"less {NONE}'s", *headers]
            parts += [Table(headers, rows), ""]
        return [*parts, *self._notes()]

    def _notes(self) -> list[str]:
        settings, split = self.facts["settings"], self.facts["data"]["split"]
        seeds, compared = self.facts["seeds"], (len(self.names) - 1) * len(self.measures)
        attacks, noise = settings["attack"], settings["noise"]
        ball = "" if attacks["absolute"] else " times the length of a sentence's own vectors"
        none = over_seeds([run.seconds for run in self._of(NONE)]).value
        notes = [
            f"in % of {split['test']:,} test sentences; the majority label alone has "
            f"{100 * self.facts['majority']:.1f}",
            f"attack: the worst that {attacks['steps']} steps from each of {attacks['restarts']} "
            f"starts find in a ball of that radius{ball}",
            f"{', '.join(noise['kind'])}: that share of the words disturbed, alike for all",
            f"time: {self.facts['clock']} of training, {NONE}'s {none:.1f} s being 1",
        ]
        if seeds > 1:
            notes.append(
                f"±: 95 % interval over {seeds} seeds: the chance in training, not that in the "
                "choice of the test sentences"
            )
        else:
            notes.append("one seed: nothing says what is chance; " + option("seeds", 5) + " does")
        if compared and seeds > 1:
            notes.append(
                f"*: the interval leaves out 0; of {compared} differences, {compared / 20:.1f} "
                "would by chance alone"
            )
        notes += [f"{short}: {name}" for name, short in _short(self.names).items() if short != name]
        notes += [f"warning: {warning}" for warning in self.facts.get("warnings", ())]
        clean = {name: row[CLEAN].value for name, row in self.accuracies().items()}
        notes += [
            f"warning: {name} does no better than the majority label, so what it withstands means "
            f"nothing; try {'more epochs or another lr' if name == NONE else 'smaller radii'}"
            for name, share in clean.items()
            if share < self.facts["majority"] + LEARNT
        ]
        return notes


def significant(difference: Estimate) -> bool:
    """Return whether the interval of a difference leaves out 0; False where there is no
    interval."""
    low, high = difference.low, difference.high
    return low is not None and high is not None and not low <= 0 <= high


@contextmanager
def opened(folder: Path, facts: dict[str, Any]) -> Iterator[Runs]:
    """The runs that a study's folder holds, which is locked meanwhile.

    Raises UserError for a folder that holds something else.
    """
    path = folder / FILE
    if exists(path) and not is_file(path):
        raise UserError(f"{path} is not a file; choose another --out")
    if not is_file(path) and exists(folder):
        used = not is_folder(folder) or any(
            other.suffix != ".lock" and not is_partial(other) for other in folder.iterdir()
        )
        if used:
            raise UserError(f"out = {str(folder)!r} is in use; choose another folder")
    make_folder(folder, f"out = {str(folder)!r}")
    with locked(folder):
        runs = _read_runs(path, facts) if is_file(path) else {}
        if not runs:  # from now on the folder is this study's, whenever it is killed
            write(folder, {"facts": facts, "runs": []})
        yield runs


def _read_runs(path: Path, facts: dict[str, Any]) -> Runs:
    with understood(path, f"choose another {option('out')}"):
        content = read_json(path)
        before, runs = content["facts"], _RUNS.validate_python(content["runs"])
        for former, key in FORMER_FACTS.items():
            if former in before:
                before[key] = before.pop(former)
        difference = _difference(before, json.loads(json.dumps(facts)))
    if difference is not None:
        key, there, here = difference
        raise UserError(
            f"{path.parent} holds another study: {key} is {there!r} there and {here!r} here; "
            f"choose another {option('out')}"
        )
    return {(run.perturb, run.seed): run for run in runs}


def _difference(a: Any, b: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """The first key in which two tables differ, and what each has there."""
    if isinstance(a, dict) and isinstance(b, dict):
        pairs = ((f"{key}.{name}".lstrip("."), a.get(name), b.get(name)) for name in {**a, **b})
        return next((one for name, x, y in pairs if (one := _difference(x, y, name))), None)
    return None if a == b else (key, a, b)


def write(folder: Path, content: dict[str, Any]) -> None:
    """Write what `opened` reads: facts and runs, and what was computed from them."""
    write_file(folder / FILE, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _short(names: list[str]) -> dict[str, str]:
    """Perturbations without their settings, where the short names differ."""
    bare = [name.partition("(")[0].strip() for name in names]
    return {
        name: short if bare.count(short) == 1 else name
        for name, short in zip(names, bare, strict=True)
    }


def _stacked(measure: str) -> str:
    """A header of two lines."""
    return measure.replace(" ", "\n")


def _percent(share: Estimate, sign: str = "") -> str:
    return _format(share, 100, f"{sign}.1f", ".1f")


def _format(number: Estimate, scale: float = 1, form: str = ".2f", half: str = ".2f") -> str:
    value = f"{scale * number.value:{form}}"
    if number.high is None:
        return value
    return f"{value} ±{scale * (number.high - number.value):{half}}"
