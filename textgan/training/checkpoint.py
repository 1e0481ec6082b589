"""Checkpoints: one file that appears whole or not at all, and says when it was altered.

A checkpoint is a safetensors file: all tensors (weights, optimisers, random states, fakes) and, in
its header, the counters as JSON and a digest of everything. Nothing in it is ever executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textgan.core.errors import UserError
from textgan.core.files import make_folder
from textgan.core.files import write_file as write_file
from textgan.core.tensors import load_tensors, save_tensors

# what the optimisers that are used here keep of every weight they have ever changed
_STATE: dict[type, set[str]] = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.RMSprop: {"step", "square_avg"},
}
KEPT = 2  # checkpoints of a run; the one before the last is there if the last is damaged


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints of a run's folder, oldest first."""
    return sorted((folder / "checkpoints").glob("*.safetensors"))


def save_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> Path:
    """Write the checkpoint of `step`, then remove all but the newest KEPT."""
    place = folder / "checkpoints"
    make_folder(place)
    path = place / f"{step:012d}.safetensors"
    save_tensors(path, tensors, facts)
    for old in [*checkpoints(folder)[:-KEPT], *place.glob("*.partial")]:
        with suppress(OSError):  # a partial file is what a kill left: nobody else writes here
            old.unlink()
    return path


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Load a checkpoint. Raises UserError, which offers the one before it, for a damaged one."""
    try:
        return load_tensors(path, what_helps(path))
    except UserError as error:
        raise UserError(f"checkpoint {error}") from None


def what_helps(path: Path) -> str:
    """Return the remedy for a damaged checkpoint."""
    others = [other for other in checkpoints(path.parent.parent) if other != path]
    if not others:
        return "there is no other checkpoint of this run; restore it from a copy"
    return f"the previous checkpoint is {others[-1]}: delete the damaged file to go on from there"


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the running averages and counts of an optimiser, by `parameter number.name`."""
    state: dict[int, dict[str, Tensor]] = optimiser.state_dict()["state"]
    return {f"{i}.{key}": value for i, part in state.items() for key, value in part.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` gave.

    Raises ValueError where the tensors are not those of this optimiser, or some are missing.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    wanted = _STATE.get(type(optimiser), set())
    for i, kept in state.items():
        if i >= len(weights) or not wanted <= kept.keys():
            raise ValueError(f"the optimiser's state of parameter {i} is not that of its weights")
        for key, tensor in kept.items():
            if key != "step" and tensor.shape != weights[i].shape:
                raise ValueError(f"{i}.{key} of the optimiser has shape {tuple(tensor.shape)}")
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
