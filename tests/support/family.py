"""A run of every method that takes a second."""

from pathlib import Path
from typing import Any

from toys import TOY, small_parts

from textgan.core import registry
from textgan.training.checkpoint import checkpoints

ANY_TEXT = [
    name
    for name in registry.names("objective")
    if not registry.find("objective", name).needs_source
]  # those that any text is trained on

ANSWERING = [
    name
    for name in registry.names("objective")
    if not registry.find("objective", name).refuses_source
]  # those that are trained on texts that answer a source


def toy(name: str, has_source: bool = False) -> dict[str, Any]:
    """The settings of a run of a second: those of TOY that fit, and small networks; has_source:
    those that read a source."""
    objective = registry.find("objective", name)
    parts = ("objective.", "generator.", "discriminator.")
    settings = {key: value for key, value in TOY.items() if not key.startswith(parts)}
    settings |= small_parts(name, has_source=has_source)
    settings |= {"schedule.rounds": 3, "schedule.g_steps": 2, "schedule.fakes": 8}
    preferred = dict(objective.defaults)
    generator, _ = objective.usual_pair(has_source)
    preferred |= registry.find("generator", generator).defaults
    if preferred.get("schedule.mle_epochs") == 0:
        settings["schedule.mle_epochs"] = 0
    return settings


def left(folder: Path) -> dict[str, bytes]:
    """What a finished run leaves, but for what holds times of day."""
    files = [folder / name for name in ("metrics.jsonl", "results.json", "samples.txt")]
    return {file.name: file.read_bytes() for file in [*files, checkpoints(folder)[-1]]}
