"""Projected gradient descent: several steps inside a ball, and the loss where they end.

delta <- project(delta + alpha * g / |g|, epsilon), `steps` times from zero. The network learns from
the loss as it is and from the loss at the last delta, the sum of both gradients, as the scripts in
use do it; what the steps in between would leave in the weights is not computed. FreeLB's own
baseline starts at random and learns from the last delta alone: `init=random include_clean=false`.
steps + 1 forward and backward passes (4 with the defaults), one more where `init=random` with the
clean loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Loss, Outputs, computed
from textgan.perturb.base import Perturbation
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import Start


@dataclass(kw_only=True)
class PGD(Perturbation, name="pgd"):
    """Projected gradient descent: several steps inside a ball of radius epsilon."""

    paper: ClassVar[str] = "Madry et al. 2018, arXiv 1706.06083"

    epsilon: Annotated[float, Field(ge=0, description="radius of the ball")] = 1.0
    alpha: Annotated[float, Field(ge=0, description="length of a step")] = 0.3
    steps: Annotated[int, Field(ge=1, description="of ascent")] = 3
    include_clean: Annotated[bool, Field(description="learn from the clean loss, too")] = True
    init: Annotated[
        Literal["zero", "random"], Field(description="where in the ball the steps begin")
    ] = "zero"

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss:
        passes = Passes(network, self)
        target = passes.target
        # where the next pass is taken; None: at zero
        at: Sequence[Tensor] | Start | None = None
        clean: Loss | None = None
        gradients: list[Tensor] | None = None
        if self.init == "random":
            at = passes.uniform(self.epsilon)
        if self.include_clean:
            with passes.at(None) as current:
                clean = computed(loss)
                gradients = current.accumulate(clean[0] * scale)
        for _ in range(self.steps):
            if gradients is None or callable(at):  # else they were taken with the clean loss
                with passes.at(at) as current:
                    gradients = current.gradients(computed(loss)[0])
            at = [
                target.ascend(shift, gradient, self.alpha, self.epsilon)
                for shift, gradient in zip(current.shifts, gradients, strict=True)
            ]
            gradients = None
        with passes.at(at) as current:
            shifted, metrics = computed(loss)
            current.accumulate(shifted * scale)
        value, metrics = clean or (shifted, metrics)
        return value.detach(), metrics | {"perturbed_loss": shifted.detach()}
