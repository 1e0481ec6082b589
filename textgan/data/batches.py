"""Batches of texts: in epochs by their number, or of similar lengths."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from textgan.data.text import Text


class Batches:
    """An endless stream of shuffled batches of n items that needs no memory of where it was.

    Batch i is a function of (n, size, seed, i): items run through one random order after another,
    and a batch may end one order and begin the next, so all have the same size. device: where the
    indices are.
    """

    def __init__(
        self, n: int, size: int, seed: int, device: torch.device | str | None = None
    ) -> None:
        self.n, self.size, self.seed, self.device = n, size, seed, device
        self._order: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.long))

    def __getitem__(self, i: int) -> Tensor:
        """Indices (size,) of batch i."""
        parts: list[Tensor] = []
        at, end = i * self.size, (i + 1) * self.size
        while at < end:
            turn, place = divmod(at, self.n)
            part = self._turn(turn)[place : place + end - at]
            parts.append(part)
            at += len(part)
        return torch.cat(parts)

    def _turn(self, turn: int) -> Tensor:
        if self._order[0] != turn:
            # numpy's seed sequences mix the two numbers; nearby seeds give unrelated orders
            order = np.random.default_rng([self.seed, turn]).permutation(self.n)
            # as a whole: the host waits for each copy to a GPU
            self._order = (turn, torch.from_numpy(order).to(self.device))
        return self._order[1]


TEXTS_AT_ONCE = 1024  # that are read together


POOL = 32  # batches that are made of sentences sorted together


def by_size(text: Text, at_once: int = TEXTS_AT_ONCE) -> list[Tensor]:
    """Sort the indices of all texts into pieces of similar sizes, at most `at_once` in each."""
    return list(text.lengths.argsort(stable=True).split(at_once))


def batches(sizes: Tensor, batch: int) -> list[Tensor]:
    """Split texts of these sizes (B,) into batches of similar sizes, in random order: one pass."""
    pools = torch.randperm(len(sizes)).split(POOL * batch)
    parts = [part for pool in pools for part in pool[sizes[pool].argsort(stable=True)].split(batch)]
    return [parts[i] for i in torch.randperm(len(parts)).tolist()]
