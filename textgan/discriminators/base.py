"""Discriminators: what judges text.

Shapes: B sentences, T positions, V vocabulary, E embedding, F features. Every discriminator is
features (B, F), then dropout and one linear layer to an unbounded score (B,), which is a logit
under a logistic loss. Padding never changes a score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from textgan.generators.base import TokenEmbedding
from textgan.registry import register
from textgan.text import Text, TextSpace, concatenate

ROWS_AT_ONCE = 1024  # texts that go through a highway together where no gradients are recorded


class Discriminator(nn.Module, ABC):
    """Judges texts by a score that is high for real ones."""

    embedding: TokenEmbedding
    dropout: nn.Dropout
    output: nn.Linear  # features to a score, or to one for each class

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            register("discriminator", name, cls)

    def __init__(self, space: TextSpace) -> None:
        super().__init__()
        self.space = space

    @abstractmethod
    def features(self, text: Text) -> Tensor:
        """What the discriminator sees in each text, (B, F), or in each of S views, (B, S, F)."""

    def forward(self, text: Text) -> Tensor:
        """The score of each text as one of its own class, (B,), the mean over views."""
        return self.opinions(text).mean(1)

    def opinions(self, text: Text) -> Tensor:
        """The score of each text in every view, (B, S); S = 1 for most discriminators."""
        scores = self._scores(text)
        if scores.shape[2] == 1:
            return scores.squeeze(2)
        if text.labels is None:
            raise ValueError(f"texts of {scores.shape[2]} classes need labels")
        return scores[torch.arange(len(text), device=scores.device), :, text.labels]

    def classify(self, text: Text) -> Tensor:
        """The score of each text as one of every class, (B, C); C = 1 where none are."""
        return self._scores(text).mean(1)

    def _scores(self, text: Text) -> Tensor:
        """(B, S, C)."""
        features = self.features(text)
        views = features if features.dim() == 3 else features.unsqueeze(1)
        # few products, whose rounding would be that of the reward
        with torch.autocast(views.device.type, enabled=False):
            scores: Tensor = self.output(self.dropout(views.to(self.output.weight.dtype)))
        return scores

    def output_penalty(self) -> Tensor:
        """What squares of the output layer an L2 term adds: half their sum in the two-column layer
        of the papers, a quarter in one column that makes the same score (w_1 = -w_0)."""
        return (self.output.weight.square().sum() + self.output.bias.square().sum()) / 4

    def judge(self, real: Text, fake: Text) -> tuple[Tensor, Tensor]:
        """The scores of real and of fake texts, in one pass where both are words."""
        if real.rows is not None or fake.rows is not None:
            return self(real), self(fake)
        scores: Tensor = self(concatenate([real, fake]))
        return scores[: len(real)], scores[len(real) :]


class Highway(nn.Module):
    """t * relu(W h) + (1 - t) * h with t = sigmoid(W_t h) (Srivastava et al. 2015), gate bias 0."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.both = nn.Linear(features, 2 * features)  # one product for candidate and gate
        for half in self.both.weight.chunk(2):
            nn.init.xavier_uniform_(half)
        nn.init.zeros_(self.both.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) to (B, F)."""
        if torch.is_grad_enabled():
            candidate, gate = self.both(features).to(features.dtype).chunk(2, 1)
            return torch.lerp(features, candidate.relu(), gate.sigmoid())
        return self._score(features)

    def _score(self, features: Tensor) -> Tensor:
        """The same without gradients: a weight that stands as the product reads it, and one buffer
        for pieces of many texts, make it a third faster."""
        weight, bias = self.both.weight.detach().t(), self.both.bias.detach()
        at_once = min(len(features), ROWS_AT_ONCE)
        low = torch.is_autocast_enabled(features.device.type)
        if low:
            kind = torch.get_autocast_dtype(features.device.type)
            weight, bias = weight.to(kind), bias.to(kind)
        weight = weight.contiguous()
        buffer = weight.new_empty(at_once, weight.shape[1])
        through = torch.empty_like(features)
        for rows, place in zip(features.split(at_once), through.split(at_once), strict=True):
            both = torch.addmm(bias, rows.to(weight.dtype), weight, out=buffer[: len(rows)])
            candidate, gate = both.to(rows.dtype).chunk(2, 1)
            torch.lerp(rows, candidate.relu_(), gate.sigmoid_(), out=place)
        return through
