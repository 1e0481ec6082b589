"""A file of a run's folder damaged, replaced or gone, then a command that reads the folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import torch

from textgan.core.tensors import load_tensors, save_tensors

from .base import Kind, Result
from .outcomes import Outcome, judge
from .process import Finished, run_command

# what these hold is shown as it is; nothing else follows from them
SHOWN = {"metrics.jsonl", "samples.txt", "curves.png", "report.html"}
MEASURED = ("evaluation", "curve.json", "results.json")
COMMANDS: dict[str, tuple[object, ...]] = {
    "sample": ("-n", 20, "--seed", 3),
    "evaluate": ("--metrics", "bleu,distinct,likelihood"),
    "compare": (),
    "curve": ("--temperatures", "1,0.5", "--metrics", "distinct"),
    "report": ("--no-measure", "--out", "page.html"),
    "resume": (),
}
_OPENS = ("config.json", "data.", "vocabulary.", "oracle.")
# what a command reads, and so what is damaged most often before it
READS: dict[str, tuple[str, ...]] = {
    "sample": (*_OPENS, "checkpoints"),
    "evaluate": (*_OPENS, "checkpoints", "mle."),
    "compare": ("config.json", "evaluation."),
    "curve": (*_OPENS, "checkpoints", "mle."),
    "report": ("config.json", "evaluation.", "curve.json", "results.json", "metrics."),
    "resume": (*_OPENS, "checkpoints", "mle.", "metrics.", "results.json"),
}
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 3, 1e308, 10**400, "", "x", "\u202e\x1b[31m", [], {}, [[]], {"x": 1},
)  # fmt: skip


class Damage(Kind):
    """One file, one kind of damage, one command."""

    name = "damage"
    share = 0.4

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._expected: dict[tuple[str, str], tuple[Finished, str]] = {}

    def case(self, random: Random, folder: Path) -> Result:
        language = random.choice(("oracle", "text"))
        command = random.choice(list(COMMANDS))
        source = (
            self.runs.half(language)
            if command == "resume" and random.random() < 0.7
            else self.runs.done(language)
        )
        expected, page = self._reference(command, source)
        run = self.runs.copy(source, folder / "run")
        names = sorted(
            str(path.relative_to(run))
            for path in run.rglob("*")
            if path.is_file() and "events.out" not in path.name and path.suffix != ".lock"
        )
        likely = [name for name in names if any(part in name for part in READS[command])]
        name = random.choice(likely if random.random() < 0.8 else names)
        how, forged = self._harm(run / name, random, language)
        what = f"{command} {source.name}, {name}: {how}"
        ended = run_command([command, run, *COMMANDS[command]], folder)
        outcome = judge(ended, expected, str(run), forged)
        if command == "report" and outcome in (Outcome.NO_EFFECT, Outcome.SAID):
            shown = (folder / "page.html").read_text("utf-8").replace(str(run), "RUN")
            if shown == page:
                outcome = Outcome.NO_EFFECT
            elif outcome is Outcome.NO_EFFECT:
                outcome = Outcome.FORGED if forged else Outcome.SILENT
        if outcome is Outcome.SILENT and Path(name).name in SHOWN:
            outcome = Outcome.SHOWN
        if outcome is Outcome.SILENT and how == "gone" and name.startswith(MEASURED):
            outcome = Outcome.SHOWN  # as before it was ever measured
        return Result(what, outcome, f"{ended.code}\n{ended.out[-1500:]}\n{ended.err[-2500:]}")

    def _reference(self, command: str, source: Path) -> tuple[Finished, str]:
        key = command, source.name
        if key not in self._expected:
            place = self.runs.folder / f"expected-{command}-{source.name}"
            place.mkdir()
            run = self.runs.copy(source, place / "run")
            ended = run_command([command, run, *COMMANDS[command]], place, limit=300)
            assert ended.code == 0, (command, ended.err)
            page = place / "page.html"
            shown = page.read_text("utf-8").replace(str(run), "RUN") if page.exists() else ""
            ended = Finished(ended.code, ended.out, ended.err.replace(str(run), "FOLDER"), 0)
            self._expected[key] = ended, shown
        return self._expected[key]

    def _harm(self, path: Path, random: Random, language: str) -> tuple[str, bool]:
        """Damage a file; returns how, and whether its digest was made again."""
        content = path.read_bytes()
        ways = ["bit", "truncated", "empty", "zeros", "gone", "junk", "folder", "fifo", "other run"]
        if path.suffix in (".json", ".jsonl"):
            ways += ["value", "value", "value", "key gone", "deep", "type"]
        if path.suffix == ".safetensors":
            ways += ["forged"] * 4
        way = random.choice(ways)
        if way == "bit":
            at, bit = random.randrange(max(len(content), 1)), random.randrange(8)
            harmed = bytearray(content or b"\0")
            harmed[at] ^= 1 << bit
            path.write_bytes(bytes(harmed))
            return f"bit {bit} of byte {at} of {len(content)} flipped", False
        if way == "truncated":
            size = random.randrange(max(len(content), 1))
            path.write_bytes(content[:size])
            return f"cut to {size} of {len(content)} bytes", False
        if way == "empty":
            path.write_bytes(b"")
        elif way == "zeros":
            path.write_bytes(bytes(len(content)))
        elif way == "gone":
            path.unlink()
        elif way == "junk":
            path.write_bytes(random.randbytes(random.randint(1, 3000)))
        elif way == "folder":
            path.unlink()
            path.mkdir()
        elif way == "fifo":
            path.unlink()
            os.mkfifo(path)
        elif way == "other run":
            return self._exchange(path, language), False
        elif way == "forged":
            return _forge(path, random), True
        elif way in ("value", "key gone", "deep", "type"):
            return _edit(path, way, random), False
        return way, False

    def _exchange(self, path: Path, language: str) -> str:
        other = self.runs.done(language, seed=2)
        theirs = other / path.name
        if path.parent.name == "checkpoints":
            theirs = max((other / "checkpoints").glob("*.safetensors"))
        if not theirs.is_file():
            path.unlink()
            return "gone"
        shutil.copyfile(theirs, path)
        return "another run's"


def _edit(path: Path, way: str, random: Random) -> str:
    """Change one value of a JSON file, at any depth."""
    text = path.read_text("utf-8")
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    at = random.randrange(len(lines))
    content = json.loads(lines[at])
    if way == "deep":
        lines[at] = "[" * 100_000
        how = "100,000 brackets"
    elif way == "type":
        content = random.choice([[], {}, 3, "x", None, [content]])
        lines[at] = _dumps(content)
        how = f"is {lines[at][:30]}"
    else:
        where = random.choice(_places(content)) if _places(content) else ()
        inner: Any = content
        for step in where[:-1]:
            inner = inner[step]
        how = ".".join(map(str, where))
        if where and way == "key gone":
            del inner[where[-1]]
            how += " gone"
        elif where:
            inner[where[-1]] = random.choice(ODD)
            how += f" = {str(inner[where[-1]])[:30]!r}"
        lines[at] = _dumps(content)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return how


def _dumps(content: Any) -> str:
    return json.dumps(content)


def _places(content: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every value of nested lists and dictionaries; of long lists the first few."""
    places = []
    steps: list[Any] = []
    if isinstance(content, dict):
        steps = list(content)
    elif isinstance(content, list):
        steps = list(range(min(len(content), 3)))
    for step in steps:
        places.append((*prefix, step))
        places += _places(content[step], (*prefix, step))
    return places


def _forge(path: Path, random: Random) -> str:
    """Change tensors or facts and sign the file again, as whoever wants to do harm can."""
    tensors, facts = load_tensors(path)
    names = sorted(tensors)
    way = random.choice(["gone", "shape", "type", "nan", "fact", "fact gone"])
    name = random.choice(names) if names else ""
    places = _places(facts)
    if way == "gone" and names:
        del tensors[name]
    elif way == "shape" and names:
        tensors[name] = torch.zeros(
            tuple(random.randint(0, 5) for _ in range(random.randint(0, 3)))
        )
    elif way == "type" and names:
        kinds = (torch.float64, torch.int64, torch.uint8, torch.bool, torch.float16)
        tensors[name] = tensors[name].to(random.choice(kinds))
    elif way == "nan" and names:
        tensors[name] = torch.full(tensors[name].shape, float("nan"))
    elif places:
        where = random.choice(places)
        inner: Any = facts
        for step in where[:-1]:
            inner = inner[step]
        name = ".".join(map(str, where))
        if way == "fact gone":
            del inner[where[-1]]
        else:
            inner[where[-1]] = random.choice(ODD)
    save_tensors(path, tensors, facts)
    return f"signed again, {name} {way}"
