"""JSDGAN: adversarial discrete sequence generation without explicit networks as discriminators
(Li et al., AISTATS 2019).

Discriminator:  none: the optimal D(x) = p_data(x) / (p_data(x) + G(x)) is known in closed form on
                the training texts, each of which the empirical p_data gives 1 / n
Generator:      L_G = sum_{x in train} [ p log(p / (p + G)) + G log(G / (p + G)) ],  p = 1 / n

L_G is 2 JSD(p, G) - 2 log 2, texts outside of the training set included (their terms are zero).
By the envelope theorem dL_G = sum_x G(x) log(G(x) / (p + G(x))) d log G(x): a likelihood step
whose weight on text x is G log(1 + p / G).

With labels the two distributions are those of a text and its class: G(x, c) = p(c) G(x | c), p(c)
the class's share of the training texts. That is the sum over classes of p(c) times the divergence
of the class's own texts, each of which has p(x | c) = 1 / n_c.

Texts that answer a source likewise: p(c) is the share of the training texts with that source (and
class), and of their G the one given it.

The weights span hundreds of orders of magnitude, for a sentence of 20 words may have probability
1e-30. They are therefore computed from logarithms and divided by their sum over the batch, which
changes the length of the gradient of that batch and not its direction; the log of that sum is
logged. `flatten` < 1 takes G to that power in the weights. `progress` anneals nothing.

Departs from the paper:
- batches count alike, by the division above; in the sum over all texts their factors differ so much
  that the likeliest batch would be all that an epoch sees
- equal training texts count as different ones
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import Loss
from textgan.data.text import Text, text_keys
from textgan.losses import effective_share, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class JSDGAN(Objective, name="jsdgan"):
    """The Jensen-Shannon divergence itself, with the discriminator solved for."""

    paper: ClassVar[str] = "Li et al. 2019, AISTATS"
    discriminator: ClassVar[str | None] = None

    flatten: Annotated[
        float, Field(ge=0, le=1, description="power of G in the weights; paper: 1")
    ] = 1.0

    texts: int = field(default=1, init=False, repr=False)
    log_shares: Tensor | None = field(default=None, init=False, repr=False)  # log p(c), (C,)
    keys: Tensor | None = field(default=None, init=False, repr=False)  # of the sources, in order

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        self.texts = len(train)
        if train.source is not None:
            self.keys, counts = torch.unique(self._keys(train), return_counts=True)
            self.log_shares = (counts.double() / len(train)).log()
        elif train.labels is not None:
            counts = train.labels.bincount(minlength=generator.space.classes)
            self.log_shares = (counts.double() / len(train)).log()

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return real

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        log_prob = generator.log_prob(real)
        mask = real.mask
        log_g = torch.where(mask, log_prob, 0.0).sum(1).detach()
        if self.log_shares is not None:
            known = self.keys
            place = real.labels if known is None else torch.searchsorted(known, self._keys(real))
            log_g = log_g + self.log_shares.to(log_g)[place]
        logs = jsd_log_weights(log_g, -log(self.texts), self.flatten)
        weights = (logs - logs.logsumexp(0)).exp()
        # the log weight of the whole batch would vanish in most floats; its direction is all
        loss = policy_gradient(log_prob, weights.unsqueeze(1), mask, "sum")
        return loss, {"ess": effective_share(weights), "log_weight": logs.logsumexp(0)}

    def _keys(self, text: Text) -> Tensor:
        """A number (B,) for the source, and the class, of each text."""
        keys = text_keys(text.condition.require_source())
        return keys if text.labels is None else keys * 1_000_003 + text.labels


def jsd_log_weights(log_g: Tensor, log_p: float, flatten: float = 1.0) -> Tensor:
    """Compute the log of G log(1 + p / G) for texts with log G (B,), exact however small G is."""
    log_term = F.softplus(log_p - log_g).log()  # log(1 + p / G) = softplus(log p - log G)
    return flatten * log_g + log_term
