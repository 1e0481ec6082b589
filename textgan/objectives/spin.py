"""SPIN: self-play fine-tuning (Chen et al., ICML 2024).

arXiv 2401.01335. y is a real text, y' one of the generator's own of some updates ago, G_old.

Discriminator:  none; F(y) = b (log G(y) - log G_old(y)) is the verdict
Generator:      L_G = -E log sigmoid(F(y) - F(y')),  y ~ data, y' ~ G_old

G_old is a frozen copy of the generator that is renewed every `refresh` updates. The step from it
has b / 2 of the expected gradient of maximum likelihood, for the fakes' part of it is zero on
average, and is stationary at G = p. The least L_G against one G_old has F = log p / G_old up to a
constant: G is in proportion to G_old (p / G_old)^(1 / b), which is p for b = 1 and beyond it for a
smaller b, so that a copy is to be renewed long before that. `progress` anneals nothing.

Settings of the released code (uclaml/SPIN 1c8755f, configs/config.yaml): b = 0.1, RMSProp with a
learning rate of 5e-7, 3 epochs over one set of fakes of a language model of 7B weights.

Departs from the paper:
- fakes are fresh in every update, where the paper writes one set of them for all updates of a copy
- the copy is renewed during a run, not by a run for each
- the sum of log-probabilities is of all words and the end token; nothing of a prompt is in it
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import swapped_weights
from textgan.data.text import Text
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.likelihood import log_probs
from textgan.objectives.base import Objective, StatefulLoss

UPDATES = "updates"  # since the copy was made; the rest of the state is the copy's weights


@dataclass(kw_only=True)
class SPIN(Objective, name="spin"):
    """The generator tells real texts from those of a former self, by its own likelihood."""

    paper: ClassVar[str] = "Chen et al. 2024, arXiv 2401.01335"
    discriminator: ClassVar[str | None] = None

    beta: Annotated[
        float, Field(gt=0, description="b, of the log-ratio of the two; paper's code: 0.1")
    ] = 0.1
    refresh: Annotated[int, Field(ge=1, description="updates from one copy to the next")] = 20

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        with self._former(generator):
            return generator.sample(len(real), condition=real.condition)

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> StatefulLoss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        with self._former(generator):
            before = log_probs(generator, real) - log_probs(generator, fake)
        now = _log_prob(generator, real) - _log_prob(generator, fake)
        margin = self.beta * (now - before)
        kept = {UPDATES: self._updates % self.refresh + 1}
        if self._is_due:
            kept |= {name: one.detach().clone() for name, one in generator.named_parameters()}
        return (
            F.softplus(-margin).mean(),
            {
                "margin": margin.detach().mean(),
                "right": (margin.detach() > 0).double().mean(),  # the share of pairs
            },
            kept,
        )

    @property
    def _updates(self) -> Tensor:
        """How many updates have been made against the copy, a scalar."""
        return self.state.get(UPDATES, torch.tensor(0))

    @property
    def _is_due(self) -> bool:
        """Whether the generator as it is becomes the copy."""
        return int(self._updates) % self.refresh == 0

    def _former(self, generator: Generator) -> AbstractContextManager[None]:
        """Inside, the generator has the weights of its copy."""
        return nullcontext() if self._is_due else swapped_weights(generator, self.state)


def _log_prob(generator: AutoregressiveGenerator, text: Text) -> Tensor:
    """log G of each text, (B,), with its gradient."""
    each = generator.log_prob(text)
    return torch.where(text.mask, each, each.new_zeros(())).sum(1)
