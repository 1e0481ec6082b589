"""CoT: cooperative training for generative modeling of discrete data (Lu et al., ICML 2019).

arXiv 1804.03782.

Mediator:   L_M = -1/2 (E_data log M(x) + E_G log M(x))      a language model, here `discriminator`
Generator:  L_G = E_{s ~ G} sum_t sum_v G(v | s_t) (log G(v | s_t) - log M(v | s_t))

The optimal mediator is the mixture (p + G) / 2. L_G is then KL(G || M) with the sum over the
vocabulary taken exactly at every prefix that the generator wrote, so nothing needs REINFORCE.
`progress` anneals nothing.

Settings of the released code (desire2020/CoT 05f3908): one update of each in turn, 200,000 times
(cot.py:26, 153-194); Adam with betas 0.9 and 0.95, 0.001 for the generator (generator.py:8, 131),
0.003 for the mediator (cot.py:112, mediator.py:97), no clipping; 64 fakes for the generator, 64
real and 64 fake texts for the mediator (cot.py:187-190); a mediator twice as wide (cot.py:111)
whose dropout of 0.5 is before its output layer alone (mediator.py:85: `dropout_input = false`).

The generator's dropout is off in its updates: the divergence is that of the policy which wrote the
prefixes. In the released code only the mediator is ever thinned (desire2020/CoT, cot.py).

Departs from the paper:
- the prefixes are constants: as in the released code, L_G has no gradient through which prefix is
  written, so that it is the descent of each step's KL, not of the sequence's
- L_G is a mean over sentences; the code's is one over tokens, which Adam does not tell apart where
  all texts are equally long and nothing is clipped
- the mediator's recurrent weights start as normals; the code's start orthogonal (mediator.py:75)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from textgan.core.names import Kind
from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import nll, reduce
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class CoT(Objective, name="cot"):
    """The generator follows a mediator, a language model of real and fake texts alike."""

    paper: ClassVar[str] = "Lu et al. 2019, arXiv 1804.03782"
    discriminator: ClassVar[str | None] = "lstm"
    discriminator_kind: ClassVar[Kind] = "generator"
    score_is_logit: ClassVar[bool] = False
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.mle_epochs": 0,
        "schedule.discriminator_turns": 0,
        "schedule.rounds": 4000,
        "schedule.fakes": 1,  # one update a turn, on fresh fakes
        "schedule.discriminator_batch": 128,  # 64 real, 64 fake
        "schedule.evaluate_every": 50,
        "discriminator.embedding": 64,
        "discriminator.hidden": 64,
        "optimisers.generator_lr": 0.001,
        "optimisers.discriminator_lr": 0.003,
        "optimisers.beta2": 0.95,
        "optimisers.clip": 0.0,
    }

    def discriminator_loss(self, discriminator: Any, real: Text, fake: Text) -> Loss:
        on_real, on_fake = discriminator.log_prob(real), discriminator.log_prob(fake)
        # of sentences and not of tokens: else the shorter kind of text would count for more, and
        # the best mediator would not be the mixture
        of_real = nll(on_real, real.mask, "mean_sentence")
        of_fake = nll(on_fake, fake.mask, "mean_sentence")
        return (of_real + of_fake) / 2, {
            "nll_real": nll(on_real.detach(), real.mask),  # per token
            "nll_fake": nll(on_fake.detach(), fake.mask),
        }

    def generator_loss(
        self, generator: Generator, discriminator: Any, real: Text, fake: Text, progress: float
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        own = generator(fake).log_softmax(2)
        with torch.no_grad():
            mediator = discriminator(fake).log_softmax(2)
        divergence = (own.exp() * (own - mediator)).sum(2)
        return reduce(divergence, fake.mask, "mean_sentence"), {
            "kl_per_token": divergence.detach()[fake.mask].mean()
        }
