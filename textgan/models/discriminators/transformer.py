"""The transformer discriminator, and the base of networks that have a state for every token.

Shapes: B sentences, T positions, H size of a state, A heads.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.matmul import Linear
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.embedding import TokenEmbedding


class TokenStates(Discriminator):
    """A discriminator that has a state for every token; its features are their mean."""

    @abstractmethod
    def states(self, text: Text, positions: Tensor | None = None) -> Tensor:
        """Compute the state of every token, (B, T, H); at padding it means nothing.

        positions: (B, T) int64, the place of each token in its sentence; from 0 on where not given.
        """

    def features(self, text: Text) -> Tensor:
        text = text.trimmed()
        mask = text.mask.unsqueeze(2)
        total = torch.where(mask, self.states(text), 0.0).sum(1)
        return total / text.lengths.unsqueeze(1)


class TransformerDiscriminator(TokenStates, name="transformer"):
    """A small bidirectional transformer with learned positions, normalised before each block.

    Pre-normalisation is that of Xiong et al. 2020, arXiv 2002.04745. Attention is written out, so
    that it has second derivatives and gives the same numbers with and without gradients.
    """

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[int, Field(ge=1, description="size of a token's vector")] = 64,
        layers: Annotated[
            int, Field(ge=1, description="blocks of attention and of two layers")
        ] = 2,
        heads: Annotated[int, Field(ge=1, description="of attention; they divide embedding")] = 4,
        feedforward: Annotated[int, Field(ge=0, description="0: four times embedding")] = 0,
        dropout: Annotated[float, Field(ge=0, lt=1, description="in and after the blocks")] = 0.1,
    ) -> None:
        super().__init__(space)
        if embedding % heads:
            raise ValueError(f"embedding = {embedding} is not divisible by heads = {heads}")
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.places = nn.Parameter(torch.empty(space.length, embedding))
        self.enter = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(embedding, heads, feedforward or 4 * embedding, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(embedding)
        self.dropout = nn.Dropout(dropout)
        self.output = Linear(embedding, max(1, space.classes))
        # vectors of length 1, so that a state's products with them are of the size of logits
        for table in (self.embedding.weight, self.places):
            nn.init.normal_(table, std=embedding**-0.5)

    def states(self, text: Text, positions: Tensor | None = None) -> Tensor:
        vectors = self.embedding(text.inputs)
        if positions is None:
            positions = torch.arange(vectors.shape[1], device=vectors.device)
        # only padding is further out than the last place
        positions = positions.clamp(max=len(self.places) - 1)
        mask = text.mask
        states = self.enter(vectors + F.embedding(positions, self.places))
        for block in self.blocks:
            states = block(states, mask)
        normalised: Tensor = self.norm(states)
        return normalised

    def word_logits(self, states: Tensor) -> Tensor:
        """Compute the logits (..., V) of the token at states (..., H), by its similarity to each
        token's vector. The bias of `norm` serves as theirs."""
        return states @ self.embedding.weight.t()


class Block(nn.Module):
    """states + attention(norm(states)), then the same with two layers for attention."""

    def __init__(self, size: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2))
        # queries, keys and values in one product; stored weights have this name
        self.looks = Linear(size, 3 * size)
        self.joins = Linear(size, size)
        self.attention_dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(Linear(size, feedforward), nn.GELU(), Linear(feedforward, size))
        self.leave = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Compute the states (B, T, H) of the next layer; the mask (B, T) marks the tokens."""
        states = states + self.leave(self.attend(self.norms[0](states), mask))
        after: Tensor = states + self.leave(self.layers(self.norms[1](states)))
        return after

    def attend(self, states: Tensor, mask: Tensor) -> Tensor:
        """Compute the attention of each token (B, T, H) to the tokens that the mask marks."""
        vectors = self.looks(states).unflatten(2, (3, self.heads, -1)).transpose(1, 3)
        query, key, value = vectors.unbind(2)  # (B, A, T, H / A)
        scores = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
        weights = self.attention_dropout(scores.softmax(3))
        attended: Tensor = self.joins((weights @ value).transpose(1, 2).flatten(2))
        return attended
