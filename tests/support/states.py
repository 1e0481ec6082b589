"""The state of training of a small run, before its first update."""

from pathlib import Path
from typing import Any

import torch
from toys import TOY_TEXT, small_parts

from textgan.core import registry
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.state import TrainingState


def labelled(folder: Path, counts: dict[str, int]) -> Path:
    path = folder / "moods.tsv"
    lines = [f"{label}\t{label[0]} {i % 7} {i}" for label, n in counts.items() for i in range(n)]
    path.write_text("\n".join(lines) + "\n")
    return path


def toy(name: str, **settings: Any) -> dict[str, Any]:
    groups = ("seed", "schedule.", "evaluation.")
    options = {key: value for key, value in TOY_TEXT.items() if key.startswith(groups)}
    options |= small_parts(name, has_source="data.pairs" in settings)
    options |= {"schedule.fakes": 8, "data.min_count": 1} | settings
    if registry.find("objective", name).defaults.get("schedule.mle_epochs") == 0:
        options["schedule.mle_epochs"] = 0
    return options


def training(name: str, folder: Path, **settings: Any) -> TrainingState:
    told = toy(name, **settings)
    if not registry.find("objective", name).needs_likelihood:
        told["schedule.mle_epochs"] = 0
    run = create_run(make_config(name, told), folder)
    torch.manual_seed(run.config.seed)
    return TrainingState(run)
