"""MixCE: forward and reverse cross-entropy of real words, mixed (Zhang et al., ACL 2023).

arXiv 2305.16958. q is the generator's probability of a real word.

Generator:      L_G = -(1 / tokens) sum_{b,t} (eta + (1 - eta) q_bt) log q_bt,  the q before the
                logarithm a constant
Discriminator:  none

eta = 1 is maximum likelihood. The other term stands for the reverse cross-entropy, -E_G log p,
which needs the unknown p: it reinforces a real word in proportion to what the generator thinks of
it. `progress` anneals nothing.

It is self-reinforcing, so it is best after maximum likelihood: a new generator's weights are
eta + (1 - eta) / V for all words alike. It may train from the start (schedule.mle_epochs=0), as the
code's bigram models do.

The data's own distribution p is no fixed point unless eta = 1: there the expected gradient is
-sum_v (eta + (1 - eta) p_v) grad q_v after each prefix, zero only where p is uniform. It is zero at
q_v = eta p_v / (c - (1 - eta) p_v), where c makes these sum to one, which is sharper than p. So it
buys quality with coverage.

eta is searched between 0 and 1 in the paper's code (bloomberg/MixCE-acl2023 5b41409, run.py,
synthetic.py); 0.5 is run.py's default.

Departs from the paper:
- a mean over tokens; the code's bigram models have the sum over a sentence (synthetic.py:312)
- without exact p there is no MixCE*, which draws from the generator
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import mean_of_tokens, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.mle import MLE


def mixed_weights(log_prob: Tensor, eta: float) -> Tensor:
    """Compute eta + (1 - eta) q of words of these log-probabilities, in their shape; constants."""
    return eta + (1 - eta) * log_prob.detach().exp()


@dataclass(kw_only=True)
class MixCE(MLE, name="mixce"):
    """Maximum likelihood mixed with an estimate of the reverse cross-entropy."""

    paper: ClassVar[str] = "Zhang et al. 2023, arXiv 2305.16958"

    eta: Annotated[
        float, Field(ge=0, le=1, description="share of likelihood; 1: all; paper: searched")
    ] = 0.5

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
        weights = mixed_weights(log_prob, self.eta)
        return policy_gradient(log_prob, weights, mask, self.reduction), {
            "nll": -mean_of_tokens(log_prob.detach(), mask),
            "weight": mean_of_tokens(weights, mask),
        }
