"""Generators that answer a source by attention: RNNSearch, and the LSTM with input feeding.

RNNSearch (Bahdanau et al. 2015, arXiv 1409.0473) with the conditional GRU of dl4mt, as BR-CSGAN's
code has it (ZhenYangIACAS/NMT_GAN, RNNsearch_GAN/gru_cell.py, `GRUCondLayer`); registered
`attention`:

    encoder   h_i = [f_i ; b_i], the states of a GRU that reads the source, and of one from its end
    start     s_0 = tanh(W_0 mean_i(h_i) + b_0)
    step j    s'  = GRU_1(E y_{j-1}, s_{j-1})
              e_i = u . tanh(W_a s' + U_a h_i + b_a);  a = softmax(e);  c_j = sum_i a_i h_i
              s_j = GRU_2(c_j, s')
              t_j = tanh(L_s s_j + L_y E y_{j-1} + L_c c_j + b);  logits = W_o t_j + b_o

A GRU of an input c and a state x is z x + (1 - z) tanh(W c + r (U x + b)), with gates r and z of
their own W, U and b; of GRU_1, as of its input, b is outside of r.

LSTM (Luong et al. 2015, arXiv 1508.04025) as the dialogue code of Li et al. 2017 has it
(jiweil/Neural-Dialogue-Generation, Atten/atten.lua); registered `luong`:

    encoder   h_i, the last layer's states of an LSTM that reads the source
    start     all layers' states of the encoder at the source's end
    attend(q) = tanh(W_1 sum_i softmax_i(h_i . q) h_i + W_2 q), once with weights for the feed, and
              once with weights for the output
    step j    the layers read E y_{j-1}; the first one reads the feed of the last layer's state, too
              t_j = attend(the last layer's new state);  logits = W_o t_j

Departs from the codes:
- the first symbol read is the begin token's vector; zero in NMT_GAN
- the encoder's GRU is torch's, which has a b inside and one outside of r
- e has no additive constant, which softmax does not notice
- padding is left out of encoder, mean and softmax; the LSTM's code pads to the left, and its
  softmax takes 1e8 off the scores of padding

What the decoder makes of h_i by matrices alone (U_a h_i, W c_j, L_c c_j) is made once a source, for
a weighted sum of products is the product of the weighted sum. So a step of a hypothesis costs no
product with a matrix that reads the encoder's 2 H numbers.

Shapes: B sources, S positions of a source, T positions of a text, R hypotheses, E embedding,
H hidden, A attention.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from textgan.core.device import is_asynchronous
from textgan.core.matmul import Linear, linear
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.embedding import TokenEmbedding
from textgan.models.generators.base import LinearGenerator, State, forbidden_logits, read_before
from textgan.models.generators.by_source import by_source
from textgan.models.generators.recurrence import (
    Alignment,
    Packing,
    conditional_gru,
    gru,
    gru_step,
    weigh,
)

Embedding = Annotated[int, Field(ge=1, le=65_536, description="size of a token's vector")]
Hidden = Annotated[int, Field(ge=1, le=65_536, description="size of the state")]
SharedEmbedding = Annotated[
    bool, Field(description="one table for source and text; they must share their vocabulary")
]


class AttentionGenerator(LinearGenerator):
    """What the generators below have in common: they read a source once and attend to its states.

    Raises ValueError for texts that answer no source, or for a shared table of two vocabularies.
    """

    reads_source: ClassVar[bool] = True

    def __init__(
        self, space: TextSpace, embedding: int, output: int, dropout: float, shared_embedding: bool
    ) -> None:
        super().__init__(space)
        if space.source is None:
            raise ValueError(
                "it answers a source, and these texts have none; give it pairs, or take another "
                "generator, such as lstm"
            )
        if shared_embedding and not space.shares_vocabulary:
            raise ValueError(
                "shared_embedding = true, but source and text have a vocabulary each; set "
                "data.share_vocabulary = true, or shared_embedding = false"
            )
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        if not shared_embedding:
            self.source_embedding = TokenEmbedding(space.source.vocabulary, embedding)
        self.shares_embedding = shared_embedding
        self.dropout = nn.Dropout(dropout)
        self.output = Linear(output, space.vocabulary)
        self.register_buffer("forbidden", forbidden_logits(space), persistent=False)

    @abstractmethod
    def weights(self, text: Text) -> Tensor:
        """Compute how much each token of a text attends to each position of its source when it is
        written, (B, T, S): shares that sum to one, and zero at padding."""

    def source_vectors(self, source: Text) -> Tensor:
        """Compute the vectors (B, S, E) of a source's tokens, without dropout."""
        embedding = self.embedding if self.shares_embedding else self.source_embedding
        vectors: Tensor = embedding(source.inputs)
        return vectors


class RNNSearchGenerator(AttentionGenerator, name="attention"):
    """RNNSearch with a conditional GRU; BR-CSGAN's has embedding 512 and hidden 1024."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Embedding = 256,
        hidden: Hidden = 256,
        attention: Annotated[
            int, Field(ge=1, le=65_536, description="size of the alignment's hidden layer")
        ] = 256,
        dropout: Annotated[
            float, Field(ge=0, lt=1, description="on embeddings and before the output layer")
        ] = 0.0,
        shared_embedding: SharedEmbedding = False,
        init: Annotated[
            float,
            Field(
                ge=0,
                description="standard deviation at the start; 0: of a matrix 1 / sqrt(inputs), of "
                "embeddings 1; paper's code: 0.01",
            ),
        ] = 0.0,
    ) -> None:
        super().__init__(space, embedding, embedding, dropout, shared_embedding)
        self.encoder = nn.GRU(embedding, hidden, batch_first=True, bidirectional=True)
        self.initial = Linear(2 * hidden, hidden)
        self.alignment = nn.Parameter(torch.empty(attention))
        # by what is read: the parts that it gives to the alignment, to the gates, to t_j
        self.sizes = attention, 3 * hidden, embedding
        self.of_memory = Linear(2 * hidden, attention + 3 * hidden + embedding, bias=False)
        self.of_word = Linear(embedding, 3 * hidden + embedding)
        self.of_state = Linear(hidden, 3 * hidden, bias=False)
        self.of_middle = Linear(hidden, attention + 3 * hidden)
        self.of_new_state = Linear(hidden, embedding, bias=False)
        if space.classes:  # added to what makes the first state
            self.classes = nn.Embedding(space.classes, hidden)
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                usual = 1.0 if "embedding" in name else parameter.shape[-1] ** -0.5
                nn.init.normal_(parameter, std=init or usual)
        of_encoder = [w for name, w in self.encoder.named_parameters() if "weight_hh" in name]
        for gates in (*of_encoder, self.of_state.weight, self.of_middle.weight[attention:]):
            for gate in gates.detach().split(hidden):
                nn.init.orthogonal_(gate)

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        source = condition.require_source().trimmed()
        memory = self._encode(self.dropout(self.source_vectors(source)), source)
        first = self.initial(memory.sum(1) / source.lengths.unsqueeze(1))
        if self.space.classes:
            first = first + self.classes(condition.require_labels(self.space.classes))
        key, values = self.of_memory(memory).split([self.sizes[0], sum(self.sizes[1:])], 2)
        return State((first.tanh(),), (2 * key, values, source.mask))

    def _encode(self, vectors: Tensor, source: Text) -> Tensor:
        """The encoder's states (B, S, 2 H), zero at padding."""
        width = vectors.shape[1]
        if is_asynchronous(vectors):  # cuDNN is faster than anything here
            packed = pack_padded_sequence(vectors, source.lengths.cpu(), True, False)
            return pad_packed_sequence(self.encoder(packed)[0], True, total_length=width)[0]
        packing = Packing.of(source.lengths, width)
        weights = dict(self.encoder.named_parameters())
        both = []
        for end, way in (("", packing), ("_reverse", packing.reversed(source.lengths))):
            inputs, states, bias, inner_bias = (
                weights[f"{name}_l0{end}"]
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            given = linear(way.pack(vectors), inputs, bias)
            both.append(way.unpack(gru(given, states, inner_bias, way), width))
        return torch.cat(both, 2)

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        gates, of_word = self.of_word(self.dropout(self.embedding(symbol))).split(self.sizes[1:], 1)
        middle, _ = gru_step(gates, self.of_state(*state.carried), *state.carried)
        query, inner = self.of_middle(middle).split(self.sizes[:2], 1)
        gates, of_source = by_source(self._attend, query, state.shared, state.origin).split(
            self.sizes[1:], 1
        )
        after, _ = gru_step(gates, inner, middle)
        hidden = (of_word + of_source + self.of_new_state(after)).tanh()
        return self.dropout(hidden), state.carry(after)

    def hidden(self, text: Text) -> Tensor:
        return self._teach(text)[0]

    def weights(self, text: Text) -> Tensor:
        return self._teach(text)[1]

    def _teach(self, text: Text) -> tuple[Tensor, Tensor]:
        # one embedding call a text, whether it is hard or relaxed (perturbations hook into it)
        vectors = self.dropout(self.embedding(read_before(text, self.space)))
        state = self.start(len(text), text.condition)
        (first,), (key, values, mask) = state.carried, state.shared
        of_gates, of_source = values.split(self.sizes[1:], 2)
        packing, width = Packing.of(text.lengths, vectors.shape[1]), vectors.shape[1]
        gates, of_word = self.of_word(packing.pack(vectors)).split(self.sizes[1:], 1)
        middle = self.of_middle
        parts = Alignment(
            self.of_state.weight, middle.weight, middle.bias, self.alignment, key, of_gates
        )
        states, weights = conditional_gru(gates, first, parts, mask, packing)
        weights = packing.unpack(weights, width)
        of_source = packing.pack(weights @ of_source)
        hidden = (of_word + of_source + self.of_new_state(states)).tanh()
        return packing.unpack(self.dropout(hidden), width), weights

    def _attend(self, query: Tensor, key: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        return weigh(query, key, self.alignment, mask) @ values


class LuongGenerator(AttentionGenerator, name="luong"):
    """LSTM of several layers with input feeding; that of Li et al. has embedding and hidden 512."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Embedding = 256,
        hidden: Hidden = 256,
        layers: Annotated[int, Field(ge=1, description="of encoder and decoder; paper: 2")] = 2,
        dropout: Annotated[
            float, Field(ge=0, lt=1, description="on what each layer reads; paper's code: 0.2")
        ] = 0.0,
        shared_embedding: SharedEmbedding = False,
        init: Annotated[float, Field(gt=0, description="at the start, U(-init, init)")] = 0.1,
    ) -> None:
        super().__init__(space, embedding, hidden, dropout, shared_embedding)
        self.encoder = _LSTM(embedding, hidden, layers, self.dropout)
        self.decoder = _LSTM(embedding, hidden, layers, self.dropout)
        self.of_feed = Linear(hidden, 4 * hidden, bias=False)
        # W_1 and W_2, for the feed and for the output
        self.of_memory = Linear(hidden, 2 * hidden, bias=False)
        self.feed_query = Linear(hidden, hidden, bias=False)
        self.output_query = Linear(hidden, hidden, bias=False)
        if space.classes:  # added to the first state
            self.classes = nn.Embedding(space.classes, 2 * layers * hidden)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init, init)
        nn.init.zeros_(self.output.bias).requires_grad_(False)  # the code's layer has none

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        source = condition.require_source().trimmed()
        width = source.tokens.shape[1]
        packing = Packing.of(source.lengths, width)
        gates = self.encoder.of_input[0](packing.pack(self.dropout(self.source_vectors(source))))
        zeros = self.embedding.weight.new_zeros(n, 2, self.encoder.layers, self.encoder.size)
        hidden, cell = zeros.unbind(1)
        states = []
        for (piece, taken), real in zip(
            packing.pieces(), source.mask[packing.order].unbind(1), strict=False
        ):
            before = hidden[:taken], cell[:taken]
            goes_on = real[:taken, None, None]  # all, where lengths may be asked for
            after = self.encoder(gates[piece], *before)
            hidden, cell = (
                torch.cat([torch.where(goes_on, new, old), whole[taken:]])
                for new, old, whole in zip(after, before, (hidden, cell), strict=True)
            )
            states.append(hidden[:taken, -1])
        memory = packing.unpack(torch.cat(states), width)
        back = packing.order.argsort()
        hidden, cell = hidden[back], cell[back]
        if self.space.classes:
            of_class = self.classes(condition.require_labels(self.space.classes)).view_as(zeros)
            hidden, cell = hidden + of_class[:, 0], cell + of_class[:, 1]
        feed, output = self.of_memory(memory).chunk(2, 2)
        return State((hidden, cell), (memory, feed, output, source.mask))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        given = self.decoder.of_input[0](self.dropout(self.embedding(symbol)))
        memory, feeds, outputs, mask = state.shared
        query = state.carried[0][:, -1]
        feed = by_source(self._attend, query, (memory, feeds, mask), state.origin)
        feed = self._fed(feed + self.feed_query(query))
        hidden, cell = self.decoder(given + feed, *state.carried)
        query = hidden[:, -1]
        output = by_source(self._attend, query, (memory, outputs, mask), state.origin)
        output = output + self.output_query(query)
        return output.tanh(), state.carry(hidden, cell)

    def hidden(self, text: Text) -> Tensor:
        return self._teach(text)[0]

    def weights(self, text: Text) -> Tensor:
        return self._teach(text)[1]

    def _teach(self, text: Text) -> tuple[Tensor, Tensor]:
        # one embedding call a text, whether it is hard or relaxed (perturbations hook into it)
        vectors = self.dropout(self.embedding(read_before(text, self.space)))
        state = self.start(len(text), text.condition)
        packing, width = Packing.of(text.lengths, vectors.shape[1]), vectors.shape[1]
        order, given = packing.order, self.decoder.of_input[0](packing.pack(vectors))
        hidden, cell = (part[order] for part in state.carried)
        memory, feeds, _, mask = (part[order] for part in state.shared)
        last = []
        for piece, n in packing.pieces():
            query = hidden[:n, -1]
            read = self._attend(query.unsqueeze(1), memory[:n], feeds[:n], mask[:n]).squeeze(1)
            feed = self._fed(read + self.feed_query(query))
            hidden, cell = self.decoder(given[piece] + feed, hidden[:n], cell[:n])
            last.append(hidden[:, -1])
        query = packing.unpack(torch.cat(last), width)
        memory, _, outputs, mask = state.shared
        weights = self._weigh(query, memory, mask)
        return (weights @ outputs + self.output_query(query)).tanh(), weights

    def _fed(self, read: Tensor) -> Tensor:
        fed: Tensor = self.of_feed(self.dropout(read.tanh()))
        return fed

    def _attend(self, query: Tensor, memory: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        return self._weigh(query, memory, mask) @ values

    def _weigh(self, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """The weights (G, N, S) of queries (G, N, H)."""
        scores = query @ memory.transpose(1, 2)
        return scores.masked_fill(~mask.unsqueeze(1), -torch.inf).softmax(2)


class _LSTM(nn.Module):
    """The layers of an LSTM without biases, with dropout on what each reads: its input and state.

    `of_input` of the first layer is applied by the caller, to all inputs at once.
    """

    def __init__(self, inputs: int, size: int, layers: int, dropout: nn.Dropout) -> None:
        super().__init__()
        self.layers, self.size, self.dropout = layers, size, dropout
        sizes = [inputs, *[size] * (layers - 1)]
        self.of_input = nn.ModuleList(Linear(given, 4 * size, bias=False) for given in sizes)
        self.of_state = nn.ModuleList(Linear(size, 4 * size, bias=False) for _ in sizes)

    def forward(self, given: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Compute both states (R, L, H) after a step, from what the input gives to the first
        layer's gates (R, 4 H) and from both states before."""
        hiddens: list[Tensor] = []
        cells: list[Tensor] = []
        for layer in range(self.layers):
            if layer:
                given = self.of_input[layer](self.dropout(hiddens[-1]))
            gates = given + self.of_state[layer](self.dropout(hidden[:, layer]))
            i, f, new, o = gates.chunk(4, 1)
            cells.append(f.sigmoid() * cell[:, layer] + i.sigmoid() * new.tanh())
            hiddens.append(o.sigmoid() * cells[-1].tanh())
        return torch.stack(hiddens, 1), torch.stack(cells, 1)
