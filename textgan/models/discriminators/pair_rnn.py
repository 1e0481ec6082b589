"""A recurrent pair discriminator.

h_y = last states, each way, of a network over y; h_x the same of the source, by another network
score = w . [h_y; h_x; h_y * h_x] + b

The product makes the score one of the pair: without it, it would be a number of the text plus a
number of the source (see `pair_cnn`). Conneau et al. 2017 (arXiv 1705.02364) compare two sentences
by such a vector, which has |h_y - h_x| too.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.pair import PairDiscriminator, by_length
from textgan.models.discriminators.rnn import last_states


class PairRNNDiscriminator(PairDiscriminator, name="pair_rnn"):
    """A bidirectional recurrent network for each side, and the product of their last states."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[int, Field(ge=1, description="size of a token's vector")] = 64,
        hidden: Annotated[int, Field(ge=1, description="size of the state, each way")] = 64,
        cell: Annotated[Literal["lstm", "gru"], Field(description="recurrent cell")] = "gru",
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.25,
    ) -> None:
        super().__init__(space, embedding)
        network = nn.LSTM if cell == "lstm" else nn.GRU
        self.target = network(embedding, hidden, batch_first=True, bidirectional=True)
        self.source = network(embedding, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(6 * hidden, max(1, space.classes))

    def encode_source(self, source: Text) -> Tensor:
        return last_states(self.source, self.source_words(source.tokens), source.lengths)

    def compare(self, text: Text, source: Tensor) -> Tensor:
        return by_length(text, source, self._compare)

    def _compare(self, text: Text, source: Tensor) -> Tensor:
        target = last_states(self.target, self.embedding(text.inputs), text.lengths)
        return torch.cat([target, source, target * source], 1)
