"""An evaluation: rows of texts, each judged by every metric, and what a reader must know of them.

evaluation.json in a run's folder holds it, and names the file of the replicates behind its
intervals, which comparisons need: evaluation-<their digest>.safetensors. So whoever reads the one
finds what belongs to it, wherever the writing of another evaluation was cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textgan.core.errors import UserError
from textgan.core.files import exists, is_file, understood, write_file
from textgan.core.identity import identity_in, read_sealed, sealed
from textgan.core.score import Score, Scores, checked_value, read_score
from textgan.core.statistics import Estimate, decimals
from textgan.core.tables import ARROWS, LEGEND, Shown, Table
from textgan.core.tensors import digest, load_tensors, save_tensors
from textgan.core.version import __version__

FILE, OLD_REPLICATES = "evaluation.json", "evaluation.safetensors"
_REPLICATES = re.compile(r"evaluation(-[0-9a-f]{16})?\.safetensors")
_REMEDY = "delete evaluation.json and evaluate again"
_TRIES = 5

# what networks learn from where it is not what the generator was trained on
LEARNT = {"references": "a third of the references", "real": "half of the other real text"}


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """What was measured of several sets of texts.

    rows: by the row's name its scores by theirs; every row was judged against the same texts.
    real: the name of the row of real text, None where there is none.
    unavailable: metrics that could not be had, and what they would have needed.
    facts: what was evaluated and how: texts, their hashes and counts, temperature, seed, seconds.
    """

    rows: dict[str, Scores]
    real: str | None
    unavailable: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "textgan": __version__,
            "rows": {
                row: {name: score.to_dict() for name, score in scores.items()}
                for row, scores in self.rows.items()
            },
            "real": self.real,
            "unavailable": self.unavailable,
            "warnings": self.warnings,
            "facts": self.facts,
        }

    def shown(self) -> list[Table | str]:
        return [table_of(self.rows), *self._notes()]

    def _notes(self) -> list[str]:
        told = self.facts
        notes = []
        if any(
            score.estimate.low is not None for row in self.rows.values() for score in row.values()
        ):
            notes.append("[95 % interval]: bootstrap over sentences, or random subsets of a set")
        if self.real is None:
            notes.append("no row of real text: nothing says how well real text would do")
        elif told.get("alike"):
            notes.append(f"'{self.real}' is no level to reach: see the warnings")
        else:
            notes.append(f"'{self.real}' is the level to reach, not to exceed")
        learnt = told.get("networks", {}).get("of")
        if learnt in LEARNT:
            notes.append(
                f"networks are trained on {told['networks']['texts']} texts, {LEARNT[learnt]}, "
                "which nothing is judged by"
            )
        notes += [f"not measured: {name}: {why}" for name, why in self.unavailable.items()]
        if "seconds" in told:
            notes.append(
                f"{told['seconds']:.1f} s, peak memory {told['peak_memory_mib']:.0f} MiB; "
                "--json has every signature"
            )
        return notes + [f"warning: {warning}" for warning in self.warnings]


def estimates_of(steps: Mapping[float, Scores]) -> dict[float, dict[str, Estimate]]:
    """The estimates alone of the scores at each temperature: what a curve is drawn through."""
    return {
        temperature: {name: score.estimate for name, score in scores.items()}
        for temperature, scores in steps.items()
    }


def names_of(rows: Sequence[Mapping[str, Score]]) -> list[str]:
    """The names of all scores in the order of a table: that of the row that has the most."""
    fullest = sorted(rows, key=len, reverse=True)
    return list(dict.fromkeys(name for row in fullest for name in row))


def table_of(
    rows: Mapping[str, Mapping[str, Score]], intervals: bool = True, title: str = ""
) -> Table:
    """Metrics downwards, rows of texts across, and which way is better."""

    def cell(score: Score) -> str:
        return str(score.estimate) if intervals else decimals(score.estimate.value)

    body, narrow = [], []
    for name in names_of(list(rows.values())):
        # the last row's: real text, the first, is not at the temperature that a title may name
        score = next(rows[row][name] for row in reversed(list(rows)) if name in rows[row])
        cells = [cell(scores[name]) if name in scores else "" for scores in rows.values()]
        body.append([score.title, score.better, *cells, score.unit])
        unit = f"\n  {score.unit}" if score.unit else ""
        narrow.append([f"{score.title} {ARROWS[score.better]}{unit}", *cells])
    slim = Table(["", *rows], narrow, footnote=LEGEND)
    return Table(["", "better", *rows, ""], body, title=title, narrow=slim)


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """evaluation.json and the replicates beside it; those of the evaluation before are removed."""
    replicates = {
        f"{row}/{name}": torch.from_numpy(np.ascontiguousarray(score.replicates))
        for row, scores in evaluation.rows.items()
        for name, score in scores.items()
        if len(score.replicates)
    }
    identity = identity_in(folder)
    name = f"evaluation-{digest(replicates)[:16]}.safetensors"
    save_tensors(folder / name, replicates, {})
    told = sealed(evaluation.to_dict() | {"replicates": name}, identity.digest if identity else "")
    content = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    write_file(folder / FILE, content.encode())
    for other in folder.glob("evaluation*.safetensors"):
        if _REPLICATES.fullmatch(other.name) and other.name != name:
            with suppress(OSError):
                other.unlink()


def read_evaluation(folder: Path) -> Evaluation | None:
    """What `write_evaluation` left in a run's folder; None where there is nothing.

    Raises UserError for a damaged file, one of another run, and replicates of another evaluation.
    """
    path = folder / FILE
    for _ in range(_TRIES):  # somebody may write another evaluation between our two readings
        if not exists(path):
            return None
        content = read_sealed(path, identity_in(folder), _REMEDY)
        try:
            tensors = _replicates(folder, content)
        except UserError:
            if read_sealed(path, identity_in(folder), _REMEDY) == content:
                raise
            continue
        break
    else:
        raise UserError(f"{path} is written again and again by somebody else; try again later")
    with understood(path, _REMEDY):
        rows = {
            row: {
                name: read_score(score, tensors.get(f"{row}/{name}"))
                for name, score in scores.items()
            }
            for row, scores in content["rows"].items()
        }
        return Evaluation(
            rows,
            checked_value(content, "real", str | None),
            checked_value(content, "unavailable", dict[str, str]),
            checked_value(content, "warnings", list[str]),
            checked_value(content, "facts", dict[str, Any]),
        )


def _replicates(folder: Path, content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The replicates of an evaluation; UserError where they are not its own."""
    name = content.get("replicates", OLD_REPLICATES)
    path = folder / str(name)
    if name == OLD_REPLICATES and not is_file(path):
        return {}  # version 0.1's
    if not isinstance(name, str) or not _REPLICATES.fullmatch(name) or not is_file(path):
        raise UserError(f"{path} is missing, which {folder / FILE} belongs to; {_REMEDY}")
    tensors, _ = load_tensors(path)
    if name not in (OLD_REPLICATES, f"evaluation-{digest(tensors)[:16]}.safetensors"):
        raise UserError(f"{path} is of another evaluation than {folder / FILE}; {_REMEDY}")
    return tensors
