"""PG-BLEU: policy gradient with BLEU as the reward, a baseline of SeqGAN (Yu et al., AAAI 2017).

arXiv 1609.05473, section 5.1.

Discriminator:  none
Generator:      L_G = -sum_{b,t} Q(s_bt, y_bt) log G(y_bt | s_bt),  Q a constant
Value:          Q(s_t, y_t) = mean BLEU of N completions of y_1..t against the training texts;
                Q = BLEU of the sentence at its end

It shows what a reward without a discriminator does: BLEU asks for precision alone, so diversity is
what is given up. `progress` anneals nothing.

The paper names neither order nor smoothing; the authors' first code does (LantaoYu/SeqGAN 4152436,
pg_bleu/): BLEU-3 with equal weights, nltk without smoothing, one completion of each prefix
(pg_bleu.py:165, rollout.py:89), references drawn once, each training text with probability 0.4
(pg_bleu.py:101), 200 epochs of maximum likelihood, 800 updates, Adam at 0.001. The reward is that
by default; experiments/paper/pg_bleu.toml has the schedule, too. Without smoothing, nltk 3.1 gives
0 to a text that lacks an order ("none"), while 3.2.1, the release of that year, skips the order
("dropped"); the code does not say which it ran with. It keeps the round with the best NLL_oracle
(pg_bleu.py:177); here the last round counts.

Texts with labels are compared with the training texts of their own class, texts that answer a
source with the real text that they take the place of, the one reference of their source. Without
smoothing most texts then have BLEU-3 of 0: `smoothing = "add_one"` is the usual one for sentences.

Departs from the paper:
- the `share` of training texts that are references is evenly spaced among them, not drawn
- a text's end token is no word of BLEU
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss, Reduction
from textgan.data.sentences import Sentences
from textgan.data.text import Text, TextSpace, class_rows
from textgan.losses import leave_one_out, mean_of_tokens, policy_gradient
from textgan.metrics.functional.bleu import References, Smoothing
from textgan.metrics.functional.paired_bleu import PairedReferences
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class PGBLEU(Objective, name="pg_bleu"):
    """BLEU against the training texts as the reward; no discriminator."""

    paper: ClassVar[str] = "a baseline of Yu et al. 2017, arXiv 1609.05473"
    discriminator: ClassVar[str | None] = None
    legacy: ClassVar[Mapping[str, Any]] = {"objective.smoothing": "method1", "objective.share": 1.0}

    order: Annotated[
        int, Field(ge=1, le=5, description="longest n-grams of BLEU; paper's code: 3")
    ] = 3
    smoothing: Annotated[
        Smoothing,
        Field(description="of an order without a match; paper's code: none (old nltk: dropped)"),
    ] = "none"
    share: Annotated[
        float, Field(gt=0, le=1, description="of the training texts as references; code: 0.4")
    ] = 0.4
    rollouts: Annotated[
        int, Field(ge=1, description="completions of each prefix; paper's code: 1")
    ] = 1
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
    references: list[References | None] = field(default_factory=list, init=False, repr=False)

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        space = generator.space
        if train.source is not None:
            return  # each text has one of its own
        self.references = []  # of each class, of the only one where there are none
        for rows in class_rows(train, space.classes):
            wanted = ceil(self.share * len(rows))  # evenly spaced: the same at every start
            some = rows[torch.arange(wanted, device=rows.device) * len(rows) // max(1, wanted)]
            texts = Sentences.of(train[some], space.eos)
            self.references.append(References(texts, self.order) if len(texts) else None)

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect

        own = None
        if real.source is not None:
            own = PairedReferences(real, generator.space, self.order)

        def reward(text: Text, origin: Tensor) -> Tensor:
            if own is not None:
                scores = own.score(text, origin, self.smoothing)[:, -1]
            else:
                scores = self.bleu(text, generator.space)
            return scores.to(generator.embedding.weight)

        values = rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        mask = fake.mask
        baseline = leave_one_out(values, mask) if self.baseline == "batch" else 0.0
        finished = values[torch.arange(len(fake), device=values.device), fake.lengths - 1]
        log_prob = generator.log_prob(fake)
        return policy_gradient(log_prob, values - baseline, mask, self.reduction), {
            "reward": finished.mean(),  # BLEU of the finished sentences
            "value": mean_of_tokens(values, mask),
        }

    def bleu(self, text: Text, space: TextSpace) -> Tensor:
        """Compute BLEU of each text against the references of its class, (B,); 0 where it has
        none."""
        scores = torch.zeros(len(text), dtype=torch.float64, device=text.tokens.device)
        for rows, references in zip(class_rows(text, space.classes), self.references, strict=True):
            if references is not None and len(rows):
                own = Sentences.of(text[rows], space.eos)
                scores[rows] = references.score(own, smoothing=self.smoothing)[:, -1]
        return scores
