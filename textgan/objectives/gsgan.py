"""GSGAN: GANs for sequences of discrete elements with the Gumbel-softmax distribution.

Kusner and Hernandez-Lobato 2016, arXiv 1611.04051.

Texts:          y_t = softmax((h_t + g_t) / tau), g_t Gumbel noise; the generator reads y_t next
Discriminator:  L_D = -E_data log D(x) - E_G log(1 - D(y)),  D = sigmoid(score)
Generator:      L_G = E_G log(1 - D(y))   (`loss = "minimax"`)
                L_G = -E_G log D(y)       (`loss = "non_saturating"`)

Real texts are one-hot rows. `progress` anneals tau linearly from `temperature` to
`final_temperature`.

Departs from the paper:
- the game is the ordinary one of Goodfellow et al. 2014, but the generator's loss is the
  non-saturating form by default: minimax has next to no gradient where the
  discriminator is sure, as it soon is of soft tokens far from one-hot
- the generator starts from the begin token and the noise of its words is all its noise; the
  paper's starts from noise of its own
- the usual discriminator is convolutional, the paper's is an LSTM (`discriminator = "rnn"`)
- maximum-likelihood pretraining, where the schedule asks for it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import logistic
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import Generator
from textgan.models.relaxation import relaxed_texts
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class GSGAN(Objective, name="gsgan"):
    """The ordinary GAN on relaxed texts, whose soft tokens the generator goes on from."""

    paper: ClassVar[str] = "Kusner and Hernandez-Lobato 2016, arXiv 1611.04051"
    needs_likelihood: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # its masks are part of the graph
    score_is_logit: ClassVar[bool] = False  # it is one, but of soft tokens, which words are not
    defaults: ClassVar[Mapping[str, Any]] = {
        "schedule.discriminator_turns": 0,
        "schedule.rounds": 1000,
        "schedule.d_steps": 5,
        "schedule.fakes": 1,  # a turn is one update on fresh fakes
        "schedule.evaluate_every": 20,
    }

    temperature: Annotated[float, Field(gt=0, description="tau of the first round")] = 5.0
    final_temperature: Annotated[float, Field(gt=0, description="tau of the last round")] = 1.0
    loss: Annotated[
        Literal["minimax", "non_saturating"],
        Field(description="of the generator; the game as written: minimax"),
    ] = "non_saturating"

    def temperature_at(self, progress: float) -> float:
        """Return the temperature tau, on a line between its two ends."""
        return self.temperature + progress * (self.final_temperature - self.temperature)

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return relaxed_texts(generator, real, self.temperature_at(progress))

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        assert fake.soft_tokens is not None
        return logistic(*discriminator.score_pair(real.relaxed(fake.soft_tokens), fake)), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert fake.soft_tokens is not None
        score = discriminator(fake)
        # log(1 - sigmoid(s)) = -softplus(s)
        loss = -F.softplus(score) if self.loss == "minimax" else F.softplus(-score)
        return loss.mean(), {
            "reward": score.detach().sigmoid().mean(),
            "sharpness": fake.soft_tokens.detach().amax(2).mean(),  # 1 where one-hot
            "temperature": torch.tensor(self.temperature_at(progress)),
        }
