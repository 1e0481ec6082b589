"""Jeffreys: both Kullback-Leibler divergences at once, the reverse one by a discriminator's logit.

Discriminator:  L_D = -E_data log D(x) - E_G log(1 - D(x)),  D = sigmoid(F)
Reward:         R(x) = F(x) within [-c, c] (`clamp`)
Value:          Q_t = mean of R over N completions of x_1..t;  Q_T = R(x) at the end
Generator:      L_G = -w E_data log G(x) - (1 - w) E_G sum_t (Q_t - b_t) log G(x_t | x_<t),
                Q and b constants, b_t the mean Q_t of the other sentences (`baseline`)

The best F is log p(x) / G(x), so the policy gradient descends KL(G || p), and teacher forcing
descends KL(p || G): together w KL(p || G) + (1 - w) KL(G || p), which is half of Jeffreys'
divergence at w = 1/2 and stationary at G = p. (SeqGAN's reward, sigmoid(F), has another optimum.)
N = 0 gives all words of a sentence its reward. The clamp bounds the variance that a sure D brings,
and the penalty `l2` of D's output layer draws F towards 0. `progress` anneals nothing.

`reward = "oracle"` takes log p of the oracle that wrote the data, minus log G, in R's place: an
upper bound of what a discriminator could teach. It is not clamped, for of a whole sentence it is
tens of nats, which a clamp would make one and the same reward. The discriminator is not read then,
and without `schedule.discriminator_turns` and `schedule.d_steps` it costs nothing.

No paper has this method. Jeffreys' divergence is the sum of both (Ben-Dov and Chamon 2025, arXiv
2511.11159, minimise it with a second density in place of D), and a policy that learns from such a
log-ratio is that of AIRL (Fu et al. 2018, arXiv 1710.11248). Departs from the papers: it is of
texts, with SeqGAN's rollouts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import leave_one_out, logistic, mean_of_tokens, nll, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.likelihood import log_probs
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class Jeffreys(Objective, name="jeffreys"):
    """Policy gradient on a discriminator's logit, with teacher forcing in the same loss."""

    paper: ClassVar[str] = "none; Jeffreys' divergence with a discriminator's logit as in AIRL"

    mle_share: Annotated[
        float, Field(ge=0, le=1, description="w, of KL(p || G) in the loss; 1: MLE")
    ] = 0.5
    reward: Annotated[
        Literal["discriminator", "oracle"],
        Field(description="whose log p / G; oracle: the true one, an upper bound"),
    ] = "discriminator"
    clamp: Annotated[float, Field(ge=0, description="c, the largest logit of D; 0: any")] = 5.0
    rollouts: Annotated[
        int, Field(ge=0, description="N, completions of each prefix; 0: one reward a sentence")
    ] = 4
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    baseline: Annotated[
        Literal["none", "batch"],
        Field(description="batch: minus the others' mean at the same position"),
    ] = "batch"
    l2: Annotated[
        float, Field(ge=0, description="on the discriminator's output layer; as seqgan's")
    ] = 0.2

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if self.reward == "oracle" and self.oracle is None:
            raise ValueError(
                "objective.reward = 'oracle' needs the true probability of texts, which only an "
                "oracle knows; leave it or data.* out"
            )

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

        def reward(text: Text, origin: Tensor) -> Tensor:
            if self.reward == "oracle":
                assert self.oracle is not None  # see setup
                return log_probs(self.oracle, text) - log_probs(generator, text)
            logit: Tensor = discriminator(text)
            return logit.clamp(-self.clamp, self.clamp) if self.clamp else logit

        mask, sentences = fake.mask, torch.arange(len(fake), device=fake.tokens.device)
        if self.rollouts:
            values = rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        else:
            with torch.no_grad():
                values = reward(fake, sentences).unsqueeze(1).expand_as(fake.tokens)
        baseline = leave_one_out(values, mask) if self.baseline == "batch" else 0.0
        of_real = nll(generator.log_prob(real), real.mask, "mean_sentence")
        of_fake = policy_gradient(
            generator.log_prob(fake), values - baseline, mask, "mean_sentence"
        )
        finished = values[sentences, fake.lengths - 1]
        return self.mle_share * of_real + (1 - self.mle_share) * of_fake, {
            "reward": finished.mean(),  # of the finished sentences: about -KL(G || p)
            "reward_deviation": finished.std(unbiased=False),
            "value": mean_of_tokens(values, mask),
            "nll": of_real.detach() / real.lengths.double().mean(),  # per token
        }
