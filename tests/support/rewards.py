"""Rewards that are known, and what climbs them."""

from typing import Any

import torch
from torch import Tensor, nn
from worlds import (
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
)

from textgan.data.text import Text
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective

ZERO = torch.zeros((), dtype=torch.float64)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def unchanged(network: nn.Module, before: dict[str, Tensor]) -> bool:
    after = network.state_dict()
    return after.keys() == before.keys() and all(
        torch.equal(after[name], tensor) for name, tensor in before.items()
    )


def climbed(generator: AutoregressiveGenerator, rewards: Tensor) -> Tensor:
    """The gradient of the expected reward."""
    texts = enumerate_texts(generator.space)
    return gradient((log_probs(generator, texts).exp() * rewards).sum(), generator)


def descend(objective: Objective, generator: Generator, judge: Any, real: Text) -> None:
    trained = [part for part in generator.parameters() if part.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=0.05)
    for _ in range(20):
        fake = objective.sample(generator, real, 0.0)
        optimiser.zero_grad()
        objective.generator_loss(generator, judge, real, fake, 0.0)[0].backward()
        optimiser.step()


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
