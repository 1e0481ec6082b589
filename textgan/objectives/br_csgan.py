"""BR-CSGAN: a discriminator's and BLEU's reward for translations (Yang et al., NAACL 2018).

arXiv 1703.04887. x is the source, y a translation, y* the reference; D = sigmoid(score) is the
probability that a human translated x by y.

Discriminator:  L_D = -E_data log D(x, y*) - E_G log(1 - D(x, y)),  its weights kept in [-c, c]
Reward:         R(x, y) = (1 - s) (D(x, y) - b) + s BLEU(y, y*),  s = `bleu_share`, b constant
Value:          Q_t = mean of R over N completions of y_1..t;  Q_T = R(x, y) at the end
Generator:      L_G = -sum_{b,t} A_bt log G(y_bt | x_b, y_b,<t),  A a constant:
                A_t = Q_t minus the mean of the other sentences at t, over the root of its mean
                square (`normalise`), or Q_t as it is

s = 0 is CSGAN, whose reward is the discriminator's alone; the weight lambda of D is 1 - s. The
sentence BLEU is that of the released code (`add_one`), on token ids without the end token. The end
token is rewarded, and completions are as long as texts may be. Teacher forcing is
`schedule.mle_steps`: one update after each of the generator. The discriminator is trained until it
is right about `schedule.discriminator_until` of new pairs. `progress` anneals nothing.

The paper was not read. The released code (ZhenYangIACAS/NMT_GAN e27f946) was: its gan_train.py
calls `get_reward`, which has no BLEU; `get_reward_Obinforced`, which has, is called from nowhere.
So the loop that is released is CSGAN's. N = 20 and b = 0.6 are from its configuration.

Departs from the paper's code:
- its transformer maximises sum R p where the policy gradient has sum R log p;
  `estimator = "expected_prob"` is that, and weighs each token's gradient with its probability
- the end token has a reward and is taught; there it has neither ("</s> not included")
- a completion may be longer than the sentence it began as; there it is cut at that length
- the discriminator's weights are clipped after each of its updates; there only at the first of a
  phase, at 1 (a comment says 0.01)
- rewards are normalised by default: with b = 0.6 nearly all are negative at first, and what is
  short is punished least. b then changes nothing, nor where all of them have it in common
- of its recurrent setting neither the discriminator without a source nor the lack of teacher
  forcing
- gradients are clipped by their norm, not value by value
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import leave_one_out, logistic, mean_of_tokens, policy_gradient
from textgan.metrics.functional.paired_bleu import PairedReferences
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class BRCSGAN(Objective, name="br_csgan"):
    """Policy gradient on what a discriminator and BLEU say of a translation, with rollouts."""

    paper: ClassVar[str] = "Yang et al. 2018, arXiv 1703.04887"
    generator: ClassVar[str] = "attention"
    discriminator: ClassVar[str | None] = "pair_cnn"
    needs_source: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        # a turn is ten updates in batches of 64; with the code's 5000 fakes it is 157
        "schedule.discriminator_turns": 100,
        "schedule.discriminator_until": 0.82,
        "schedule.rounds": 400,
        "schedule.d_steps": 1,
        "schedule.k": 1,
        "schedule.fakes": 320,
        "schedule.evaluate_every": 20,
        "schedule.mle_steps": 1,
        "schedule.mle_every": 1,
        "schedule.mle_weight": 0.01,  # as large as the generator's step
        "optimisers.method": "rmsprop",
        "optimisers.mle_lr": 1e-3,
        "optimisers.generator_lr": 1e-5,
        "optimisers.discriminator_lr": 1e-4,
    }

    bleu_share: Annotated[
        float, Field(ge=0, le=1, description="s, of BLEU in the reward; 0: CSGAN, 1: without D")
    ] = 0.3
    baseline: Annotated[float, Field(description="b, taken off D; paper's code: 0.6")] = 0.6
    rollouts: Annotated[
        int, Field(ge=1, description="N, completions of each prefix; paper's code: 20")
    ] = 20
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    normalise: Annotated[
        bool,
        Field(
            description="rewards minus the others' mean at the same position, over the root of "
            "their mean square; paper's code: false"
        ),
    ] = True
    estimator: Annotated[
        Literal["log_prob", "expected_prob"],
        Field(description="what a reward weighs; the code of the transformer: expected_prob"),
    ] = "log_prob"
    reduction: Annotated[Reduction, Field(description="of the policy gradient over the batch")] = (
        "mean_sentence"
    )
    weight_clip: Annotated[
        float, Field(ge=0, description="c, the discriminator's largest weight; code: 1; 0: any")
    ] = 1.0

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        return logistic(*discriminator.score_pair(real, fake)), {}

    @torch.no_grad()
    def after_discriminator_step(self, discriminator: Discriminator) -> None:
        for weight in discriminator.parameters() if self.weight_clip else ():
            if weight.requires_grad:
                weight.clamp_(-self.weight_clip, self.weight_clip)

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        references = PairedReferences(real, generator.space)

        def bleu(text: Text, origin: Tensor) -> Tensor:
            return references.score(text, origin)[:, -1].to(generator.embedding.weight)

        def reward(text: Text, origin: Tensor) -> Tensor:
            total = torch.zeros(len(text), device=origin.device)
            if self.bleu_share < 1:
                score: Tensor = discriminator(text)
                total = (1 - self.bleu_share) * (score.sigmoid() - self.baseline)
            if self.bleu_share > 0:
                total = total + self.bleu_share * bleu(text, origin)
            return total

        values, mask = rollout_values(generator, fake, reward, self.rollouts, self.chunk), fake.mask
        log_prob = generator.log_prob(fake)
        weights = self._advantages(values, mask)
        if self.estimator == "expected_prob":
            weights = weights * log_prob.detach().exp()
        sentences = torch.arange(len(fake), device=values.device)
        finished = values[sentences, fake.lengths - 1]
        return policy_gradient(log_prob, weights, mask, self.reduction), {
            "reward": finished.mean(),  # of the finished sentences
            "reward_deviation": finished.std(unbiased=False),
            "value": mean_of_tokens(values, mask),
            "bleu": bleu(fake, sentences).mean(),
        }

    def _advantages(self, values: Tensor, mask: Tensor) -> Tensor:
        if not self.normalise:
            return values
        above = values - leave_one_out(values, mask)
        size = mean_of_tokens(above.square(), mask).sqrt()
        return above / size.clamp(min=torch.finfo(size.dtype).tiny)
