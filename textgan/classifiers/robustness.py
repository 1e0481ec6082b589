"""The accuracy of a classifier on sentences as they are, attacked, and with noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from textgan.classifiers.attack import attack, margins, typical_norm
from textgan.classifiers.config import AttackConfig
from textgan.classifiers.results import CLEAN
from textgan.core.streams import Purpose, stream
from textgan.data.batches import by_size
from textgan.data.text import Text
from textgan.models.discriminators.base import Discriminator

ATTACKED_AT_ONCE = 128  # texts


def robustness(
    network: Discriminator,
    tests: Mapping[str, Text],
    config: AttackConfig,
    seed: int,
    advance: Callable[[], object],
) -> tuple[dict[str, float], float]:
    """Measure the accuracy on each of the labelled tests and under each attack, by name, CLEAN
    first; and the norm of a typical vector, the unit of the radii.

    tests: the clean test sentences as CLEAN, and noisy copies of them. seed: of the attack's random
    starts. advance: called after each attack.
    """
    device = network.output.weight.device
    right = {name: correct(network, text) for name, text in tests.items()}
    text, clean = tests[CLEAN], right.pop(CLEAN)
    accuracies = {CLEAN: float(clean.double().mean())}
    norm = typical_norm(network, [part for _, part in in_pieces(text, device)])
    attacked = text[clean.nonzero().squeeze(1)]  # what is wrong already stays wrong
    for epsilon in config.epsilon:
        random = torch.Generator(device).manual_seed(stream(Purpose.ATTACK, seed))
        left = 0
        for _, part in in_pieces(attacked, device, ATTACKED_AT_ONCE):
            worst = attack(
                network,
                part,
                epsilon,
                norm=None if config.absolute else norm,
                steps=config.steps,
                restarts=config.restarts,
                stride=config.stride,
                random=random,
            )
            left += int((worst < 0).sum())
        accuracies[f"attack {epsilon:g}"] = left / len(text)
        advance()
    return accuracies | {name: float(one.double().mean()) for name, one in right.items()}, norm


def accuracy(network: Discriminator, text: Text) -> float:
    """Compute the share of labelled texts that a network classifies right."""
    return float(correct(network, text).double().mean())


@torch.no_grad()
def correct(network: Discriminator, text: Text) -> Tensor:
    """Return whether a network classifies each labelled text right, (N,) bool; a tie is not
    right."""
    right = torch.zeros(len(text), dtype=torch.bool)
    for rows, part in in_pieces(text, network.output.weight.device):
        assert part.labels is not None
        right[rows] = (margins(network.class_logits(part), part.labels) < 0).cpu()
    return right


def in_pieces(
    text: Text, device: torch.device, at_once: int = 1024
) -> Iterator[tuple[Tensor, Text]]:
    """Yield a text in pieces of similar lengths, no wider than need be: the rows of each, and the
    piece."""
    for rows in by_size(text, at_once):
        if len(rows):
            yield rows, text[rows].trimmed().to(device)
