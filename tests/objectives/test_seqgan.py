"""SeqGAN: rewards of rollouts, the lagged policy, the discriminator."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from rewards import climbed, descend, unchanged, weights_of
from torch import Tensor, nn
from toys import learn
from worlds import (
    FIXED,
    VARIABLE,
    enumerate_texts,
    exact_values,
    gradient,
    probabilities,
    random_rewards,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.data.text import Condition, Text, TextSpace
from textgan.losses import leave_one_out
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives import seqgan
from textgan.objectives.seqgan import SeqGAN


class Table(Discriminator):
    """A discriminator whose D of each text of the space is given: any reward at all."""

    def __init__(self, space: TextSpace, rewards: Tensor) -> None:
        super().__init__(space)
        self.radix = space.vocabulary ** torch.arange(space.length)
        self.logits = torch.full((space.vocabulary**space.length,), torch.nan, dtype=torch.float64)
        self.logits[enumerate_texts(space).tokens @ self.radix] = rewards.logit()
        self.asked = 0

    def features(self, text: Text) -> Tensor:
        raise NotImplementedError

    def forward(self, text: Text) -> Tensor:
        self.asked += 1
        return self.logits[text.tokens @ self.radix]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor], None]:
    """Called with the rewards of all texts: rollouts give exact values from then on."""

    def patch(rewards: Tensor) -> None:
        def values(
            generator: AutoregressiveGenerator, fake: Text, reward: Any, n: int, chunk: int
        ) -> Tensor:
            result = exact_values(generator, fake, rewards)
            assert not result.requires_grad
            return result

        monkeypatch.setattr(seqgan, "rollout_values", values)

    return patch


@worlds
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_seqgan_climbs_the_expected_reward(
    space: TextSpace, name: str, exact: Callable[[Tensor], None]
) -> None:
    generator, texts, rewards = (
        small_generator(space, name),
        enumerate_texts(space),
        random_rewards(space),
    )
    judge, objective = Table(space, rewards), SeqGAN()
    exact(rewards)
    chances = probabilities(generator, texts)
    expected = sum(
        chances[i]
        * objective.generator_loss(generator, judge, texts[i : i + 1], texts[i : i + 1], 0.0)[0]
        for i in range(len(texts))
    )
    assert same(-gradient(expected, generator), climbed(generator, rewards))


@worlds
def test_the_batch_baseline_leaves_what_is_climbed(
    space: TextSpace, exact: Callable[[Tensor], None]
) -> None:
    generator, rewards = small_generator(space), random_rewards(space)
    texts = enumerate_texts(space)
    judge, objective = Table(space, rewards), SeqGAN(baseline="batch")
    exact(rewards)
    chances = probabilities(generator, texts)
    total = torch.zeros((), dtype=torch.float64)
    for first in range(len(texts)):
        for second in range(first, len(texts)):
            pair = texts[torch.tensor([first, second])]
            ways = 1 if first == second else 2
            loss, _ = objective.generator_loss(generator, judge, pair, pair, 0.0)
            total = total + ways * chances[first] * chances[second] * loss
    assert same(-gradient(total, generator), 2 * climbed(generator, rewards))


@worlds
def test_sampled_fakes_and_rollouts_climb_the_expected_reward(space: TextSpace) -> None:
    generator, rewards = small_generator(space), random_rewards(space)
    objective = SeqGAN(rollouts=2, reduction="mean_sentence", baseline="batch")
    fake = objective.sample(generator, enumerate_texts(space).repeat(500), 0.0)
    loss, _ = objective.generator_loss(generator, Table(space, rewards), fake, fake, 0.0)
    result, right = -gradient(loss, generator), climbed(generator, rewards)
    assert torch.cosine_similarity(result, right, 0) > 0.98
    assert abs((result.norm() / right.norm()).item() - 1) < 0.1


@worlds
def test_each_token_is_weighted_by_its_value(
    space: TextSpace, exact: Callable[[Tensor], None]
) -> None:
    generator, texts, rewards = (
        small_generator(space),
        enumerate_texts(space),
        random_rewards(space),
    )
    exact(rewards)
    values = exact_values(generator, texts, rewards)
    tokens = generator.log_prob(texts)
    for baseline, weights in (
        ("none", values),
        ("batch", values - leave_one_out(values, texts.mask)),
    ):
        right = -(tokens * weights)[texts.mask].sum()
        counts = {"sum": 1, "mean_sentence": len(texts), "mean_token": int(texts.lengths.sum())}
        for reduction, count in counts.items():
            objective = SeqGAN(baseline=baseline, reduction=reduction)
            loss, _ = objective.generator_loss(generator, Table(space, rewards), texts, texts, 0.0)
            assert same(loss, right / count)


@worlds
def test_what_is_logged_of_the_rewards(space: TextSpace, exact: Callable[[Tensor], None]) -> None:
    generator, texts, rewards = (
        small_generator(space),
        enumerate_texts(space),
        random_rewards(space),
    )
    exact(rewards)
    _, metrics = SeqGAN().generator_loss(generator, Table(space, rewards), texts, texts, 0.0)
    values = exact_values(generator, texts, rewards)
    assert metrics.keys() == {"reward", "reward_deviation", "value"}
    assert same(metrics["reward"], rewards.mean())
    assert same(metrics["reward_deviation"], (rewards - rewards.mean()).square().mean().sqrt())
    assert same(metrics["value"], values[texts.mask].mean())
    assert not any(value.requires_grad for value in metrics.values())


@worlds
@pytest.mark.parametrize("baseline", ["none", "batch"])
def test_a_constant_discriminator_teaches_nothing_on_average(
    space: TextSpace, baseline: str
) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    judge = Table(space, torch.full((len(texts),), 0.3, dtype=torch.float64))
    objective = SeqGAN(rollouts=3, baseline=baseline)
    chances = probabilities(generator, texts)
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(len(texts)):
        text = texts[i : i + 1]
        expected = (
            expected + chances[i] * objective.generator_loss(generator, judge, text, text, 0.0)[0]
        )
    assert gradient(expected, generator).abs().max() < 1e-12
    one, _ = objective.generator_loss(generator, judge, texts[:1], texts[:1], 0.0)
    assert gradient(one, generator).abs().max() > 1e-3  # of one text alone


@pytest.mark.parametrize("width", [5])
def test_padding_changes_no_adversarial_loss(width: int) -> None:
    generator, texts = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    judge = small_discriminator(VARIABLE)
    nn.init.zeros_(judge.output.weight)
    nn.init.constant_(judge.output.bias, 0.4)  # a constant reward, so that nothing is left to luck
    for reduction in ("sum", "mean_sentence", "mean_token"):
        objective = SeqGAN(rollouts=2, reduction=reduction)
        longer = texts.pad_to(width)
        plain, figures = objective.generator_loss(generator, judge, texts, texts, 0.0)
        padded, padded_figures = objective.generator_loss(generator, judge, longer, longer, 0.0)
        assert same(plain, padded)
        assert same(gradient(plain, generator), gradient(padded, generator))
        assert all(same(figures[name], padded_figures[name]) for name in figures)
        plain, _ = objective.discriminator_loss(judge, texts[:7], texts[7:])
        padded, _ = objective.discriminator_loss(judge, longer[:7], longer[7:])
        assert same(plain, padded)
        assert same(gradient(plain, judge), gradient(padded, judge))


@pytest.mark.parametrize(("rollouts", "chunk", "asked"), [(1, 0, 2), (6, 0, 2), (6, 4, 3)])
def test_rollouts_and_chunk_reach_the_rollouts(rollouts: int, chunk: int, asked: int) -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    judge = Table(FIXED, random_rewards(FIXED))
    SeqGAN(rollouts=rollouts, chunk=chunk).generator_loss(generator, judge, texts, texts, 0.0)
    assert judge.asked == asked


@worlds
def test_the_reward_has_no_gradient_into_the_discriminator(space: TextSpace) -> None:
    generator, judge, texts = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    SeqGAN(rollouts=1).generator_loss(generator, judge, texts, texts, 0.0)[0].backward()
    assert all(parameter.grad is None for parameter in judge.parameters())
    assert all(part.grad is not None for part in generator.parameters() if part.requires_grad)


@worlds
def test_seqgan_samples_words_and_records_nothing(space: TextSpace) -> None:
    generator = small_generator(space)
    real = enumerate_texts(space)
    labels = torch.arange(len(real))
    real = Text(real.tokens, real.lengths, condition=Condition(labels, real))
    fake = SeqGAN().sample(generator, real, 0.5)
    assert len(fake) == len(real)
    assert fake.soft_tokens is None
    assert fake.source is real.source
    assert fake.labels is labels
    assert torch.is_grad_enabled()


def entries(
    objective: SeqGAN,
    generator: AutoregressiveGenerator,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
) -> list[dict[str, Tensor]]:
    """The weights that the rollouts saw in each of so many updates."""
    seen: list[dict[str, Tensor]] = []

    def watch(generator: AutoregressiveGenerator, fake: Text, *_: object) -> Tensor:
        seen.append(weights_of(generator))
        return torch.ones(fake.tokens.shape, dtype=torch.float64)

    monkeypatch.setattr(seqgan, "rollout_values", watch)
    texts = enumerate_texts(generator.space)
    for _ in range(times):
        learn(objective, generator, Table(FIXED, random_rewards(FIXED)), texts, texts, 0.0)
    return seen


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_lag_shrinks_while_the_weights_stand_still(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, generator = SeqGAN(rollout_ema=0.8), small_generator(FIXED, name)
    old = weights_of(generator)
    (first,) = entries(objective, generator, monkeypatch, 1)
    assert all(torch.equal(first[key], old[key]) for key in old)
    for parameter in generator.parameters():
        parameter.data += torch.randn_like(parameter)
    now = weights_of(generator)
    for k, seen in enumerate(entries(objective, generator, monkeypatch, 5), start=1):
        for key, weight in now.items():
            if key.startswith("embedding"):
                assert torch.equal(seen[key], weight)
            else:
                assert same(seen[key] - weight, 0.8**k * (old[key] - weight))
        assert unchanged(generator, now)


def test_without_a_lag_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, generator = SeqGAN(), small_generator(FIXED)
    before = weights_of(generator)
    (seen,) = entries(objective, generator, monkeypatch, 1)
    assert all(torch.equal(seen[key], before[key]) for key in before)
    assert objective.state == {}


def test_completions_are_written_by_the_lagged_policy() -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    objective = SeqGAN(rollouts=1, rollout_ema=0.5)
    judge = Table(FIXED, (1 + texts.tokens[:, 2].double()) / 4)
    learn(objective, generator, judge, texts, texts, 0.0)
    # the old policy as good as always ends in 2 and the new one in 0
    objective.state["output.bias"] = torch.tensor([-99.0, -99.0, 99.0], dtype=torch.float64)
    with torch.no_grad():
        generator.output.bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
    _, metrics = learn(objective, generator, judge, texts, texts, 0.0)
    ends = texts.tokens[:, 2]
    right = (2 * 0.75 + ((1 + ends) / 4).double().mean()) / 3
    assert same(metrics["value"], right, 1e-9)


def test_the_gradient_is_taken_at_the_generators_own_weights(
    exact: Callable[[Tensor], None],
) -> None:
    rewards = random_rewards(FIXED)
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    objective, judge = SeqGAN(rollout_ema=0.9), Table(FIXED, rewards)
    exact(rewards)
    learn(objective, generator, judge, texts, texts, 0.0)
    for parameter in generator.parameters():
        parameter.data += torch.randn_like(parameter)
    lagged = small_generator(FIXED)
    loss, _ = learn(objective, generator, judge, texts, texts, 0.0)
    lagged.load_state_dict(objective.state, strict=False)
    weights = exact_values(lagged, texts, rewards)
    right = -(generator.log_prob(texts) * weights).sum()
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))


def test_the_memory_is_no_view_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, generator = SeqGAN(rollout_ema=0.8), small_generator(FIXED)
    entries(objective, generator, monkeypatch, 1)
    assert objective.state.keys() == dict(generator.named_parameters()).keys()
    remembered = {name: tensor.clone() for name, tensor in objective.state.items()}
    for parameter in generator.parameters():
        parameter.data.add_(1.0)
    assert all(torch.equal(objective.state[name], old) for name, old in remembered.items())


def test_weights_come_back_even_when_the_reward_fails() -> None:
    class Broken(Table):
        def forward(self, text: Text) -> Tensor:
            raise RuntimeError("no reward today")

    objective, generator = SeqGAN(rollout_ema=0.8), small_generator(FIXED)
    texts, rewards = enumerate_texts(FIXED), random_rewards(FIXED)
    learn(objective, generator, Table(FIXED, rewards), texts, texts, 0.0)
    for parameter in generator.parameters():
        parameter.data += 1 / 3
    before = weights_of(generator)
    with pytest.raises(RuntimeError, match="no reward today"):
        learn(objective, generator, Broken(FIXED, rewards), texts, texts, 0.0)
    assert unchanged(generator, before)


@worlds
def test_the_discriminator_minimises_cross_entropy(space: TextSpace) -> None:
    judge, texts = small_discriminator(space), enumerate_texts(space)
    real, fake = texts[:6], texts[6:12]
    loss, metrics = SeqGAN(l2=0).discriminator_loss(judge, real, fake)
    d_real, d_fake = judge(real).sigmoid(), judge(fake).sigmoid()
    # over one batch of as many real as fake texts
    right = -(d_real.log().sum() + (1 - d_fake).log().sum()) / 12
    assert same(loss, right)
    assert metrics == {}


@worlds
def test_the_penalty_is_the_papers_on_two_columns(space: TextSpace) -> None:
    judge, texts = small_discriminator(space), enumerate_texts(space)
    nn.init.constant_(judge.output.bias, 0.7)
    real, fake = texts[:4], texts[4:8]
    plain, _ = SeqGAN(l2=0).discriminator_loss(judge, real, fake)
    penalised, _ = SeqGAN(l2=0.2).discriminator_loss(judge, real, fake)
    weight, bias = judge.output.weight[0], judge.output.bias
    assert same(penalised - plain, 0.2 * (weight @ weight + bias[0] ** 2) / 4)
    # a layer of two columns whose difference is the score, and softmax over them
    columns, biases = torch.stack([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
    features = judge.features(Text(texts.tokens[:8], texts.lengths[:8]))
    labels = torch.tensor([1] * 4 + [0] * 4)
    cross_entropy = nn.functional.cross_entropy(features @ columns.t() + biases, labels)
    half_norms = (columns.square().sum() + biases.square().sum()) / 2
    assert same(penalised, cross_entropy + 0.2 * half_norms)


def test_the_defaults_are_the_papers() -> None:
    objective = SeqGAN()
    assert (objective.rollouts, objective.l2, objective.reduction) == (16, 0.2, "sum")
    assert (objective.chunk, objective.rollout_ema, objective.baseline) == (0, 0.0, "none")


@worlds
def test_seqgan_learns_to_write_what_is_rewarded(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    rewards = torch.where(texts.tokens[:, 1] == 2, 0.9, 0.1).double()
    before = (probabilities(generator, texts) @ rewards).item()
    descend(SeqGAN(rollouts=2), generator, Table(space, rewards), texts.repeat(2))
    after = (probabilities(generator, texts) @ rewards).item()
    assert 0.9 - after < (0.9 - before) / 2  # 0.9 is all that can be had
