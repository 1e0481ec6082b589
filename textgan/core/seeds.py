"""Random numbers from a seed, without moving anyone else's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def fork_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers from `seed` inside, and outside as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def draw_seed() -> int:
    """Draw a seed from the current stream of random numbers."""
    return int(torch.randint(2**62, ()))


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the random streams that networks on the device draw from."""
    on_gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_gpu]


def set_random_state(state: Sequence[Tensor], device: torch.device) -> None:
    """Go back, or on, to what `random_state` gave."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
