"""Generators: what writes text.

Shapes: B sentences, T positions, V vocabulary, E embedding, H hidden, R hypotheses in flight.
Whatever has a likelihood is an `AutoregressiveGenerator`; its state is a tuple of batch-first
tensors, so forking a hypothesis is indexing and rollouts need no knowledge of the network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.registry import register
from textgan.sampling import Choose, State, advance, multinomial
from textgan.text import START, Text, TextSpace, concatenate

NEVER = -1e9  # the logit of a token that may not be written; finite, so that 0 * log 0 is 0
SCORED_AT_ONCE = 2**23  # logits held while scoring without gradients: 32 MB in float32


class TokenEmbedding(nn.Embedding):
    """Vectors for symbols: token ids are looked up, relaxed rows mix the table."""

    def forward(self, symbols: Tensor) -> Tensor:
        """(..., E) for ids (...) or rows (..., V)."""
        if symbols.is_floating_point():
            return symbols @ self.weight
        return super().forward(symbols)


class Generator(nn.Module, ABC):
    """Anything that writes texts of a `TextSpace`."""

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            register("generator", name, cls)

    def __init__(self, space: TextSpace) -> None:
        super().__init__()
        self.space = space

    @abstractmethod
    def sample(
        self,
        n: int,
        *,
        choose: Choose | None = None,
        prefix: Tensor | None = None,
        source: Text | None = None,
        labels: Tensor | None = None,
    ) -> Text:
        """n texts; `choose` picks each symbol (drawn at temperature 1 unless given)."""


class AutoregressiveGenerator(Generator):
    """A generator that writes one symbol after another and knows the probability of each."""

    embedding: TokenEmbedding

    @abstractmethod
    def start(self, n: int, source: Text | None = None, labels: Tensor | None = None) -> State:
        """The state of n hypotheses before their first symbol; every part is batch first."""

    @abstractmethod
    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        """What the generator knows, (R, H), after reading one symbol, (R,) or (R, V)."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of the next token from what is known, (..., H)."""

    @abstractmethod
    def forward(self, text: Text) -> Tensor:
        """Logits (B, T, V) of every token of a text given those before it (teacher forcing)."""

    def step(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (R, V) of the next token after reading one symbol, (R,) or (R, V)."""
        hidden, state = self.read(symbol, state)
        return self.logits(hidden), state

    def log_prob(self, text: Text) -> Tensor:
        """log P of every token, (B, T); what stands at padding means nothing (use `text.mask`)."""
        logits = self(text)
        nll = F.cross_entropy(logits.flatten(0, 1), text.tokens.flatten(), reduction="none")
        return -nll.view_as(text.tokens)

    @torch.no_grad()
    def score(self, text: Text) -> Tensor:
        """log P of every sentence, (B,), without gradients and in bounded memory."""
        at_once = max(1, SCORED_AT_ONCE // (self.space.vocabulary * text.tokens.shape[1]))
        return torch.cat([(self.log_prob(part) * part.mask).sum(1) for part in text.split(at_once)])

    def sample(
        self,
        n: int,
        *,
        choose: Choose | None = None,
        prefix: Tensor | None = None,
        source: Text | None = None,
        labels: Tensor | None = None,
    ) -> Text:
        """n texts. Gradients flow where `choose` lets them: call under no_grad to draw words.

        prefix: (n, t) tokens that every text begins with; they are marked as `given`.
        """
        choose = choose or multinomial
        given = 0 if prefix is None else prefix.shape[1]
        state = self.start(n, source, labels)
        symbol = self.embedding.weight.new_full((n,), START, dtype=torch.long)
        written: list[Tensor] = []
        ended = torch.zeros_like(symbol, dtype=torch.bool)
        for position in range(self.space.length):
            if prefix is not None and position < given:
                _, state = self.read(symbol, state)
                symbol = prefix[:, position]
            else:
                symbol, state = advance(self, symbol, state, choose, self.space.vocabulary)
            written.append(symbol)
            if self.space.eos is not None and symbol.dim() == 1:
                ended = ended | (symbol == self.space.eos)
                if ended.all():
                    break
        if prefix is not None and symbol.dim() == 2:  # relaxed text continues a hard prefix
            rows = F.one_hot(prefix, self.space.vocabulary).to(symbol)
            written[:given] = rows.unbind(1)
        stacked = torch.stack(written, 1)
        if stacked.dim() == 3:
            text = Text.full(stacked.argmax(2))
            return Text(text.tokens, text.sizes, stacked, source, labels, given)
        missing = self.space.length - stacked.shape[1]
        text = Text.ended(F.pad(stacked, (0, missing)), self.space)
        return Text(text.tokens, text.sizes, None, source, labels, given)


class RecurrentGenerator(AutoregressiveGenerator):
    """Embedding, recurrent layers, linear to the vocabulary (SeqGAN, arXiv 1609.05473).

    Every parameter starts as N(0, init^2) and the state starts at zero. `rnn` is made by the
    final classes below.
    """

    rnn: nn.LSTM | nn.GRU
    parts: int  # how many tensors the state of `rnn` has

    def __init__(self, space: TextSpace, embedding: int, hidden: int, dropout: float) -> None:
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, space.vocabulary)
        forbidden = torch.zeros(space.vocabulary)
        if space.eos is not None:
            forbidden[START] = NEVER
        self.register_buffer("forbidden", forbidden, persistent=False)
        self.forbidden: Tensor

    def start(self, n: int, source: Text | None = None, labels: Tensor | None = None) -> State:
        zeros = self.embedding.weight.new_zeros(n, self.rnn.num_layers, self.rnn.hidden_size)
        return (zeros,) * self.parts

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        hidden, state = self._run(self.embedding(symbol).unsqueeze(1), state)
        return hidden.squeeze(1), state

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.output.weight, self.output.bias + self.forbidden)

    def forward(self, text: Text) -> Tensor:
        # one embedding call a text, whether it is hard or relaxed (perturbations hook into it)
        if text.rows is None:
            read = F.pad(text.tokens[:, :-1], (1, 0), value=START)
        else:
            start = torch.zeros_like(text.rows[:, :1])
            start[:, :, START] = 1
            read = torch.cat([start, text.rows[:, :-1]], 1)
        hidden, _ = self._run(self.embedding(read), self.start(len(text), text.source, text.labels))
        return self.logits(hidden)

    def _run(self, vectors: Tensor, state: State) -> tuple[Tensor, State]:
        layers_first = tuple(part.transpose(0, 1).contiguous() for part in state)
        before: Any = layers_first if self.parts > 1 else layers_first[0]
        hidden, after = self.rnn(self.dropout(vectors), before)
        parts: State = after if self.parts > 1 else (after,)
        return self.dropout(hidden), tuple(part.transpose(0, 1) for part in parts)


class LSTMGenerator(RecurrentGenerator, name="lstm"):
    """LSTM language model, one bias vector a gate; the paper's has embedding 32 and hidden 32."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[
            int, Field(ge=1, le=65_536, description="size of a token's vector")
        ] = 32,
        hidden: Annotated[int, Field(ge=1, le=65_536, description="size of the state")] = 32,
        layers: Annotated[int, Field(ge=1, description="recurrent layers")] = 1,
        dropout: Annotated[float, Field(ge=0, lt=1, description="on layers' inputs, outputs")] = 0,
        init: Annotated[float, Field(gt=0, description="standard deviation at the start")] = 0.1,
    ) -> None:
        super().__init__(space, embedding, hidden, dropout)
        self.parts = 2
        self.rnn = nn.LSTM(embedding, hidden, layers, batch_first=True)
        for name, parameter in self.named_parameters():
            nn.init.normal_(parameter, std=init)
            if "bias_hh" in name:  # torch has two bias vectors a gate, the paper one
                nn.init.zeros_(parameter).requires_grad_(False)


class GRUGenerator(RecurrentGenerator, name="gru"):
    """GRU language model."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[
            int, Field(ge=1, le=65_536, description="size of a token's vector")
        ] = 32,
        hidden: Annotated[int, Field(ge=1, le=65_536, description="size of the state")] = 32,
        layers: Annotated[int, Field(ge=1, description="recurrent layers")] = 1,
        dropout: Annotated[float, Field(ge=0, lt=1, description="on layers' inputs, outputs")] = 0,
        init: Annotated[float, Field(gt=0, description="standard deviation at the start")] = 0.1,
    ) -> None:
        super().__init__(space, embedding, hidden, dropout)
        self.parts = 1
        self.rnn = nn.GRU(embedding, hidden, layers, batch_first=True)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=init)


@torch.no_grad()
def draw_texts(
    generator: Generator, n: int, choose: Choose | None = None, labels: Tensor | None = None
) -> Text:
    """n texts written in pieces of 4,096, so that memory does not grow with n."""
    pieces = [
        generator.sample(
            min(4096, n - start),
            choose=choose,
            labels=None if labels is None else labels[start : start + 4096],
        )
        for start in range(0, n, 4096)
    ]
    return concatenate(pieces)
