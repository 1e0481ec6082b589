"""TaiLr: real words weighed down where the generator finds them unlikely (Ji et al., ICLR 2023).

arXiv 2302.13344. q is the generator's probability of a real word.

Generator:      L_G = -(1 / tokens) sum_{b,t} w_bt log q_bt
Weight:         w = q / (gamma + (1 - gamma) q), at least m, a constant
Discriminator:  none

gamma = 0 is maximum likelihood, gamma = 1 weighs a word by its probability. What it descends is an
estimate of the total variation distance, which an outlier moves less than it moves a likelihood.
`progress` anneals nothing.

The data's own distribution p is no fixed point unless gamma = 0: there the expected gradient is
-sum_v w(p_v) grad q_v after each prefix, zero only where all its weights are equal. Without m it is
zero at q_v = (p_v (1 - gamma + gamma V) - gamma) / (1 - gamma) over V words, which is sharper than
p, and words for which that is below zero are given up. So it buys quality with coverage. With m
the weights of rare words are equal, and less is given up.

Settings of the released code (thu-coai/TaiLr 12f209c, examples/): gamma 1e-7 and m 0.2 for
synthetic texts from nothing (COCO, an LSTM) and for stories, 0.1 and 0.3 for IWSLT14, 0.8 and 0.2
for Gigaword. At 1e-7, w is above 0.9 for all q above 1e-6: only near-impossible words are ignored.

With m above 0 it may train from the start (schedule.mle_epochs=0), as that code does with synthetic
texts. Without, all weights of a new generator are about 1 / (gamma V), and alike.

Departs from the paper: nothing; the weight is that of the thinned network where there is dropout,
as in its code (fairseq/criterions/tailr.py), and label smoothing is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import mean_of_tokens, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.mle import MLE


def tail_weights(log_prob: Tensor, gamma: float, least: float) -> Tensor:
    """Compute q / (gamma + (1 - gamma) q) of words of these log-probabilities, at least `least`, in
    their shape; constants."""
    q = log_prob.detach().exp().clamp(min=torch.finfo(log_prob.dtype).tiny)
    return (q / (gamma + (1 - gamma) * q)).clamp(min=least)


@dataclass(kw_only=True)
class TaiLr(MLE, name="tailr"):
    """Maximum likelihood of real words, those weighed down that the generator finds unlikely."""

    paper: ClassVar[str] = "Ji et al. 2023, arXiv 2302.13344"

    gamma: Annotated[
        float,
        Field(ge=0, le=1, description="0: likelihood, 1: w = q; code: 1e-7, IWSLT14 0.1"),
    ] = 0.1
    least_weight: Annotated[
        float, Field(ge=0, le=1, description="m, of the weights; code: 0.2, IWSLT14 0.3")
    ] = 0.3

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        log_prob, mask = generator.log_prob(real), real.mask
        weights = tail_weights(log_prob, self.gamma, self.least_weight)
        return policy_gradient(log_prob, weights, mask, self.reduction), {
            "nll": -mean_of_tokens(log_prob.detach(), mask),
            "weight": mean_of_tokens(weights, mask),
        }
