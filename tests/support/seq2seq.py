"""A conditional generator so small that its law given a source can be written down."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.embedding import TokenEmbedding
from textgan.models.generators.base import AutoregressiveGenerator, State, forbidden_logits


class Attention(AutoregressiveGenerator):
    """A GRU that attends to the words of its source; the words are read once, at the start.

    encoded: how many sources were read so far. memories: how many rows the memory had at each step,
    and hypotheses, how many there were.
    """

    reads_source = True
    encoded: int = 0
    memories: ClassVar[list[int]] = []
    hypotheses: ClassVar[list[int]] = []

    def __init__(self, space: TextSpace, *, hidden: int = 4, init: float = 1.0) -> None:
        super().__init__(space)
        if space.source is None:
            raise ValueError("it answers a source")
        self.source = nn.Embedding(space.source.vocabulary, hidden)
        self.places = nn.Embedding(space.source.length, hidden)
        self.embedding = TokenEmbedding(space.vocabulary, hidden)
        self.cell = nn.GRUCell(2 * hidden, hidden)
        self.output = nn.Linear(2 * hidden, space.vocabulary)
        self.register_buffer("forbidden", forbidden_logits(space), persistent=False)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=init)
        self.memories, self.hypotheses = [], []  # type: ignore[misc]

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        source = condition.require_source()
        self.encoded += len(source)
        memory = self.source(source.tokens) + self.places.weight[: source.tokens.shape[1]]
        mean = (memory * source.mask.unsqueeze(2)).sum(1) / source.lengths.unsqueeze(1)
        return State((mean.tanh(),), (memory, source.mask))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        (hidden,), (memory, mask) = state.carried, state.shared
        self.memories.append(len(memory))
        self.hypotheses.append(len(hidden))
        words = memory[state.origin]  # of this step only
        scores = (words @ hidden.unsqueeze(2)).squeeze(2)
        scores = scores.masked_fill(~mask[state.origin], -torch.inf)
        seen = (scores.softmax(1).unsqueeze(2) * words).sum(1)
        hidden = self.cell(torch.cat([self.embedding(symbol), seen], 1), hidden)
        return torch.cat([hidden, seen], 1), state.carry(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.output(hidden)
        return logits + self.forbidden

    def forward(self, text: Text) -> Tensor:
        state = self.start(len(text), text.condition)
        symbol = torch.full_like(text.lengths, self.space.bos)
        written = []
        for following in text.tokens.unbind(1):
            logits, state = self.step(symbol, state)
            written.append(logits)
            symbol = following
        return torch.stack(written, 1)
