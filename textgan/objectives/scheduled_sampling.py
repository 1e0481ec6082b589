"""Scheduled sampling (Bengio et al., NIPS 2015).

arXiv 1506.03099.

Discriminator:  none
Generator:      L_G = -(1 / tokens) sum_t log G(y_t | z_<t),  y real,
                z_t = y_t with probability e, else drawn from G(. | z_<t)

A round is `schedule.g_steps` = 150 updates here, about an epoch over 10,000 texts, where it is one
in most other methods: e changes from round to round, and the start of a run prints its updates.

The generator is trained to write the real word after prefixes that are partly its own. `progress`
lets e fall from 1 to `final`: linearly, or by an inverse sigmoid, k / (k + exp(i / k)) over the
updates i, which over a run's course is a logistic curve around its middle. With a round an epoch,
`final` = 1 - 0.002 * rounds is the linear decrease of SeqGAN's baseline, 0.002 an epoch (Yu et al.,
arXiv 1609.05473, section "Synthetic Data Experiments", which begins it after maximum likelihood, as
its figure 2 shows: `schedule.mle_epochs`).

SeqGAN's first code (LantaoYu/SeqGAN 4152436, schedule_sampling/) begins at once and runs 300
epochs with Adam at 0.001, e from 1 to 0.4 (schedule_sampling.py:16, 117-119). By reading, not by
running it: its coin is a constant of the graph (model.py:90, one `random.random()` for all
positions and updates; 0.397 with the file's seed 88), which e never falls below, so that it feeds
real words alone and its row is one of maximum likelihood.

Departs from the paper:
- the curve is one of the rounds, of which Bengio et al.'s constants are no function: `steepness`;
  their exponential decay is not there
- a coin is thrown for each token of each text, as in Bengio et al.
- e changes from round to round, not from update to update
- gradients do not flow through what was drawn
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import nll
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import multinomial
from textgan.objectives.base import Objective

Decay = Literal["linear", "inverse_sigmoid"]


@dataclass(kw_only=True)
class ScheduledSampling(Objective, name="scheduled_sampling"):
    """Maximum likelihood of real words after prefixes that are partly the generator's own."""

    paper: ClassVar[str] = "Bengio et al. 2015, arXiv 1506.03099"
    discriminator: ClassVar[str | None] = None
    generator_dropout: ClassVar[bool] = True  # the loss is of real words, whatever was read
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.mle_epochs": 0,
        "schedule.g_steps": 150,  # a round is about an epoch over 10,000 texts
        "schedule.rounds": 20,
        "optimisers.generator_lr": 0.01,
    }

    decay: Annotated[Decay, Field(description="how e falls; paper: all of these")] = "linear"
    final: Annotated[
        float, Field(ge=0, le=1, description="e at the end; SeqGAN's first code: 0.4")
    ] = 0.4
    steepness: Annotated[
        float, Field(gt=0, description="of the inverse sigmoid over the whole run")
    ] = 10.0

    @property
    def reduction(self) -> Reduction:
        return "mean_token"

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        """Make what the generator reads: real texts with some of their words replaced by drawn
        ones."""
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        keep = kept_share(progress, self.decay, self.final, self.steepness)
        state = generator.start(len(real), real.condition)
        symbol = torch.full_like(real.lengths, generator.space.bos)
        read: list[Tensor] = []
        for position in range(real.tokens.shape[1]):
            logits, state = generator.step(symbol, state)
            drawn = multinomial(logits)
            own = torch.rand(drawn.shape, device=drawn.device) >= keep
            symbol = torch.where(own, drawn, real.tokens[:, position])
            read.append(symbol)
        tokens = torch.stack(read, 1).masked_fill(~real.mask, generator.space.pad)
        return Text(tokens, real.lengths, condition=real.condition)

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        logits: Tensor = generator(fake)
        each = F.cross_entropy(logits.flatten(0, 1), real.tokens.flatten(), reduction="none")
        share = (fake.tokens != real.tokens)[real.mask].to(each).mean()
        return nll(-each.view_as(real.tokens), real.mask), {"replaced": share}


def kept_share(progress: float, decay: Decay, final: float, steepness: float) -> float:
    """e: the probability that the generator reads the real word, 1 at the start, `final` at the
    end (the inverse sigmoid: nearly)."""
    curve = (1 - math.tanh(steepness * (progress - 0.5) / 2)) / 2  # a logistic; no overflow
    share = 1 - progress if decay == "linear" else curve
    return final + (1 - final) * share
