"""How the gradient of a loss is accumulated, as a value.

A `Backward` is called with a network and a closure that computes its loss; it may call the closure
several times, with the network's embeddings shifted, before the optimiser takes its one step. So
the closure is pure: it samples nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from textgan.losses import Loss

Backward = Callable[[nn.Module, Callable[[], Loss]], Loss]


def plain(network: nn.Module, loss: Callable[[], Loss]) -> Loss:
    """The ordinary gradient: one forward and one backward pass."""
    value, metrics = loss()
    value.backward()
    return value, metrics
