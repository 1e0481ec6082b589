"""An LSTM that starts from noise: the recurrent generator of the softmax relaxation."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.matmul import Linear
from textgan.data.text import TextSpace
from textgan.models.embedding import TokenEmbedding
from textgan.models.generators.noise import NoiseGenerator


class NoiseLSTMGenerator(NoiseGenerator, name="noise_lstm"):
    """LSTM whose first state is linear in z and which goes on from the rows that it writes.

    It reads its own softmax rows, not words drawn from them, so that after z nothing is random and
    everything has a gradient; a word is the likeliest of its row.
    """

    def __init__(
        self,
        space: TextSpace,
        *,
        noise: Annotated[int, Field(ge=1, le=65_536, description="size of z")] = 128,
        embedding: Annotated[
            int, Field(ge=1, le=65_536, description="size of a token's vector")
        ] = 32,
        hidden: Annotated[int, Field(ge=1, le=65_536, description="size of the state")] = 32,
        init: Annotated[float, Field(gt=0, description="standard deviation at the start")] = 0.1,
    ) -> None:
        super().__init__(space, noise)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.start = Linear(noise, 2 * hidden)
        self.cell = nn.LSTMCell(embedding, hidden)
        self.output = Linear(hidden, space.vocabulary)
        for name, parameter in self.named_parameters():
            nn.init.normal_(parameter, std=init)
            if "bias_hh" in name:  # torch has two bias vectors a gate, the LSTM of the papers one
                nn.init.zeros_(parameter).requires_grad_(False)

    def forward(self, noise: Tensor) -> Tensor:
        state = self.start(noise).chunk(2, 1)
        vector = self.embedding.weight[self.space.bos].expand(len(noise), -1)
        logits: list[Tensor] = []
        for _ in range(self.space.length):
            state = self.cell(vector, state)
            logits.append(self.output(state[0]))
            vector = self.embedding(logits[-1].softmax(1))
        return torch.stack(logits, 1)
