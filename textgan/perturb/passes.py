"""Forward and backward passes of one loss under several shifts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from textgan.core.moved import FormerName
from textgan.core.seeds import draw_seed, random_state, set_random_state
from textgan.perturb.base import Perturbation
from textgan.perturb.shifts import (
    EmbeddingOutput,
    EmbeddingWeight,
    ShiftedPass,
    Shifts,
    ShiftTarget,
    Start,
    find_embedding,
    words_of,
)


class Passes:
    """The passes of one update: where vectors are shifted, one draw of dropout, noise.

    The noise of starting points is drawn from a stream of its own, for it is drawn amid a pass, and
    dropout must fall alike in the others. What it is for a word does not depend on how much padding
    there is.
    """

    place = FormerName("target")

    def __init__(self, network: nn.Module, perturbation: Perturbation) -> None:
        module = find_embedding(network, perturbation.embedding)
        self.target: ShiftTarget = (
            EmbeddingWeight(module)
            if perturbation.placement == "matrix"
            else EmbeddingOutput(module, words_of(network, module))
        )
        self.device = module.weight.device
        self.noise = torch.Generator(self.device)
        self.same_dropout = perturbation.same_dropout
        self.random: list[Tensor] = []

    def uniform(self, magnitude: float) -> Start | None:
        """Starts drawn from U(-1, 1) * magnitude / sqrt(entries of the ball that count), of length
        magnitude / sqrt(3) on average and magnitude at most; None where that is zero."""

        def start(zeros: Tensor, mask: Tensor) -> Tensor:
            entries = mask.sum(self.target.over(mask), keepdim=True).clamp(min=1)
            return (2 * self._random(zeros) - 1) * magnitude / entries.sqrt()

        return self._starting(start) if magnitude > 0 else None

    def normal(self, deviation: float) -> Start | None:
        """Starts whose every entry has a normal distribution; None where all are zero."""

        def start(zeros: Tensor, mask: Tensor) -> Tensor:
            # Box and Muller's: torch's own depend on how many are drawn at once
            length, angle = self._random(zeros.expand(2, *zeros.shape))
            drawn: Tensor = (-2 * torch.log1p(-length)).sqrt() * (2 * math.pi * angle).cos()
            return deviation * drawn * mask

        return self._starting(start) if deviation > 0 else None

    def _starting(self, start: Start) -> Start:
        self.noise.manual_seed(draw_seed())
        return start

    def _random(self, like: Tensor) -> Tensor:
        """Of U(0, 1); the numbers of later positions, or words, are drawn after the earlier."""
        words = max(0, like.dim() - 2)
        shape = like.movedim(words, 0).shape
        drawn = torch.rand(shape, generator=self.noise, dtype=like.dtype, device=like.device)
        return drawn.movedim(0, words)

    @contextmanager
    def at(self, shifts: Shifts) -> Iterator[ShiftedPass]:
        """One pass: compute inside, and take gradients inside, too."""
        self.begin()
        with self.target.shifted(shifts) as current:
            yield current

    def begin(self) -> None:
        """Begin a pass, also one without shifts: dropout falls as in the first one."""
        if not self.same_dropout:
            return
        if not self.random:
            self.random = random_state(self.device)
        else:
            set_random_state(self.random, self.device)
