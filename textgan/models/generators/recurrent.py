"""Recurrent generators: the LSTM of the papers, and a GRU."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from textgan.core.matmul import Linear
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.embedding import TokenEmbedding
from textgan.models.generators.base import LinearGenerator, State, forbidden_logits, read_before

# the settings of both
Embedding = Annotated[int, Field(ge=1, le=65_536, description="size of a token's vector")]
Hidden = Annotated[int, Field(ge=1, le=65_536, description="size of the state")]
Layers = Annotated[int, Field(ge=1, description="recurrent layers")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="before and after the layers")]
DropoutInput = Annotated[bool, Field(description="whether it falls on the embeddings too")]
Init = Annotated[float, Field(gt=0, description="standard deviation at the start")]


class RecurrentGenerator(LinearGenerator):
    """Embedding, recurrent layers, linear to the vocabulary (SeqGAN, arXiv 1609.05473).

    Every parameter starts as N(0, init^2) and the state starts at zero. `rnn` is made by the
    final classes below.
    """

    rnn: nn.LSTM | nn.GRU
    parts: ClassVar[int]  # how many tensors the state of `rnn` has

    def __init__(
        self,
        space: TextSpace,
        embedding: int,
        hidden: int,
        layers: int,
        dropout: float,
        dropout_input: bool,
    ) -> None:
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.dropout, self.dropout_input = nn.Dropout(dropout), dropout_input
        self.output = Linear(hidden, space.vocabulary)
        if space.classes:  # what the state is before the first token
            self.classes = nn.Embedding(space.classes, self.parts * layers * hidden)
        self.register_buffer("forbidden", forbidden_logits(space), persistent=False)

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        layers, size = self.rnn.num_layers, self.rnn.hidden_size
        if not self.space.classes:
            return State((self.embedding.weight.new_zeros(n, layers, size),) * self.parts)
        of_class = self.classes(condition.require_labels(self.space.classes))
        return State(of_class.view(n, self.parts, layers, size).unbind(1))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        hidden, carried = self._run(self.embedding(symbol).unsqueeze(1), state.carried)
        return hidden.squeeze(1), state.carry(*carried)

    def hidden(self, text: Text) -> Tensor:
        # one embedding call a text, whether it is hard or relaxed (perturbations hook into it)
        state = self.start(len(text), text.condition)
        hidden, _ = self._run(self.embedding(read_before(text, self.space)), state.carried)
        return hidden

    def _run(
        self, vectors: Tensor, carried: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        layers_first = tuple(part.transpose(0, 1).contiguous() for part in carried)
        before: Any = layers_first if self.parts > 1 else layers_first[0]
        hidden, after = self.rnn(self.dropout(vectors) if self.dropout_input else vectors, before)
        parts: tuple[Tensor, ...] = after if self.parts > 1 else (after,)
        return self.dropout(hidden), tuple(part.transpose(0, 1) for part in parts)


class LSTMGenerator(RecurrentGenerator, name="lstm"):
    """LSTM language model, one bias vector a gate; the paper's has embedding 32 and hidden 32."""

    parts: ClassVar[int] = 2

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Embedding = 32,
        hidden: Hidden = 32,
        layers: Layers = 1,
        dropout: Dropout = 0,
        dropout_input: DropoutInput = True,
        init: Init = 0.1,
    ) -> None:
        super().__init__(space, embedding, hidden, layers, dropout, dropout_input)
        self.rnn = nn.LSTM(embedding, hidden, layers, batch_first=True)
        for name, parameter in self.named_parameters():
            nn.init.normal_(parameter, std=init)
            if "bias_hh" in name:  # torch has two bias vectors a gate, the paper one
                nn.init.zeros_(parameter).requires_grad_(False)


class GRUGenerator(RecurrentGenerator, name="gru"):
    """GRU language model."""

    parts: ClassVar[int] = 1

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Embedding = 32,
        hidden: Hidden = 32,
        layers: Layers = 1,
        dropout: Dropout = 0,
        dropout_input: DropoutInput = True,
        init: Init = 0.1,
    ) -> None:
        super().__init__(space, embedding, hidden, layers, dropout, dropout_input)
        self.rnn = nn.GRU(embedding, hidden, layers, batch_first=True)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=init)
