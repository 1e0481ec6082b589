"""MaliGAN: maximum-likelihood augmented discrete GAN (Che et al. 2017).

arXiv 1702.07983.

Discriminator:  L_D = -E_data log D(x) - E_G log(1 - D(x)),  D = sigmoid(score)
Generator:      L_G = -(1/m) sum_i (w_i - b) log G(x_i),  w = D / (1 - D) over its mean, a constant

With the optimal discriminator D / (1 - D) = p_data / G, so the step is that of maximum likelihood,
taken on the generator's own texts. Three variants (section 3 of the paper):

basic     w_i of a finished sentence, normalised over the batch
rollouts  w_it = Q(s_it, y_it), the mean of D / (1 - D) over completions of the prefix, normalised
          over the batch at each position t (a finished text keeps its value while others go on)
full      (mixed MLE-Mali) the first N tokens of a real text with `samples`
          continuations, w normalised over the continuations of one prefix, and plain maximum
          likelihood on the prefix:
          L_G = -(1/m) sum_i [ (1/n) sum_j (w_ij - b) log G(x_ij,>N | x_i,<=N) + log G(x_i,<=N) ]

Texts that answer a source have a normaliser of their own: towards D / (1 - D) G(. | source), scaled
to one, not towards what a discriminator prefers among sources. So all variants then draw `samples`
texts for each source, and weights are normalised over these.

`progress` lets N fall from the text's length to 0 in steps of `prefix_step`, and moves b from
`baseline_start` to `baseline`.

Departs from the paper:
- b is in units of the weights' mean: b = 1 makes them sum to zero, but where `weight_clip` bites,
  which leaves a mean below 1 (0.61 was seen at an effective share of 0.064): b is then a little too
  large, which costs variance and no bias. The printed weights sum to 1
- weights are a softmax of scores, not a ratio of saturated probabilities; at most `weight_clip`
- the prefix term of the mixed version is the gradient of log p, as derived; p is printed
- N falls with the share of the rounds that is done, not by hand
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import effective_share, importance, logistic, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective

LARGEST_RATIO = 60.0  # log of D / (1 - D) over that of the batch's best; exp of it is still finite


@dataclass(kw_only=True)
class MaliGAN(Objective, name="maligan"):
    """Maximum likelihood towards the data as the discriminator sees it, by importance weights."""

    paper: ClassVar[str] = "Che et al. 2017, arXiv 1702.07983"

    variant: Annotated[
        Literal["basic", "rollouts", "full"],
        Field(
            description="weights of sentences, of prefixes, or of continuations of real prefixes"
        ),
    ] = "basic"
    samples: Annotated[
        int, Field(ge=2, description="full: continuations of each prefix; else texts of a source")
    ] = 5
    prefix_step: Annotated[int, Field(ge=1, description="full: what N falls by; paper: 5")] = 5
    rollouts: Annotated[int, Field(ge=1, description="rollouts: completions of each prefix")] = 16
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    baseline: Annotated[
        float, Field(ge=0, description="b at the end, in units of the mean weight; paper: 1")
    ] = 1.0
    baseline_start: Annotated[float, Field(ge=0, description="b at the beginning")] = 1.0
    weight_clip: Annotated[
        float, Field(ge=0, description="largest weight, in units of the mean; 0: any")
    ] = 10.0
    reduction: Annotated[
        Reduction, Field(description="of the gradient over the batch; paper: mean_sentence")
    ] = "mean_sentence"

    of_source: bool = field(default=False, init=False, repr=False)  # whether texts answer one

    @property
    def group(self) -> int:
        return self.samples if self.variant == "full" or self.of_source else 1

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        self.of_source = train.source is not None

    @property
    def completions(self) -> int:
        return self.rollouts if self.variant == "rollouts" else 0

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        prefix = None
        if self.variant == "full":
            length = generator.space.length
            prefix = real.tokens[:, : prefix_length(length, self.prefix_step, progress)]
        return generator.sample(len(real), prefix=prefix, condition=real.condition)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        return logistic(*discriminator.score_pair(real, fake)), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        mask = fake.mask
        with torch.no_grad():
            score: Tensor = discriminator(fake)
            scores = score.view(-1, self.group if self.group > 1 else len(fake))
            ratio = importance(scores)
            weights = ratio.view(-1, 1).expand_as(fake.tokens)
            if self.variant == "rollouts":
                best = scores.amax(1, keepdim=True).expand_as(scores).flatten()
                weights = self._values(generator, discriminator, fake, best)
        if self.weight_clip:
            weights = weights.clamp(max=self.weight_clip)
        weights = weights - (1 - progress) * self.baseline_start - progress * self.baseline
        positions = torch.arange(fake.tokens.shape[1], device=weights.device)
        weights = torch.where(positions < fake.prompt_length, 1.0, weights)
        return policy_gradient(generator.log_prob(fake), weights, mask, self.reduction), {
            "reward": score.sigmoid().mean(),
            "ess": effective_share(ratio).mean(),  # as a share of the texts compared
            "given": score.new_tensor(fake.prompt_length),
        }

    def _values(
        self,
        generator: AutoregressiveGenerator,
        discriminator: Discriminator,
        fake: Text,
        best: Tensor,
    ) -> Tensor:
        """The mean ratio of completions of each prefix over its mean at that position, (B, T).

        best: (B,) the largest score of those that a text is compared with.
        """

        def reward(text: Text, origin: Tensor) -> Tensor:
            score: Tensor = discriminator(text)
            # any common factor cancels
            return (score - best[origin]).clamp(max=LARGEST_RATIO).exp()

        values = rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        # a finished text keeps its value while others go on: the mean is always one of all texts
        ended = values[torch.arange(len(fake), device=values.device), fake.lengths - 1]
        kept = torch.where(fake.mask, values, ended.unsqueeze(1))
        size = self.group if self.group > 1 else len(fake)
        means = kept.view(-1, size, kept.shape[1]).mean(1).repeat_interleave(size, 0)
        return values / means.clamp(min=torch.finfo(values.dtype).tiny)


def prefix_length(length: int, step: int, progress: float) -> int:
    """Return the prefix length N after the share `progress` of a run: length - step in the first
    stage, 0 in the last."""
    stages = -(-length // step)
    stage = min(int(progress * stages + 1e-9), stages - 1)  # 0.29 * 100 is a little under 29
    return max(0, length - step * (stage + 1))
