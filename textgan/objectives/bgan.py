"""BGAN: boundary-seeking generative adversarial networks (Hjelm et al., ICLR 2018).

arXiv 1702.08431.

Discriminator:          L_D = (E_G f*(T(y)) - E_data T(x)) / 2,  T = nu(F), F the score
Generator, discrete:    L_G = -E_z sum_m w_m log g(x_m | z),  x_1..x_M ~ g(. | z)
                        w_m = exp(F(x_m)) / sum_m' exp(F(x_m')), a constant         (eq. 9 and 10)
Generator, continuous:  L_G = E_z 1/2 F(G(z))^2, least at the boundary D = 1/2      (section 3.3);
                        loss = "cross_entropy", an option of the code: log(1 + e^-F) + F / 2

The divergences of `divergence`, f(p / q) averaged over the fakes, and what L_D is of (its mean over
real x and fakes y); nu is such that the best F is log p / q and the importance weight of the paper,
(f*)'(T), is exp(F) whatever the divergence:

divergence    f(u)                        T = nu(F)          f*(T)            nu is
gan           u log u - (u+1) log(u+1)    -log(1 + e^-F)     log(1 + e^F)     log D, D = sigmoid(F)
kl            u log u                     1 + F              e^F              KL(data | G)
reverse_kl    -log u                      -e^-F              F - 1            KL(G | data)
hellinger     (u^(1/2) - 1)^2             1 - e^(-F/2)       e^(F/2) - 1

These are derived here from the definitions; that they are the rows of the paper's table is
believed, not read. Its Jensen-Shannon row differs from "gan" by a constant and trains alike. The
exponentials of the last three overflow where F does not stay small: a small discriminator_lr helps.

The weights are normalised over the M samples of one source z, where MaliGAN takes the whole batch.
`progress` anneals nothing.

The source z: a generator that starts from noise (`generator = "convolutional"`, `"noise_lstm"`) has
its noise for z, as the paper's, and writes each symbol by itself given z, so that log g(x | z) is
known. Autoregressive generators draw their words instead, and z is what a text answers
(`condition`): texts without one share the empty one. The paper's networks are rdevon/BGAN's
old/BILLION-WORD/bw_rnn.py: Adam of both with beta1 = 0.5, M = 20.

Departs from the paper and its code:
- an autoregressive generator is the usual one: with noise no text has a likelihood, so that nothing
  of a run's NLL is measured, and nothing is pretrained. Noise is N(0, 1) in one vector; the code's
  is uniform, ten numbers a position, before recurrent layers with batch normalisation
- the discriminator gives a text one score; the code's gives one for each position, whose weights it
  normalises apart
- continuous: soft tokens by Gumbel noise on an autoregressive generator, by plain softmax on one
  that starts from noise. Its code squares F without the half, and may subtract a running log Z
  first
- the code's third way, REINFORCE with log w as the reward (`IDB`), is not here
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import effective_share, importance, logistic, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.generators.noise import NoiseGenerator
from textgan.models.relaxation import relaxed_texts
from textgan.models.sampling import multinomial
from textgan.objectives.base import Objective


def _several(samples: int) -> int:
    if samples < 2:
        raise ValueError(
            "one sample has weight 1 whatever the discriminator says of it; give 2 or more"
        )
    return samples


@dataclass(kw_only=True)
class BGAN(Objective, name="bgan"):
    """Importance weights normalised over several texts of the same source."""

    paper: ClassVar[str] = "Hjelm et al. 2018, arXiv 1702.08431"
    needs_likelihood: ClassVar[bool] = False  # given the noise there is one
    defaults: ClassVar[dict[str, Any]] = {"optimisers.beta1": 0.5}

    samples: Annotated[
        int, AfterValidator(_several), Field(description="M, texts of each source; paper: 20")
    ] = 20
    reduction: Annotated[
        Reduction, Field(description="of the gradient over the batch; paper: mean_sentence")
    ] = "mean_sentence"
    divergence: Annotated[
        Literal["gan", "kl", "reverse_kl", "hellinger"],
        Field(description="that the discriminator estimates; paper, for text: gan"),
    ] = "gan"

    @property
    def group(self) -> int:
        return self.samples

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if not isinstance(generator, AutoregressiveGenerator | NoiseGenerator):
            raise ValueError(f"bgan needs a likelihood, which {type(generator).__name__} lacks")

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        """Draw one text for each real one.

        For an update of a generator that starts from noise, which is where gradients are recorded,
        M texts in a row have the noise in common: see `NoiseGenerator.drawn`.
        """
        if isinstance(generator, NoiseGenerator) and torch.is_grad_enabled():
            return generator.drawn(real, self.samples)
        with torch.no_grad():
            return generator.sample(len(real), choose=multinomial, condition=real.condition)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        words = replace(fake, soft_tokens=None)
        return divergence_loss(self.divergence, *discriminator.score_pair(real, words)), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        words = replace(fake, soft_tokens=None)
        with torch.no_grad():
            score: Tensor = discriminator(words)
            ratio = importance(score.view(-1, self.samples))
        weights = ratio.view(-1, 1).expand_as(fake.tokens)
        if isinstance(generator, AutoregressiveGenerator):
            log_prob = generator.log_prob(words)
        else:
            assert fake.soft_tokens is not None  # see sample
            chances = fake.soft_tokens.gather(2, fake.tokens.unsqueeze(2)).squeeze(2)
            log_prob = torch.where(fake.mask, chances, 1.0).log()
        return policy_gradient(log_prob, weights, fake.mask, self.reduction), {
            "reward": score.sigmoid().mean(),
            "ess": effective_share(ratio).mean(),  # as a share of M
        }


def divergence_loss(divergence: str, real: Tensor, fake: Tensor) -> Tensor:
    """Compute (E_G f*(nu(F)) - E_data nu(F)) / 2 of scores F of real and of fake texts; see
    above."""
    match divergence:
        case "kl":
            return (fake.exp().mean() - (1 + real).mean()) / 2
        case "reverse_kl":
            return ((fake - 1).mean() + (-real).exp().mean()) / 2
        case "hellinger":
            return ((fake / 2).exp().mean() + (-real / 2).exp().mean() - 2) / 2
    return logistic(real, fake)


@dataclass(kw_only=True)
class ContinuousBGAN(Objective, name="bgan_continuous"):
    """The boundary sought through relaxed texts: half the squared score."""

    paper: ClassVar[str] = "Hjelm et al. 2018, arXiv 1702.08431"
    needs_likelihood: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # its masks are part of the graph
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.discriminator_turns": 0,
        "schedule.rounds": 1000,
        "schedule.d_steps": 5,
        "schedule.fakes": 1,  # a turn is one update on fresh fakes
        "schedule.evaluate_every": 20,
        "optimisers.beta1": 0.5,
    }
    score_is_logit: ClassVar[bool] = False  # it is one, but of soft tokens, which words are not

    temperature: Annotated[float, Field(gt=0, description="of the Gumbel-softmax")] = 1.0
    loss: Annotated[
        Literal["square", "cross_entropy"],
        Field(description="how far a score is from the boundary; paper: square"),
    ] = "square"

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return relaxed_texts(generator, real, self.temperature)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        assert fake.soft_tokens is not None
        return logistic(*discriminator.score_pair(real.relaxed(fake.soft_tokens), fake)), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        score: Tensor = discriminator(fake)
        loss = score.square().mean() / 2
        if self.loss == "cross_entropy":
            loss = (F.softplus(-score) + score / 2).mean()
        return loss, {"score": score.detach().mean()}
