"""The discriminator that scores every token."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.embedding import TokenEmbedding


class StepwiseDiscriminator(Discriminator, name="stepwise"):
    """Recurrent network that reads forwards and scores each token from those up to it.

    A text's own score is the mean of its tokens' scores: the output layer is linear, so the
    features of a text are the mean of its states. Where it answers a source, a network of the same
    kind reads that first, and its last state is the one that the text begins with.
    """

    reads_source = True

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
        if space.source is not None:
            if not space.shares_vocabulary:
                self.source_embedding = TokenEmbedding(space.source.vocabulary, embedding)
            self.source_rnn = network(embedding, hidden, batch_first=True)
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
        states: Tensor = self.rnn(self.embedding(text.inputs), self._before(text))[0]
        return states

    def _before(self, text: Text) -> Any:
        """The state of `rnn` before a text: zero, or what its source left."""
        if self.space.source is None:
            return None
        words = self.embedding if self.space.shares_vocabulary else self.source_embedding
        source = text.condition.require_source()
        states: Tensor = self.source_rnn(words(source.tokens))[0]
        last = states[torch.arange(len(source), device=states.device), source.lengths - 1]
        hidden = last.unsqueeze(0)
        return (hidden, torch.zeros_like(hidden)) if isinstance(self.rnn, nn.LSTM) else hidden
