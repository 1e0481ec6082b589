"""The hierarchical pair discriminator of adversarial dialogue generation (Li et al. 2017).

arXiv 1701.06547, footnote 2.

e_u = last state of the word LSTM over utterance u,  u = 1 .. U: those of the source, the response
d_u = state of the utterance LSTM over e_1 .. e_u;  score = w . d_U + b

Utterances of the source end at `space.source.turn`; where there is no such id it is one utterance.

Departs from the paper and its code (jiweil/Neural-Dialogue-Generation, dis_model.lua):
- one score in the place of two softmax columns
- each utterance keeps the token that ends it, of which the code strips the last: a response that is
  complete differs from a prefix
- utterances are padded behind their last token, which no state reads and no gradient passes; the
  code pads in front, and its gradient passes there
- dropout before the output layer alone, in the code on inputs and recurrent states, too
- 128 numbers a state by default and 64 a word, in the code 512; weights start as torch's LSTMs do
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.pair import PairDiscriminator, by_length
from textgan.models.embedding import TokenEmbedding


class HierarchicalDiscriminator(PairDiscriminator, name="hierarchical"):
    """A word LSTM reads each utterance, an utterance LSTM their last states."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[int, Field(ge=1, description="size of a token's vector")] = 64,
        hidden: Annotated[
            int, Field(ge=1, description="size of both LSTMs' states; released code: 512")
        ] = 128,
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.2,
    ) -> None:
        super().__init__(space, embedding)
        self.words = nn.LSTM(embedding, hidden, batch_first=True)
        self.utterances = nn.LSTM(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, max(1, space.classes))

    def encode_source(self, source: Text) -> Tensor:
        """Encode each source as the state of the utterance LSTM after it, (B, 2, H)."""
        utterances, counts = split_utterances(source, self.source_space)
        states = self._last_states(utterances, self.source_words)
        dialogues = pad_sequence(states.split(counts.tolist()), batch_first=True)
        packed = pack_padded_sequence(
            dialogues, counts.cpu(), batch_first=True, enforce_sorted=False
        )
        _, (hidden, cell) = self.utterances(packed)
        return torch.cat([hidden, cell]).transpose(0, 1)

    def compare(self, text: Text, source: Tensor) -> Tensor:
        return by_length(text, source, self._compare)

    def _compare(self, text: Text, source: Tensor) -> Tensor:
        return self._after(source, self._last_states(text, self.embedding))

    def prefix_features(self, text: Text, rows: Tensor, last: Tensor) -> Tensor:
        # the word LSTM reads a text once for all its prefixes
        states = self.words(self.embedding(text.inputs))[0]
        return self._after(self.encoded_sources(text)[rows], states[rows, last])

    def _last_states(self, text: Text, table: TokenEmbedding) -> Tensor:
        """The state of the word LSTM at the last token of each text, (B, H)."""
        states: Tensor = self.words(table(text.inputs))[0]
        return states[torch.arange(len(text), device=states.device), text.lengths - 1]

    def _after(self, source: Tensor, utterance: Tensor) -> Tensor:
        """The state (B, H) of the utterance LSTM after one utterance (B, H) more."""
        hidden, cell = source.transpose(0, 1).contiguous().split(1)
        states: Tensor = self.utterances(utterance.unsqueeze(1), (hidden, cell))[0]
        return states.squeeze(1)


def split_utterances(source: Text, space: TextSpace) -> tuple[Text, Tensor]:
    """Split each source at its turns: the utterances of all of them, one after another, each with
    the token that ends it, and how many (B,) each source has."""
    mask = source.mask
    ends = torch.zeros_like(mask) if space.turn is None else source.tokens == space.turn
    number = ends.cumsum(1) - ends.long()  # of the utterance at each position
    counts = number[torch.arange(len(source), device=number.device), source.lengths - 1] + 1
    first = counts.cumsum(0) - counts
    which = (number + first.unsqueeze(1))[mask]
    return Text.packed(source.tokens[mask], torch.bincount(which), space.pad), counts
