"""One step to the edge of the ball, and the loss there.

- FGM: r = epsilon * g / |g|, the gradient of a sentence's vectors scaled to length epsilon
- FGSM: r = epsilon * sign(g) at every entry

The network learns from the loss as it is and from the loss at r, the sum of both gradients. Two
forward and backward passes. The papers normalise embeddings by the frequencies of words, so that a
model does not escape by growing them; here the embedding stays as it is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Loss, Outputs, computed
from textgan.perturb.base import Perturbation
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import ShiftTarget


@dataclass(kw_only=True)
class OneStep(Perturbation):
    """The clean loss and the loss at one shift."""

    epsilon: Annotated[float, Field(ge=0, description="how far")] = 1.0

    @abstractmethod
    def shift(self, target: ShiftTarget, gradient: Tensor) -> Tensor:
        """Compute the shift from the gradient of the clean loss."""

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss:
        passes = Passes(network, self)
        with passes.at(None) as current:
            value, metrics = computed(loss)
            gradients = current.accumulate(value * scale)
        with passes.at([self.shift(passes.target, gradient) for gradient in gradients]) as current:
            shifted, _ = computed(loss)
            current.accumulate(shifted * scale)
        return value.detach(), metrics | {"perturbed_loss": shifted.detach()}


@dataclass(kw_only=True)
class FGM(OneStep, name="fgm"):
    """Fast gradient method: one step of length epsilon along a sentence's gradient."""

    paper: ClassVar[str] = "Miyato et al. 2017, arXiv 1605.07725"

    def shift(self, target: ShiftTarget, gradient: Tensor) -> Tensor:
        return self.epsilon * target.direction(gradient)


@dataclass(kw_only=True)
class FGSM(OneStep, name="fgsm"):
    """Fast gradient sign method: one step of size epsilon at every entry."""

    paper: ClassVar[str] = "Goodfellow et al. 2015, arXiv 1412.6572"

    epsilon: Annotated[float, Field(ge=0, description="at every entry")] = 0.1

    def shift(self, target: ShiftTarget, gradient: Tensor) -> Tensor:
        return self.epsilon * target.finite(gradient).sign()
