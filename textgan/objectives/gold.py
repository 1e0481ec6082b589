"""GOLD: off-policy policy gradient on real texts (Pang and He, ICLR 2021).

arXiv 2009.07839. Real texts are demonstrations, an older generator is the policy that is asked how
likely they are, and the generator of maximum likelihood gives the rewards.

Generator:      L_G = -(1 / tokens) sum_{b,t} max(u, pi_old(y_bt)) Q_bt log G(y_bt)
Value:          Q_t = sum_{k=0..K} R_{t+k},  with the probability p of a word by maximum likelihood
                s      R = max(c, p)
                p      R = max(c, log p - b)
                delta  Q = 1
Discriminator:  none

All weights are constants, and of networks without dropout, as in the code. u = 1 with "delta" is
maximum likelihood. p is the generator as it is at the first of these updates, so maximum likelihood
comes first (schedule.mle_epochs, init=RUN); pi_old is the generator of some updates ago, anew every
`refresh` updates. `progress` anneals nothing.

The data's own distribution p is no fixed point: with "delta" and an old policy that is p, the
expected gradient is -sum_v max(u, p_v) grad q_v after each prefix, zero only where these are all
equal. Likely words gain: quality for coverage. The authors choose a checkpoint by BLEU or ROUGE and
never by likelihood, which becomes worse (README.md).

Settings of the released code (yzpang/gold-off-policy-text-gen-iclr21 57dfff3): IWSLT14 with "s", u
0.2, c 0.1, `refresh` 3,000, Adam at 3e-4 (run_iwslt_golds.sh); XSum with "s", u 0.15, c 0.1, and
5,000; CNN/DM with "s", u 0.1, c 0, and with "p", u 0, c 1, b -10; K = 5 everywhere (options.py).

Departs from the paper and its code:
- what follows the end of a text has p = 1. In the code that holds for the longest text of a batch;
  after a shorter one p is what the network gives padding (label_smoothed_cross_entropy.py:35-58)
- the code copies pi_old at the beginning of each epoch, too, and without --load-path-mle, as for
  IWSLT14, p is that copy and not of maximum likelihood (train.py:152-158)
- no label smoothing
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import swapped_weights
from textgan.core.tensors import under_prefix, with_prefix
from textgan.data.text import Text
from textgan.losses import mean_of_tokens, policy_gradient
from textgan.models.contract import dropout_off
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import StatefulLoss
from textgan.objectives.mle import MLE


def sum_ahead(rewards: Tensor, window: int, after: float) -> Tensor:
    """Sum each reward (B, T) and the `window` that follow it; those after the last are `after`."""
    padded = F.pad(rewards, (0, window), value=after)
    return padded.unfold(1, window + 1, 1).sum(2)


@dataclass(kw_only=True)
class GOLD(MLE, name="gold"):
    """Policy gradient on real texts, weighed by an older generator, paid by that of MLE."""

    paper: ClassVar[str] = "Pang and He 2021, arXiv 2009.07839"

    reward: Annotated[
        Literal["s", "p", "delta"], Field(description="what a word earns; p: log p - b")
    ] = "s"
    least_weight: Annotated[
        float, Field(ge=0, le=1, description="u, of the old policy's probability; code: 0.2")
    ] = 0.2
    least_reward: Annotated[float, Field(ge=0, description="c, of a reward; code: s 0.1, p 1")] = (
        0.1
    )
    baseline: Annotated[float, Field(description="b, taken off log p")] = -10.0
    window: Annotated[
        int, Field(ge=0, description="K, words ahead whose rewards count; code: 5")
    ] = 5
    refresh: Annotated[
        int, Field(ge=1, description="updates from one old policy to the next; code: 3,000")
    ] = 3000

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> StatefulLoss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        kept = self._next_state(generator)
        state = {**self.state, **kept}
        chance = self._log_prob(generator, real, under_prefix("old", state)).exp()
        values = torch.ones_like(chance)
        if self.reward != "delta":
            values = self.values(self._log_prob(generator, real, under_prefix("mle", state)), real)
        log_prob, mask = generator.log_prob(real), real.mask
        weights = chance.clamp(min=self.least_weight) * values
        loss = policy_gradient(log_prob, weights, mask, self.reduction)
        metrics = {
            "nll": -mean_of_tokens(log_prob.detach(), mask),
            "value": mean_of_tokens(values, mask),
            "weight": mean_of_tokens(weights, mask),
        }
        return loss, metrics, kept

    def values(self, log_prob: Tensor, text: Text) -> Tensor:
        """Compute Q (B, T) of every word from the log-probabilities (B, T) of maximum
        likelihood."""
        known = log_prob.masked_fill(~text.mask, 0.0)  # nothing but the end follows the end
        rewards = known.exp() if self.reward == "s" else known - self.baseline
        after = 1.0 if self.reward == "s" else -self.baseline
        return sum_ahead(
            rewards.clamp(min=self.least_reward), self.window, max(after, self.least_reward)
        )

    def _next_state(self, generator: AutoregressiveGenerator) -> dict[str, Tensor]:
        """The number of updates, and of those policies that this update renews, the weights."""
        updates = self.state.get("updates", torch.zeros((), dtype=torch.long))
        kept = {"updates": updates + 1}
        first, due = not self.state, int(updates) % self.refresh == 0
        for policy in ["mle"] * (first and self.reward != "delta") + ["old"] * due:
            now = {name: weight.detach().clone() for name, weight in generator.named_parameters()}
            kept |= with_prefix(policy, now)
        return kept

    @torch.no_grad()
    def _log_prob(
        self, generator: AutoregressiveGenerator, text: Text, weights: dict[str, Tensor]
    ) -> Tensor:
        """The log-probabilities (B, T) of words by the policy of these weights, dropout off."""
        with dropout_off(generator), swapped_weights(generator, weights):
            return generator.log_prob(text)
