"""PG-BLEU: policy gradient with BLEU as the reward, a baseline of SeqGAN (Yu et al., AAAI 2017).

arXiv 1609.05473, section 5.1.

Discriminator:  none
Generator:      L_G = -sum_{b,t} Q(s_bt, y_bt) log G(y_bt | s_bt),  Q a constant
Value:          Q(s_t, y_t) = mean BLEU of N completions of y_1..t against the training texts;
                Q = BLEU of the sentence at its end

It shows what a reward without a discriminator does: BLEU asks for precision alone, so diversity is
what is given up. `progress` anneals nothing.

Departs from the paper:
- the paper names neither the order of BLEU nor a smoothing: `order` is 2 here, method1 smooths
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textgan.bleu import References
from textgan.discriminators.base import Discriminator
from textgan.generators.base import AutoregressiveGenerator, Generator
from textgan.losses import Loss, Reduction, leave_one_out, policy_gradient
from textgan.objectives.base import Objective
from textgan.rollout import rollout_values
from textgan.sentences import Sentences
from textgan.text import Text


@dataclass(kw_only=True)
class PGBLEU(Objective, name="pg_bleu"):
    """BLEU against the training texts as the reward; no discriminator."""

    paper: ClassVar[str] = "a baseline of Yu et al. 2017, arXiv 1609.05473"
    discriminator: ClassVar[str | None] = None

    order: Annotated[int, Field(ge=1, le=5, description="longest n-grams of BLEU")] = 2
    rollouts: Annotated[int, Field(ge=1, description="completions of each prefix; paper: 16")] = 16
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    baseline: Annotated[
        Literal["none", "batch"],
        Field(description="batch: minus the others' mean at the same position; paper: none"),
    ] = "none"
    reduction: Annotated[
        Reduction, Field(description="of the policy gradient over the batch; paper's code: sum")
    ] = "sum"
    references: References | None = field(default=None, init=False, repr=False)

    def prepare(
        self, generator: Generator, discriminator: Discriminator | None, train: Text
    ) -> None:
        self.references = References(Sentences.of(train, generator.space.eos), self.order)

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return generator.sample(len(real), source=real.source, labels=real.labels)

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        references = self.references
        assert isinstance(generator, AutoregressiveGenerator) and references is not None

        def reward(text: Text, origin: Tensor) -> Tensor:
            scores = references.score(Sentences.of(text, generator.space.eos))
            return scores[:, -1].to(generator.embedding.weight)

        values = rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        mask = fake.mask
        baseline = leave_one_out(values, mask) if self.baseline == "batch" else 0.0
        finished = values[torch.arange(len(fake), device=values.device), fake.sizes - 1]
        log_prob = generator.log_prob(fake)
        return policy_gradient(log_prob, values - baseline, mask, self.reduction), {
            "reward": finished.mean(),  # BLEU of the finished sentences
            "value": values[mask].mean(),
        }
