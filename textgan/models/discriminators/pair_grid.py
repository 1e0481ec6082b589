"""The pair discriminator of Adversarial-NMT: convolutions over the grid of all pairs of words.

Wu et al. 2018, arXiv 1704.06933, section 3.2.

z_0[i, j] = [x_i; y_j]
z_k = activation(max over 2 x 2 cells of 3 x 3 convolution_k(z_(k-1))),  k = 1, 2
score = w . activation(W z_2 + c) + b

A convolution of concatenated vectors is a sum, A_i + B_j, of two in one dimension each, by the sums
of its kernel over the other; and the largest of sums over a cell is the sum of the largest. So the
first layer and its maxima need no grid: what they take of a source and of a text is found for each
alone.

Convolutions are valid ones, of which those count that lie inside both sentences, as windows do in
`cnn`: a side shorter than a kernel is extended by zeros to one window. A cell is the activation of
the largest of those of its convolutions that count, and zero where none does.

Departs from the paper:
- no batch normalisation, which the paper says helps: its moving averages would be changed by a
  loss, which here may be taken several times an update and of shards of a batch, and rewards would
  be normalised otherwise than the batches of real and generated texts that it is trained on
- ReLU, as in public ports; `activation = "sigmoid"` is the paper's
- the parameters of the first layer are the sums of its kernel, on which alone it depends
- its own words' vectors, which are trained; the paper has the generator's, fixed
- dropout before the output layer
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.matmul import Linear
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import padded_to
from textgan.models.discriminators.pair import PairDiscriminator, by_length

SIZE = 3  # of kernels


class PairGridDiscriminator(PairDiscriminator, name="pair_grid"):
    """Convolutions over all pairs of a word of the text and one of the source."""

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[int, Field(ge=1, description="size of a token's vector")] = 64,
        maps: Annotated[int, Field(ge=1, description="filters of each layer; paper: 20")] = 20,
        units: Annotated[
            int, Field(ge=1, description="of the layer before the last; paper: 20")
        ] = 20,
        activation: Annotated[
            Literal["relu", "sigmoid"], Field(description="of every layer; paper: sigmoid")
        ] = "relu",
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.1,
    ) -> None:
        super().__init__(space, embedding)
        self.of_target = nn.Conv1d(embedding, maps, SIZE)
        self.of_source = nn.Conv1d(embedding, maps, SIZE, bias=False)  # one of them is enough
        self.second = nn.Conv2d(maps, maps, SIZE)
        self.activation = nn.ReLU() if activation == "relu" else nn.Sigmoid()
        self.grid = tuple(_cells(_cells(n)) for n in (self.source_space.length, space.length))
        self.hidden = Linear(maps * self.grid[0] * self.grid[1], units)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(units, max(1, space.classes))
        for layer in (self.of_target, self.of_source, self.second, self.hidden):
            nn.init.kaiming_normal_(layer.weight, nonlinearity=activation)

    def encode_source(self, source: Text) -> Tensor:
        """Compute the largest of A (B, maps, P) in each cell; minus infinity where none counts."""
        source = padded_to(source.trimmed(), SIZE, self.source_space.pad)
        return _pooled(self.of_source, self.source_words(source.tokens), source)

    def compare(self, text: Text, source: Tensor) -> Tensor:
        return by_length(text, source, self._compare)

    def _compare(self, text: Text, source: Tensor) -> Tensor:
        text = padded_to(text, SIZE, self.space.pad)
        target = _pooled(self.of_target, self.embedding(text.inputs), text)
        grid = self.activation(source.unsqueeze(3) + target.unsqueeze(2))  # (B, maps, P, Q)
        rows, columns = ((side[:, 0] > -torch.inf).sum(1) for side in (source, target))
        grid = F.pad(grid, (0, max(0, SIZE - grid.shape[3]), 0, max(0, SIZE - grid.shape[2])))
        windows = self.second(grid)
        inside = _inside(rows, windows.shape[2]).unsqueeze(2) & _inside(
            columns, windows.shape[3]
        ).unsqueeze(1)
        windows = windows.masked_fill(~inside.unsqueeze(1), -torch.inf)
        cells = self.activation(F.max_pool2d(windows, 2, ceil_mode=True))
        height, width = self.grid
        cells = F.pad(cells, (0, width - cells.shape[3], 0, height - cells.shape[2]))
        hidden: Tensor = self.activation(self.hidden(cells.flatten(1)))
        return hidden


def _pooled(convolution: nn.Conv1d, vectors: Tensor, text: Text) -> Tensor:
    """The largest value (B, maps, P) in each two windows of texts of vectors (B, T, E); minus
    infinity where neither lies inside its text."""
    windows = convolution((vectors * text.mask.unsqueeze(2)).transpose(1, 2))
    inside = _inside(text.lengths, windows.shape[2])
    return F.max_pool1d(windows.masked_fill(~inside.unsqueeze(1), -torch.inf), 2, ceil_mode=True)


def _inside(lengths: Tensor, windows: int) -> Tensor:
    """(B, N): which windows lie inside, the first in any case."""
    starts = torch.arange(windows, device=lengths.device)
    return starts <= (lengths - SIZE).clamp(min=0).unsqueeze(1)


def _cells(length: int) -> int:
    """The number of cells, of two windows each, of what has `length` positions."""
    return (max(1, length - SIZE + 1) + 1) // 2
