"""RelGAN: relational generative adversarial networks for text generation (Nie et al., ICLR 2019).

Paper without an arXiv number; code: weilinie/RelGAN.

Texts:          y_t = softmax(beta (h_t + g_t)), g_t Gumbel noise; the generator reads the word
                argmax y_t next

D_s is the score of representation s, x_b the real text that the fake y_b is paired with; all means
are over texts b and representations s. The losses, with the code's names for them (oracle_train.py,
`get_losses`); l(z) = -log sigmoid(z):

loss          Discriminator: L_D = mean of                      Generator: L_G = mean of
relativistic  l(D(x) - D(y))                        RSGAN       l(D(y) - D(x))
standard      l(D(x)) + l(-D(y))                    standard    l(D(y))
js            the same                              JS          -l(-D(y))
kl            the same                              KL          -D(y)
hinge         max(0, 1 - D(x)) + max(0, 1 + D(y))   hinge       -D(y)
tv            tanh D(y) - tanh D(x)                 tv          -tanh D(y)
wgan_gp       D(y) - D(x) + lambda P                wgan-gp     -D(y)
lsgan         (D(x) - 1)^2 + D(y)^2                 LS          (D(y) - 1)^2

P is (|grad sum_s D_s(z)| - 1)^2 at z = x + a (y - x), a ~ U(0, 1) one number a pair, drawn from a
stream of its own as in wgan_gp. The paper's loss is the relativistic one.

`progress` p anneals the inverse temperature by u = reach p, from 1 to beta_max at u = 1:

anneal        beta                                        the code's `get_fixed_temperature`
exponential   beta_max^u                                  exp
linear        1 + u (beta_max - 1)                        lin
log           1 + (beta_max - 1) log(1 + N u)/log(1 + N)  log; N = 5000 is its number of rounds
sigmoid       1 + (beta_max - 1) sigmoid(20 (u - 1/2))    sigmoid
quadratic     1 + u^2 (beta_max - 1)                      quad
sqrt          1 + u^(1/2) (beta_max - 1)                  sqrt
constant      beta_max                                    no

The code divides by N = 5,000 rounds whatever their number, so that its 2,000 rounds on captions and
news end at 100^0.4 = 6.3 and its 3,000 on the oracle at beta_max^0.6: that is reach = 0.4, or 0.6.
Its lin, quad and sqrt divide by N - 1, where these divide by N. On the oracle beta_max was 1 for 20
tokens and 2 for 40 (the author in weilinie/RelGAN#22; its oracle_relgan.py tries 2, 5, 10, 100).

Departs from the paper and its code:
- beta reaches beta_max in the last round, as in the paper, unless `reach` is set
- dropout of the discriminator is off while the generator is updated
- `schedule.batch_size` counts real and fake together for the discriminator, the code each
- a relational memory of normalised slots, a discriminator with dropout after its linear layer: see
  `generators/relational_memory.py`, `discriminators/representations.py`
- the code's spectral normalisation and its decay of learning rates, both off in its experiments,
  and its other architectures (rmc_att, rmc_vdcnn) are not here
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import gradient_penalty, next_shares, shares_of
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import Generator
from textgan.models.relaxation import relaxed_texts
from textgan.objectives.base import Objective

ROUNDS = 5000  # that the released code counts on


@dataclass(kw_only=True)
class RelGAN(Objective, name="relgan"):
    """Relaxed texts, and a discriminator that ranks a real and a fake text by how real they are."""

    paper: ClassVar[str] = "Nie et al. 2019, ICLR"
    needs_likelihood: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # its masks are part of the graph
    generator: ClassVar[str] = "relational_memory"
    discriminator: ClassVar[str | None] = "representations"
    score_is_logit: ClassVar[bool] = False  # only differences of scores mean anything
    defaults: ClassVar[Mapping[str, Any]] = {
        "schedule.discriminator_turns": 0,
        "schedule.rounds": 2000,
        "schedule.d_steps": 5,
        "schedule.fakes": 1,
        "schedule.evaluate_every": 50,
        "optimisers.generator_lr": 1e-4,
        "optimisers.discriminator_lr": 1e-4,
        "optimisers.discriminator_clip": 5.0,
    }

    beta_max: Annotated[
        float,
        Field(
            gt=0,
            le=1e6,
            description="inverse temperature at the end; paper: 100 or 1000, oracle: 1 (T = 20)",
        ),
    ] = 100.0
    anneal: Annotated[
        Literal["exponential", "linear", "log", "sigmoid", "quadratic", "sqrt", "constant"],
        Field(description="how beta gets there from 1; constant: is there; paper: exponential"),
    ] = "exponential"
    reach: Annotated[
        float,
        Field(gt=0, le=1, description="how far the rounds get on that way; code: rounds / 5000"),
    ] = 1.0
    loss: Annotated[
        Literal["relativistic", "standard", "js", "kl", "hinge", "tv", "wgan_gp", "lsgan"],
        Field(description="of both networks; paper: relativistic"),
    ] = "relativistic"
    penalty: Annotated[float, Field(ge=0, description="lambda, only of wgan_gp; code: 10")] = 10.0

    def beta(self, progress: float) -> float:
        """Compute the inverse temperature."""
        u, rise = self.reach * progress, self.beta_max - 1
        match self.anneal:
            case "exponential":
                return float(self.beta_max**u)
            case "linear":
                return 1 + u * rise
            case "log":
                return 1 + rise * math.log1p(ROUNDS * u) / math.log1p(ROUNDS)
            case "sigmoid":
                return 1 + rise / (1 + math.exp(20 * (0.5 - u)))
            case "quadratic":
                return 1 + u**2 * rise
            case "sqrt":
                return 1 + math.sqrt(u) * rise
        return self.beta_max

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if self.loss == "wgan_gp":
            self.state["stream"] = torch.randint(2**31, ())

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return relaxed_texts(generator, real, 1 / self.beta(progress), reads_words=True)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        assert fake.soft_tokens is not None
        real = real.relaxed(fake.soft_tokens)
        of_real, of_fake = discriminator.view_scores(real), discriminator.view_scores(fake)
        margin = of_real - of_fake
        match self.loss:
            case "relativistic":
                loss = F.softplus(-margin)
            case "standard" | "js" | "kl":
                loss = F.softplus(-of_real) + F.softplus(of_fake)
            case "hinge":
                loss = (1 - of_real).relu() + (1 + of_fake).relu()
            case "tv":
                loss = of_fake.tanh() - of_real.tanh()
            case "lsgan":
                loss = (of_real - 1).square() + of_fake.square()
            case "wgan_gp":
                loss = -margin + self.penalty * self._penalty(discriminator, real, fake)
        return loss.mean(), {"margin": margin.detach().mean()}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert fake.soft_tokens is not None
        # to the other losses the real texts only give how far they are ahead
        with torch.set_grad_enabled(self.loss == "relativistic"):
            of_real = discriminator.view_scores(real.relaxed(fake.soft_tokens))
        of_fake = discriminator.view_scores(fake)
        margin = of_real - of_fake
        match self.loss:
            case "relativistic":
                loss = F.softplus(margin)
            case "standard":
                loss = F.softplus(-of_fake)
            case "js":
                loss = -F.softplus(of_fake)
            case "kl" | "hinge" | "wgan_gp":
                loss = -of_fake
            case "tv":
                loss = -of_fake.tanh()
            case "lsgan":
                loss = (of_fake - 1).square()
        return loss.mean(), {
            "margin": margin.detach().mean(),
            "beta": torch.tensor(self.beta(progress)),
        }

    def after_discriminator_step(self, discriminator: Discriminator) -> None:
        if self.loss == "wgan_gp":
            self.state["stream"] = next_shares(self.state["stream"], self.old)

    def _penalty(self, discriminator: Discriminator, real: Text, fake: Text) -> Tensor:
        assert real.soft_tokens is not None and fake.soft_tokens is not None

        def score(rows: Tensor) -> Tensor:
            return discriminator.view_scores(replace(fake, soft_tokens=rows)).sum(1)

        shares = shares_of(fake.soft_tokens, self.state["stream"])
        return gradient_penalty(score, real.soft_tokens, fake.soft_tokens, shares)
