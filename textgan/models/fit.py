"""The loop that trains every network beside a run: encoders, classifiers, the networks of metrics.

Adam goes through batches; after each round of them a validation measures the network, and the
weights of the best one count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from textgan.core.optim import Loss, build_optimiser, clipped_step, dropout

Batch = TypeVar("Batch")


@dataclass
class Best:
    """The weights of a network at its best validation so far.

    value: what that measured; not a number before the first one. step: after how many batches.
    """

    network: nn.Module
    higher_is_better: bool = False
    value: float = math.nan
    step: int = 0
    weights: Mapping[str, Tensor] | None = None

    def offer(self, value: float, step: int) -> bool:
        """Keep the weights as they are now if `value` is better than all before; whether it is.

        What is not finite is never better.
        """
        if not math.isfinite(value):
            return False
        better = value > self.value if self.higher_is_better else value < self.value
        if self.weights is not None and not better:
            return False
        self.value, self.step = value, step
        state = self.network.state_dict()
        self.weights = {name: tensor.detach().clone() for name, tensor in state.items()}
        return True

    def restore(self) -> None:
        """Load the best weights into the network; it stays as it is where there are none."""
        if self.weights is not None:
            self.network.load_state_dict(self.weights)


def fit(
    network: nn.Module,
    rounds: Iterable[Iterable[Batch]],
    accumulate: Callable[[Batch], Loss],
    validate: Callable[[], float],
    *,
    best: Best | None = None,
    lr: float,
    clip: float,
    rate: Callable[[int], float] = lambda step: 1.0,
    repeats: int = 1,
    patience: int | None = None,
    on_update: Callable[[Mapping[str, Tensor]], object] = lambda metrics: None,
    on_validation: Callable[[int, int, float], object] = lambda number, step, value: None,
) -> Best:
    """Train a network with Adam and return its best validation, whose weights it then has.

    rounds: the batches between validations; each is drawn when its turn comes.
    accumulate: adds the gradient of a batch's loss to that of the weights, and returns the loss and
    what is logged. validate: the measure of sentences that it does not learn from.
    best: of which network the weights are kept and which measures are better; by default all of the
    network, and lower ones. lr, clip: the learning rate, of which an update takes the share
    `rate(step)`, and the largest norm of a gradient (0: any). repeats: updates on each batch.
    patience: validations without improvement after which it stops; None for never.
    on_update: called with the metrics of each batch. on_validation: called with the number of each
    validation, counted from 0, that of the batches before it, and its measure.
    Raises NotFinite, as `clipped_step` does. However it ends, the network has its best weights.
    """
    best = best or Best(network)
    optimiser = build_optimiser(network, lr)
    step = stale = 0
    try:
        for number, batches in enumerate(rounds):
            for batch in batches:
                optimiser.param_groups[0]["lr"] = lr * rate(step)
                for _ in range(repeats):
                    optimiser.zero_grad()
                    with dropout(network):
                        loss, metrics = accumulate(batch)
                    metrics = {**clipped_step(network, optimiser, loss, clip), **metrics}
                step += 1
                on_update(metrics)
            value = validate()
            stale = 0 if best.offer(value, step) else stale + 1
            on_validation(number, step, value)
            if stale == patience:
                break
    finally:
        best.restore()
    return best
