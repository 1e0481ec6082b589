"""MLE: maximum likelihood by teacher forcing, the baseline of every table.

Generator:      L_G = -(1 / tokens) sum_{b,t} log G(y_bt | y_b,<t)   on real sentences
Discriminator:  none

`progress` anneals nothing. A run of `mle` spends its epochs in the schedule's `mle_epochs`; rounds,
if there are any, are further teacher-forcing updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import nll
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective, StatefulLoss


@dataclass(kw_only=True)
class MLE(Objective, name="mle"):
    """Maximum likelihood (teacher forcing)."""

    paper: ClassVar[str] = "Williams and Zipser 1989"
    discriminator: ClassVar[str | None] = None
    generator_dropout: ClassVar[bool] = True  # the loss is of real words

    @property
    def reduction(self) -> Reduction:
        return "mean_token"

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return real

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss | StatefulLoss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        return nll(generator.log_prob(real), real.mask), {}
