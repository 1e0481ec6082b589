"""What a kind of case is, and the little runs that all kinds share."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import ClassVar

from .outcomes import Outcome
from .process import Finished, die_at, run_command

# a run of half a second: every setting that costs time at its least
TINY = (
    "generator.hidden=6", "generator.embedding=4", "discriminator.sizes=[1,2]",
    "discriminator.counts=[3,3]", "discriminator.embedding=4", "objective.rollouts=1",
    "schedule.batch_size=8", "schedule.mle_epochs=2", "schedule.discriminator_turns=1",
    "schedule.rounds=2", "schedule.d_steps=1", "schedule.k=1", "schedule.fakes=16",
    "evaluation.samples=20", "evaluation.final_samples=40", "evaluation.bootstrap=100",
)  # fmt: skip
TINY_ORACLE = (
    "oracle.vocabulary=20", "oracle.length=6", "oracle.hidden=4", "oracle.embedding=4",
    "oracle.positives=40", "oracle.held_out=20",
)  # fmt: skip
WORDS = ["a", "the", "cat", "dog", "sees", "likes", "old", "red", "tree", "house"]


@dataclass(frozen=True)
class Result:
    """A case: what was done in one line, what became of it, and what to look at if it failed."""

    description: str
    outcome: Outcome
    detail: str = ""


class Kind(ABC):
    """A family of cases; a case is decided by its random numbers alone."""

    name: ClassVar[str]
    share: ClassVar[float]  # of a campaign's cases

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

    @abstractmethod
    def case(self, random: Random, folder: Path) -> Result:
        """Do one case in a fresh folder."""


def sentences(random: Random, number: int) -> list[str]:
    """Lines of one to six words, most of them different."""
    return [" ".join(random.choices(WORDS, k=random.randint(1, 6))) for _ in range(number)]


class Runs:
    """Little runs, finished and killed half way, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def text(self) -> Path:
        """A file of sentences."""
        path = self.folder / "toy.txt"
        path.write_text("\n".join(sentences(Random(0), 80)) + "\n", "utf-8")
        return path

    def arguments(self, language: str, out: Path | str, seed: int = 1) -> list[str]:
        """Of `textgan`, to train a little SeqGAN on the oracle or on text."""
        source = TINY_ORACLE if language == "oracle" else ("--data", str(self.text))
        return ["train", "seqgan", *source, *TINY, f"seed={seed}", "--out", str(out)]

    def done(self, language: str, seed: int = 1) -> Path:
        """A finished run that was evaluated and measured along temperatures."""
        path = self.folder / f"{language}-{seed}"
        if not path.exists():
            self._must(self.arguments(language, path, seed))
            self._must(["evaluate", path, "--metrics", "bleu,distinct,likelihood"])
            self._must(["curve", path, "--temperatures", "1,0.5", "--metrics", "distinct"])
        return path

    def half(self, language: str, seed: int = 1) -> Path:
        """A run that was killed half way, with two checkpoints."""
        path = self.folder / f"{language}-{seed}-half"
        if not path.exists():
            arguments = [*self.arguments(language, path, seed), "checkpoint_seconds=0"]
            ended = run_command(arguments, self.folder, before=die_at(40, path / "checkpoints"))
            assert ended.code == -9, ended
        return path

    def copy(self, source: Path, target: Path) -> Path:
        """A copy to damage."""
        shutil.copytree(source, target)
        return target

    def _must(self, arguments: list[object] | list[str]) -> Finished:
        ended = run_command(arguments, self.folder, limit=300)
        if ended.code != 0:
            raise RuntimeError(f"textgan {arguments} ended with {ended.code}: {ended.err[-2000:]}")
        return ended
