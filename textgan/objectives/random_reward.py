"""A control: SeqGAN whose discriminator is replaced by dice.

Discriminator:  none
Generator:      L_G = -sum_{b,t} Q_bt log G(y_bt | s_bt) on the generator's own texts
Value:          Q_bt = the mean of N numbers drawn from U(0, 1); of one at the end of the text

The values have the distribution that rollouts would find if D answered every text with a fresh
uniform number, so the rollouts themselves are saved. The expected gradient is zero. A method that
does no better has not shown that its discriminator taught anything. `progress` anneals nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import leave_one_out, mean_of_tokens, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class RandomReward(Objective, name="random_reward"):
    """Control: what a text earns is drawn at random."""

    paper: ClassVar[str] = "a control for Yu et al. 2017"
    discriminator: ClassVar[str | None] = None

    rollouts: Annotated[
        int, Field(ge=1, description="numbers averaged for the value of a prefix; as seqgan's")
    ] = 16
    baseline: Annotated[
        Literal["none", "batch"],
        Field(description="batch: minus the others' mean at the same position; as seqgan's"),
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
        values = torch.rand((self.rollouts, *log_prob.shape), device=log_prob.device).mean(0)
        sentences = torch.arange(len(fake), device=log_prob.device)
        ends = torch.rand(len(fake), device=log_prob.device)
        values[sentences, fake.lengths - 1] = ends
        values = values.to(log_prob)
        baseline = leave_one_out(values, mask) if self.baseline == "batch" else 0.0
        return policy_gradient(log_prob, values - baseline, mask, self.reduction), {
            "reward": ends.mean(),
            "value": mean_of_tokens(values, mask),
        }
