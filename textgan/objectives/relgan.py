"""RelGAN: relational generative adversarial networks for text generation (Nie et al., ICLR 2019).

Paper without an arXiv number; code: weilinie/RelGAN.

Texts:          y_t = softmax(beta (h_t + g_t)), g_t Gumbel noise; the generator reads the word
                argmax y_t next
Discriminator:  L_D = -mean_{b,s} log sigmoid(D_s(x_b) - D_s(y_b))
Generator:      L_G = -mean_{b,s} log sigmoid(D_s(y_b) - D_s(x_b))

D_s is the score of representation s, x_b the real text that the fake y_b is paired with. `progress`
anneals the inverse temperature, beta = beta_max^progress.

Departs from the paper and its code:
- beta reaches beta_max in the last round, as in the paper; the code divides by 5,000 rounds
  whatever their number, so that 2,000 rounds towards 100 end at 6.3
- dropout of the discriminator is off while the generator is updated
- `schedule.batch_size` counts real and fake together for the discriminator, the code each
- a relational memory of normalised slots, a discriminator with dropout after its linear layer: see
  `generators/relational_memory.py`, `discriminators/representations.py`
- of the code's losses the relativistic one, and of its seven ways to anneal beta three
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.discriminators.base import Discriminator
from textgan.generators.base import Generator
from textgan.losses import Loss
from textgan.objectives.base import Objective
from textgan.relaxation import relaxed_texts
from textgan.text import Text


@dataclass(kw_only=True)
class RelGAN(Objective, name="relgan"):
    """Relaxed texts, and a discriminator that says which of two is the more real."""

    paper: ClassVar[str] = "Nie et al. 2019, ICLR"
    needs_likelihood: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # its masks are part of the graph
    generator: ClassVar[str] = "relational_memory"
    discriminator: ClassVar[str | None] = "representations"
    score_is_logit: ClassVar[bool] = False  # only differences of scores mean anything
    defaults: ClassVar[Mapping[str, Any]] = {
        "schedule.discriminator_turns": 0,
        "schedule.rounds": 2000,
        "schedule.d_steps": 5,
        "schedule.fakes": 1,
        "schedule.evaluate_every": 50,
        "optimisers.generator_lr": 1e-4,
        "optimisers.discriminator_lr": 1e-4,
        "optimisers.discriminator_clip": 5.0,
    }

    beta_max: Annotated[
        float, Field(gt=0, description="inverse temperature at the end; paper: 100 or 1000")
    ] = 100.0
    anneal: Annotated[
        Literal["exponential", "linear", "constant"],
        Field(description="how beta gets there from 1; constant: is there; paper: exponential"),
    ] = "exponential"

    def beta(self, progress: float) -> float:
        """The inverse temperature."""
        if self.anneal == "linear":
            return 1 + progress * (self.beta_max - 1)
        return float(self.beta_max ** (progress if self.anneal == "exponential" else 1.0))

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return relaxed_texts(generator, real, 1 / self.beta(progress), reads_words=True)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        margin = lead(discriminator, real, fake)
        return F.softplus(-margin).mean(), {"margin": margin.detach().mean()}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        margin = lead(discriminator, real, fake)
        return F.softplus(margin).mean(), {
            "margin": margin.detach().mean(),
            "beta": torch.tensor(self.beta(progress)),
        }


def lead(discriminator: Discriminator, real: Text, fake: Text) -> Tensor:
    """By how much each real text outscores its fake in every representation, (B, S)."""
    assert fake.rows is not None
    return discriminator.opinions(real.relaxed(fake.rows)) - discriminator.opinions(fake)
