"""The recurrent discriminator."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.embedding import TokenEmbedding


class RNNDiscriminator(Discriminator, name="rnn"):
    """Bidirectional recurrent network; the features are its two last states."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[int, Field(ge=1, description="size of a token's vector")] = 64,
        hidden: Annotated[int, Field(ge=1, description="size of the state, each way")] = 64,
        cell: Annotated[Literal["lstm", "gru"], Field(description="recurrent cell")] = "gru",
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.25,
    ) -> None:
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        network = nn.LSTM if cell == "lstm" else nn.GRU
        self.rnn = network(embedding, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * hidden, max(1, space.classes))

    def features(self, text: Text) -> Tensor:
        return last_states(self.rnn, self.embedding(text.inputs), text.lengths)


def last_states(network: nn.RNNBase, vectors: Tensor, lengths: Tensor) -> Tensor:
    """The last states (B, 2 * H) of a bidirectional network, each way, over the first lengths (B,)
    of vectors (B, T, E)."""
    # packed by length: the backward direction starts at the last real token of each sentence
    packed = pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False)
    _, last = network(packed)
    hidden = last[0] if isinstance(last, tuple) else last
    return torch.cat([hidden[0], hidden[1]], 1)
