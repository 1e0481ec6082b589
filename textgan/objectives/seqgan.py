"""SeqGAN: sequence generative adversarial nets with policy gradient (Yu et al., AAAI 2017).

arXiv 1609.05473.

Discriminator (eq. 5):  L_D = -E_data log D(y) - E_G log(1 - D(y)),  D = sigmoid(score)
Generator (eq. 8):      L_G = -sum_{b,t} Q(s_bt, y_bt) log G(y_bt | s_bt),  Q a constant
Value (eq. 4):          Q(s_t, y_t) = mean of D over N completions of y_1..t;  Q = D(y) at the end

In the paper's words: g-steps, d-steps and k are `schedule.g_steps`, `schedule.d_steps` and
`schedule.k`; N is `objective.rollouts`. `progress` anneals nothing.

Two codes were published in LantaoYu/SeqGAN. The first (4152436 of September 2016, when the paper
appeared: MLE_SeqGAN/sequence_gan.py; experiments/paper/seqgan_2016.toml) has Adam at its default
0.001 for the generator (line 55), 240 epochs and 800 rounds, and keeps the texts of the round with
the best NLL_oracle (line 226: `test_loss < best_score`), the very number that is reported. The
later one (5f2c0a5 of March 2017, sequence_gan.py; experiments/paper/seqgan.toml) has 0.01, 120 and
200. So the paper's number is, by its code, the best of many rounds on the reported metric; numbers
here are the last round's.

Departs from the paper:
- one score where the paper's discriminator has two softmax columns; the penalty on the output layer
  is halved to be the same function of the score (w = w_1 - w_0 with w_1 = -w_0). Adam moves w by as
  much as each column alone, so by half of what it moves their difference by
- the highway layer's biases start at zero; in the released code as its weights do, by the default
  of its `get_variable` (discriminator.py:30)
- a discriminator batch holds as many real as fake sentences, exactly and not on average
- L_G is a sum, as in the released code; the 1/T that the paper prints would be undone by clipping
- the generator itself writes the completions, as in the paper; the released code names a lag
  of 0.8, which has no effect there (the graph is built once). `rollout_ema = 0.8` is the lag
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Loss, Reduction, swapped_weights
from textgan.data.text import Text
from textgan.losses import leave_one_out, logistic, mean_of_tokens, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective, StatefulLoss


@dataclass(kw_only=True)
class SeqGAN(Objective, name="seqgan"):
    """Policy gradient on a discriminator's reward, with Monte Carlo rollouts at every prefix."""

    paper: ClassVar[str] = "Yu et al. 2017, arXiv 1609.05473"

    rollouts: Annotated[int, Field(ge=1, description="completions of each prefix; paper: 16")] = 16
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    rollout_ema: Annotated[
        float, Field(ge=0, lt=1, description="lag of the policy that completes; paper: 0")
    ] = 0.0
    baseline: Annotated[
        Literal["none", "batch"],
        Field(description="batch: minus the others' mean at the same position; paper: none"),
    ] = "none"
    reduction: Annotated[
        Reduction, Field(description="of the policy gradient over the batch; paper's code: sum")
    ] = "sum"
    l2: Annotated[
        float, Field(ge=0, description="on the discriminator's output layer; paper's code: 0.2")
    ] = 0.2

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        loss = logistic(*discriminator.score_pair(real, fake))
        return loss + self.l2 * discriminator.output_penalty(), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss | StatefulLoss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect

        def reward(text: Text, origin: Tensor) -> Tensor:
            score: Tensor = discriminator(text)
            return score.sigmoid()

        lagged = self._lagged(generator)
        with swapped_weights(generator, lagged) if lagged else nullcontext():
            values = rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        mask = fake.mask
        baseline = leave_one_out(values, mask) if self.baseline == "batch" else 0.0
        weights = values - baseline
        finished = values[torch.arange(len(fake), device=values.device), fake.lengths - 1]
        loss = policy_gradient(generator.log_prob(fake), weights, mask, self.reduction)
        metrics = {
            "reward": finished.mean(),  # D of the finished sentences
            "reward_deviation": finished.std(unbiased=False),
            "value": mean_of_tokens(values, mask),
        }
        return (loss, metrics, lagged) if lagged else (loss, metrics)

    def _lagged(self, generator: nn.Module) -> dict[str, Tensor]:
        """The weights of the policy that completes, w <- ema * w + (1 - ema) * now; none where it
        does not lag.

        The embedding does not lag, as in the released code.
        """
        if self.rollout_ema == 0:
            return {}
        lagged = {}
        for name, weight in generator.named_parameters():
            now, old = weight.detach(), self.state.get(name)
            if old is None or name.startswith("embedding"):
                lagged[name] = now.clone()
            else:
                lagged[name] = torch.lerp(now, old.to(now), self.rollout_ema)
        return lagged
