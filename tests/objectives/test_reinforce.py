"""What a method must beat: REINFORCE without rollouts, a constant reward, a random one."""

from collections.abc import Callable

import pytest
import torch
from rewards import climbed, mean_of_one, mean_of_pairs
from tables import Judge, weights_of
from torch import Tensor, nn
from worlds import (
    FIXED,
    enumerate_texts,
    random_rewards,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.data.text import TextSpace
from textgan.objectives.base import Objective
from textgan.objectives.constant_reward import ConstantReward
from textgan.objectives.random_reward import RandomReward
from textgan.objectives.reinforce import Reinforce
from textgan.objectives.seqgan import SeqGAN


@worlds
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_reinforce_climbs_the_expected_reward(space: TextSpace, name: str) -> None:
    generator, rewards = small_generator(space, name), random_rewards(space)
    judge = Judge(space, rewards.logit())
    result = mean_of_one(Reinforce(baseline="none"), generator, judge)
    right = climbed(generator, rewards)
    assert right.abs().max() > 1e-3
    assert same(-result, right)


@worlds
def test_the_others_mean_leaves_what_is_climbed(space: TextSpace) -> None:
    generator, rewards = small_generator(space), random_rewards(space)
    judge = Judge(space, rewards.logit())
    result = mean_of_pairs(Reinforce(baseline="batch"), generator, judge)
    assert same(-result, 2 * climbed(generator, rewards))
    result = mean_of_pairs(Reinforce(baseline="none"), generator, judge)
    assert same(-result, 2 * climbed(generator, rewards))


@worlds
def test_every_token_is_paid_what_the_sentence_earns(space: TextSpace) -> None:
    generator, texts, rewards = (
        small_generator(space),
        enumerate_texts(space),
        random_rewards(space),
    )
    judge = Judge(space, rewards.logit())
    result = weights_of(Reinforce(baseline="none"), generator, judge, texts, texts)
    assert same(result, rewards.unsqueeze(1) * texts.mask)
    result = weights_of(Reinforce(), generator, judge, texts, texts)
    for position in range(space.length):
        alive = texts.lengths > position
        paid = rewards[alive]
        others = (paid.sum() - paid) / (alive.sum() - 1)
        assert same(result[alive, position], paid - others)
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


CONTROLS: list[Callable[..., Objective]] = [Reinforce, ConstantReward, RandomReward]


@worlds
@pytest.mark.parametrize("make", CONTROLS)
def test_reductions_divide_and_nothing_else(
    space: TextSpace, make: Callable[..., Objective]
) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    judge = Judge(space, random_rewards(space))
    result: dict[str, Tensor] = {}
    for reduction in ("sum", "mean_sentence", "mean_token"):
        torch.manual_seed(4)
        objective = make(reduction=reduction)
        result[reduction] = objective.generator_loss(generator, judge, texts, texts, 0.0)[0]
    assert same(result["sum"], len(texts) * result["mean_sentence"])
    assert same(result["sum"], texts.lengths.sum() * result["mean_token"])
    fake = make().sample(generator, texts, 0.5)
    assert len(fake) == len(texts)
    assert fake.soft_tokens is None


@pytest.mark.parametrize("make", [ConstantReward, RandomReward])
def test_controls_have_no_discriminator(make: Callable[..., Objective]) -> None:
    texts, objective = enumerate_texts(FIXED), make()
    assert type(objective).discriminator is None
    with pytest.raises(TypeError, match="has no discriminator"):
        objective.discriminator_loss(small_discriminator(FIXED), texts, texts)
