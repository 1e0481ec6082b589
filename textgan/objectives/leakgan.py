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
having aimed where good texts went, the worker for following the goals; neither loss reaches
the other network. `progress` anneals nothing; maximum likelihood among the rounds is the
schedule's `mle_steps` and `mle_every`, pretraining of the two networks in turn its
`pretraining_rounds`.

MLE updates:    mle = "separate" is the paper's: the worker's likelihood under given goals, and the
                manager's goals after the transitions of real text, -mean_{b,t} cos(f_{t+c} - f_t,
                g_t). "joint" trains both by the likelihood, end to end

With `generator.goals = "block"`, the released code's way, there is a goal G_k for the k-th block of
c tokens, from place a = kc to b = min(kc + c, size), and
Manager:        L_M = -sum_{b,k} R(Q(s_b, y_b) of the block's last token) cos(f_b - f_a, G_k)
Intrinsic:      r_t = cos(f_t - f_a, G_k)  where the token of block k leads to f_t
Under reduction = "mean_token" L_M is then the mean over blocks, c times the sum over tokens.

The released code (CR-Gjx/LeakGAN 4044de6; both folders' Main.py and Discriminator.py, and
Synthetic Data/LeakGANModel.py) differs from the paper, and from both settings of this:
- its ranks are the order of a dictionary (`rescale`); here those of sorted values, as printed. Ties
  share their mean rank
- `tf.losses.cosine_distance` returns one number for all, so its intrinsic reward is the same for
  every token and its manager's reward is a mean times the sum of R: no signal per step. Here the
  cosines are each token's, or block's
- unfinished texts are padded with the pad embedding, which the filters read; here features are of
  the tokens there are
- texts, but for the manager's and worker's updates, are written at logits times 1.5: those that it
  evaluates, the discriminator's fakes, and of all texts the first two tokens. Here at 1 throughout;
  `textgan sample --temperature 0.667` writes as it evaluates
- Main.py sets a weight of 0.2 for l2 on the discriminator and does not pass it on; the
  discriminator's own default, 0.0, is in force. So is l2 = 0 here
- it rewards and scores once in c tokens, and its two networks have an optimiser each

Departs from the paper:
- the last goals of a text aim at its end, which is nearer than c tokens
- logits have a bias of each token
- L_M and L_W are one optimiser's, clipped together
- with labels, the class is where the worker begins; the manager knows it by what is written
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import Loss, Reduction
from textgan.data.text import Text
from textgan.losses import leave_one_out, logistic, mean_of_tokens, nll, policy_gradient, reduce
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.generators.leak import LeakGenerator
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective


@dataclass(kw_only=True)
class LeakGAN(Objective, name="leakgan"):
    """A manager sets goals among the discriminator's features, a worker writes towards them."""

    paper: ClassVar[str] = "Guo et al. 2018, arXiv 1709.08624"
    generator: ClassVar[str] = "leak"
    refuses_source: ClassVar[str] = (
        "its generator is guided by features of what it has written, which read no source"
    )
    defaults: ClassVar[dict[str, Any]] = {
        "schedule.pretraining_rounds": 10,
        "schedule.pretraining_first": "discriminator",
        "schedule.mle_steps": 15,
        "schedule.mle_every": 15,
    }
    legacy: ClassVar[dict[str, Any]] = {"objective.mle": "joint"}

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
        float, Field(ge=0, description="on the discriminator's output layer; paper's code: 0")
    ] = 0.0
    mle: Annotated[
        Literal["separate", "joint"],
        Field(description="separate: the manager by transitions of real text; paper: separate"),
    ] = "separate"

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if not isinstance(generator, LeakGenerator):
            raise ValueError(f"leakgan needs goals, which {type(generator).__name__} lacks")
        assert discriminator is not None  # see connect
        generator.connect(discriminator.features)

    def mle_loss(self, generator: AutoregressiveGenerator, real: Text) -> Loss:
        if self.mle == "joint":
            return super().mle_loss(generator, real)
        assert isinstance(generator, LeakGenerator)  # see setup
        features, goals, log_prob = generator.trace(real)
        worker = nll(log_prob, real.mask)
        aim, scored = _aims(features, goals, real, generator)
        manager = _reduced(-aim, scored, real, generator, "mean_token")
        return worker + manager, {
            "nll": worker.detach(),
            "alignment": aim.detach()[scored].mean(),
        }

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
    ) -> Loss:
        assert isinstance(generator, LeakGenerator)  # see connect

        def reward(text: Text, origin: Tensor) -> Tensor:
            score: Tensor = discriminator(text)
            return score.sigmoid()

        values = rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        mask, horizon = fake.mask, generator.horizon
        features, goals, log_prob = generator.trace(fake)

        aim, scored = _aims(features, goals, fake, generator)
        if generator.block:  # a block is worth what its last token is
            ends = _ends(fake.lengths, values.shape[1], horizon)
            rewards = rescale(values.gather(1, ends - 1), scored, self.delta)
            obeyed = obedience(features, goals.detach(), horizon)
        else:
            rewards = rescale(values, mask, self.delta)
            obeyed = intrinsic_reward(features, goals.detach(), horizon)
        manager = _reduced(-rewards * aim, scored, fake, generator, self.reduction)

        baseline = leave_one_out(obeyed, mask) if self.baseline == "batch" else 0.0
        worker = policy_gradient(log_prob, obeyed - baseline, mask, self.reduction)

        finished = values[torch.arange(len(fake), device=values.device), fake.lengths - 1]
        return manager + worker, {
            "reward": finished.mean(),  # D of the finished sentences
            "value": mean_of_tokens(values, mask),
            "alignment": aim.detach()[scored].mean(),
            "intrinsic": mean_of_tokens(obeyed, mask),
        }


def _ends(sizes: Tensor, steps: int, horizon: int) -> Tensor:
    """Return where a goal set at each of so many places aims: c tokens on, or the end of the
    text."""
    places = torch.arange(steps, device=sizes.device)
    return torch.minimum(places + horizon, sizes.unsqueeze(1))


def _aims(
    features: Tensor, goals: Tensor, text: Text, generator: LeakGenerator
) -> tuple[Tensor, Tensor]:
    """The alignment (B, T) of goals, and where one is scored, (B, T): at every token, or at the
    first of each block."""
    aim = alignment(features, goals, text.lengths, generator.horizon)
    if not generator.block:
        return aim, text.mask
    places = torch.arange(aim.shape[1], device=aim.device)
    return aim, text.mask & (places % generator.horizon == 0)


def _reduced(
    values: Tensor, scored: Tensor, text: Text, generator: LeakGenerator, reduction: Reduction
) -> Tensor:
    """`reduce` of the values at scored places; a mean over tokens counts a block as its tokens."""
    each = generator.horizon if generator.block and reduction == "mean_token" else 1
    return each * reduce(torch.where(scored, values, 0.0), text.mask, reduction)


def rescale(values: Tensor, mask: Tensor, delta: float) -> Tensor:
    """Compute sigmoid(delta * (0.5 - rank / B)) for values (B, T), of the texts that reach each
    position.

    The best has rank 1. Only the order counts: no monotone map of the values changes anything.
    """
    there = mask.unsqueeze(0)  # (1, B, T): the others' side
    better = ((values.unsqueeze(0) > values.unsqueeze(1)) & there).sum(1)
    equal = ((values.unsqueeze(0) == values.unsqueeze(1)) & there).sum(1)  # itself among them
    rank = better + (equal + 1) / 2
    share = rank.to(values) / mask.sum(0).clamp(min=1)
    return (delta * (0.5 - share)).sigmoid()


def alignment(features: Tensor, goals: Tensor, sizes: Tensor, horizon: int) -> Tensor:
    """Compute cos(f_{t+c} - f_t, g_t), (B, T), or to the end of the text where that is nearer.

    features: (B, T + 1, F). goals: (B, T, F). sizes: (B,). At padding it means nothing.
    """
    ahead = _ends(sizes, goals.shape[1], horizon)
    arrived = features.gather(1, ahead.unsqueeze(2).expand_as(goals))
    return F.cosine_similarity(arrived - features[:, :-1], goals, dim=2)


def intrinsic_reward(features: Tensor, goals: Tensor, horizon: int) -> Tensor:
    """Compute (1 / c) sum_{i=1..c} cos(f_t - f_{t-i}, g_{t-i}) for the token that leads to f_t, (B,
    T).

    features: (B, T + 1, F). goals: (B, T, F). There are no goals before the first: they count 0.
    """
    steps = goals.shape[1]
    total = torch.zeros_like(goals[:, :, 0])
    for i in range(1, min(horizon, steps) + 1):
        goal = goals[:, : steps + 1 - i]
        total[:, i - 1 :] += F.cosine_similarity(features[:, i:] - features[:, :-i], goal, dim=2)
    return total / horizon


def obedience(features: Tensor, goals: Tensor, horizon: int) -> Tensor:
    """Compute cos(f_t - f_a, G) for the token that leads to f_t in a block that begins at a, (B,
    T).

    features: (B, T + 1, F). goals: (B, T, F), the one in force at each token.
    """
    places = torch.arange(goals.shape[1], device=goals.device)
    begun = features[:, places - places % horizon]
    return F.cosine_similarity(features[:, 1:] - begun, goals, dim=2)
