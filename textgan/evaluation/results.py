"""An evaluation: rows of texts, each measured by every metric, and its file.

evaluation.json in a run's folder holds it, and names the file of the replicates behind its
intervals, which comparisons need: evaluation-<their digest>.safetensors. So whoever reads the one
finds what belongs to it, wherever the writing of another evaluation was cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from textgan.core.errors import UserError
from textgan.core.files import exists, is_file, understood
from textgan.core.identity import identity_in, read_sealed, write_sealed
from textgan.core.score import Score, ScoreTable, checked_value
from textgan.core.tensors import digest, load_tensors, save_tensors
from textgan.training.measure import sources_answered

FILE, OLD_REPLICATES = "evaluation.json", "evaluation.safetensors"
_REPLICATES = re.compile(r"evaluation(-[0-9a-f]{16})?\.safetensors")
_REMEDY = "delete evaluation.json and evaluate again"
_TRIES = 5
_OLD_FACTS = {"alone": "sample", "paired": "paired_sample"}

# what networks learn from where it is not what the generator was trained on
TRAIN_SOURCES = {"references": "a third of the references", "real": "half of the other real text"}


@dataclass(frozen=True, repr=False)
class Evaluation(ScoreTable):
    """The scores of several sets of texts, every row against the same real texts.

    facts: what was evaluated and how: texts, their hashes and counts, temperature, seed, seconds.
    """

    @classmethod
    def from_dict(
        cls, content: Mapping[str, Any], replicates: Mapping[str, torch.Tensor]
    ) -> Evaluation:
        """Rebuild the evaluation from what `to_dict` wrote. replicates: by row and name. Raises
        KeyError or ValueError."""

        def read(row: str, name: str, score: Mapping[str, Any]) -> Score:
            tensor = replicates.get(f"{row}/{name}")
            return Score.from_dict(
                score, None if tensor is None else tensor.double().numpy().ravel()
            )

        facts = checked_value(content, "facts", dict[str, Any])
        return cls(
            {
                row: {name: read(row, name, score) for name, score in scores.items()}
                for row, scores in content["rows"].items()
            },
            checked_value(content, "real", str | None),
            checked_value(content, "unavailable", dict[str, str]),
            checked_value(content, "warnings", list[str]),
            {_OLD_FACTS.get(key, key): fact for key, fact in facts.items()},
        )

    def footnotes(self) -> list[str]:
        facts = self.facts
        notes = [f"decoding: {decoded(facts)}"] if decoded(facts) else []
        if any(score.low is not None for row in self.rows.values() for score in row.values()):
            signatures = (score.signature for row in self.rows.values() for score in row.values())
            of_networks = any("|n_test:" in signature for signature in signatures)
            notes.append(
                "[95 % interval]: bootstrap over sentences, or random subsets of a set"
                + ("; over evaluators: Student's" if of_networks else "")
            )
        if self.real is None:
            why = facts.get("no_real", "nothing says how well real text would do")
            notes.append(f"no row of real text: {why}")
        elif facts.get("alike"):
            notes.append(f"'{self.real}' is no level to reach: see the warnings")
        else:
            notes.append(f"'{self.real}' is the level to reach, not to exceed")
        source = facts.get("networks", {}).get("of")
        if source in TRAIN_SOURCES:
            notes.append(
                f"networks are trained on {facts['networks']['texts']} texts, "
                f"{TRAIN_SOURCES[source]}, which no metric uses"
            )
        notes += [f"not measured: {name}: {why}" for name, why in self.unavailable.items()]
        if "seconds" in facts:
            notes.append(
                f"{facts['seconds']:.1f} s, peak memory {facts['peak_memory_mib']:.0f} MiB; "
                "--json has every signature"
            )
        return notes


def decoded(facts: Mapping[str, Any]) -> str:
    """Describe how the texts of runs that these facts are of were decoded, and how many sources
    they answer where those are not all; "" where there are none."""
    of_texts = facts.get("texts")
    every = [facts, *(of_texts.values() if isinstance(of_texts, Mapping) else ())]
    about = next((one for one in every if "temperature" in one), None)
    if about is None:
        return ""
    how, heat = about.get("decode", "sample"), about["temperature"]  # a word for a mixture
    drawn = (
        f"sampled at temperature {heat:g}" if isinstance(heat, int | float) else f"sampled: {heat}"
    )
    asked = sources_answered(facts.get("samples", 0), facts.get("test_sources"))
    drawn += f"; {asked} are answered" if asked else ""
    return drawn if how == "sample" else f"{how}; likelihoods are of texts {drawn}"


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write evaluation.json and the replicates beside it; those of the evaluation before are
    removed."""
    replicates = {
        f"{row}/{name}": torch.from_numpy(score.replicates.copy())
        for row, scores in evaluation.rows.items()
        for name, score in scores.items()
        if len(score.replicates)
    }
    identity = identity_in(folder)
    name = f"evaluation-{digest(replicates)[:16]}.safetensors"
    save_tensors(folder / name, replicates, {})
    content = evaluation.to_dict() | {"replicates": name}
    write_sealed(folder / FILE, content, identity.digest if identity else "")
    for other in folder.glob("evaluation*.safetensors"):
        if _REPLICATES.fullmatch(other.name) and other.name != name:
            with suppress(OSError):
                other.unlink()


def read_evaluation(folder: Path) -> Evaluation | None:
    """Read what `write_evaluation` wrote into a run's folder; None where there is nothing.

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
        return Evaluation.from_dict(content, tensors)


def _replicates(folder: Path, content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The replicates of an evaluation; UserError where they are not its own."""
    name = content.get("replicates", OLD_REPLICATES)
    path = folder / str(name)
    if name == OLD_REPLICATES and not is_file(path):
        return {}  # version 0.1's
    if not isinstance(name, str) or not _REPLICATES.fullmatch(name) or not is_file(path):
        raise UserError(f"{path} is missing, which {folder / FILE} belongs to; {_REMEDY}")
    tensors, _ = load_tensors(path, _REMEDY)
    if name not in (OLD_REPLICATES, f"evaluation-{digest(tensors)[:16]}.safetensors"):
        raise UserError(f"{path} is of another evaluation than {folder / FILE}; {_REMEDY}")
    return tensors
