"""What a method must beat: REINFORCE without rollouts, a constant reward, a random one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tables import Judge, weights_of
from torch import Tensor, nn
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    random_rewards,
    same,
    small_discriminator,
    small_generator,
)

from textgan.data.text import Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.base import Objective
from textgan.objectives.constant_reward import ConstantReward
from textgan.objectives.random_reward import RandomReward
from textgan.objectives.reinforce import Reinforce
from textgan.objectives.seqgan import SeqGAN

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
ZERO = torch.zeros((), dtype=torch.float64)


def climbed(generator: AutoregressiveGenerator, rewards: Tensor) -> Tensor:
    texts = enumerate_texts(generator.space)
    return gradient((log_probs(generator, texts).exp() * rewards).sum(), generator)


def mean_of_one(objective: Objective, generator: AutoregressiveGenerator, judge: Any) -> Tensor:
    """The expected gradient of a batch of one."""
    texts, total = enumerate_texts(generator.space), ZERO
    for i, chance in enumerate(probabilities(generator, texts)):
        one = texts[i : i + 1]
        total = total + chance * objective.generator_loss(generator, judge, one, one, 0.0)[0]
    return gradient(total, generator)


def mean_of_pairs(objective: Objective, generator: AutoregressiveGenerator, judge: Any) -> Tensor:
    """The expected gradient of a batch of two."""
    texts, total = enumerate_texts(generator.space), ZERO
    chances = probabilities(generator, texts)
    for first in range(len(texts)):
        for second in range(first, len(texts)):
            pair = texts[torch.tensor([first, second])]
            ways = 1 if first == second else 2
            loss, _ = objective.generator_loss(generator, judge, pair, pair, 0.0)
            total = total + ways * chances[first] * chances[second] * loss
    return gradient(total, generator)


@pytest.fixture
def fair_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dice that always show their mean; a loss that is linear in them then has its own mean."""
    rand = torch.rand

    def fair(*size: Any, **told: Any) -> Tensor:
        return torch.full_like(rand(*size, **told), 0.5)

    monkeypatch.setattr(torch, "rand", fair)


# --- REINFORCE ---


@worlds
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_reinforce_climbs_the_expected_reward(space: TextSpace, name: str) -> None:
    generator, rewards = small_generator(space, name), random_rewards(space)
    judge = Judge(space, rewards.logit())
    found = mean_of_one(Reinforce(baseline="none"), generator, judge)
    right = climbed(generator, rewards)
    assert right.abs().max() > 1e-3
    assert same(-found, right)


@worlds
def test_the_others_mean_leaves_what_is_climbed(space: TextSpace) -> None:
    generator, rewards = small_generator(space), random_rewards(space)
    judge = Judge(space, rewards.logit())
    found = mean_of_pairs(Reinforce(baseline="batch"), generator, judge)
    assert same(-found, 2 * climbed(generator, rewards))
    found = mean_of_pairs(Reinforce(baseline="none"), generator, judge)
    assert same(-found, 2 * climbed(generator, rewards))


@worlds
def test_every_token_is_paid_what_the_sentence_earns(space: TextSpace) -> None:
    generator, texts, rewards = (
        small_generator(space),
        enumerate_texts(space),
        random_rewards(space),
    )
    judge = Judge(space, rewards.logit())
    found = weights_of(Reinforce(baseline="none"), generator, judge, texts, texts)
    assert same(found, rewards.unsqueeze(1) * texts.mask)
    found = weights_of(Reinforce(), generator, judge, texts, texts)
    for position in range(space.length):
        alive = texts.lengths > position
        paid = rewards[alive]
        others = (paid.sum() - paid) / (alive.sum() - 1)
        assert same(found[alive, position], paid - others)
    _, figures = Reinforce().generator_loss(generator, judge, texts, texts, 0.0)
    assert same(figures["reward"], rewards.mean())
    assert same(figures["reward_deviation"], rewards.std(unbiased=False))


@worlds
def test_reinforce_and_seqgan_have_one_discriminator(space: TextSpace) -> None:
    judge, texts = small_discriminator(space), enumerate_texts(space)
    nn.init.constant_(judge.output.bias, 0.7)
    for l2 in (0.0, 0.2):
        mine, _ = Reinforce(l2=l2).discriminator_loss(judge, texts[:6], texts[6:12])
        seqgan, _ = SeqGAN(l2=l2).discriminator_loss(judge, texts[:6], texts[6:12])
        assert torch.equal(mine, seqgan)
    generator = small_generator(space)
    Reinforce().generator_loss(generator, judge, texts, texts, 0.0)[0].backward()
    assert all(parameter.grad is None for parameter in judge.parameters())


def test_where_a_sentences_last_token_decides_seqgan_and_reinforce_agree() -> None:
    # a batch that holds one text: SeqGAN's last value is the reward itself
    generator, rewards = small_generator(FIXED), random_rewards(FIXED)
    judge, texts = Judge(FIXED, rewards.logit()), enumerate_texts(FIXED)
    one = weights_of(Reinforce(baseline="none"), generator, judge, texts, texts)
    other = weights_of(SeqGAN(rollouts=1), generator, judge, texts, texts)
    assert same(one[:, -1], other[:, -1])
    assert not same(one[:, 0], other[:, 0])


# --- the constant ---


@worlds
@pytest.mark.parametrize("reward", [0.5, -2.0])
def test_a_constant_teaches_nothing_on_average(space: TextSpace, reward: float) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    objective = ConstantReward(reward=reward)
    assert mean_of_one(objective, generator, None).abs().max() < 1e-12
    one, _ = objective.generator_loss(generator, None, texts[:1], texts[:1], 0.0)
    assert same(one, -reward * log_probs(generator, texts[:1]).sum())
    assert gradient(one, generator).abs().max() > 1e-3
    found = weights_of(objective, generator, None, texts, texts)
    assert same(found, reward * texts.mask.double())


def test_with_a_baseline_a_constant_weighs_nothing() -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    objective = ConstantReward(baseline="batch")
    assert not weights_of(objective, generator, None, texts, texts).any()
    generator, texts = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    assert not weights_of(objective, generator, None, texts, texts).any()
    # a text that is alone at a position has nobody to be compared with there
    pair = texts[torch.tensor([0, len(texts) - 1])]
    found = weights_of(objective, generator, None, pair, pair)
    assert same(found, torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5]]).double())
    assert mean_of_pairs(objective, generator, None).abs().max() < 1e-12


# --- the dice ---


@worlds
@pytest.mark.parametrize("baseline", ["none", "batch"])
def test_dice_teach_nothing_on_average(space: TextSpace, baseline: Any, fair_dice: None) -> None:
    generator, objective = small_generator(space), RandomReward(rollouts=2, baseline=baseline)
    mean = mean_of_one if baseline == "none" else mean_of_pairs
    assert mean(objective, generator, None).abs().max() < 1e-12


def throws(objective: Objective, text: Text, n: int) -> Tensor:
    """The weights of n copies of the same texts, (n, B, T)."""
    many = text.repeat(n)
    found = weights_of(objective, small_generator(VARIABLE), None, many, many)
    return found.view(len(text), n, -1).transpose(0, 1)


def test_values_are_distributed_as_means_of_dice() -> None:
    texts = enumerate_texts(VARIABLE)
    for rollouts in (1, 4):
        found = throws(RandomReward(rollouts=rollouts), texts, 3000)
        last = torch.arange(3) == (texts.lengths - 1).unsqueeze(1)
        inside = texts.mask & ~last
        mean, variance = found.mean(0), found.var(0)
        assert (mean[texts.mask] - 0.5).abs().max() < 0.03
        assert torch.allclose(variance[last], torch.tensor(1 / 12).double(), rtol=0.15)
        right = torch.tensor(1 / 12 / rollouts).double()
        assert torch.allclose(variance[inside], right, rtol=0.15)
        assert not found[:, ~texts.mask].any()
        assert found[:, texts.mask].min() >= 0
        assert found[:, texts.mask].max() <= 1
        # each value by itself: neighbours know nothing of each other
        real = found[:, texts.mask]
        correlations = torch.corrcoef(real.t()) - torch.eye(real.shape[1])
        assert correlations.abs().max() < 0.1


@worlds
def test_dice_know_nothing_of_the_text(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    other = texts[torch.arange(len(texts)).flip(0)]
    long, also = texts[texts.lengths == 3], other[other.lengths == 3]
    torch.manual_seed(4)
    first = weights_of(RandomReward(), generator, None, long, long)
    torch.manual_seed(4)
    second = weights_of(RandomReward(), generator, None, also, also)
    assert torch.equal(first, second)
    torch.manual_seed(4)
    _, figures = RandomReward().generator_loss(generator, None, long, long, 0.0)
    assert same(figures["reward"].double(), first[:, -1].mean(), 1e-6)
    assert same(figures["value"], first.mean())


@worlds
def test_the_baseline_of_dice_is_the_others_mean(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    torch.manual_seed(4)
    values = weights_of(RandomReward(), generator, None, texts, texts)
    torch.manual_seed(4)
    found = weights_of(RandomReward(baseline="batch"), generator, None, texts, texts)
    for position in range(space.length):
        alive = texts.lengths > position
        paid = values[alive, position]
        assert same(found[alive, position], paid - (paid.sum() - paid) / (alive.sum() - 1))


# --- all ---

CONTROLS: list[Callable[..., Objective]] = [Reinforce, ConstantReward, RandomReward]


@worlds
@pytest.mark.parametrize("make", CONTROLS)
def test_reductions_divide_and_nothing_else(
    space: TextSpace, make: Callable[..., Objective]
) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    judge = Judge(space, random_rewards(space))
    found: dict[str, Tensor] = {}
    for reduction in ("sum", "mean_sentence", "mean_token"):
        torch.manual_seed(4)
        objective = make(reduction=reduction)
        found[reduction] = objective.generator_loss(generator, judge, texts, texts, 0.0)[0]
    assert same(found["sum"], len(texts) * found["mean_sentence"])
    assert same(found["sum"], texts.lengths.sum() * found["mean_token"])
    fake = make().sample(generator, texts, 0.5)
    assert len(fake) == len(texts)
    assert fake.soft_tokens is None


@pytest.mark.parametrize("make", [ConstantReward, RandomReward])
def test_controls_have_no_discriminator(make: Callable[..., Objective]) -> None:
    texts, objective = enumerate_texts(FIXED), make()
    assert type(objective).discriminator is None
    with pytest.raises(TypeError, match="has no discriminator"):
        objective.discriminator_loss(small_discriminator(FIXED), texts, texts)
