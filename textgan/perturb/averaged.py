"""The mean loss at several shifts, each an ascent from the one before: FreeLB and its kin.

delta_0 is drawn, delta_{t+1} follows from the gradient at delta_t; the network learns from
(1 / K) sum_t L(delta_t), t = 0 .. K - 1. There is no other pass without a shift.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.moved import FormerName
from textgan.core.optim import Loss, Outputs
from textgan.perturb.base import Perturbation
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import Shifts, ShiftTarget


@dataclass(kw_only=True)
class Averaged(Perturbation):
    """The mean loss over K passes."""

    passes: Annotated[int, Field(ge=1, description="K, which the loss is the mean of")] = 3
    alpha: Annotated[float, Field(ge=0, description="length of a step")] = 0.3
    magnitude: Annotated[
        float, Field(ge=0, description="of the random start, sqrt(3) times its length on average")
    ] = 0.0
    epsilon: Annotated[float, Field(description="radius of the ball; 0 or less: none")] = 1.0

    climb = FormerName("ascend")  # in version 0.1

    @property
    def ascents(self) -> int:
        """The number of ascents: one less than passes."""
        return self.passes - 1

    @abstractmethod
    def visit(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        scale: float | Tensor,
        passes: Passes,
        at: Shifts,
    ) -> tuple[Loss, Callable[[], list[Tensor]]]:
        """Add the gradient of scale * loss / passes at these shifts; the loss, and what finds the
        next ones."""

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss:
        passes = Passes(network, self)
        (value, metrics), following = self.visit(network, loss, scale, passes, self._start(passes))
        values = [value]
        for _ in range(self.ascents):
            (value, _), following = self.visit(network, loss, scale, passes, following())
            values.append(value)
        return torch.stack(values).mean(), metrics | {"perturbed_loss": value}

    def ascend(self, target: ShiftTarget, shift: Tensor, gradient: Tensor) -> Tensor:
        """Return the shift after a step along the gradient, and back in the ball where there is
        one."""
        radius = self.epsilon if self.epsilon > 0 else float("inf")
        return target.ascend(shift, gradient, self.alpha, radius)

    def _start(self, passes: Passes) -> Shifts:
        start = passes.uniform(self.magnitude)
        if start is None or self.epsilon <= 0:
            return start
        drawn = start  # for the type checker
        return lambda zeros, mask: passes.target.project(drawn(zeros, mask), self.epsilon)
