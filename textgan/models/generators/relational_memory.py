"""The relational memory of RelGAN: slots of memory that attend to each other and to the input."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.matmul import Linear
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.embedding import TokenEmbedding, truncated_normal_
from textgan.models.generators.base import LinearGenerator, State, forbidden_logits, read_before


class RelationalMemoryGenerator(LinearGenerator, name="relational_memory"):
    """Relational memory (Santoro et al. 2018, arXiv 1806.01822), linear to the vocabulary (RelGAN).

    The state is N slots of M = heads * head_size numbers, at first the rows of an identity matrix.
    To read a word, the slots attend to each other and to the word, pass through a small network,
    and are mixed with what they were by gates that depend on the word and on the slot. Weights
    start as in RelGAN's code, truncated normals of variance 1 / inputs. That code normalises the
    slots of a text together, here each is normalised on its own, as is usual.
    """

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[
            int, Field(ge=1, le=65_536, description="size of a token's vector")
        ] = 32,
        slots: Annotated[int, Field(ge=1, description="of the memory; paper: 1")] = 1,
        heads: Annotated[int, Field(ge=1, description="of attention; paper: 2")] = 2,
        head_size: Annotated[
            int, Field(ge=1, description="a slot has heads * head_size numbers; paper: 256")
        ] = 256,
    ) -> None:
        super().__init__(space)
        size = heads * head_size
        self.slots, self.heads, self.size = slots, heads, size
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.input = Linear(embedding, size)
        self.attention = nn.Sequential(Linear(size, 3 * size, bias=False), nn.LayerNorm(3 * size))
        self.after_attention = nn.LayerNorm(size)
        self.mlp = nn.Sequential(Linear(size, size), nn.ReLU(), Linear(size, size))
        self.after_mlp = nn.LayerNorm(size)
        self.gates_of_input = Linear(size, 2 * size, bias=False)
        self.gates_of_memory = Linear(size, 2 * size, bias=False)
        self.output = Linear(slots * size, space.vocabulary)
        if space.classes:  # added to the memory before the first token
            self.classes = nn.Embedding(space.classes, slots * size)
        self.register_buffer("forbidden", forbidden_logits(space), persistent=False)

        truncated_normal_(self.embedding.weight, space.vocabulary**-0.5)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                truncated_normal_(module.weight, module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        identity = torch.eye(self.slots, self.size).to(self.embedding.weight)
        if not self.space.classes:
            return State((identity.expand(n, -1, -1),))
        of_class = self.classes(condition.require_labels(self.space.classes))
        return State((identity + of_class.unflatten(1, (self.slots, self.size)),))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        memory = self._update(self.embedding(symbol), *state.carried)
        return memory.flatten(1), state.carry(memory)

    def hidden(self, text: Text) -> Tensor:
        # one embedding call a text, whether it is hard or relaxed (perturbations hook into it)
        vectors: Tensor = self.embedding(read_before(text, self.space))
        (memory,) = self.start(len(text), text.condition).carried
        hidden: list[Tensor] = []
        for vector in vectors.unbind(1):
            memory = self._update(vector, memory)
            hidden.append(memory.flatten(1))
        return torch.stack(hidden, 1)

    def _update(self, vector: Tensor, memory: Tensor) -> Tensor:
        """The memory (R, N, M) after a word's vector (R, E)."""
        word = self.input(vector).unsqueeze(1)
        written = self.after_attention(memory + self._attend(memory, word))
        written = self.after_mlp(written + self.mlp(written))
        gates = self.gates_of_input(word) + self.gates_of_memory(memory.tanh())
        write, keep = gates.chunk(2, 2)
        # the 1 makes it remember while the weights are small
        updated: Tensor = write.sigmoid() * written.tanh() + (keep + 1).sigmoid() * memory
        return updated

    def _attend(self, memory: Tensor, word: Tensor) -> Tensor:
        """Attend from each slot (R, N, M) to all slots and the word (R, 1, M), by every head."""
        projected = self.attention(torch.cat([memory, word], 1))
        of_heads = projected.unflatten(2, (self.heads, -1)).transpose(1, 2)
        query, key, value = of_heads.chunk(3, 3)  # (R, heads, N + 1, head_size)
        # scaled by the size of all three together, as in the code of both papers
        likeness = query[:, :, :-1] @ key.transpose(2, 3) * of_heads.shape[3] ** -0.5
        read: Tensor = likeness.softmax(3) @ value
        return read.transpose(1, 2).flatten(2)
