"""REGS: adversarial learning for dialogue generation (Li et al., EMNLP 2017).

arXiv 1701.06547. x is the history, y the response, Y_t its first t tokens; D = sigmoid(score) is
the probability that a human answered x with y.

Discriminator:    L_D = -E_data log D(x, y) - E_G log(1 - D(x, y));
                  in "partial" of one prefix Y_t for each text, t uniform from 1 to |y|
Value:            Q_t = D(x, y)                                      "reinforce" (eq. 2)
                  Q_t = mean of D over N completions of Y_t; D(x, y) at the end    "mc"
                  Q_t = D(x, Y_t)                                    "partial" (eq. 3)
Generator:        L_G = -scale sum_{b,t} A_bt log G(y_bt | x_b, Y_b,t-1),  A a constant
                  A_t = Q_t - b(x, Y_t-1), over the root of its mean square (`normalise`)
Critic:           L_b = sum_{b,t} (Q_bt - b(x_b, Y_b,t-1))^2
Teacher forcing:  L = -sum_i w_i sum_t log G(y_it | x_i, Y_i,t-1) / tokens, of human responses;
                  w = 1 ("always"), or D(x, y) where that is above b(x), else 0 ("better")
tf-idf:           w_i times min(r_i, 3 min_j r_j),  r_i = N t_i / sum_j t_j,  t_i the mean of
                  log((M + 1) / df(v)) over the words v of y_i, M the training responses

"partial" is another objective, no estimate of what "mc" climbs: its best D of a prefix s is
p~ / (p~ + q~), where p~(s) = sum_y p(y | x) [s begins y] / |y| is the share of s among human
prefixes, and not the mean D of what s becomes. The end token is a token of the prefix, or a whole
response would be like any other prefix. `progress` anneals nothing.

In the paper's words: D-steps and G-steps are `schedule.d_steps` and `schedule.g_steps`, teacher
forcing within the G-steps is `schedule.mle_steps = 1, mle_every = 1`; N is `objective.rollouts`.
The released code (jiweil/Neural-Dialogue-Generation 87c698c) divides the gradient of the reward by
the batch size B twice and weights it by 0.5, that of teacher forcing once: `normalise = false`,
`reward_scale` = 0.5 / B and `reduction = "mean_sentence"` are its weighting of the loss. Its
optimiser is SGD. The steps of Adam and RMSprop do not depend on a loss's scale; there the ratio of
the two is that of the rates, generator_lr = mle_lr * mle_weight * 0.5 / B.

Departs from the paper:
- b does not see y_t; the paper writes b(x, Y_t), with which the gradient is biased. Its critic
  reads the history; ours ("hierarchical") the words before t, too
- A is normalised by default, so that the step does not depend on how far D tells texts apart
- teacher forcing is of another batch than the update before it
- the unknown word may be drawn: without it texts would follow another law than the gradient's
- the negatives of the discriminator's pretraining are drawn; half of the paper's are found by beam
  search and reranked
- stop words stay in the mean of tf-idf
Departs from its code, besides:
- the gradient is one: in its Reinforce/generative.lua the encoder's backward pass is within the
  loop over the decoder's steps and overwrites the decoder's recurrent gradient
- the end token is rewarded and trained; completions are as long as texts may be
- "mean" leaves the texts of the update itself out
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Loss, Reduction
from textgan.core.streams import Purpose, stream
from textgan.data.text import Condition, Text, text_keys
from textgan.losses import logistic, mean_of_tokens, next_shares, nll, policy_gradient, reduce
from textgan.models.contract import dropout_off
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.hierarchical import HierarchicalDiscriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator, read_before
from textgan.models.rollout import rollout_values
from textgan.objectives.base import Objective, StatefulLoss

PREFIXES_AT_ONCE = 1024  # that a discriminator scores together
MOST_ABOVE_LEAST = 3  # the largest rate of a batch by tf-idf, over the smallest


@dataclass(kw_only=True)
class REGS(Objective, name="regs"):
    """A reward for every generation step of a response, and teacher forcing between them."""

    paper: ClassVar[str] = "Li et al. 2017, arXiv 1701.06547"
    needs_source: ClassVar[bool] = True
    generator: ClassVar[str] = "attention"
    discriminator: ClassVar[str | None] = "hierarchical"
    defaults: ClassVar[Mapping[str, Any]] = {
        "schedule.discriminator_turns": 200,  # a turn is one update on fresh fakes
        "schedule.rounds": 1000,
        "schedule.g_steps": 1,
        "schedule.d_steps": 5,
        "schedule.k": 1,
        "schedule.fakes": 1,
        "schedule.mle_steps": 1,
        "schedule.mle_every": 1,
        "schedule.mle_weight": 0.1,
        "schedule.evaluate_every": 10,
        "optimisers.mle_lr": 1e-3,
        "optimisers.generator_lr": 1e-4,
        "optimisers.discriminator_lr": 1e-3,
    }

    variant: Annotated[
        Literal["reinforce", "mc", "partial"],
        Field(description="what a token earns: D of the response, of completions, of its prefix"),
    ] = "mc"
    rollouts: Annotated[
        int, Field(ge=1, description="mc: completions of each prefix; paper: 5")
    ] = 5
    chunk: Annotated[
        int, Field(ge=0, description="completions in memory at once; 0: all of them")
    ] = 0
    critic: Annotated[
        Literal["hierarchical", "encoder", "mean", "none"],
        Field(
            description="who expects a reward: a network of the history and the words before, a "
            "linear layer on the encoded source, the mean of all so far, none; code: encoder"
        ),
    ] = "hierarchical"
    critic_hidden: Annotated[
        int, Field(ge=1, le=65_536, description="size of the states of the hierarchical critic")
    ] = 64
    teacher: Annotated[
        Literal["always", "better"],
        Field(description="better: human responses weigh D, those below the critic's value 0"),
    ] = "always"
    tfidf: Annotated[
        bool, Field(description="MLE learns more of responses with rare words; paper: true")
    ] = False
    normalise: Annotated[
        bool, Field(description="rewards over the root of their mean square; paper's code: false")
    ] = True
    reward_scale: Annotated[
        float, Field(gt=0, le=1000, description="factor of the policy gradient; code: 0.5 / batch")
    ] = 1.0
    reduction: Annotated[Reduction, Field(description="of the policy gradient over the batch")] = (
        "mean_sentence"
    )
    idf: Tensor | None = field(default=None, init=False, repr=False, compare=False)
    eos: int | None = field(default=None, init=False, repr=False)

    @property
    def completions(self) -> int:
        return self.rollouts if self.variant == "mc" else 0

    def setup(self, generator: Generator, discriminator: Discriminator | None, train: Text) -> None:
        if self.variant == "partial":
            self.state["prefixes"] = torch.randint(2**31, ())
        if self.tfidf:
            self.idf = inverse_frequencies(train, generator.space.vocabulary)
            self.eos = generator.space.eos

    def build_networks(
        self, generator: Generator, discriminator: Discriminator | None
    ) -> Mapping[str, nn.Module]:
        if self.critic == "hierarchical":
            size = self.critic_hidden
            network = HierarchicalDiscriminator(
                generator.space, embedding=size, hidden=size, dropout=0.0
            )
            # it begins with D of a pair of which nothing is known: with rewards that are all above
            # what is expected, or all below, the first updates would be of that alone
            nn.init.zeros_(network.output.weight)
            nn.init.constant_(network.output.bias, 0.5)
            critic: nn.Module = network
        elif self.critic == "encoder":
            assert isinstance(generator, AutoregressiveGenerator)  # see connect
            width = encoded(generator, _any_condition(generator)).shape[1]
            if not width:
                raise ValueError(
                    "critic = encoder reads the state that a generator begins with, and "
                    f"{type(generator).__name__} begins with none; choose critic=hierarchical"
                )
            critic = nn.Linear(width, 1)
            for weight in critic.parameters():
                nn.init.zeros_(weight)
        else:
            return {}
        return {"critic": critic}

    def mle_loss(self, generator: AutoregressiveGenerator, real: Text) -> Loss:
        return _weighted_nll(generator.log_prob(real), real.mask, self._rates(real)), {}

    def teacher_loss(
        self, generator: AutoregressiveGenerator, discriminator: Discriminator, real: Text
    ) -> Loss:
        if self.teacher == "always":
            return self.mle_loss(generator, real)
        with torch.no_grad(), dropout_off(generator):
            reward = discriminator(real).sigmoid()
            better = reward > self._expected(generator, real)[:, 0]
        weights = self._rates(real) * reward * better
        return _weighted_nll(generator.log_prob(real), real.mask, weights), {
            "reward": reward.mean(),
            "better": better.to(reward).mean(),
        }

    def discriminator_loss(self, discriminator: Discriminator, real: Text, fake: Text) -> Loss:
        if self.variant == "partial":
            shares = self._shares(real, len(real) + len(fake))
            pad = discriminator.space.pad
            real = prefix_of(real, one_length(real, shares[: len(real)]), pad)
            fake = prefix_of(fake, one_length(fake, shares[len(real) :]), pad)
        return logistic(*discriminator.score_pair(real, fake)), {}

    def after_discriminator_step(self, discriminator: Discriminator) -> None:
        if self.variant == "partial":
            self.state["prefixes"] = next_shares(self.state["prefixes"])

    def generator_loss(
        self,
        generator: Generator,
        discriminator: Discriminator,
        real: Text,
        fake: Text,
        progress: float,
    ) -> StatefulLoss:
        assert isinstance(generator, AutoregressiveGenerator)  # see connect
        mask = fake.mask
        with torch.no_grad():
            values = self._values(generator, discriminator, fake)
        errors = values - self._expected(generator, fake)
        advantages, error = errors.detach(), mean_of_tokens(errors.detach().square(), mask)
        if self.normalise:
            advantages = advantages / error.sqrt().clamp(min=torch.finfo(error.dtype).tiny)
        log_prob = generator.log_prob(fake)
        loss = self.reward_scale * policy_gradient(log_prob, advantages, mask, self.reduction)
        if self.networks:
            loss = loss + reduce(errors.square(), mask, self.reduction)
        rewards = values[torch.arange(len(fake), device=values.device), fake.lengths - 1]
        metrics = {
            "reward": rewards.mean(),  # D of the finished responses
            "reward_deviation": rewards.std(unbiased=False),
            "value": mean_of_tokens(values, mask),
            "error": error,  # of what was expected, squared
        }
        return loss, metrics, self._next_mean(rewards.mean())

    def _values(
        self, generator: AutoregressiveGenerator, discriminator: Discriminator, fake: Text
    ) -> Tensor:
        """Q of every token, (B, T)."""

        def reward(text: Text, origin: Tensor) -> Tensor:
            score: Tensor = discriminator(text)
            return score.sigmoid()

        if self.variant == "mc":
            return rollout_values(generator, fake, reward, self.rollouts, self.chunk)
        if self.variant == "partial":
            at_once = max(1, PREFIXES_AT_ONCE // fake.tokens.shape[1])
            scores = [discriminator.prefix_scores(part) for part in fake.split(at_once)]
            return torch.cat(scores).sigmoid() * fake.mask
        return reward(fake, fake.lengths).unsqueeze(1) * fake.mask

    def _expected(self, generator: AutoregressiveGenerator, text: Text) -> Tensor:
        """b(x, Y_t-1), (B, T): what is expected of each token before it is seen."""
        expected = generator.embedding.weight.new_zeros(())
        if self.critic == "hierarchical":
            # it scores the prefixes of a text that begins with the begin token: those before y_t
            before = replace(text, tokens=read_before(text, generator.space))
            critic = self.networks["critic"]
            assert isinstance(critic, HierarchicalDiscriminator)
            return critic.prefix_scores(before)
        if self.critic == "encoder":
            with torch.no_grad():
                vectors = encoded(generator, text.condition)
            expected = self.networks["critic"](vectors)
        elif self.critic == "mean":
            expected = self.state.get("mean", expected)
        return expected.expand(text.tokens.shape)

    def _next_mean(self, reward: Tensor) -> dict[str, Tensor]:
        """The mean of all rewards so far, and of how many updates, with this one's."""
        if self.critic != "mean":
            return {}
        zero = torch.zeros_like(reward)
        mean, updates = self.state.get("mean", zero), self.state.get("updates", zero)
        return {"mean": mean + (reward - mean) / (updates + 1), "updates": updates + 1}

    def _rates(self, real: Text) -> Tensor:
        """The learning rates (B,) of human responses, as shares of the batch's."""
        if self.idf is None:
            return torch.ones(len(real), device=real.lengths.device)
        return rates_by_tfidf(real, self.idf, self.eos)

    def _shares(self, real: Text, n: int) -> Tensor:
        """A uniform number for each of n texts; the same until the discriminator has moved, and
        others beside other real texts: the shards of a batch share a state."""
        drawn, shard = int(self.state["prefixes"]), int(text_keys(real).sum())
        random = torch.Generator().manual_seed(stream(Purpose.PREFIXES, drawn, shard))
        return torch.rand(n, generator=random, dtype=torch.float64).to(real.lengths.device)


def one_length(text: Text, shares: Tensor) -> Tensor:
    """The length (B,) of one prefix of each text, uniform from 1 to its own where `shares` (B,) are
    uniform in [0, 1)."""
    return 1 + (shares * text.lengths).long()


def prefix_of(text: Text, lengths: Tensor, pad: int) -> Text:
    """The first tokens of each text, so many (B,)."""
    text = replace(text, lengths=lengths)
    return replace(text, tokens=text.tokens.masked_fill(~text.mask, pad))


def encoded(generator: AutoregressiveGenerator, condition: Condition) -> Tensor:
    """What a generator carries before its first token, a vector for each source, (B, F)."""
    carried = generator.start(len(condition.require_source()), condition).carried
    return torch.cat([part.flatten(1) for part in carried if part.is_floating_point()], 1)


def inverse_frequencies(train: Text, vocabulary: int) -> Tensor:
    """log((M + 1) / df) of every word, (V,): M texts, of which df have it (at least one)."""
    tokens = train.tokens.masked_fill(~train.mask, vocabulary).sort(1).values
    first = torch.ones_like(tokens, dtype=torch.bool)
    first[:, 1:] = tokens[:, 1:] != tokens[:, :-1]
    texts = torch.bincount(tokens[first], minlength=vocabulary + 1)[:vocabulary]
    return ((len(train) + 1) / texts.clamp(min=1)).log()


def rates_by_tfidf(text: Text, idf: Tensor, eos: int | None = None) -> Tensor:
    """The learning rate (B,) of each text in shares of a plain one: 1 on average before those above
    three times the least are lowered to that. Texts without a word have rate 0."""
    words = text.mask if eos is None else text.mask & (text.tokens != eos)
    means = torch.where(words, idf[text.tokens], 0.0).sum(1) / words.sum(1).clamp(min=1)
    rates = means * (means > 0).sum() / means.sum().clamp(min=torch.finfo(means.dtype).tiny)
    least = torch.where(rates > 0, rates, torch.inf).min()
    return rates.clamp(max=MOST_ABOVE_LEAST * least)


def _weighted_nll(log_prob: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """The negative log-likelihood per token of texts that weigh so much (B,)."""
    return nll(log_prob * weights.unsqueeze(1), mask)


def _any_condition(generator: AutoregressiveGenerator) -> Condition:
    """A condition of one text, whatever its words."""
    zero = torch.zeros(1, 1, dtype=torch.long, device=generator.embedding.weight.device)
    return Condition(zero[0] if generator.space.classes else None, Text.full(zero))
