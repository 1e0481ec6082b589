"""Files of tensors, which appear whole or not at all, and modules restored from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from textgan.core.errors import UserError
from textgan.core.files import parse_json, require_file, understood, write_file
from textgan.core.memory import is_out_of_memory

RESTORE = "restore it from a copy"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able facts atomically, with a digest of both."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = json.dumps(facts, sort_keys=True)
    signed = json.dumps({"digest": digest(ready, header), "facts": header})
    # one key, for safetensors writes several in no particular order: equal states, equal bytes
    write_file(path, save(ready, {"textgan": signed}))


def load_tensors(path: Path, remedy: str = RESTORE) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of a file written by `save_tensors`.

    Raises UserError that names the file and the remedy when it is missing, truncated or altered.
    """
    with _opened(path, remedy) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        written = (file.metadata() or {}).get("textgan", "{}")
    with understood(path, remedy):
        signed = parse_json(written, f"the header of {path}")
        header = signed.get("facts", "")
        if signed.get("digest") != digest(tensors, header):
            raise UserError(
                f"{path} was altered after it was written (its digest does not match); {remedy}"
            )
        facts = parse_json(header, f"the header of {path}")
        if not isinstance(facts, dict):
            raise TypeError("its facts are no table")
    return tensors, facts


def read_facts(path: Path, remedy: str = RESTORE) -> dict[str, Any]:
    """The facts alone of such a file, which is not read as a whole and so not checked.

    Raises UserError, with the remedy, for a file that has none.
    """
    with _opened(path, remedy) as file:
        written = (file.metadata() or {}).get("textgan", "{}")
    with understood(path, remedy):
        facts = parse_json(parse_json(written, str(path))["facts"], str(path))
        if not isinstance(facts, dict):
            raise TypeError("its facts are no table")
    return facts


@contextmanager
def _opened(path: Path, remedy: str) -> Iterator[Any]:
    """A safetensors file to read from inside. Raises UserError for what is none."""
    try:
        require_file(path)  # what is a pipe or a device would be waited for
    except UserError as error:
        raise UserError(f"{error}; {remedy}") from None
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (
        SafetensorError, OSError, ValueError, TypeError, AttributeError, RuntimeError
    ) as error:  # fmt: skip
        if is_out_of_memory(error):
            raise
        why = str(error).removeprefix("Error while deserializing header: ")
        raise UserError(f"{path} is damaged ({why}); {remedy}") from None


def digest(tensors: Mapping[str, Tensor], header: str = "") -> str:
    """Compute the SHA-256 of tensors, with their names, types and shapes, and of a text."""
    sha = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same tensors under `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors named `prefix.name`, by name."""
    start = prefix + "."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def restore_module(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load a module's weights; UserError names the file if they are not this module's."""
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UserError(f"{path} does not fit {type(module).__name__}: {first}") from None
