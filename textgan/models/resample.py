"""A discriminator as an energy: resampling by its logit, and the likelihood of what it leads to.

With a logit F of a discriminator of texts of G, the residual model is (Deng et al. 2020, arXiv
2004.11714; there the energy is -F)

    P(x) = G(x) exp F(x) / Z,    Z = E_G exp F(x)

and is p itself where F = log p / G, with Z = 1. A text of it is one of n drawn from G, picked with
weights softmax(F): of P as n grows, of G for n = 1. Its likelihood takes log Z, of which n texts
give

    T_n = log mean_i exp F(x_i),                   E T_n <= log Z      (Jensen)
    U_n = (2 n - 1) T_n - 2 (n - 1) T_n-1,         T_n-1 the mean over leaving one out

With v the variance of exp F over Z^2, E T_n is log Z - v / 2n + O(1 / n^2), so that E U_n is
log Z + v / 2n + O(1 / n^2): an upper bound once n is large. Where texts are written for labels or
sources, each of these has a Z of its own. The paper was not read beyond its abstract.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from textgan.data.text import UNCONDITIONAL, Condition, Text, concatenate
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.likelihood import log_probs
from textgan.models.sampling import Sampler

AT_ONCE = 4096  # candidates that are written and scored together
FOR_ONE_Z = 2**15  # candidates that Z is estimated from where all texts have the same


class ResampledGenerator(Generator):
    """A generator of which a discriminator picks one of n candidates for each text."""

    def __init__(self, generator: Generator, discriminator: Discriminator, candidates: int) -> None:
        super().__init__(generator.space)
        self.generator = generator
        self.discriminator = discriminator
        self.candidates = candidates

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        choose: Sampler | None = None,
        prefix: Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        labels: Tensor | None = None,
        source: Text | None = None,
    ) -> Text:
        """Write n texts, each picked among its candidates; these are written as `choose` says."""
        condition = self.conditions(n, condition, labels, source)
        picked = []
        for text, scores in self._scored(n, self.candidates, condition, choose, prefix):
            rows = torch.arange(len(scores), device=scores.device) * scores.shape[1]
            picked.append(text[rows + torch.multinomial(scores.softmax(1), 1).squeeze(1)])
        return concatenate(picked)

    @torch.no_grad()
    def log_prob_bounds(self, text: Text) -> tuple[Tensor, Tensor]:
        """Estimate a lower and an upper bound of log P of every text, each (B,) in float64.

        Z is estimated from `candidates` of every condition, and from 2^15 where there is none.
        Raises ValueError for a generator without a likelihood.
        """
        if not isinstance(self.generator, AutoregressiveGenerator):
            raise ValueError("a generator without a likelihood has none when resampled")
        condition, n, of_each = text.condition, len(text), max(2, self.candidates)
        if not condition:
            n, of_each = 1, FOR_ONE_Z
        known = log_probs(self.generator, text).double()
        score = torch.cat([self.discriminator(part) for part in text.split(AT_ONCE)]).double()
        parts = [scores for _, scores in self._scored(n, of_each, condition)]
        low, high = log_partition(torch.cat(parts))
        return known + score - high, known + score - low

    def _scored(
        self,
        n: int,
        of_each: int,
        condition: Condition,
        choose: Sampler | None = None,
        prefix: Tensor | None = None,
    ) -> Iterator[tuple[Text, Tensor]]:
        """Yield candidates of so many texts at a time, those of one text in a row, with their
        scores (texts, of_each)."""
        together = max(1, AT_ONCE // of_each)
        for start in range(0, n, together):
            part = slice(start, min(n, start + together))
            asked = condition[part].repeat(of_each)
            given = None if prefix is None else prefix[part].repeat_interleave(of_each, 0)
            total, written = (part.stop - start) * of_each, []
            for first in range(0, total, AT_ONCE):
                rows = slice(first, min(total, first + AT_ONCE))
                written.append(
                    self.generator.sample(
                        rows.stop - first,
                        choose=choose,
                        prefix=None if given is None else given[rows],
                        condition=asked[rows],
                    )
                )
            scores = torch.cat([self.discriminator(some) for some in written])
            yield concatenate(written), scores.double().view(-1, of_each)


def log_partition(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate log mean exp of scores, along the last dimension: T_n and U_n.

    scores: (..., n) of n >= 2 texts of the generator.
    """
    n = scores.shape[-1]
    total = scores.logsumexp(-1)
    low = total - math.log(n)
    # all weights but one: 1 - w, which rounds to 0 where one has all
    others = torch.log1p(-scores.softmax(-1)).clamp(min=math.log(torch.finfo(scores.dtype).tiny))
    without_one = total + others.mean(-1) - math.log(n - 1)
    return low, (2 * n - 1) * low - 2 * (n - 1) * without_one
