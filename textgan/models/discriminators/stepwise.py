"""The discriminator that scores every token."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.embedding import TokenEmbedding


class StepwiseDiscriminator(Discriminator, name="stepwise"):
    """Recurrent network that reads forwards and scores each token from those up to it.

    A text's own score is the mean of its tokens' scores: the output layer is linear, so the
    features of a text are the mean of its states.
    """

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[int, Field(ge=1, description="size of a token's vector")] = 64,
        hidden: Annotated[int, Field(ge=1, description="size of the state")] = 64,
        cell: Annotated[Literal["lstm", "gru"], Field(description="recurrent cell")] = "lstm",
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.1,
    ) -> None:
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        network = nn.LSTM if cell == "lstm" else nn.GRU
        self.rnn = network(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, max(1, space.classes))

    def steps(self, text: Text) -> Tensor:
        """Score every token, (B, T); zero at padding."""
        scores: Tensor = self.output(self.dropout(self._states(text)))
        if scores.shape[2] > 1:
            labels = text.condition.require_labels(scores.shape[2])
            scores = scores[torch.arange(len(text), device=scores.device), :, labels]
        return torch.where(text.mask, scores.view(text.tokens.shape), 0.0)

    def features(self, text: Text) -> Tensor:
        states = torch.where(text.mask.unsqueeze(2), self._states(text), 0.0)
        return states.sum(1) / text.lengths.unsqueeze(1)

    def _states(self, text: Text) -> Tensor:
        # (B, T, H); padding comes last, so no state of a real token has seen any
        states: Tensor = self.rnn(self.embedding(text.inputs))[0]
        return states
