"""Runs that take a second."""

import hashlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textgan.core import registry
from textgan.core.names import Kind
from textgan.core.optim import Loss
from textgan.core.settings import settings_of
from textgan.core.tensors import load_tensors, save_tensors
from textgan.objectives.base import Objective, without_state
from textgan.training.state import TrainingState
from textgan.training.steps import take_step

Cli = Callable[..., tuple[int, str, str]]  # arguments to exit code, standard output, error

TOY: dict[str, Any] = {
    "seed": 1,
    "oracle.vocabulary": 20,
    "oracle.length": 6,
    "oracle.hidden": 8,
    "oracle.positives": 40,
    "oracle.held_out": 40,
    "generator.hidden": 8,
    "discriminator.sizes": [1, 2, 3],
    "discriminator.counts": [4, 4, 4],
    "objective.rollouts": 2,
    "schedule.batch_size": 8,
    "schedule.mle_epochs": 2,
    "schedule.discriminator_turns": 1,
    "schedule.rounds": 2,
    "schedule.d_steps": 1,
    "schedule.warmup_d_steps": 2,
    "schedule.k": 1,
    "schedule.fakes": 0,
    "evaluation.samples": 20,
    "evaluation.final_samples": 50,
    "evaluation.bootstrap": 100,
}

# settings that decide how much work a network is
SMALL: dict[str, Any] = {
    "embedding": 4,
    "hidden": 6,
    "sizes": [1, 2, 3],
    "counts": [3, 3, 3],
    "rollouts": 2,
    "samples": 2,
    "channels": 6,
    "noise": 5,
    "blocks": 2,
    "head_size": 4,
    "goal_size": 3,
    "representations": 3,
}


def small_parts(
    objective: str,
    generator: str = "",
    discriminator: str = "",
    presets: bool = False,
    has_source: bool = False,
) -> dict[str, Any]:
    """Settings that make a method's networks small, whichever of them its parts know.

    generator, discriminator: where they are not the method's usual ones. presets: let a CNN have
    its table of filters by name. has_source: whether the usual ones are those that read a source.
    """
    method = registry.find("objective", objective)
    usual = method.usual_pair(has_source)
    kinds: dict[str, tuple[Kind, str | None]] = {
        "objective": ("objective", objective),
        "generator": ("generator", generator or usual[0]),
        "discriminator": (method.discriminator_kind, discriminator or usual[1]),
    }
    settings: dict[str, Any] = {}
    for group, (kind, part) in kinds.items():
        known = settings_of(registry.find(kind, part)) if part else []
        settings |= {f"{group}.{s.name}": SMALL[s.name] for s in known if s.name in SMALL}
        if presets and "preset" in {setting.name for setting in known}:
            settings |= {f"{group}.preset": "texygen_small" if part == "cnn" else "small"}
            settings = {
                k: v for k, v in settings.items() if k not in (f"{group}.sizes", f"{group}.counts")
            }
    return settings


TOY_TEXT = {key: value for key, value in TOY.items() if not key.startswith("oracle.")}

# a small generator on pairs, by MLE alone
PAIRS: dict[str, Any] = {
    key: value
    for key, value in TOY_TEXT.items()
    if not key.startswith(("generator", "discriminator", "objective"))
} | {
    "generator": "attention",
    "generator.hidden": 6,
    "generator.embedding": 4,
    "generator.attention": 4,
    "schedule.rounds": 0,
    "data.min_count": 1,
}


def toy_text(folder: Path, sentences: int = 60) -> Path:
    """A file of short sentences of one to six words."""
    words = ["a", "the", "cat", "dog", "sees", "likes", "old", "red", "tree", "house"]
    lines = [" ".join(words[(i * j) % 10] for j in range(1, 2 + i % 6)) for i in range(sentences)]
    path = folder / "toy.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def refused(cli: Cli, *arguments: object) -> str:
    """The one line that a command is refused with."""
    code, out, err = cli(*arguments)
    assert code == 2
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("textgan: ")
    assert "Traceback" not in err
    return lines[0]


def keys(settings: dict[str, Any]) -> list[str]:
    """Settings as a command takes them."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def in_0_1s_way(folder: Path) -> None:
    """Make a run's folder what version 0.1 would have left: nothing but checkpoints says whose a
    file is, so a forger needs no more."""
    facts = json.loads((folder / "run.json").read_text())
    kept = {key: facts[key] for key in facts if key not in ("files", "code", "run", "digest")}
    (folder / "run.json").write_text(json.dumps(kept))
    for path in folder.glob("*.safetensors"):
        tensors, facts = load_tensors(path)
        save_tensors(path, tensors, {k: facts[k] for k in facts if k not in ("run", "listed")})
    config = json.loads((folder / "config.json").read_text())
    del config["matmul"]
    (folder / "config.json").write_text(json.dumps(config))
    course = {key: config[key] for key in config if key not in ("device", "checkpoint_seconds")}
    sha = hashlib.sha256(json.dumps(course, sort_keys=True).encode())
    sha.update((folder / "data.safetensors").read_bytes())
    for path in (folder / "checkpoints").glob("*"):
        tensors, facts = load_tensors(path)
        save_tensors(path, tensors, facts | {"run": sha.hexdigest()})
    for name in ("results.json", "evaluation.json", "curve.json"):
        if (folder / name).is_file():
            content = json.loads((folder / name).read_text())
            kept = {key: content[key] for key in content if key not in ("run", "digest")}
            (folder / name).write_text(json.dumps(kept))


def stop_when(patch: pytest.MonkeyPatch, when: Callable[[TrainingState], bool]) -> None:
    """Ctrl-C while the step is being done before which the state is so."""

    def interrupted(state: TrainingState, *arguments: Any) -> Any:
        if when(state):
            signal.raise_signal(signal.SIGINT)
        return take_step(state, *arguments)

    patch.setattr("textgan.training.trainer.take_step", interrupted)


def learn(objective: Objective, *given: Any) -> Loss:
    """The generator's loss; what it wants kept is kept."""
    loss, kept = without_state(objective.generator_loss(*given))
    objective.state |= kept
    return loss
