"""A piece of work that both sides do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from textgan.core.precision import precision


@dataclass(frozen=True)
class Work:
    """One kind of work, ready to be done by either side.

    flop: what it cannot do without (see arithmetic.py); None where that is no matrix product, or
    depends on how long the texts are that are drawn.
    textbook_amount: how much of it the textbook does, None for all. rest: frees what our side keeps
    from one time to the next, which would hide what it needs.
    """

    name: str
    unit: str
    amount: int
    ours: Callable[[], object]
    textbook: Callable[[], object]
    flop: int | None = None
    textbook_amount: int | None = None
    rest: Callable[[], object] = lambda: None


def plainly(do: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Return the same in float32, whatever the precision of our side."""

    def done() -> object:
        with precision("float32", device):
            return do()

    return done
