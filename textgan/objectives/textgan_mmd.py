"""TextGAN: adversarial feature matching for text generation (Zhang et al., ICML 2017).

arXiv 1706.03850.

Discriminator:  L_D = -1/2 (E_data log D(x) + E_G log(1 - D(x))) - lambda MMD^2(f(real), f(fake))
Generator:      L_G = MMD^2(f(real), f(fake)),  f the discriminator's features of relaxed texts

MMD^2 is the squared maximum mean discrepancy with a sum of Gaussian kernels; the discriminator
seeks features in which the texts differ, the generator matches their distribution. With labels the
kernel is zero between texts of different classes, so that what is matched is the distribution of
features and class together. Of texts that answer a source the features are those of both, and
their joint distribution is matched; a fake then is not compared with the real answer to its own
source, for the two depend on each other (Gretton et al. 2012, lemma 6, is unbiased for pairs).
`progress` anneals nothing.

Departs from the paper:
- texts are relaxed by Gumbel noise (by softmax where a generator starts from noise), in place of a
  soft argmax of a generator that starts from z; so the term that reconstructs z is left out
- the kernels' widths are multiples of the batch's mean squared distance, so that they fit features
  of any scale; the paper names no rule
- MMD^2 is the unbiased estimate, which is zero on average where the texts are alike; it needs two
  texts of each kind
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss
from textgan.data.text import Text
from textgan.losses import logistic
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import Generator
from textgan.models.relaxation import relaxed_texts
from textgan.objectives.base import Objective

LEAST = 2  # texts of each kind: pairs within a kind are compared
SMALLEST = 1e-12  # mean squared distance; features all alike have no scale, and no gradient


@dataclass(kw_only=True)
class TextGANMMD(Objective, name="textgan_mmd"):
    """Matches the distribution of a discriminator's features by maximum mean discrepancy."""

    paper: ClassVar[str] = "Zhang et al. 2017, arXiv 1706.03850"
    needs_likelihood: ClassVar[bool] = False
    generator_dropout: ClassVar[bool] = True  # its masks are part of the graph
    score_is_logit: ClassVar[bool] = False  # it is one, but of soft tokens, which words are not
    least: ClassVar[int] = LEAST
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.discriminator_turns": 0,
        "schedule.rounds": 1000,
        "schedule.d_steps": 5,
        "schedule.fakes": 1,  # a turn is one update on fresh fakes
        "schedule.evaluate_every": 20,
    }

    temperature: Annotated[float, Field(gt=0, description="of the Gumbel-softmax")] = 1.0
    matching: Annotated[
        float, Field(ge=0, description="lambda, weight of MMD^2 for D; Texygen: 0.1")
    ] = 0.1
    widths: Annotated[
        list[Annotated[float, Field(gt=0)]],
        Field(min_length=1, description="of kernels, times the mean squared distance"),
    ] = field(default_factory=lambda: [0.25, 0.5, 1.0, 2.0, 4.0])

    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return relaxed_texts(generator, real, self.temperature)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        assert fake.soft_tokens is not None
        real = real.relaxed(fake.soft_tokens)
        distance = self._distance(discriminator, real, fake)
        loss = logistic(*discriminator.score_pair(real, fake)) - self.matching * distance
        return loss, {"mmd": distance.detach()}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert fake.soft_tokens is not None
        distance = self._distance(discriminator, real.relaxed(fake.soft_tokens), fake)
        return distance, {"mmd": distance.detach()}

    def _distance(self, discriminator: Discriminator, real: Text, fake: Text) -> Tensor:
        features = discriminator.features(real).flatten(1), discriminator.features(fake).flatten(1)
        classes = (
            None
            if real.labels is None or fake.labels is None
            else torch.cat([real.labels, fake.labels])
        )
        return squared_mmd(*features, self.widths, classes=classes, paired=real.source is not None)


def squared_mmd(
    a: Tensor,
    b: Tensor,
    widths: list[float],
    unbiased: bool = True,
    classes: Tensor | None = None,
    paired: bool = False,
) -> Tensor:
    """Compute MMD^2 between the distributions behind samples (A, F) and (B, F).

    The kernel is the sum of exp(-|x - y|^2 / (w m)) over widths w, m the mean squared distance of
    all pairs. unbiased: leave out pairs of a point with itself, so that the mean is zero for equal
    distributions (Gretton et al. 2012, eq. 3); else the value for a sample and itself is zero.
    classes: (A + B,), of each sample; the kernel is 0 between two of them, and m of pairs within.
    paired: leave out a sample of a with that of b at the same place, which it depends on.
    Raises ValueError where a side has fewer than two samples for the unbiased estimate.
    """
    if unbiased and min(len(a), len(b)) < LEAST:
        raise ValueError("textgan_mmd compares texts in pairs: give two or more of each kind")
    together = torch.cat([a, b])
    # differences and not |x|^2 + |y|^2 - 2 xy, which is noise where features are nearly alike
    distances = torch.cdist(
        together, together, compute_mode="donot_use_mm_for_euclid_dist"
    ).square()
    alike = None if classes is None else classes.unsqueeze(1) == classes
    compared = distances if alike is None else distances[alike]
    scale = compared.mean().clamp(min=SMALLEST)
    kernel = torch.stack([(-distances / (width * scale)).exp() for width in widths]).sum(0)
    if alike is not None:
        kernel = kernel * alike
    within_a, within_b = kernel[: len(a), : len(a)], kernel[len(a) :, len(a) :]
    between = kernel[: len(a), len(a) :]
    across = _off_diagonal_mean(between) if paired else between.mean()
    if not unbiased:
        return within_a.mean() + within_b.mean() - 2 * across
    return _off_diagonal_mean(within_a) + _off_diagonal_mean(within_b) - 2 * across


def _off_diagonal_mean(kernel: Tensor) -> Tensor:
    n = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / max(1, n * (n - 1))
