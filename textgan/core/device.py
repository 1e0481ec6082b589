"""Devices: which there are, and which run ahead of the host.

A GPU queues what it is given. To look at one of its numbers, or to make a tensor whose size depends
on them, the host has to wait until the queue is empty, and then the device waits for the host. So
loops over time steps ask nothing: there every text goes on to the last position, and what it writes
after its end is cut off once, when the loop is over.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from textgan.core.errors import UserError

Device = Annotated[str, "auto, cpu, cuda or cuda:N"]  # its name, as a function is given it

SYNCHRONOUS = frozenset({"cpu"})  # device types whose work is done when a call returns


def is_asynchronous(tensor: Tensor) -> bool:
    """Return whether the host would have to wait to read a number of this tensor."""
    return tensor.device.type not in SYNCHRONOUS


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is the GPU where there is one.

    Raises UserError for a device that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name != "cpu" and not name.startswith("cuda"):
        raise UserError(f"device = {name!r} is unknown; use auto, cpu, cuda or cuda:N")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"device = {name!r} is not to be had here ({first}); use auto or cpu"
        ) from None
    return device
