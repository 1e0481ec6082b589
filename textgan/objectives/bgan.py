"""BGAN: boundary-seeking generative adversarial networks (Hjelm et al., ICLR 2018).

arXiv 1702.08431.

Discriminator (both):   L_D = -E_data log D(x) - E_G log(1 - D(x)),  D = sigmoid(F)
Generator, discrete:    L_G = -E_z sum_m w_m log g(x_m | z),  x_1..x_M ~ g(. | z)
                        w_m = exp(F(x_m)) / sum_m' exp(F(x_m')), a constant         (eq. 9 and 10)
Generator, continuous:  L_G = E_z 1/2 F(G(z))^2, least at the boundary D = 1/2      (section 3.3)

For the divergence of the ordinary GAN the importance weight is D / (1 - D) = exp(F). It is
normalised over the M samples of one source z, where MaliGAN takes the whole batch. `progress`
anneals nothing.

Departs from the paper:
- the source z is what a text answers (`source`, `labels`), not noise: an autoregressive generator
  draws its words, so texts without a source share the empty one
- the discriminator gives a text one score, not one for each position
- continuous: rows of Gumbel noise on an autoregressive generator, of plain softmax on one that
  starts from noise
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from textgan.discriminators.base import Discriminator
from textgan.generators.base import AutoregressiveGenerator, Generator
from textgan.losses import (
    Loss,
    Reduction,
    effective_share,
    importance,
    logistic,
    policy_gradient,
)
from textgan.objectives.base import Objective
from textgan.relaxation import relaxed_texts
from textgan.text import Text


def _several(samples: int) -> int:
    if samples < 2:
        raise ValueError(
            "one sample has weight 1 whatever the discriminator says of it; give 2 or more"
        )
    return samples


@dataclass(kw_only=True)
class BGAN(Objective, name="bgan"):
    """Importance weights normalised over several texts of the same source."""

    paper: ClassVar[str] = "Hjelm et al. 2018, arXiv 1702.08431"

    samples: Annotated[
        int, AfterValidator(_several), Field(description="M, texts of each source; paper: 20")
    ] = 20
    reduction: Annotated[
        Reduction, Field(description="of the gradient over the batch; paper: mean_sentence")
    ] = "mean_sentence"

    @property
    def group(self) -> int:
        return self.samples

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return generator.sample(len(real), source=real.source, labels=real.labels)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        return logistic(*discriminator.judge(real, fake)), {}

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
            score: Tensor = discriminator(fake)
            ratio = importance(score.view(-1, self.samples))
        weights = ratio.view(-1, 1).expand_as(fake.tokens)
        return policy_gradient(generator.log_prob(fake), weights, fake.mask, self.reduction), {
            "reward": score.sigmoid().mean(),
            "ess": effective_share(ratio).mean(),  # as a share of M
        }


@dataclass(kw_only=True)
class ContinuousBGAN(Objective, name="bgan_continuous"):
    """The boundary sought through relaxed texts: half the squared score."""

    paper: ClassVar[str] = "Hjelm et al. 2018, arXiv 1702.08431"
    needs_likelihood: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # its masks are part of the graph
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.discriminator_turns": 0,
        "schedule.rounds": 1000,
        "schedule.d_steps": 5,
        "schedule.fakes": 1,  # a turn is one update on fresh fakes
        "schedule.evaluate_every": 20,
    }
    score_is_logit: ClassVar[bool] = False  # it is one, but of rows, which words are not

    temperature: Annotated[float, Field(gt=0, description="of the Gumbel-softmax rows")] = 1.0

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return relaxed_texts(generator, real, self.temperature)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        assert fake.rows is not None
        return logistic(*discriminator.judge(real.relaxed(fake.rows), fake)), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        score: Tensor = discriminator(fake)
        return score.square().mean() / 2, {"score": score.detach().mean()}
