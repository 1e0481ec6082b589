"""Several updates on each batch, each of which also moves the shift for the next.

A batch is for `replays` updates. Each is one forward and backward pass (counted), which gives
both the gradient of the weights at delta and the ascent of delta:
delta <- project(delta + alpha * g / |g|, epsilon), from zero. So delta is always one update of the
weights old. A run trains each batch `replays` times, so give it as many times fewer of them to
compare. Each replay has a draw of dropout of its own.

The authors' code, for images, is `norm = "inf"`, `keep = true`, `alpha = epsilon`: a step of
epsilon along the sign of g, each entry clipped at epsilon, and delta goes on from one batch to the
next (ashafahi/free_adv_train bea8692, free_train.py, "Compute new image"). What a batch of other
lengths leaves is cut, or goes on with zeros, position by position.

Departs from the paper by default:
- the ball is the Euclidean one of a sentence and the step shorter, as in all perturbations here and
  in the comparison of FreeLB's paper, so that one epsilon means one thing
- delta is forgotten after the last replay: positions of texts, unlike pixels, share nothing
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Loss, Outputs, computed
from textgan.perturb.base import Perturbation
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import Shifts, ShiftTarget, Start


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
    norm: Annotated[
        Literal["l2", "inf"],
        Field(description="Euclidean ball and step, or largest entry and signs; paper: inf"),
    ] = "l2"
    keep: Annotated[
        bool, Field(description="whether the shift goes on to the next batch; paper: true")
    ] = False

    @property
    def is_stateful(self) -> bool:
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
        state, self.state = self.state, {}
        done = int(state.get("done", 0))
        kept = [state[f"shift.{number}"] for number in range(len(state) - 1)]
        at: Shifts = None
        if kept:
            at = kept if done else going_on(kept)
        with passes.at(at) as current:
            value, metrics = computed(loss)
            gradients = current.accumulate(value * scale)
        done = (done + 1) % self.replays
        if done or self.keep:
            self.state = {"done": torch.tensor(done)}
            for number, (shift, gradient) in enumerate(zip(current.shifts, gradients, strict=True)):
                self.state[f"shift.{number}"] = self._ascend(passes.target, shift, gradient)
        return value.detach(), metrics

    def _ascend(self, target: ShiftTarget, shift: Tensor, gradient: Tensor) -> Tensor:
        if self.norm == "l2":
            return target.ascend(shift, gradient, self.alpha, self.epsilon)
        step = self.alpha * target.finite(gradient).sign()
        return (shift + step).clamp(-self.epsilon, self.epsilon)


def going_on(kept: Sequence[Tensor]) -> Start:
    """Make a start from the shifts of another batch, one reading of the embedding after the other:
    where this one has more positions, they start at zero."""
    left = list(kept)

    def start(zeros: Tensor, mask: Tensor) -> Tensor:
        if not left:
            return zeros
        before = left.pop(0)
        if before.dim() != zeros.dim():
            return zeros
        common = tuple(slice(min(sizes)) for sizes in zip(before.shape, zeros.shape, strict=True))
        started = zeros.clone()
        started[common] = before[common].to(zeros)
        return started

    return start
