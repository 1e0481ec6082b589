"""A control: what a text earns is drawn at random."""

from typing import Any

import pytest
import torch
from rewards import mean_of_one, mean_of_pairs
from tables import weights_of
from torch import Tensor
from worlds import (
    VARIABLE,
    enumerate_texts,
    same,
    small_generator,
    worlds,
)

from textgan.data.text import Text, TextSpace
from textgan.objectives.base import Objective
from textgan.objectives.random_reward import RandomReward


@pytest.fixture
def fair_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dice that always show their mean; a loss that is linear in them then has its own mean."""
    rand = torch.rand

    def fair(*size: Any, **settings: Any) -> Tensor:
        return torch.full_like(rand(*size, **settings), 0.5)

    monkeypatch.setattr(torch, "rand", fair)


@worlds
@pytest.mark.parametrize("baseline", ["none", "batch"])
def test_dice_teach_nothing_on_average(space: TextSpace, baseline: Any, fair_dice: None) -> None:
    generator, objective = small_generator(space), RandomReward(rollouts=2, baseline=baseline)
    mean = mean_of_one if baseline == "none" else mean_of_pairs
    assert mean(objective, generator, None).abs().max() < 1e-12


def throws(objective: Objective, text: Text, n: int) -> Tensor:
    """The weights of n copies of the same texts, (n, B, T)."""
    many = text.repeat(n)
    result = weights_of(objective, small_generator(VARIABLE), None, many, many)
    return result.view(len(text), n, -1).transpose(0, 1)


def test_values_are_distributed_as_means_of_dice() -> None:
    texts = enumerate_texts(VARIABLE)
    for rollouts in (1, 4):
        result = throws(RandomReward(rollouts=rollouts), texts, 3000)
        last = torch.arange(3) == (texts.lengths - 1).unsqueeze(1)
        inside = texts.mask & ~last
        mean, variance = result.mean(0), result.var(0)
        assert (mean[texts.mask] - 0.5).abs().max() < 0.03
        assert torch.allclose(variance[last], torch.tensor(1 / 12).double(), rtol=0.15)
        right = torch.tensor(1 / 12 / rollouts).double()
        assert torch.allclose(variance[inside], right, rtol=0.15)
        assert not result[:, ~texts.mask].any()
        assert result[:, texts.mask].min() >= 0
        assert result[:, texts.mask].max() <= 1
        # each value by itself: neighbours know nothing of each other
        real = result[:, texts.mask]
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
    result = weights_of(RandomReward(baseline="batch"), generator, None, texts, texts)
    for position in range(space.length):
        alive = texts.lengths > position
        paid = values[alive, position]
        assert same(result[alive, position], paid - (paid.sum() - paid) / (alive.sum() - 1))
