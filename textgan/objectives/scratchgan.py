"""ScratchGAN: training language GANs from scratch (de Masson d'Autume et al., NeurIPS 2019).

arXiv 1905.09922. The discriminator scores every token from those up to it, so that every token has
a reward of its own, and no pretraining is needed.

Discriminator:  L_D = -1/2 (1 / BL) sum_{b,t} log D(y_bt | y_b,<t)  of real tokens
                      -1/2 (1 / BL) sum_{b,t} log(1 - D(y_bt | y_b,<t))  of fake ones
                      + l2/2 |weights|^2,  D = sigmoid(score),  L the longest a text may be
Reward:         r_t = 2 D_t - 1,  R_t = sum_{s >= t} gamma^(s - t) r_s
Generator:      L_G = -mean_{b,t} (R_bt - baseline) log G(y_bt | y_b,<t),  R and baseline constants
Baseline:       baseline <- decay * baseline + (1 - decay) * mean_{b,t} R_bt  after each update

`decay` is the weight of the old value. `progress` anneals nothing. One update of the discriminator
for one of the generator, as in the released code: `schedule.fakes` = 1 and g_steps = d_steps = 1.

Departs from the paper and its code:
- no GloVe vectors beside the trained embeddings; no tied input and output embeddings; no layer
  normalisation inside the discriminator's LSTM, no signal of the position in its input, and its
  dropout is before the output layer instead of on the embedding
- padding adds nothing to L_D; in the code, whose mean is also one over all B * L places (losses.py,
  sequential_cross_entropy_loss of deepmind-research/scratchgan), its scores are zero, so it adds a
  constant. The generator's means run over real tokens alone
- a batch is subtracted the baseline from before it, a constant, which keeps the gradient
  unbiased; the code asks for the update first
- `schedule.batch_size` counts real and fake together for the discriminator, the paper each
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text, concatenate
from textgan.losses import deviation_of_tokens, mean_of_tokens, policy_gradient, reduce
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.stepwise import StepwiseDiscriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective, StatefulLoss


def discounted(rewards: Tensor, gamma: float) -> Tensor:
    """Compute R_t = sum_{s >= t} gamma^(s - t) r_s, (B, T), of rewards (B, T) that are zero at
    padding."""
    total = torch.zeros_like(rewards[:, 0])
    returns: list[Tensor] = []
    for reward in reversed(rewards.unbind(1)):
        total = reward + gamma * total
        returns.append(total)
    return torch.stack(returns[::-1], 1)


@dataclass(kw_only=True)
class ScratchGAN(Objective, name="scratchgan"):
    """Policy gradient on discounted rewards of every token, without pretraining."""

    paper: ClassVar[str] = "de Masson d'Autume et al. 2019, arXiv 1905.09922"
    discriminator: ClassVar[str | None] = "stepwise"
    source_discriminator: ClassVar[str] = "stepwise"
    defaults: ClassVar[Mapping[str, Any]] = {
        "schedule.batch_size": 512,
        "schedule.mle_epochs": 0,
        "schedule.discriminator_turns": 0,
        "schedule.rounds": 4000,
        "schedule.fakes": 1,
        "schedule.evaluate_every": 100,
        "optimisers.beta1": 0.5,
        "optimisers.generator_lr": 9.59e-5,
        "optimisers.discriminator_lr": 9.38e-3,
    }

    gamma: Annotated[
        float, Field(ge=0, le=1, description="discount of later rewards; paper: 0.23")
    ] = 0.23
    decay: Annotated[
        float, Field(ge=0, le=1, description="weight of the baseline's old value; paper: 0.08")
    ] = 0.08
    l2: Annotated[
        float, Field(ge=0, description="on all weights of the discriminator; paper: 1e-6")
    ] = 1e-6
    reduction: Annotated[
        Reduction, Field(description="of the policy gradient over the batch; paper: mean_token")
    ] = "mean_token"

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if not isinstance(discriminator, StepwiseDiscriminator):
            raise ValueError(
                "scratchgan needs a discriminator that scores every token, such as stepwise; "
                f"got {type(discriminator).__name__}"
            )

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        assert isinstance(discriminator, StepwiseDiscriminator)  # see connect
        scores = discriminator.steps(concatenate([real, fake]))
        of_real = reduce(F.softplus(-scores[: len(real)]), real.mask, "sum") / len(real)
        of_fake = reduce(F.softplus(scores[len(real) :]), fake.mask, "sum") / len(fake)
        norms = torch.stack([weight.square().sum() for weight in discriminator.parameters()])
        length = discriminator.space.length
        return (of_real + of_fake) / (2 * length) + self.l2 * norms.sum() / 2, {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> StatefulLoss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        assert isinstance(discriminator, StepwiseDiscriminator)
        mask = fake.mask
        with torch.no_grad():
            # a score of zero, which padding has, is a reward of zero
            rewards = 2 * discriminator.steps(fake).sigmoid() - 1
        returns = discounted(rewards, self.gamma)
        mean = mean_of_tokens(returns, mask)
        baseline = self.state.get("baseline", torch.zeros_like(mean))
        log_prob = generator.log_prob(fake)
        loss = policy_gradient(log_prob, returns - baseline, mask, self.reduction)
        metrics = {
            "reward": mean_of_tokens(rewards, mask),
            "return": mean,
            "return_deviation": deviation_of_tokens(returns, mask),
            "baseline": baseline,
        }
        return loss, metrics, {"baseline": self.decay * baseline + (1 - self.decay) * mean}
