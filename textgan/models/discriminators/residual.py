"""The convolutional discriminator of the WGAN-GP character model (Gulrajani et al. 2017)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from textgan.core.matmul import Linear
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator, padded_to
from textgan.models.embedding import TokenEmbedding
from textgan.models.generators.convolutional import ResidualBlock, even


class ResidualDiscriminator(Discriminator, name="residual"):
    """A vector for each symbol, residual blocks, all positions side by side (arXiv 1704.00028).

    It reads all T positions, where a sentence has ended its padding, as relaxed text is read.
    Nothing is normalised and nothing dropped.
    """

    def __init__(
        self,
        space: TextSpace,
        *,
        channels: Annotated[
            int, Field(ge=1, le=65_536, description="width of every layer; paper: 512")
        ] = 512,
        blocks: Annotated[int, Field(ge=0, description="residual blocks; paper: 5")] = 5,
    ) -> None:
        super().__init__(space)
        # the paper's convolution of size 1; its bias is in the table, for rows sum to 1
        self.embedding = TokenEmbedding(space.vocabulary, channels)
        # the output layer's bias is that of the last convolution too
        self.blocks = nn.Sequential(
            *(ResidualBlock(channels, bias=block < blocks - 1) for block in range(blocks))
        )
        self.dropout = nn.Dropout(0)
        self.output = Linear(channels * space.length, max(1, space.classes))
        even(self.embedding.weight)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def features(self, text: Text) -> Tensor:
        text = padded_to(text, self.space.length, self.space.pad)
        symbols = text.soft_tokens
        if symbols is None:
            symbols = text.tokens.masked_fill(~text.mask, self.space.pad)
        vectors = self.embedding(symbols[:, : self.space.length])
        features: Tensor = self.blocks(vectors.transpose(1, 2)).flatten(1)
        return features
