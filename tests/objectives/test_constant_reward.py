"""A control: every text earns the same."""

import pytest
import torch
from rewards import mean_of_one, mean_of_pairs
from tables import weights_of
from worlds import (
    FIXED,
    VARIABLE,
    enumerate_texts,
    gradient,
    log_probs,
    same,
    small_generator,
    worlds,
)

from textgan.data.text import TextSpace
from textgan.objectives.constant_reward import ConstantReward


@worlds
@pytest.mark.parametrize("reward", [0.5, -2.0])
def test_a_constant_teaches_nothing_on_average(space: TextSpace, reward: float) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    objective = ConstantReward(reward=reward)
    assert mean_of_one(objective, generator, None).abs().max() < 1e-12
    one, _ = objective.generator_loss(generator, None, texts[:1], texts[:1], 0.0)
    assert same(one, -reward * log_probs(generator, texts[:1]).sum())
    assert gradient(one, generator).abs().max() > 1e-3
    result = weights_of(objective, generator, None, texts, texts)
    assert same(result, reward * texts.mask.double())


def test_with_a_baseline_a_constant_weighs_nothing() -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    objective = ConstantReward(baseline="batch")
    assert not weights_of(objective, generator, None, texts, texts).any()
    generator, texts = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    assert not weights_of(objective, generator, None, texts, texts).any()
    # a text that is alone at a position has nobody to be compared with there
    pair = texts[torch.tensor([0, len(texts) - 1])]
    result = weights_of(objective, generator, None, pair, pair)
    assert same(result, torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5]]).double())
    assert mean_of_pairs(objective, generator, None).abs().max() < 1e-12
