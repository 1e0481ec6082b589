"""A network's outputs must be smooth near each text, and near those of its averaged weights.

The network learns from loss + weight * R + mu * D, where R = D(f(s + r), f(s)) at the worst r found
and D = D(f(s), f~(s)) with f~ the network of exponentially averaged weights (Bregman proximal
term). D(., .) is KL(p || q) + KL(q || p), or the squared error. Both sides of R have gradients.

r ~ N(0, sigma^2), then `steps` times, with g the gradient of D(f(s + r), f(s)) in r:
- projection=ball, the paper's: r <- clamp(r + eta * g / max|g|, -epsilon, epsilon)
- projection=unit, the released code's: r <- (r + eta * g) / (max|r + eta * g| + 1e-6), maxima of
  each vector, so that r is as large as one at some entry; epsilon is not used

The average is that of the weights at each call, this one's included:
average <- beta * average + (1 - beta) * weights; it begins as the weights of the first call. The
paper has beta 0.99 for the first tenth of a run and 0.999 after, epsilon = sigma = 1e-5, eta = 1e-3
and mu = 1, for the embeddings of BERT; with those, R is 5e-7 for SeqGAN's CNN before training, and
about 0.4 with the defaults here.

Departs from the paper:
- the defaults are other than its, for networks that are not pretrained: see above
- beta is one number, where the paper's grows after the first tenth

Counted: steps + 3 forward passes (the loss, f(s), one for each step, f(s + r)), all of which go
backward, and one more forward where mu > 0: 4, and 5 with mu.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Loss, Outputs, computed, swapped_weights
from textgan.perturb.base import Perturbation
from textgan.perturb.divergences import (
    Divergence,
    checked_outputs,
    halves,
    squared_error,
    symmetric_kl,
)
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import Shifts, ShiftTarget

_DIVERGENCES: dict[str, Divergence] = {"kl": symmetric_kl, "squared": squared_error}


@dataclass(kw_only=True)
class SMART(Perturbation, name="smart"):
    """Smoothness-inducing regularisation and Bregman proximal point optimisation.

    An update is a call; with mu, what it averages are the weights of one network. Raises UserError
    where it is not given outputs, ValueError where the network is another.
    """

    paper: ClassVar[str] = "Jiang et al. 2020, arXiv 1911.03437"

    weight: Annotated[float, Field(ge=0, description="of R, the smoothness")] = 1.0
    divergence: Annotated[
        Literal["kl", "squared"], Field(description="kl of both sides, or the squared error")
    ] = "kl"
    sigma: Annotated[float, Field(ge=0, description="deviation of the random start")] = 0.01
    eta: Annotated[float, Field(ge=0, description="size of a step, at the largest entry")] = 0.1
    epsilon: Annotated[float, Field(ge=0, description="how far at every entry, in the ball")] = 0.01
    steps: Annotated[int, Field(ge=1, description="of ascent")] = 1
    projection: Annotated[
        Literal["ball", "unit"], Field(description="ball: the paper's; unit: the released code's")
    ] = "ball"
    mu: Annotated[float, Field(ge=0, description="of the Bregman term; 0: none")] = 0.0
    beta: Annotated[float, Field(ge=0, lt=1, description="of the average, at first")] = 0.99
    beta_later: Annotated[float, Field(ge=0, lt=1, description="of the average, later")] = 0.999
    early: Annotated[
        int, Field(ge=0, description="updates with the first beta; the paper: a tenth of all")
    ] = 100

    @property
    def is_stateful(self) -> bool:
        return self.mu > 0

    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss:
        outputs = checked_outputs(outputs, "smart")
        between = _DIVERGENCES[self.divergence]
        passes = Passes(network, self)
        state = self._averaged(network) if self.mu > 0 else {}
        terms: dict[str, Tensor] = {}

        passes.begin()
        value, metrics = computed(loss)
        (value * scale).backward()
        if state:
            passes.begin()
            averages = {name.removeprefix("average."): mean for name, mean in state.items()}
            with swapped_weights(network, averages):
                before = outputs().detach()
        # the table is as it is here, and will be again when this graph is used
        passes.begin()
        logits = outputs()

        at: Shifts = passes.normal(self.sigma)
        for _ in range(self.steps):
            with passes.at(at) as current:
                gradients = current.gradients(between(logits.detach(), outputs()))
            at = [
                self.ascend(passes.target, shift, gradient)
                for shift, gradient in zip(current.shifts, gradients, strict=True)
            ]
        with passes.at(at) as current:
            shifted = outputs()
            terms["divergence"], gradient, of_shifted = halves(between, logits, shifted)
            current.accumulate(shifted, of_shifted * self.weight * scale)
        gradient = gradient * self.weight
        if state:
            terms["drift"], moved, _ = halves(between, logits, before)
            gradient = gradient + self.mu * moved
        logits.backward(gradient * scale)
        self.state = state
        return value.detach(), metrics | terms

    def ascend(self, target: ShiftTarget, shift: Tensor, gradient: Tensor) -> Tensor:
        """Return the shift after a step along the gradient, and back where shifts may be."""
        gradient = target.finite(gradient)
        if self.projection == "unit":
            moved = shift + self.eta * gradient
            return moved / (moved.abs().amax(-1, keepdim=True) + 1e-6)
        largest = target.largest(gradient).clamp(min=torch.finfo(gradient.dtype).tiny)
        return (shift + self.eta * (gradient / largest)).clamp(-self.epsilon, self.epsilon)

    def _averaged(self, network: nn.Module) -> dict[str, Tensor]:
        """Return the state to keep after this call: the averages, and of how many calls."""
        own = {f"average.{name}": weight.detach() for name, weight in network.named_parameters()}
        if not self.state:
            fresh = {name: weight.clone() for name, weight in own.items()}
            return {"updates": torch.tensor(1), **fresh}
        updates = int(self.state["updates"])
        old = {name: tensor for name, tensor in self.state.items() if name != "updates"}
        if {n: t.shape for n, t in old.items()} != {n: t.shape for n, t in own.items()}:
            raise ValueError("smart remembers the weights of another network; make one for each")
        beta = self.beta if updates < self.early else self.beta_later
        averages = {name: torch.lerp(own[name], old[name], beta) for name in own}
        return {"updates": torch.tensor(updates + 1), **averages}
