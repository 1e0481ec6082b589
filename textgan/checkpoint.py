"""Checkpoints: one file that appears whole or not at all, and says when it was altered.

A checkpoint is a safetensors file: all tensors (weights, optimisers, random states, fakes) and, in
its header, the counters as JSON and a digest of everything. Nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from textgan.core.files import make_folder, parse_json, require_file, understood
from textgan.core.files import write_file as write_file
from textgan.core.memory import is_out_of_memory
from textgan.errors import UserError

# what the optimisers that are used here keep of every weight they have ever changed
_STATE: dict[type, set[str]] = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.RMSprop: {"step", "square_avg"},
}
KEPT = 2  # checkpoints of a run; the one before the last is there if the last is damaged


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able facts atomically, with a digest of both."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = json.dumps(facts, sort_keys=True)
    signed = json.dumps({"digest": digest(ready, header), "facts": header})
    # one key, for safetensors writes several in no particular order: equal states, equal bytes
    write_file(path, save(ready, {"textgan": signed}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of a file written by `save_tensors`.

    Raises UserError that names the file when it is missing, truncated or altered.
    """
    wrong = f"{path} is missing, truncated or not a safetensors file"
    try:
        require_file(path)  # what is a pipe or a device would be waited for
        with safe_open(path, framework="pt") as file:
            names: list[str] = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
            told = (file.metadata() or {}).get("textgan", "{}")
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, UserError) as error:
        raise UserError(f"{wrong}: {error}") from None
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise UserError(f"{wrong}: {error}") from None
    with understood(path):
        signed = parse_json(told, f"the header of {path}")
        header = signed.get("facts", "")
        if signed.get("digest") != digest(tensors, header):
            raise UserError(f"{path} was altered after it was written (its digest does not match)")
        facts = parse_json(header, f"the header of {path}")
        if not isinstance(facts, dict):
            raise TypeError("its facts are no table")
    return tensors, facts


def read_facts(path: Path) -> dict[str, Any]:
    """The facts alone of such a file, which is not read as a whole and so not checked.

    Raises UserError for a file that has none.
    """
    try:
        require_file(path)
        with safe_open(path, framework="pt") as file:
            told = (file.metadata() or {}).get("textgan", "{}")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a safetensors file: {error}") from None
    with understood(path):
        facts = parse_json(parse_json(told, str(path))["facts"], str(path))
        if not isinstance(facts, dict):
            raise TypeError("its facts are no table")
    return facts


def digest(tensors: Mapping[str, Tensor], header: str = "") -> str:
    """The SHA-256 of tensors, with their names, types and shapes, and of a text."""
    sha = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run's folder, oldest first."""
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
    """What a checkpoint holds; UserError names a damaged one and offers the one before it."""
    try:
        return load_tensors(path)
    except UserError as error:
        others = [other for other in checkpoints(path.parent.parent) if other != path]
        remedy = (
            f"the previous checkpoint is {others[-1]}: delete the damaged file to go on from there"
            if others
            else "there is no other checkpoint of this run"
        )
        raise UserError(f"checkpoint {error}; {remedy}") from None


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors named `prefix.name`, by name."""
    start = prefix + "."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The running averages and counts of an optimiser, by `parameter number.name`."""
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


def restore_module(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load a module's weights; UserError names the file if they are not this module's."""
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UserError(f"{path} does not fit {type(module).__name__}: {first}") from None
