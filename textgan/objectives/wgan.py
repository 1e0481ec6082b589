"""WGAN: the Wasserstein distance between relaxed and real texts (Arjovsky et al., ICML 2017).

arXiv 1701.07875.

Discriminator:  L_D = E_G f(y) - E_data f(x),  every weight kept in [-c, c]
Generator:      L_G = -E_G f(y),  y relaxed texts (B, T, V), through which the gradient flows

f is the score, without a sigmoid (the literature calls f a critic); -L_D, logged as `wasserstein`,
estimates the distance up to the factor by which f stretches. `progress` anneals nothing.

In the paper's words: n_critic is `schedule.d_steps`, for a turn is one update. The paper's code
(martinarjovsky/WassersteinGAN, main.py) has 100 updates of the discriminator before each of the
first 25 of the generator and before every 500th. Here a round begins with the generator, so the
first 100 are `schedule.discriminator_turns`, the next 24 hundreds `schedule.warmup_rounds`, the
others `schedule.warmup_every`.

Departs from the paper:
- texts in place of images. An autoregressive generator is relaxed by Gumbel noise, which keeps its
  likelihood and its pretraining; by plain softmax it would write one and the same relaxed text
  every time. A generator that starts from noise is relaxed by softmax
- weights are clipped after each update of the discriminator, as printed; the code clips before it
- the code's epoch of data may end amid the discriminator's updates, which then are fewer
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import Generator
from textgan.models.relaxation import relaxed_texts
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class WGAN(Objective, name="wgan"):
    """Wasserstein distance, the discriminator's weights clipped."""

    paper: ClassVar[str] = "Arjovsky et al. 2017, arXiv 1701.07875"
    needs_likelihood: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # its masks are part of the graph
    score_is_logit: ClassVar[bool] = False
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.fakes": 1,
        "schedule.d_steps": 5,
        "schedule.discriminator_turns": 100,
        "schedule.warmup_rounds": 24,
        "schedule.warmup_every": 500,
        "schedule.warmup_d_steps": 100,
        "schedule.rounds": 1000,
        "schedule.evaluate_every": 20,
        "optimisers.method": "rmsprop",
        "optimisers.generator_lr": 5e-5,
        "optimisers.discriminator_lr": 5e-5,
    }

    clip: Annotated[
        float, Field(gt=0, description="c, the discriminator's largest weight; paper: 0.01")
    ] = 0.01
    temperature: Annotated[float, Field(gt=0, description="of the Gumbel-softmax")] = 1.0

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return relaxed_texts(generator, real, self.temperature)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        assert fake.soft_tokens is not None
        of_real, of_fake = discriminator.score_pair(real.relaxed(fake.soft_tokens), fake)
        distance = of_real.mean() - of_fake.mean()
        return -distance, {"wasserstein": distance.detach()}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        return -discriminator(fake).mean(), {}

    @torch.no_grad()
    def after_discriminator_step(self, discriminator: Discriminator) -> None:
        for parameter in discriminator.parameters():
            parameter.clamp_(-self.clip, self.clip)
