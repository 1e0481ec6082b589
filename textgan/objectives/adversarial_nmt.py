"""Adversarial-NMT: a discriminator's reward of whole translations (Wu et al., ACML 2018).

arXiv 1704.06933. x is the source, y a translation; F is the score, D = sigmoid(F) the probability
that a human translated x by y.

Discriminator:  L_D = -E_data log D(x, y) - E_G log(1 - D(x, y))                        (eq. 6)
Reward:         r = -log(1 - D(x, y)) = softplus(F)
Generator:      L_G = -mean_b (r_b - b) sum_t log G(y_bt | x_b, y_b,<t),  r and b constants
Baseline:       b <- decay * b + (1 - decay) * mean r, the mean of past rewards; 0 before the first

One sample of G answers each source, and all its words have the reward of the whole: the paper
tried rollouts and found them "intolerably time-consuming". r has no upper bound. Half of the
mini-batches are maximum likelihood instead: in the paper at random, here every other one, which has
the same expected gradient (`schedule.mle_steps` = `mle_every` = 1). `progress` anneals nothing.

The paper trains D on translations by beam search of width 4 and rewards samples, of which D then
knows little: `negatives = "beam"`. By default D is trained on what it will score. It reports 26.98
BLEU on IWSLT14 De-En (RNNSearch 23.87, MRT 25.84) and 31.91 on En-Fr (29.97, 31.30) after further
epochs that are half maximum likelihood; the model with only those is not in its tables.

The public ports that were read do not train by this: wangyirui/Adversarial-NMT takes the
log-probability of the reference where that of the sample belongs and shuffles D's targets without
their sources; nazim1021/neural-machine-translation-using-gan rewards an argmax of teacher-forced
words; in Jevin754/Adversarial-NMT no gradient reaches the generator.

Departs from the paper:
- two optimisers of the generator, one for each kind of mini-batch, where the paper has one
- SGD there, with Nesterov's momentum for D; what `optimisers` says here
- D's embeddings are its own; the paper's are fixed at the generator's
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import logistic, policy_gradient
from textgan.models.beam import BeamSearch
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective, StatefulLoss


@dataclass(kw_only=True)
class AdversarialNMT(Objective, name="adversarial_nmt"):
    """One reward for a whole translation, above the mean of past ones; no rollouts."""

    paper: ClassVar[str] = "Wu et al. 2018, arXiv 1704.06933"
    generator: ClassVar[str] = "attention"
    discriminator: ClassVar[str | None] = "pair_grid"
    needs_source: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        "schedule.fakes": 1,  # a turn is one update on fresh fakes
        "schedule.discriminator_turns": 200,
        "schedule.rounds": 1000,
        "schedule.mle_steps": 1,
        "schedule.mle_every": 1,
        "schedule.mle_weight": 0.1,  # as large as the generator's step
        "schedule.evaluate_every": 20,
        "optimisers.mle_lr": 1e-3,
        "optimisers.generator_lr": 1e-4,
        "optimisers.discriminator_lr": 1e-3,
    }

    negatives: Annotated[
        Literal["sample", "beam"],
        Field(description="how the discriminator's fakes are written; paper: beam"),
    ] = "sample"
    beam: Annotated[int, Field(ge=1, description="width of that beam search; paper: 4")] = 4
    decay: Annotated[
        float, Field(ge=0, lt=1, description="of the mean of past rewards, per update")
    ] = 0.9
    reduction: Annotated[Reduction, Field(description="of the policy gradient over the batch")] = (
        "mean_sentence"
    )

    def discriminator_sample(self, generator: Generator, real: Text, progress: float) -> Text:
        if self.negatives == "sample":
            return self.sample(generator, real, progress)
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        return BeamSearch(width=self.beam, allow_unknown=True)(generator, real.condition).text

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        return logistic(*discriminator.score_pair(real, fake)), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> StatefulLoss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        with torch.no_grad():
            reward = F.softplus(discriminator(fake))
        baseline = self.state.get("baseline", torch.zeros_like(reward[0]))
        weights = (reward - baseline).unsqueeze(1).expand_as(fake.tokens)
        loss = policy_gradient(generator.log_prob(fake), weights, fake.mask, self.reduction)
        metrics = {
            "reward": reward.mean(),
            "reward_deviation": reward.std(unbiased=False),
            "baseline": baseline,
        }
        return loss, metrics, {"baseline": torch.lerp(reward.mean(), baseline, self.decay)}
