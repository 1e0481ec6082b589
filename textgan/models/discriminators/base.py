"""Discriminators: networks that score texts.

Shapes: B sentences, T positions, V vocabulary, E embedding, F features. Every discriminator is
features (B, F), then dropout and one linear layer to an unbounded score (B,), which is a logit
under a logistic loss. Padding never changes a score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from textgan.core.matmul import linear, matmul
from textgan.core.moved import FormerName, adopt_former_names
from textgan.core.precision import factor_type, precision
from textgan.core.registry import register
from textgan.data.text import Condition, Text, TextSpace, concatenate
from textgan.models.embedding import TokenEmbedding

ROWS_AT_ONCE = 1024  # texts that go through a highway together where no gradients are recorded


class Discriminator(nn.Module, ABC):
    """Scores texts; the score is high for real ones."""

    embedding: TokenEmbedding
    dropout: nn.Dropout
    output: nn.Linear  # features to a score, or to one for each class
    # whether the score depends on the source, where texts answer one
    reads_source: ClassVar[bool] = False

    # as version 0.1 called them
    judge = FormerName("score_pair")
    opinions = FormerName("view_scores")
    classify = FormerName("class_logits")

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        adopt_former_names(cls)
        if name:
            register("discriminator", name, cls)

    def __init__(self, space: TextSpace) -> None:
        super().__init__()
        self.space = space

    @abstractmethod
    def features(self, text: Text) -> Tensor:
        """Compute the features of each text, (B, F), or of each of S views, (B, S, F)."""

    def forward(self, text: Text) -> Tensor:
        """Score each text as one of its own class, (B,), the mean over views."""
        return self.view_scores(text).mean(1)

    def view_scores(self, text: Text) -> Tensor:
        """Score each text in every view, (B, S); S = 1 for most discriminators."""
        return _of_own_class(self.logits(text), text.condition)

    def prefix_scores(self, text: Text) -> Tensor:
        """Score every prefix of each text, (B, T): at t its first t + 1 tokens as a text of its
        own; zero at padding."""
        mask = text.mask
        rows, last = mask.nonzero(as_tuple=True)
        logits = self.logits_of(self.prefix_features(text, rows, last))
        scores = _of_own_class(logits, text.condition[rows]).mean(1)
        return scores.new_zeros(mask.shape).masked_scatter(mask, scores)

    def prefix_features(self, text: Text, rows: Tensor, last: Tensor) -> Tensor:
        """Compute the features of the prefixes of texts `rows` (R,) that end at `last` (R,)."""
        return self.features(replace(text[rows], lengths=last + 1))

    def class_logits(self, text: Text) -> Tensor:
        """Score each text as one of every class, (B, C); C = 1 without classes."""
        return self.logits(text).mean(1)

    def logits(self, text: Text) -> Tensor:
        """Score each text in every view as one of every class, (B, S, C)."""
        return self.logits_of(self.features(text))

    def logits_of(self, features: Tensor) -> Tensor:
        """Score features (B, F) or (B, S, F) as of every class, (B, S, C)."""
        views = features if features.dim() == 3 else features.unsqueeze(1)
        # few products, whose rounding would be that of the reward
        with precision("float32", views.device):
            scores: Tensor = self.output(self.dropout(views.to(self.output.weight.dtype)))
        return scores

    def output_penalty(self) -> Tensor:
        """Compute the squares of the output layer that an L2 term adds: half their sum in the
        two-column layer of the papers, a quarter in one column that makes the same score (w_1 =
        -w_0)."""
        return (self.output.weight.square().sum() + self.output.bias.square().sum()) / 4

    def score_pair(self, real: Text, fake: Text) -> tuple[Tensor, Tensor]:
        """Score real and fake texts, in one pass where both are words."""
        if real.soft_tokens is not None or fake.soft_tokens is not None:
            return self(real), self(fake)
        scores: Tensor = self(concatenate([real, fake]))
        return scores[: len(real)], scores[len(real) :]


def _of_own_class(logits: Tensor, condition: Condition) -> Tensor:
    """The scores (B, S) of texts as of their own class, of those of every class (B, S, C)."""
    if logits.shape[2] == 1:
        return logits.squeeze(2)
    labels = condition.require_labels(logits.shape[2])
    return logits[torch.arange(len(logits), device=logits.device), :, labels]


def padded_to(text: Text, width: int, pad: int) -> Text:
    """Return the text padded to at least so many positions; relaxed text as it is."""
    if text.soft_tokens is not None or text.tokens.shape[1] >= width:
        return text
    return text.pad_to(width, pad)


class Highway(nn.Module):
    """t * relu(W h) + (1 - t) * h with t = sigmoid(W_t h) (Srivastava et al. 2015), gate bias 0."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.both = nn.Linear(features, 2 * features)  # one product for candidate and gate
        for half in self.both.weight.chunk(2):
            nn.init.xavier_uniform_(half)
        nn.init.zeros_(self.both.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, F) to (B, F)."""
        both = linear(features, self.both.weight, self.both.bias, rounded=True)
        candidate, gate = both.to(features.dtype).chunk(2, 1)
        return torch.lerp(features, candidate.relu(), gate.sigmoid())

    @torch.no_grad()
    def replace(self, features: Tensor, at_once: int = ROWS_AT_ONCE) -> Tensor:
        """Do the same in place to the features of many texts, in pieces of `at_once`.

        On a processor it is a third faster with the weight as the product reads it, and with one
        buffer for all pieces.
        """
        kind = factor_type(features)
        weight, bias = self.both.weight.t().to(kind).contiguous(), self.both.bias.to(kind)
        buffer = weight.new_empty(min(len(features), at_once), weight.shape[1])
        for rows in features.split(at_once):
            both = matmul(rows.to(kind), weight, out=buffer[: len(rows)]).add_(bias)
            candidate, gate = both.to(rows.dtype).chunk(2, 1)
            torch.lerp(rows, candidate.relu_(), gate.sigmoid_(), out=rows)
        return features


def through(highway: nn.Module, features: Tensor) -> Tensor:
    """Map features (B, F), which nothing else reads, by a highway or an identity: in place where no
    gradients are recorded."""
    if isinstance(highway, Highway) and not torch.is_grad_enabled():
        return highway.replace(features)
    mapped: Tensor = highway(features)
    return mapped
