"""A control: SeqGAN whose discriminator is replaced by a constant.

Discriminator:  none
Generator:      L_G = -sum_{b,t} c log G(y_bt | s_bt) on the generator's own texts

On average this teaches nothing (the expected gradient is zero); in any one batch it makes more
probable what was just drawn, so the generator drifts and its entropy falls. A method whose gains
this control also shows owes them to that drift. With `baseline = "batch"` the weights are zero
wherever there is another text to compare with. `progress` anneals nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import leave_one_out, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class ConstantReward(Objective, name="constant_reward"):
    """Control: every text earns the same."""

    paper: ClassVar[str] = "a control for Yu et al. 2017"
    discriminator: ClassVar[str | None] = None

    reward: Annotated[float, Field(description="what every prefix is worth")] = 0.5
    baseline: Annotated[
        Literal["none", "batch"], Field(description="as seqgan's; batch leaves no weight")
    ] = "none"
    reduction: Annotated[Reduction, Field(description="of the policy gradient over the batch")] = (
        "sum"
    )

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        log_prob, mask = generator.log_prob(fake), fake.mask
        values = torch.full_like(log_prob, self.reward)
        baseline = leave_one_out(values, mask) if self.baseline == "batch" else 0.0
        return policy_gradient(log_prob, values - baseline, mask, self.reduction), {}
