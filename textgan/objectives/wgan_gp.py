"""WGAN-GP: a Wasserstein GAN whose slope is held at 1 (Gulrajani et al., NeurIPS 2017).

arXiv 1704.00028, with its character-level language model.

Discriminator:  L_D = E_G f(y) - E_data f(x) + lambda E (|grad f(z)| - 1)^2
Generator:      L_G = -E_G f(y),  y relaxed texts (B, T, V), through which the gradient flows

z = x + a (y - x) lies between a real text in one-hot rows and a fake, a ~ U(0, 1) one number a
pair; the norm is taken over all positions and symbols of a text. f is the score (the literature
calls f a critic); `wasserstein` is E_data f - E_G f, `penalty` the mean square. `progress` anneals
nothing.

In the paper's words: n_critic is `schedule.d_steps`, for a turn is one update. Its dimension 512 is
`generator.channels` and `discriminator.channels`.

`discriminator_loss` must be the same however often it is called in one update, so a is drawn from a
stream of its own, the next of which `after_discriminator_step` makes after each update.

Departs from the paper:
- a batch is half real, half fake: `schedule.batch_size = 128` has the paper's 64 of each
- sentences end with an end token and are then padded; too long ones are left out, not cut
- an autoregressive generator, in place of the paper's that starts from noise, is relaxed by Gumbel
  noise; by plain softmax it would write one and the same relaxed text every time
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import gradient_penalty, next_shares, shares_of
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import Generator
from textgan.models.relaxation import relaxed_texts
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class WGANGP(Objective, name="wgan_gp"):
    """Wasserstein distance, the discriminator's slope penalised where it is not 1."""

    paper: ClassVar[str] = "Gulrajani et al. 2017, arXiv 1704.00028"
    needs_likelihood: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # its masks are part of the graph
    generator: ClassVar[str] = "convolutional"
    discriminator: ClassVar[str | None] = "residual"
    score_is_logit: ClassVar[bool] = False
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.fakes": 1,
        "schedule.d_steps": 10,
        "schedule.rounds": 1000,
        "schedule.evaluate_every": 20,
        # the paper's 512 takes five seconds of one core for an update, see experiments/paper
        "generator.channels": 64,
        "discriminator.channels": 64,
        "optimisers.generator_lr": 1e-4,
        "optimisers.discriminator_lr": 1e-4,
        "optimisers.beta1": 0.5,
        "optimisers.beta2": 0.9,
    }

    penalty: Annotated[float, Field(ge=0, description="lambda; paper: 10")] = 10.0
    temperature: Annotated[float, Field(gt=0, description="of the Gumbel-softmax")] = 1.0

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        self.state["stream"] = torch.randint(2**31, ())

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return relaxed_texts(generator, real, self.temperature)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        assert fake.soft_tokens is not None
        real = real.relaxed(fake.soft_tokens)
        assert real.soft_tokens is not None
        of_real, of_fake = discriminator.score_pair(real, fake)
        distance = of_real.mean() - of_fake.mean()

        def score(rows: Tensor) -> Tensor:
            scores: Tensor = discriminator(replace(fake, soft_tokens=rows))
            return scores

        shares = shares_of(fake.soft_tokens, self.state["stream"])
        penalty = gradient_penalty(score, real.soft_tokens, fake.soft_tokens, shares)
        return self.penalty * penalty - distance, {
            "wasserstein": distance.detach(),
            "penalty": penalty.detach(),
        }

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        return -discriminator(fake).mean(), {}

    def after_discriminator_step(self, discriminator: Discriminator) -> None:
        self.state["stream"] = next_shares(self.state["stream"], self.old)
