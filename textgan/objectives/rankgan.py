"""RankGAN: adversarial ranking for language generation (Lin et al., NIPS 2017).

arXiv 1705.11001.

Relevance:      a(s | u) = cos(f(s), f(u)),  f the discriminator's features
Rank:           P(s | u, C) = exp(gamma a(s | u)) / sum_{s' in C and s} exp(gamma a(s' | u))
                R(s | U, C) = mean over u in U of P(s | u, C)
Discriminator:  L_D = -E_data log R(s | U, fakes) - E_G log(1 - R(s | U, reals))
Generator:      L_G = -sum_t Q(s_t, y_t) log G(y_t | s_t),  Q the mean of log R over completions

U holds real texts, and so do the texts that a fake is ranked against. Texts of different classes
have relevance 0, as if each class had features of its own: where there are labels a text ranks by
its likeness to real ones of its own class. Where texts answer a source, the features are those of
both, so that a pair ranks by its likeness to real pairs; those with its own source have relevance
0 whatever is written, for a real text is never compared with itself, and the part of a fake's
likeness that is its source's says nothing of it. Cosines of features are mostly above 0, so this
costs a text whose source is in U a few per cent of its rank, whatever it says. To leave these u out
of the mean instead teaches no more: a generator that has the answers to two sources exchanged is
put right in 4 of 8 seeds as it is and in 3 of 8 then; in the others it comes to write one answer
to both, and a policy that never draws the other learns nothing of it. `progress` anneals
nothing.

Departs from the paper:
- U is half of the batch's real texts (of each class's) and the other half is ranked (or ranked
  against), so that no text is compared with itself
- the discriminator's output layer is not used, and no dropout falls on the features, as it does in
  Texygen (models/rankgan/RankganDiscriminator.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text, text_keys
from textgan.losses import leave_one_out, mean_of_tokens, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective

LEAST = 2  # real texts: one to compare with, one to rank
SMALLEST = 1e-6  # of 1 - R, which is 0 where features leave no doubt


@dataclass(kw_only=True)
class RankGAN(Objective, name="rankgan"):
    """Rewards texts that rank above real ones in their likeness to real ones."""

    paper: ClassVar[str] = "Lin et al. 2017, arXiv 1705.11001"
    score_is_logit: ClassVar[bool] = False  # texts are ranked; the score is not used
    least: ClassVar[int] = LEAST

    gamma: Annotated[float, Field(gt=0, description="sharpness of ranks; Texygen: 1")] = 1.0
    rollouts: Annotated[int, Field(ge=1, description="completions of each prefix")] = 16
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    baseline: Annotated[
        Literal["none", "batch"],
        Field(description="batch: minus the others' mean at the same position; paper: none"),
    ] = "none"
    reduction: Annotated[Reduction, Field(description="of the policy gradient over the batch")] = (
        "sum"
    )

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        references, others = halves(Seen.of(discriminator, real))
        fakes = Seen.of(discriminator, fake)
        of_real = log_rank(others, references, fakes, self.gamma)
        of_fake = log_rank(fakes, references, others, self.gamma)
        loss = -of_real.mean() - (1 - of_fake.exp()).clamp(min=SMALLEST).log().mean()
        return loss, {
            "rank_real": of_real.detach().exp().mean(),
            "rank_fake": of_fake.detach().exp().mean(),
        }

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        with torch.no_grad():
            references, others = halves(Seen.of(discriminator, real))

        def reward(text: Text, origin: Tensor) -> Tensor:
            return log_rank(Seen.of(discriminator, text), references, others, self.gamma)

        values = rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        mask = fake.mask
        baseline = leave_one_out(values, mask) if self.baseline == "batch" else 0.0
        finished = values[torch.arange(len(fake), device=values.device), fake.lengths - 1]
        log_prob = generator.log_prob(fake)
        return policy_gradient(log_prob, values - baseline, mask, self.reduction), {
            "reward": finished.mean(),  # log R of the finished sentences
            "value": mean_of_tokens(values, mask),
        }


@dataclass(frozen=True)
class Seen:
    """The features by which B texts are compared: unit vectors (B, F); their classes (B,), None for
    one; and a number (B,) for the source of each, None where they answer none."""

    directions: Tensor
    labels: Tensor | None
    sources: Tensor | None = None

    @staticmethod
    def of(discriminator: Discriminator, text: Text) -> Seen:
        """Compute the discriminator's features, scaled to length 1: products of them are
        cosines."""
        directions = F.normalize(discriminator.features(text).flatten(1))
        sources = None if text.source is None else text_keys(text.source)
        return Seen(directions, text.labels, sources)

    def __getitem__(self, index: Tensor | slice) -> Seen:
        """The features of the texts at `index`."""
        labels, sources = (
            None if part is None else part[index] for part in (self.labels, self.sources)
        )
        return Seen(self.directions[index], labels, sources)


def relevance(texts: Seen, references: Seen, gamma: float) -> Tensor:
    """gamma a(s | u), (S, U): a is the cosine of features, 0 between classes and where both have
    one source."""
    cosines = gamma * texts.directions @ references.directions.t()
    if texts.labels is not None and references.labels is not None:
        cosines = cosines * (texts.labels.unsqueeze(1) == references.labels)
    if texts.sources is not None and references.sources is not None:
        cosines = cosines * (texts.sources.unsqueeze(1) != references.sources)
    return cosines


def log_rank(texts: Seen, references: Seen, others: Seen, gamma: float) -> Tensor:
    """log R(s | U, C), (B,), of B texts for references U among others C."""
    own = relevance(texts, references, gamma)
    rest = relevance(others, references, gamma).logsumexp(0)
    ranks = own - torch.logaddexp(own, rest)
    return ranks.logsumexp(1) - log(len(references.directions))


def halves(seen: Seen) -> tuple[Seen, Seen]:
    """Split texts into two parts with the same number of each class. Raises ValueError for one
    text."""
    n = len(seen.directions)
    if n < LEAST:
        raise ValueError("rankgan ranks real texts by their likeness to others: give two or more")
    if seen.labels is None:
        return seen[slice(n // 2)], seen[slice(n - n // 2, None)]
    order = seen.labels.argsort(stable=True)
    first, second = order[: 2 * (n // 2)].view(-1, 2).unbind(1)
    return seen[first], seen[second]
