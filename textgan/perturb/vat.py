"""The shift that changes a network's outputs most.

The network learns from loss + weight * KL(p(.|s) || p(.|s + r)), with p(.|s) a constant. r has
length epsilon and the direction d in which the KL curves most, by power iteration: d is random at
first, then the direction of the KL's gradient at xi * d (a difference, for the gradient at zero is
zero). It needs no labels. Counted: iterations + 3 forward passes (the loss, p(.|s), one for each
iteration, s + r), of which all but p(.|s) go backward: 4 and 3 with the defaults.

xi must not be too small: in float32, of 64 sentences that SeqGAN's CNN reads, rounding leaves one
without a direction at 1e-4 and eight at 1e-6; at 0.01 all are within 0.006 of that in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Loss, Outputs, computed
from textgan.perturb.base import Perturbation
from textgan.perturb.divergences import checked_outputs, kl
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import Shifts


@dataclass(kw_only=True)
class VAT(Perturbation, name="vat"):
    """Virtual adversarial training: a network's outputs must not change near a text.

    Raises UserError where it is not given outputs.
    """

    paper: ClassVar[str] = "Miyato et al. 2017, arXiv 1605.07725; 2018, arXiv 1704.03976"

    epsilon: Annotated[float, Field(ge=0, description="how far")] = 1.0
    xi: Annotated[float, Field(gt=0, description="length at which the KL's slope is taken")] = 0.01
    iterations: Annotated[int, Field(ge=1, description="of the power method")] = 1
    weight: Annotated[float, Field(ge=0, description="of the divergence in the loss")] = 1.0

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss:
        outputs = checked_outputs(outputs, "vat")
        passes = Passes(network, self)
        target = passes.target
        random = passes.normal(1.0)
        assert random is not None  # for it is not of deviation 0

        passes.begin()
        value, metrics = computed(loss)
        (value * scale).backward()
        passes.begin()
        # with gradients, if only to throw them away: networks may compute otherwise without
        logits = outputs().detach()

        def start(zeros: Tensor, mask: Tensor) -> Tensor:
            return self.xi * target.direction(random(zeros, mask))

        at: Shifts = start
        directions: list[Tensor] = []
        for _ in range(self.iterations):
            with passes.at(at) as current:
                gradients = current.gradients(kl(logits, outputs()))
            directions = [target.direction(gradient) for gradient in gradients]
            at = [self.xi * direction for direction in directions]
        with passes.at([self.epsilon * direction for direction in directions]) as current:
            divergence = kl(logits, outputs())
            current.accumulate(divergence * self.weight * scale)
        return value.detach(), metrics | {"divergence": divergence.detach()}
