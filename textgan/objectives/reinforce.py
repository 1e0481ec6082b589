"""REINFORCE on a discriminator's reward: SeqGAN without its rollouts (Williams 1992).

Discriminator:  L_D = -E_data log D(y) - E_G log(1 - D(y)),  D = sigmoid(score)
Generator:      L_G = -sum_{b,t} (D(y_b) - baseline) log G(y_bt | s_bt),  D a constant

Every word of a sentence is paid what the finished sentence earns, which costs one discriminator
pass where SeqGAN rolls out every prefix, and has the larger variance. Some widely used code of that
name is this method. `progress` anneals nothing.

Departs from the paper: the reward is a discriminator's; the discriminator and its penalty are
SeqGAN's, so that the two differ in the rollouts alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import leave_one_out, logistic, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class Reinforce(Objective, name="reinforce"):
    """One reward for a finished sentence, no rollouts."""

    paper: ClassVar[str] = "Williams 1992; Yu et al. 2017 without rollouts"

    baseline: Annotated[
        Literal["none", "batch"], Field(description="batch: minus the others' mean reward")
    ] = "batch"
    reduction: Annotated[Reduction, Field(description="of the policy gradient over the batch")] = (
        "sum"
    )
    l2: Annotated[
        float, Field(ge=0, description="on the discriminator's output layer; as seqgan's")
    ] = 0.2

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        loss = logistic(*discriminator.score_pair(real, fake))
        return loss + self.l2 * discriminator.output_penalty(), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        with torch.no_grad():
            reward = discriminator(fake).sigmoid()
        values, mask = reward.unsqueeze(1).expand_as(fake.tokens), fake.mask
        baseline = leave_one_out(values, mask) if self.baseline == "batch" else 0.0
        log_prob = generator.log_prob(fake)
        return policy_gradient(log_prob, values - baseline, mask, self.reduction), {
            "reward": reward.mean(),
            "reward_deviation": reward.std(unbiased=False),
        }
