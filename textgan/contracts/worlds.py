"""Tiny worlds in which a part is tried: an oracle, sentences of several lengths, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch

from textgan.contracts.outcome import Broken
from textgan.core import registry
from textgan.core.names import Kind
from textgan.core.own_code import Typed
from textgan.core.settings import settings_of
from textgan.core.streams import Purpose, stream
from textgan.data.pre_tokenizer import TURN_WORD
from textgan.training.config import RunConfig, make_config
from textgan.training.run import Run, create_run
from textgan.training.schedule import Step, plan
from textgan.training.state import TrainingState
from textgan.training.steps import take_step

World = Literal["fixed", "variable", "labelled"]

TINY: dict[str, Any] = {
    "seed": 1,
    "device": "cpu",
    "schedule.batch_size": 8,
    "schedule.mle_epochs": 1,
    "schedule.discriminator_turns": 1,
    "schedule.rounds": 2,
    "schedule.warmup_d_steps": 1,
    "schedule.g_steps": 1,
    "schedule.d_steps": 1,
    "schedule.k": 1,
    "schedule.fakes": 8,
    "evaluation.samples": 10,
    "evaluation.final_samples": 10,
}
ORACLE: dict[str, Any] = {
    "oracle.vocabulary": 12,
    "oracle.length": 6,
    "oracle.embedding": 4,
    "oracle.hidden": 4,
    "oracle.positives": 40,
    "oracle.held_out": 20,
}
# where its texts answer sources
OF_SOURCES: dict[str, Any] = {"oracle.source_length": 4, "oracle.source_vocabulary": 8}
# settings that decide how much work textgan's own parts are
SMALL: dict[str, Any] = {
    "embedding": 4, "hidden": 6, "sizes": [1, 2, 3], "counts": [3, 3, 3], "rollouts": 2,
    "samples": 2, "channels": 6, "noise": 5, "blocks": 2, "head_size": 4, "goal_size": 3,
    "representations": 3,
}  # fmt: skip
WORDS = ("a", "the", "cat", "dog", "sees", "likes", "old", "red", "tree", "house")


def sentences(n: int = 60, labelled: bool = False) -> list[str]:
    """Make n lines of one to six words, after a label and a tab if asked for."""
    lines = [" ".join(WORDS[(i * j) % 10] for j in range(1, 2 + i % 6)) for i in range(n)]
    return [f"{'good' if i % 2 else 'bad'}\t{line}" for i, line in enumerate(lines)] if (
        labelled
    ) else lines  # fmt: skip


def sources(n: int = 60) -> list[str]:
    """Make the sources of `sentences`, of one utterance and of two: their words the other way
    round."""
    lines = [" ".join(reversed(line.split())) for line in sentences(n)]
    return [f"{line} {TURN_WORD} {line}" if i % 3 else line for i, line in enumerate(lines)]


@dataclass
class Trial:
    """Runs of a second with one part in its place, in a folder of their own.

    parts: names by the group of a config. settings: by dotted key, the user's. has_source: whether
    the texts of its worlds answer a source.
    """

    folder: Path
    parts: Mapping[Kind, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    has_source: bool = False
    numbers: Any = field(default_factory=count)

    def config(self, world: World = "fixed", **changes: Any) -> RunConfig:
        """Make the config of a tiny run; changes have `__` for a dot."""
        objective = registry.find("objective", self.parts["objective"], code=Typed())
        settings: dict[str, Any] = {**TINY, **self._language(world)}
        preferred = dict(objective.defaults)
        usual = objective.usual_pair(self.has_source)
        generator = self.parts.get("generator") or usual[0]
        preferred |= registry.find("generator", generator, code=Typed()).defaults
        likely = objective.needs_likelihood and preferred.get("schedule.mle_epochs") != 0
        if not likely:
            settings["schedule.mle_epochs"] = 0
        groups: dict[str, tuple[Kind, str | None]] = {
            "objective": ("objective", self.parts["objective"]),
            "generator": ("generator", generator),
            "discriminator": (
                objective.discriminator_kind,
                self.parts.get("discriminator") or usual[1],
            ),
        }
        for group, (kind, name) in groups.items():
            if name and not registry.is_file(name):
                known = settings_of(registry.find(kind, name))
                settings |= {f"{group}.{one.name}": SMALL[one.name] for one in known
                         if one.name in SMALL}  # fmt: skip
        settings.update({group: name for group, name in self.parts.items() if name})
        settings.update(self.settings)
        settings |= {key.replace("__", "."): value for key, value in changes.items()}
        return make_config({"objective": self.parts["objective"]}, settings)

    def run(self, world: World = "fixed", **changes: Any) -> Run:
        """Create a new run; its dry run has passed."""
        return create_run(self.config(world, **changes), self.folder / f"run-{next(self.numbers)}")

    @cached_property
    def one(self) -> Run:
        """A run with texts of one length that nobody trains."""
        return self.run()

    def _language(self, world: World) -> dict[str, Any]:
        """The settings of where the texts of a world come from."""
        if world == "fixed":
            return ORACLE | (OF_SOURCES if self.has_source else {})
        name = "labelled.tsv" if world == "labelled" else "sentences.txt"
        settings = {"data.file": self._file(name, sentences(labelled=world == "labelled"))}
        if self.has_source:
            settings["data.source"] = self._file("sources.txt", sources())
        return settings

    def _file(self, name: str, lines: Sequence[str]) -> str:
        path = self.folder / name
        if not path.exists():
            path.write_text("\n".join(lines) + "\n", "utf-8")
        return str(path)


def begin(run: Run) -> TrainingState:
    """Return the state of a run at its beginning, as the trainer makes it."""
    torch.manual_seed(stream(Purpose.TRAINING, run.seed))
    return TrainingState(run)


def steps_of(run: Run, state: TrainingState) -> list[Step]:
    """Return the training steps of a run, without its measurements."""
    steps = plan(run.config.schedule, len(run.corpus.train), state.adversary)
    return [step for step in steps if step.do != "tick"]


def train(run: Run, stops: Sequence[int] = ()) -> Path:
    """Train a run; at each of the steps in `stops` it is saved and goes on from what was saved.

    Returns its last checkpoint.
    """
    state = begin(run)
    for number, step in enumerate(steps_of(run, state)):
        if number in stops:
            saved = state.save()
            torch.manual_seed(stream(Purpose.DRY_RUN, number))  # whatever a new process begins with
            state = TrainingState(run)
            state.restore(saved)
        take_step(state, step, None)  # type: ignore[arg-type]  # only ticks log
    return state.save()


def resumes_exactly(trial: Trial, world: World = "fixed", **changes: Any) -> str:
    """Check that a run killed after every step ends in the same bytes as one that was not."""
    whole, killed = trial.run(world, **changes), trial.run(world, **changes)
    at = range(1, len(steps_of(killed, begin(killed))))
    expected, resumed = train(whole), train(killed, list(at))
    if expected.read_bytes() != resumed.read_bytes():
        raise Broken(
            "a run that was killed and resumed ends in other weights: what is drawn must come from "
            "torch's random numbers, and what is remembered must be in state"
        )
    return f"after each of {len(at)} steps"
