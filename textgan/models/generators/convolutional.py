"""The convolutional generator of the WGAN-GP character model (Gulrajani et al. 2017)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.matmul import Linear
from textgan.data.text import TextSpace
from textgan.models.generators.noise import NoiseGenerator

SIZE = 5  # of every filter
SHARE = 0.3  # of a block's convolutions in its sum


class ResidualBlock(nn.Module):
    """x + 0.3 conv(relu(conv(relu(x)))) over (B, C, T), zeros beyond the ends of a text."""

    def __init__(self, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, channels, SIZE, padding=SIZE // 2)
        self.second = nn.Conv1d(channels, channels, SIZE, padding=SIZE // 2, bias=bias)
        for convolution in (self.first, self.second):
            even(convolution.weight)
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (B, C, T) to (B, C, T)."""
        change: Tensor = self.second(F.relu(self.first(F.relu(vectors))))
        return vectors + SHARE * change


def even(weight: Tensor) -> None:
    """Initialise a weight uniformly with variance 4 / (inputs + outputs), as the paper's code does
    for convolutions."""
    nn.init.xavier_uniform_(weight, gain=2**0.5)


class ConvolutionalGenerator(NoiseGenerator, name="convolutional"):
    """Noise, linear to T vectors, residual blocks, linear to the vocabulary (arXiv 1704.00028).

    Given z, the symbols of a text are independent of each other.
    """

    def __init__(
        self,
        space: TextSpace,
        *,
        noise: Annotated[int, Field(ge=1, le=65_536, description="size of z; paper: 128")] = 128,
        channels: Annotated[
            int, Field(ge=1, le=65_536, description="width of every layer; paper: 512")
        ] = 512,
        blocks: Annotated[int, Field(ge=0, description="residual blocks; paper: 5")] = 5,
    ) -> None:
        super().__init__(space, noise)
        self.input = Linear(noise, channels * space.length)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.output = Linear(channels, space.vocabulary)
        nn.init.xavier_uniform_(self.input.weight)
        even(self.output.weight)
        nn.init.zeros_(self.input.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, noise: Tensor) -> Tensor:
        vectors = self.blocks(self.input(noise).unflatten(1, (-1, self.space.length)))
        logits: Tensor = self.output(vectors.transpose(1, 2))
        return logits
