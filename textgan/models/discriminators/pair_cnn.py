"""The convolutional pair discriminator of BR-CSGAN.

h_y = highway(max over time of relu(convolutions of y)), h_x the same of the source, other filters
score = w . [h_y; h_x; (P h_y) * (Q h_x)] + b

The released code (ZhenYangIACAS/NMT_GAN, cnn_discriminator.py) ends with one linear layer on
[h_y; h_x], which is `match = 0`. Its score is a number of the text plus a number of the source: of
two texts it prefers the same one whatever the source is. Trained to tell the sentences of Multi30k
with their sources from those with another's (experiments/matching_pairs.py, three epochs), it is
right for half of held-out pairs, as by chance; with the product, of 64 numbers of either side (a
bilinear form of that rank), for 87 %.

Departs from the released code:
- `match`, above
- one score in the place of two softmax columns
- no batch normalisation. Its moving averages would be changed by a loss, which here may be taken
  several times an update and of shards of a batch; and it is trained with the statistics of real
  and generated texts together but rewards with moving averages, by which a batch of generated texts
  alone is normalised as it never was in training
- windows count as in `cnn`, where the code counts those that reach into the padding up to 50 tokens
- the highways have biases, which start at zero
- both sides share a table of words where they share a vocabulary
- small by default; `preset = "csgan"` with `embedding = 512` has the code's sizes
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.matmul import Linear
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Highway, through
from textgan.models.discriminators.convolution import filters_of, pool, shorter
from textgan.models.discriminators.pair import PairDiscriminator
from textgan.models.embedding import TokenEmbedding, truncated_normal_

SMALL = {1: 50, 2: 60, 3: 75, 4: 90, 5: 100}  # (filter size: number of filters)


class PairCNNDiscriminator(PairDiscriminator, name="pair_cnn"):
    """Convolutions, maxima over time and a highway for each side, and their product."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[
            int, Field(ge=1, description="size of a token's vector; released code: 512")
        ] = 64,
        preset: Annotated[
            Literal["small", "csgan"],
            Field(description="table of filters; csgan: 100 + 10 k of every fourth size k"),
        ] = "small",
        sizes: Annotated[
            list[Annotated[int, Field(ge=1)]],
            Field(description="own filter sizes, for a preset; a side has those that fit it"),
        ] = [],  # noqa: B006 (never changed)
        counts: Annotated[
            list[Annotated[int, Field(ge=1)]], Field(description="filters of each of `sizes`")
        ] = [],  # noqa: B006
        match: Annotated[
            int,
            Field(ge=0, description="products of the two sides; 0, as released: a sum of sides"),
        ] = 64,
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.25,
    ) -> None:
        super().__init__(space, embedding)
        self.target = _Side(embedding, _filters(space.length, preset, sizes, counts))
        self.source = _Side(embedding, _filters(self.source_space.length, preset, sizes, counts))
        self.match = match
        of_target, of_source = self.target.features, self.source.features
        if match:
            self.of_target = Linear(of_target, match)
            self.of_source = Linear(of_source, match)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(of_target + of_source + match, max(1, space.classes))
        for table in (self.embedding, self.source_words):  # which may be one
            nn.init.uniform_(table.weight, -1, 1)
        # the difference of the code's two columns, each a truncated normal of deviation 0.1
        truncated_normal_(self.output.weight, 0.1 * 2**0.5)
        nn.init.zeros_(self.output.bias)

    def encode_source(self, source: Text) -> Tensor:
        return self.source.encode(source, self.source_words, self.source_space.pad)

    def compare(self, text: Text, source: Tensor) -> Tensor:
        target = self.target.encode(text, self.embedding, self.space.pad)
        sides = [target, source]
        if self.match:
            sides.append(self.of_target(target) * self.of_source(source))
        return torch.cat(sides, 1)


class _Side(nn.Module):
    """The filters and the highway of one side."""

    def __init__(self, embedding: int, table: dict[int, int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(embedding, count, size) for size, count in table.items()
        )
        self.features = sum(table.values())
        self.highway = Highway(self.features)
        for convolution in filters_of(self.convolutions):
            truncated_normal_(convolution.weight, 0.1)
            assert convolution.bias is not None
            nn.init.constant_(convolution.bias, 0.1)

    def encode(self, text: Text, words: TokenEmbedding, pad: int) -> Tensor:
        """Compute the features of each text, (B, F)."""
        return through(self.highway, pool(text, words, filters_of(self.convolutions), pad))


def _filters(length: int, preset: str, sizes: list[int], counts: list[int]) -> dict[int, int]:
    """The filters (size: number) of a side whose longest text has `length` tokens."""
    if len(sizes) != len(counts):
        raise ValueError(f"sizes has {len(sizes)} entries and counts {len(counts)}; give one each")
    if sizes and preset != "small":
        raise ValueError(f"give either preset = {preset!r} or sizes and counts")
    if sizes:
        table = dict(zip(sizes, counts, strict=True))
    elif preset == "small":
        table = SMALL
    else:
        table = {size: 100 + 10 * size for size in range(1, max(2, length), 4)}
    fitting = {size: count for size, count in table.items() if size <= length}
    if not fitting:
        raise ValueError(
            f"no filter of sizes {sizes} fits texts of {length} tokens; add smaller ones, such as "
            f"{shorter(sizes, counts, length)}"
        )
    return fitting
