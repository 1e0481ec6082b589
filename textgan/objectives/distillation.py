"""Distillation: a student follows the whole distribution of a teacher that was trained by MLE.

Born-again networks (Furlanello et al. 2018, arXiv 1805.04770); word- and sequence-level knowledge
distillation (Kim and Rush 2016, EMNLP). It is the control of CoT, which has a wide, thinned
language model to follow as well: what an adversary adds is what CoT has beyond this.

Mediator (teacher):   L_T = -E_data log T(y)        a language model, here `discriminator`
Generator (student):  L_S = E_s sum_t sum_v T(v | s_t) (log T(v | s_t) - log S(v | s_t))

The prefixes s are those of texts that the teacher writes, fresh at every update, and for a share
`real` of each batch those of real texts. At the teacher's own prefixes L_S is KL(T || S) of whole
texts, by the chain rule, and its gradient is exact, for the student does not choose them. At real
ones it is word-level distillation. `progress` anneals nothing.

The teacher learns in the discriminator's turns of pretraining (`schedule.discriminator_turns`), all
of whose texts are real; among the rounds it stays as it is (`schedule.d_steps` = 0). Its dropout is
on in its own updates alone, the student's in the student's. Checkpoints hold it.

Departs from the papers:
- the teacher's distribution is the only target, at real prefixes too; updates by real words are
  `schedule.mle_steps`
- texts of the teacher are drawn anew for each update; sequence-level distillation takes the
  likeliest ones, by beam search, once
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from textgan.core.names import Kind
from textgan.core.optim import Loss
from textgan.data.text import Text, concatenate
from textgan.losses import nll, reduce
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class Distillation(Objective, name="distillation"):
    """Born-again MLE: a student of a wider language model with dropout, without an adversary."""

    paper: ClassVar[str] = "Furlanello et al. 2018, arXiv 1805.04770"
    discriminator: ClassVar[str | None] = "lstm"
    discriminator_kind: ClassVar[Kind] = "generator"
    score_is_logit: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # the loss is of given words, as in MLE
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.mle_epochs": 0,
        "schedule.discriminator_turns": 20,
        "schedule.fakes": 0,  # a turn reads the training text
        "schedule.d_steps": 0,
        "schedule.g_steps": 100,
        "discriminator.embedding": 64,
        "discriminator.hidden": 64,
        "discriminator.dropout": 0.5,
        "optimisers.generator_lr": 0.01,
        "optimisers.discriminator_lr": 0.003,
    }

    real: Annotated[
        float, Field(ge=0, le=1, description="share of real texts among those that are read")
    ] = 0.5

    teacher: AutoregressiveGenerator | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        assert isinstance(discriminator, AutoregressiveGenerator)  # see connect
        self.teacher = discriminator

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        assert self.teacher is not None  # see setup
        kept = round(self.real * len(real))
        rest = real[kept:]
        if not len(rest):
            return real
        drawn = self.teacher.sample(len(rest), condition=rest.condition)
        return concatenate([real[:kept], drawn]) if kept else drawn

    def discriminator_sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return real

    def discriminator_loss(self, discriminator: Any, real: Text, fake: Text) -> Loss:
        first, second = (  # all real; a mean over sentences, which is the same in shards
            nll(discriminator.log_prob(one), one.mask, "mean_sentence") for one in (real, fake)
        )
        return (first + second) / 2, {}

    def generator_loss(
        self, generator: Generator, discriminator: Any, real: Text, fake: Text, progress: float
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        own = generator(fake).log_softmax(2)
        with torch.no_grad():
            teacher = discriminator(fake).log_softmax(2)
        divergence = (teacher.exp() * (teacher - own)).sum(2)
        return reduce(divergence, fake.mask, "mean_sentence"), {
            "kl_per_token": divergence.detach()[fake.mask].mean()
        }
