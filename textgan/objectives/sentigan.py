"""SentiGAN: sentimental texts via mixture adversarial networks (Wang and Wan, IJCAI 2018).

Classes are those of the data, k of them; text without labels is one class, k = 1.

Discriminator:  P(i | y) = softmax(score_1(y), ..., score_k(y), 0)_i, where the last is "fake"
                L_D = -(E_data log P(class of y | y) + E_G log P(fake | y)) / 2
Penalty:        V(s_t, y_t) = 1 - mean of P(class of y | y) over N completions of y_1..t;
                at the end that of y itself
Generator:      L_G = sum_{b,t} G(y_bt | s_bt) V(s_bt, y_bt),  V a constant

It is the probability of a token that is weighted, not its logarithm. As grad G = G grad log G, a
text drawn from G changes the weights as REINFORCE would for the reward -V G(y_t | s_t): likely
tokens pay more. After a prefix s the expected gradient is that of sum_y V(s, y) G(y | s)^2 / 2,
which is least where G(y | s) is proportional to 1 / V(s, y): an even penalty spreads G evenly, so
the method seeks diversity, and the more so the surer the discriminator is.
`progress` anneals nothing.

Departs from the paper:
- one generator that reads the class, for k generators without shared weights
- the fake's score is fixed at 0; softmax does not see a shift
- L_D has one half for all real texts, each class as often as in the data, and one for the fakes
- the released code (Nrgeup/SentiGAN, k = 1) weights the probability of the token *before* the one
  that V scores, for its prediction and its shifted input are side by side; here it is the same
- the released code updates the generator with RMSProp and the discriminator with Adam; here one
  `optimisers.method` is for both, by default Adam
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text, concatenate
from textgan.losses import reduce
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class SentiGAN(Objective, name="sentigan"):
    """Token probabilities weighted by a penalty, against a discriminator of classes and fake."""

    paper: ClassVar[str] = "Wang and Wan 2018, IJCAI"

    rollouts: Annotated[
        int, Field(ge=1, description="completions of each prefix; paper's code: 16")
    ] = 16
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    reduction: Annotated[
        Reduction, Field(description="of the penalties over the batch; paper's code: sum")
    ] = "sum"
    l2: Annotated[
        float, Field(ge=0, description="on the discriminator's output layer; paper's code: 0.2")
    ] = 0.2

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        log_probs = class_log_probs(discriminator, concatenate([real, fake]))
        fakes = torch.full_like(fake.lengths, log_probs.shape[1] - 1)
        of_real = F.nll_loss(log_probs[: len(real)], classes(real))
        of_fake = F.nll_loss(log_probs[len(real) :], fakes)
        right = log_probs.argmax(1) == torch.cat([classes(real), fakes])
        return (of_real + of_fake) / 2 + self.l2 * discriminator.output_penalty(), {
            "classified": right.double().mean()  # share of texts put in their class, or fake
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

        def penalty(text: Text, origin: Tensor) -> Tensor:
            return 1 - own_class(class_log_probs(discriminator, text), text).exp()

        values = rollout_values(generator, fake, penalty, self.rollouts, self.chunk)
        probability = generator.log_prob(fake).exp()
        finished = values[torch.arange(len(fake), device=values.device), fake.lengths - 1]
        return reduce(probability * values, fake.mask, self.reduction), {
            "reward": 1 - finished.mean(),  # P(own class) of the finished sentences
            "penalty": values[fake.mask].mean(),
            "probability": probability.detach()[fake.mask].mean(),
        }


def classes(text: Text) -> Tensor:
    """Return the class (B,) of each text; 0 where there is only one."""
    return torch.zeros_like(text.lengths) if text.labels is None else text.labels


def class_log_probs(discriminator: Discriminator, text: Text) -> Tensor:
    """Compute log P(class | text), (B, k + 1); the last class is "fake", whose score is 0."""
    return F.pad(discriminator.class_logits(text), (0, 1)).log_softmax(1)


def own_class(log_probs: Tensor, text: Text) -> Tensor:
    """Return the column of each text's own class, (B,)."""
    return log_probs.gather(1, classes(text).unsqueeze(1)).squeeze(1)
