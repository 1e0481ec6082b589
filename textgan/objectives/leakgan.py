"""LeakGAN: long text generation with leaked information (Guo et al., AAAI 2018).

arXiv 1709.08624.

Discriminator:  L_D = -E_data log D(y) - E_G log(1 - D(y)),  D = sigmoid(score)
Generator:      L_G = L_M + L_W, of its two networks
Manager:        L_M = -sum_{b,t} R(Q(s_bt, y_bt)) cos(f_{t+c} - f_t, g_t)
Worker:         L_W = -sum_{b,t} r_t log G(y_bt | s_bt, goals)
Intrinsic:      r_t = (1 / c) sum_{i=1..c} cos(f_t - f_{t-i}, g_{t-i})  where the token leads to f_t
Rescaling:      R = sigmoid(delta * (0.5 - rank / B)),  rank 1 is the batch's best value at t

f_t is what the discriminator sees in the first t tokens, and g_t the manager's goal: see
generators/leak.py, which also has c. Q is SeqGAN's value by rollouts. The manager is rewarded for
having aimed where good texts went, the worker for going where it was told; neither loss reaches
the other network. `progress` anneals nothing; maximum likelihood among the rounds is the
schedule's `mle_steps` and `mle_every`.

Departs from the paper:
- ranks are those of sorted values, as printed; the released code's are the order of a dictionary.
  Ties share their mean rank
- the last goals of a text aim at its end, which is nearer than c tokens
- maximum likelihood trains manager and worker together, end to end; the paper pretrains the manager
  on the transitions of real text
- the generator is pretrained before the discriminator, whose features then change under it; the
  released code alternates. Maximum likelihood among the rounds mends that
- every goal is judged and the last c are summed at every token, as printed; in the released code
  that is done once in c tokens, with a learned first goal and w_t scaled to length 1
- logits have a bias of each token. Their temperature is 1 throughout; the released code multiplies
  them by 1.5 where it evaluates
- L_M and L_W are sums and one optimiser's, clipped together
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.discriminators.base import Discriminator
from textgan.generators.base import Generator
from textgan.generators.leak import LeakGenerator
from textgan.losses import Loss, Reduction, leave_one_out, logistic, policy_gradient, reduce
from textgan.objectives.base import Objective
from textgan.rollout import rollout_values
from textgan.text import Text


@dataclass(kw_only=True)
class LeakGAN(Objective, name="leakgan"):
    """A manager sets goals among the discriminator's features, a worker writes towards them."""

    paper: ClassVar[str] = "Guo et al. 2018, arXiv 1709.08624"
    generator: ClassVar[str] = "leak"
    defaults: ClassVar[dict[str, Any]] = {"schedule.mle_steps": 15, "schedule.mle_every": 15}

    rollouts: Annotated[int, Field(ge=1, description="completions of each prefix; paper: 4")] = 4
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    delta: Annotated[
        float, Field(gt=0, description="sharpness of the rescaling by rank; paper's code: 16")
    ] = 16.0
    baseline: Annotated[
        Literal["none", "batch"],
        Field(description="batch: intrinsic reward minus the others' mean there; paper: none"),
    ] = "none"
    reduction: Annotated[Reduction, Field(description="of both losses over the batch")] = "sum"
    l2: Annotated[
        float, Field(ge=0, description="on the discriminator's output layer; paper's code: 0.2")
    ] = 0.2

    def prepare(
        self, generator: Generator, discriminator: Discriminator | None, train: Text
    ) -> None:
        if not isinstance(generator, LeakGenerator):
            raise ValueError(f"leakgan needs goals, which {type(generator).__name__} lacks")
        assert discriminator is not None  # see connect
        generator.connect(discriminator.features)

    @torch.no_grad()
    def sample(self, generator: Generator, real: Text, progress: float) -> Text:
        return generator.sample(len(real), source=real.source, labels=real.labels)

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        loss = logistic(*discriminator.judge(real, fake))
        return loss + self.l2 * discriminator.output_penalty(), {}

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> Loss:
        assert isinstance(generator, LeakGenerator)  # see connect

        def reward(text: Text, origin: Tensor) -> Tensor:
            score: Tensor = discriminator(text)
            return score.sigmoid()

        values = rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        mask, horizon = fake.mask, generator.horizon
        features, goals, log_prob = generator.trace(fake)

        aim = alignment(features, goals, fake.sizes, horizon)
        manager = reduce(-rescale(values, mask, self.delta) * aim, mask, self.reduction)

        obeyed = intrinsic_reward(features, goals.detach(), horizon)
        baseline = leave_one_out(obeyed, mask) if self.baseline == "batch" else 0.0
        worker = policy_gradient(log_prob, obeyed - baseline, mask, self.reduction)

        finished = values[torch.arange(len(fake), device=values.device), fake.sizes - 1]
        return manager + worker, {
            "reward": finished.mean(),  # D of the finished sentences
            "value": values[mask].mean(),
            "alignment": aim.detach()[mask].mean(),
            "intrinsic": obeyed[mask].mean(),
        }


def rescale(values: Tensor, mask: Tensor, delta: float) -> Tensor:
    """sigmoid(delta * (0.5 - rank / B)) for values (B, T), of the texts that reach each position.

    The best has rank 1. Only the order counts: no monotone map of the values changes anything.
    """
    there = mask.unsqueeze(0)  # (1, B, T): the others' side
    better = ((values.unsqueeze(0) > values.unsqueeze(1)) & there).sum(1)
    equal = ((values.unsqueeze(0) == values.unsqueeze(1)) & there).sum(1)  # itself among them
    rank = better + (equal + 1) / 2
    share = rank.to(values) / mask.sum(0).clamp(min=1)
    return (delta * (0.5 - share)).sigmoid()


def alignment(features: Tensor, goals: Tensor, sizes: Tensor, horizon: int) -> Tensor:
    """cos(f_{t+c} - f_t, g_t), (B, T), or to the end of the text where that is nearer.

    features: (B, T + 1, F). goals: (B, T, F). sizes: (B,). At padding it means nothing.
    """
    positions = torch.arange(goals.shape[1], device=sizes.device)
    ahead = torch.minimum(positions + horizon, sizes.unsqueeze(1))
    arrived = features.gather(1, ahead.unsqueeze(2).expand_as(goals))
    return F.cosine_similarity(arrived - features[:, :-1], goals, dim=2)


def intrinsic_reward(features: Tensor, goals: Tensor, horizon: int) -> Tensor:
    """(1 / c) sum_{i=1..c} cos(f_t - f_{t-i}, g_{t-i}) for the token that leads to f_t, (B, T).

    features: (B, T + 1, F). goals: (B, T, F). There are no goals before the first: they count 0.
    """
    steps = goals.shape[1]
    total = torch.zeros_like(goals[:, :, 0])
    for i in range(1, min(horizon, steps) + 1):
        goal = goals[:, : steps + 1 - i]
        total[:, i - 1 :] += F.cosine_similarity(features[:, i:] - features[:, :-i], goal, dim=2)
    return total / horizon
