"""Commands killed anywhere, then repeated: they must end as if nothing had happened."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from random import Random

from .base import Kind, Result
from .outcomes import Outcome, failed_badly, plain
from .process import Finished, die_at, run_command

ENDS = ("mle.safetensors", "metrics.jsonl", "results.json", "samples.txt")


def digest(run: Path) -> dict[str, str]:
    """Of the files in which a run's course shows: its last checkpoint and what it ends with."""
    last = sorted((run / "checkpoints").glob("*.safetensors"))[-1:]
    paths = [*last, *(run / name for name in ENDS)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


class Kills(Kind):
    """Training killed at a change of a file, or at a moment, once or twice, then resumed."""

    name = "kill"
    share = 0.08

    def case(self, random: Random, folder: Path) -> Result:
        language = random.choice(("oracle", "text"))
        run = folder / "run"
        train = [*self.runs.arguments(language, run), "checkpoint_seconds=0"]
        times = random.choice((1, 1, 2))
        kills = []
        arguments = train
        for _ in range(times):
            if random.random() < 0.7:
                operation = random.randint(1, 150)
                kills.append(f"at operation {operation}")
                ended = run_command(arguments, folder, before=die_at(operation, run))
            else:
                moment = random.uniform(0, 1.5)
                kills.append(f"after {moment:.2f} s")
                ended = run_command(arguments, folder, kill_after=moment)
            if ended.code == 0:
                break
            bad = failed_badly(ended) if ended.code != -9 else None
            if bad is not None:
                return Result(f"train {language}, killed {kills}", bad, ended.err[-2000:])
            arguments = ["resume", str(run)] if (run / "config.json").exists() else train
        what = f"train {language}, killed {', '.join(kills)}"
        ended = run_command(arguments, folder)
        if ended.code == 2 and arguments[0] == "train":
            return Result(what, Outcome.UNCLEAR, f"the same command: {ended.err[-2000:]}")
        bad = failed_badly(ended)
        if bad is not None:
            return Result(what, bad, ended.err[-2000:])
        if ended.code != 0:
            return Result(what, Outcome.UNCLEAR, ended.err[-2000:])
        expected, digests = self._expected(language), digest(run)
        if digests != expected:
            differ = [
                name for name in {*digests, *expected} if digests.get(name) != expected.get(name)
            ]
            return Result(what, Outcome.SILENT, f"differ: {sorted(differ)}\n{ended.err[-1000:]}")
        left = [path.name for path in run.rglob("*.partial*")]
        if left:
            return Result(what, Outcome.UNCLEAR, f"left over: {left}")
        return Result(what, Outcome.IDENTICAL)

    def _expected(self, language: str) -> dict[str, str]:
        return self._references[language]

    @cached_property
    def _references(self) -> dict[str, dict[str, str]]:
        digests = {}
        for language in ("oracle", "text"):
            run = self.runs.folder / f"kill-{language}"
            arguments = [*self.runs.arguments(language, run), "checkpoint_seconds=0"]
            ended = run_command(arguments, self.runs.folder)
            assert ended.code == 0, ended.err
            digests[language] = digest(run)
        return digests


class Repeats(Kind):
    """Other commands killed at a change of a file; the same command again must end as ever."""

    name = "repeat"
    share = 0.06

    def case(self, random: Random, folder: Path) -> Result:
        command = random.choice(("evaluate", "curve", "report", "classify", "encode", "sample"))
        run = self.runs.copy(self.runs.done("text"), folder / "run")
        arguments, place = self._arguments(command, run, folder)
        operation = random.randint(1, 12)
        what = f"{command}, killed at operation {operation}"
        killed = run_command(arguments, folder, limit=120, before=die_at(operation, place))
        if killed.code not in (0, -9):
            return Result(what, failed_badly(killed) or Outcome.UNCLEAR, killed.err[-2000:])
        if killed.code == 0 and command in ("classify", "encode", "sample"):
            return Result(what + " (it had ended)", Outcome.OK)
        ended = run_command(arguments, folder, limit=120)
        bad = failed_badly(ended)
        if bad is None and ended.code != 0:
            bad = Outcome.UNCLEAR
        if bad is not None:
            return Result(what, bad, f"the same command again: {ended.err[-2000:]}")
        if command in ("evaluate", "curve"):
            if plain(ended.out) != plain(self._expected[command].out):
                return Result(what, Outcome.SILENT, ended.out[-2000:])
            return Result(what, Outcome.IDENTICAL)
        return Result(what, Outcome.OK)

    def _arguments(self, command: str, run: Path, folder: Path) -> tuple[list[object], Path]:
        text = self.runs.text
        if command == "evaluate":
            return ["evaluate", run, "--metrics", "bleu,distinct,likelihood"], run
        if command == "curve":
            return ["curve", run, "--temperatures", "1,0.5", "--metrics", "distinct"], run
        if command == "report":
            return ["report", run, "--no-measure"], run
        if command == "sample":
            return ["sample", run, "-n", 20, "--out", folder / "out" / "s.txt"], folder / "out"
        out = folder / "made"
        if command == "encode":
            return ["encode", "simcse", "--data", text, "--out", out, "epochs=1"], out
        labelled = folder / "labelled.tsv"
        lines = text.read_text("utf-8").splitlines()
        labelled.write_text(
            "".join(f"{'odd' if len(line) % 2 else 'even'}\t{line}\n" for line in lines), "utf-8"
        )
        rest = ["--network", "rnn", "--seeds", 2, "--perturb", "none", "epochs=1", "--keep"]
        return ["classify", labelled, *rest, "--out", out], out

    @cached_property
    def _expected(self) -> dict[str, Finished]:
        outcomes = {}
        for command in ("evaluate", "curve"):
            run = self.runs.copy(self.runs.done("text"), self.runs.folder / f"repeat-{command}")
            arguments, _ = self._arguments(command, run, self.runs.folder)
            outcomes[command] = run_command(arguments, self.runs.folder)
            assert outcomes[command].code == 0, outcomes[command].err
        return outcomes
