"""A small transformer that answers a source (Vaswani et al. 2017, arXiv 1706.03762), normalised
before each block (Xiong et al. 2020, arXiv 2002.04745).

    encoder   x + attention(norm(x)), then x + layers(norm(x)), for each block; a norm at the end
    decoder   the same with attention to the words before, and between the two to the encoder's
              states; the normalised state of the last symbol read gives the logits

A hypothesis carries keys and values of the symbols that it read, so that a symbol costs one pass.
Keys and values of a source are made once and shared by all that grows from it. Those of a text are
not: forks of a prefix copy its keys and values, 2 * layers * embedding numbers a token. Sixteen
rollouts of 64 sentences of 13 words, with 3 layers of 256, are up to 2 GB at once, and the copies
take as long as the network does; `objective.chunk` bounds them.

Shapes: B sources, S positions of a source, T positions of a text, R hypotheses, t symbols read,
E embedding, A heads.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.matmul import Linear
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.generators.attention import AttentionGenerator, SharedEmbedding
from textgan.models.generators.base import State, read_before
from textgan.models.generators.by_source import by_source

Block = TypeVar("Block", bound="_Block")


class EncoderDecoderGenerator(AttentionGenerator, name="encoder_decoder"):
    """Transformer of an encoder and a decoder, with cached keys and values.

    A class is added to the vectors of the source's tokens.
    """

    places: Tensor
    source_places: Tensor

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[
            int, Field(ge=1, le=65_536, description="size of a token's vector and state")
        ] = 256,
        layers: Annotated[int, Field(ge=1, description="blocks of encoder and of decoder")] = 3,
        heads: Annotated[int, Field(ge=1, description="of attention; they divide embedding")] = 4,
        feedforward: Annotated[int, Field(ge=0, description="0: four times embedding")] = 0,
        dropout: Annotated[
            float, Field(ge=0, lt=1, description="on embeddings and on what a block adds")
        ] = 0.1,
        positions: Annotated[
            Literal["sinusoidal", "learned"], Field(description="learned: sinusoidal at first")
        ] = "sinusoidal",
        tied: Annotated[
            bool, Field(description="the table of embeddings is the output layer's weight, too")
        ] = False,
        shared_embedding: SharedEmbedding = False,
    ) -> None:
        super().__init__(space, embedding, embedding, dropout, shared_embedding)
        assert space.source is not None  # see above
        if embedding % heads:
            raise ValueError(f"embedding = {embedding} is not divisible by heads = {heads}")
        self.heads = heads
        inner = feedforward or 4 * embedding
        self.encoder = nn.ModuleList(_Block(embedding, inner, self.dropout) for _ in range(layers))
        self.decoder = nn.ModuleList(
            _DecoderBlock(embedding, inner, self.dropout) for _ in range(layers)
        )
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(embedding), nn.LayerNorm(embedding)
        for name, length in {"places": space.length, "source_places": space.source.length}.items():
            table = sinusoids(length, embedding)
            if positions == "learned":
                self.register_parameter(name, nn.Parameter(table))
            else:
                self.register_buffer(name, table, persistent=False)
        if space.classes:
            self.classes = nn.Embedding(space.classes, embedding)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):  # multiplied by the root of its size when read
                nn.init.normal_(module.weight, std=embedding**-0.5)
        if tied:
            self.output = _TiedOutput(self.embedding)  # type: ignore[assignment]

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        source = condition.require_source().trimmed()
        states = self._vectors(self.source_vectors(source), self.source_places, 0)
        if self.space.classes:
            of_class = self.classes(condition.require_labels(self.space.classes))
            states = states + of_class.unsqueeze(1)
        mask = source.mask.unsqueeze(1)
        for block in _blocks(self.encoder, _Block):
            states = block.leave(states, self._attend(*block.look(states), mask))
        states = self.encoder_norm(states)
        nothing = states.new_zeros(n, 0, 2 * states.shape[2])
        blocks = _blocks(self.decoder, _DecoderBlock)
        shared = (block.of_source(states) for block in blocks)
        return State((nothing,) * len(blocks), (source.mask, *shared))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        vectors = self.embedding(symbol).unsqueeze(1)
        states = self._vectors(vectors, self.places, state.carried[0].shape[1])
        mask, *of_source = state.shared
        carried = []
        blocks = _blocks(self.decoder, _DecoderBlock)
        for block, before, memory in zip(blocks, state.carried, of_source, strict=True):
            query, new = block.look(states)
            carried.append(torch.cat([before, new], 1))
            states, query = block.turn(states, self._attend(query, carried[-1]))
            read = by_source(self._read, query.squeeze(1), (memory, mask), state.origin)
            states = block.leave(states, read.unsqueeze(1))
        return self.decoder_norm(states.squeeze(1)), state.carry(*carried)

    def hidden(self, text: Text) -> Tensor:
        return self._teach(text)[0]

    def weights(self, text: Text) -> Tensor:
        """The mean over layers and heads."""
        _, queries, (mask, *memories) = self._teach(text)
        each = [
            self._weigh(*self._of_heads(query, memory)[:2], mask.unsqueeze(1))
            for query, memory in zip(queries, memories, strict=True)
        ]
        return torch.stack(each).mean((0, 2))

    def _teach(self, text: Text) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
        """Compute the hidden vectors, each layer's queries to the source, and what is shared."""
        # one embedding call a text, whether it is hard or relaxed (perturbations hook into it)
        vectors = self.embedding(read_before(text, self.space))
        states = self._vectors(vectors, self.places, 0)
        shared = self.start(len(text), text.condition).shared
        mask, *of_source = shared
        steps = torch.arange(states.shape[1], device=states.device)
        before = steps <= steps.unsqueeze(1)
        queries = []
        for block, memory in zip(_blocks(self.decoder, _DecoderBlock), of_source, strict=True):
            states, query = block.turn(states, self._attend(*block.look(states), before))
            queries.append(query)
            states = block.leave(states, self._attend(query, memory, mask.unsqueeze(1)))
        return self.decoder_norm(states), queries, shared

    def _vectors(self, vectors: Tensor, places: Tensor, start: int) -> Tensor:
        """Vectors (B, T, E) of symbols with their positions, the first of which is `start`."""
        # only padding is further out than the last place
        positions = torch.arange(start, start + vectors.shape[1], device=vectors.device)
        of_place = F.embedding(positions.clamp(max=len(places) - 1), places)
        dropped: Tensor = self.dropout(vectors * vectors.shape[2] ** 0.5 + of_place)
        return dropped

    def _read(self, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        return self._attend(query, memory, mask.unsqueeze(1))

    def _attend(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """What queries (G, N, E) read of keys and values (G, S, 2 E), where the mask, which
        broadcasts to (G, N, S), lets them."""
        query, key, value = self._of_heads(query, memory)
        return (self._weigh(query, key, mask) @ value).transpose(1, 2).flatten(2)

    def _of_heads(self, query: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of each head, (G, A, N or S, E / A)."""
        key, value = memory.chunk(2, 2)
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        return query, key, value

    def _weigh(self, query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
        """The weights (G, A, N, S) of queries (G, A, N, E / A) of each head."""
        scores: Tensor = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask.unsqueeze(-3), -torch.inf)
        return scores.softmax(3)


class _Block(nn.Module):
    """A block of the encoder: attention within the text, and two layers."""

    def __init__(self, size: int, inner: int, dropout: nn.Dropout) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm, self.last_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.looks = Linear(size, 3 * size)  # queries, keys and values in one product
        self.joins = Linear(size, size)
        self.layers = nn.Sequential(Linear(size, inner), nn.GELU(), Linear(inner, size))

    def look(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Make queries (G, N, E), and keys and values (G, N, 2 E)."""
        size = states.shape[2]
        query, memory = self.looks(self.norm(states)).split([size, 2 * size], 2)
        return query, memory

    def leave(self, states: Tensor, attended: Tensor) -> Tensor:
        """Return the states of the next block, given what attention read last."""
        states = states + self.dropout(self.joins(attended))
        after: Tensor = states + self.dropout(self.layers(self.last_norm(states)))
        return after


class _DecoderBlock(_Block):
    """A block of the decoder: with attention to a source after that within the text."""

    def __init__(self, size: int, inner: int, dropout: nn.Dropout) -> None:
        super().__init__(size, inner, dropout)
        self.source_norm = nn.LayerNorm(size)
        self.own_joins, self.asks = Linear(size, size), Linear(size, size)
        self.of_source = Linear(size, 2 * size)

    def turn(self, states: Tensor, attended: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states after attention within the text, and the queries to the source."""
        states = states + self.dropout(self.own_joins(attended))
        return states, self.asks(self.source_norm(states))


def _blocks(blocks: nn.ModuleList, kind: type[Block]) -> list[Block]:
    return [block for block in blocks if isinstance(block, kind)]


class _TiedOutput(nn.Module):
    """The layer to the vocabulary whose weight is the table of embeddings; the bias is its own."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        # in a list, so that the table is stored once, as the embedding's
        self.table = [embedding]
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))

    @property
    def weight(self) -> Tensor:
        weight: Tensor = self.table[0].weight
        return weight


def sinusoids(length: int, size: int) -> Tensor:
    """Return sines and cosines of positions, (length, size), with wavelengths from 2 pi up to
    20,000 pi."""
    rates = 10_000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :size].float()
