"""Several passes whose shifts ascend, and the mean of their losses.

delta_0 ~ U(-1, 1) * magnitude / sqrt(n E), n the true length; delta_{t+1} = project(delta_t + alpha
* g_t / |g_t|, epsilon); the network learns from the mean of the losses at delta_0 .. delta_{K-1}.
`passes` is K, so there are K - 1 ascents: what fairseq's script calls adv_steps is K - 1 and what
the Hugging Face one calls so is K. K forward and backward passes (counted: 3 with the defaults),
none of them clean unless magnitude = 0, when the first one is. The start is projected, too, which
published settings never need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from textgan.core.optim import Loss, computed
from textgan.perturb.averaged import Averaged
from textgan.perturb.passes import Passes
from textgan.perturb.shifts import Shifts


@dataclass(kw_only=True)
class FreeLB(Averaged, name="freelb"):
    """Free large-batch training: the mean loss along the way of several ascents."""

    paper: ClassVar[str] = "Zhu et al. 2020, arXiv 1909.11764"

    def visit(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        scale: float | Tensor,
        passes: Passes,
        at: Shifts,
    ) -> tuple[Loss, Callable[[], list[Tensor]]]:
        """Do one full pass, along whose gradient the shift ascends."""
        with passes.at(at) as current:
            value, metrics = computed(loss)
            gradients = current.accumulate(value * scale / self.passes)

        def following() -> list[Tensor]:
            parts = zip(current.shifts, gradients, strict=True)
            return [self.ascend(passes.target, shift, gradient) for shift, gradient in parts]

        return (value.detach(), metrics), following
