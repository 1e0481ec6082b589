"""ColdGAN: language GANs with cautious sampling (Scialom et al., NeurIPS 2020).

arXiv 2006.04643. The generator G is explored near its modes: texts are drawn from a colder policy
H, and importance weights turn their reward into what it would have been under G.

Policy:         H(y_t | y_<t) = (1 - epsilon) C(y_t | y_<t) + epsilon G(y_t | y_<t), where C is the
                nucleus (top p) of softmax(logits / temperature): its likeliest tokens, as few as
                have `nucleus` of its probability together, and that scaled to one
Discriminator:  L_D = -E_data log D(y) - E_fake log(1 - D(y)),  D = sigmoid(score); the fakes are
                texts of H, of which a share `replay` was written in earlier updates
Weight:         w(y) = min(clip, prod_t G(y_t | y_<t) / H(y_t | y_<t))
Generator:      L_G = -mean_b w_b (D(y_b) - baseline_b) sum_t log G(y_bt | y_b,<t),  w, D, baseline
                constants

The weight is that of the whole text, since its reward is: without clipping L_G's expected gradient
is exactly that of the expected reward under G. A token's ratio is at most 1 / epsilon, so epsilon
also bounds the weights. temperature = 1 with nucleus = 1, or epsilon = 1, is REINFORCE. `progress`
anneals nothing.

What C never writes, beyond the nucleus, H writes with epsilon G, so no text of G is impossible
under H and the identity holds for any nucleus. With epsilon = 0 it would not: texts beyond would
never be drawn, and no weight makes up for that, so a nucleus below 1 asks for an epsilon above 0.
A token at the nucleus's edge may fall on its two sides when it is written and when it is weighted,
for the logits of stepping and of teacher forcing round differently; its ratio then is that of the
other side, still at most 1 / epsilon.

The discriminator's memory holds fakes of earlier generator updates; new ones take the places of
random ones. Which of them a batch is shown follows from the batch, so the loss stays pure.

Departs from the paper:
- no pretrained T5 or BART underneath
- the paper's values of temperature, nucleus, epsilon and clip depend on that; neither they nor code
  were to be had. The defaults here suit an LSTM, and have no nucleus
- clipping is plain truncation, nothing is added to undo its bias
- the mean reward of the batch's other texts as a baseline is ours; baseline = "none" is without
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text, concatenate
from textgan.losses import leave_one_out, logistic, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import Sampler, draw
from textgan.objectives.base import Objective


def nucleus_of(logits: Tensor, share: float) -> Tensor:
    """Return whether each token of logits (..., V) is in the nucleus, (..., V): the likeliest ones,
    as few as have this share of the probability together, one at least (Holtzman et al. 2020,
    1904.09751).

    Of equals the first comes first.
    """
    chances, order = torch.sort(logits.softmax(-1), dim=-1, descending=True, stable=True)
    before = chances.cumsum(-1) - chances  # of the likelier ones
    inside = before < share
    inside[..., 0] = True
    return torch.zeros_like(inside).scatter(-1, order, inside)


def cautious(temperature: float, epsilon: float, nucleus: float = 1.0) -> Sampler:
    """Make a sampler of the mixture (1 - epsilon) C + epsilon softmax(logits), where C is the
    nucleus of softmax(logits / temperature).

    Each token tosses its own coin.
    """

    def choose(logits: Tensor) -> Tensor:
        warm = torch.rand(len(logits), 1, dtype=logits.dtype, device=logits.device) < epsilon
        # from the largest down, so that no division overflows
        below = logits - logits.amax(1, keepdim=True)
        cold = below / temperature
        if nucleus < 1:
            cold = cold.masked_fill(~nucleus_of(cold, nucleus), -torch.inf)
        return draw(torch.where(warm, below, cold), spend=True)

    return choose


def log_ratio(
    logits: Tensor, tokens: Tensor, temperature: float, epsilon: float, nucleus: float = 1.0
) -> Tensor:
    """Compute log softmax(logits) - log of `cautious`'s mixture, of each token, (B, T)."""

    def log_prob(logits: Tensor) -> Tensor:
        return logits.log_softmax(2).gather(2, tokens.unsqueeze(2)).squeeze(2)

    cold = logits / temperature
    if nucleus < 1:
        cold = cold.masked_fill(~nucleus_of(cold, nucleus), -torch.inf)
    colder = (log_prob(cold) - log_prob(logits)).exp()
    return -(epsilon + (1 - epsilon) * colder).log()


@dataclass(kw_only=True)
class ColdGAN(Objective, name="coldgan"):
    """Policy gradient on texts drawn near the modes, with importance weights and replay."""

    paper: ClassVar[str] = "Scialom et al. 2020, arXiv 2006.04643"

    temperature: Annotated[
        float, Field(gt=0, le=1, description="of the cold part of what is sampled")
    ] = 0.7
    epsilon: Annotated[
        float, Field(ge=0, le=1, description="share of tokens drawn at temperature 1")
    ] = 0.1
    nucleus: Annotated[
        float,
        Field(
            gt=0, le=1, description="p: probability kept of the cold part, likeliest first; 1: all"
        ),
    ] = 1.0
    clip: Annotated[
        float, Field(ge=0, description="largest importance weight of a text; 0: any")
    ] = 5.0
    replay: Annotated[
        float, Field(ge=0, lt=1, description="share of a batch's fakes that come from the memory")
    ] = 0.25
    remembered: Annotated[int, Field(ge=1, description="fakes in the memory")] = 4096
    baseline: Annotated[
        Literal["none", "batch"], Field(description="batch: minus the other texts' mean reward")
    ] = "batch"
    reduction: Annotated[Reduction, Field(description="of the policy gradient over the batch")] = (
        "mean_sentence"
    )

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if self.nucleus < 1 and self.epsilon == 0:
            raise ValueError(
                f"nucleus = {self.nucleus:g} needs an epsilon above 0: with 0 no text beyond the "
                "nucleus is ever written, and no weight makes up for that"
            )

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return generator.sample(
            len(real),
            choose=cautious(self.temperature, self.epsilon, self.nucleus),
            condition=real.condition,
        )

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        return logistic(*discriminator.score_pair(real, self.replayed(fake))), {}

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
            rewards = discriminator(fake).sigmoid().unsqueeze(1)
            logits = generator(fake)
            ratios = log_ratio(logits, fake.tokens, self.temperature, self.epsilon, self.nucleus)
            ratio = torch.where(mask, ratios, 0.0).sum(1, keepdim=True).exp()
        weight = ratio.clamp(max=self.clip) if self.clip else ratio
        others = torch.ones_like(rewards, dtype=torch.bool)
        baseline = leave_one_out(rewards, others) if self.baseline == "batch" else 0.0
        weights = (weight * (rewards - baseline)).expand(mask.shape)
        return policy_gradient(generator.log_prob(fake), weights, mask, self.reduction), {
            "reward": rewards.mean(),  # D of texts of the cold policy
            "weight": weight.mean(),  # 1 on average without clipping
            "clipped": (weight < ratio).to(ratio).mean(),
        }

    def on_fakes(self, fake: Text) -> None:
        """Fill the memory; once it is full, forget as many at random as are new."""
        if not self.replay:
            return
        new = fake[slice(-self.remembered, None)]  # no soft tokens, see Objective.on_fakes
        order = torch.randperm(len(self.state.get("tokens", ())), device=new.tokens.device)
        kept = order[: self.remembered - len(new)]
        for name, part in new.to_tensors().items():
            old = self.state.get(name, part[:0])
            self.state[name] = torch.cat([old[kept], part])

    def replayed(self, fake: Text) -> Text:
        """Return the fakes with the last of them replaced by remembered ones."""
        n = int(self.replay * len(fake))
        if n == 0 or not self.state:
            return fake
        memory = Text.from_tensors(self.state)
        first = fake.tokens.sum()  # anything that differs between batches
        places = (first + torch.arange(n, device=first.device)) % len(memory)
        return concatenate([fake[: len(fake) - n], memory[places]])
