"""Updates of the same batch, each with the shift that the one before found on its way.

A batch is for `replays` updates. Each is one forward and backward pass (counted), in which
both the gradient of the weights at delta and the ascent of delta are found:
delta <- project(delta + alpha * g / |g|, epsilon), from zero. So delta is always one update of the
weights old. After the last replay it is forgotten. A run trains each batch `replays` times, so
give it as many times fewer of them to compare. Each replay has a draw of dropout of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.backward import Outputs, computed
from textgan.losses import Loss
from textgan.perturb.base import Passes, Perturbation


@dataclass(kw_only=True)
class FreeAT(Perturbation, name="free_at"):
    """Free adversarial training: every update of a batch moves the shift for the next one.

    Each batch is called with `replays` times in a row, the optimiser taking its step after each.
    Raises RuntimeError where another number or shape of texts comes between; whatever is raised in
    a call, the next one begins anew.
    """

    paper: ClassVar[str] = "Shafahi et al. 2019, arXiv 1904.12843"

    epsilon: Annotated[float, Field(ge=0, description="radius of the ball")] = 1.0
    alpha: Annotated[float, Field(ge=0, description="length of a step")] = 0.5
    replays: Annotated[int, Field(ge=1, description="updates in a row that a batch is for")] = 3

    @property
    def keeps(self) -> bool:
        return True

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss:
        passes = Passes(network, self)
        place = passes.place
        memory, self.memory = self.memory, {}
        done = int(memory.get("done", 0))
        at = [memory[f"shift.{number}"] for number in range(len(memory) - 1)] if memory else None
        with passes.at(at) as here:
            value, metrics = computed(loss)
            slopes = here.accumulate(value * scale)
        if done + 1 < self.replays:
            self.memory = {"done": torch.tensor(done + 1)}
            for number, (shift, slope) in enumerate(zip(here.shifts, slopes, strict=True)):
                climbed = place.climb(shift, slope, self.alpha, self.epsilon)
                self.memory[f"shift.{number}"] = climbed
        return value.detach(), metrics
