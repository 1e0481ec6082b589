"""The discriminator of RelGAN: many representations of a text, each scored on its own."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.matmul import Linear
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator, Highway, padded_to
from textgan.models.discriminators.convolution import filters_of, shorter
from textgan.models.embedding import TokenEmbedding, truncated_normal_


class RepresentationsDiscriminator(Discriminator, name="representations"):
    """Several small embeddings side by side, one score for each (RelGAN, ICLR 2019).

    All representations share the filters and every layer after them; a text's own score is the mean
    of theirs. Windows count as in `cnn`. Weights start as in RelGAN's code, whose dropout is before
    the layer of `hidden` numbers; here it is after it.
    """

    views_at_once = 4096  # whose windows are in memory together

    def __init__(
        self,
        space: TextSpace,
        *,
        representations: Annotated[
            int, Field(ge=1, description="S, each of its own embedding; paper: 64")
        ] = 64,
        embedding: Annotated[
            int, Field(ge=1, description="size of a token's vector in each; paper: 1")
        ] = 1,
        sizes: Annotated[
            list[Annotated[int, Field(ge=1)]], Field(min_length=1, description="of the filters")
        ] = [2, 3, 4, 5],  # noqa: B006 (never changed)
        counts: Annotated[
            list[Annotated[int, Field(ge=1)]], Field(description="filters of each of `sizes`")
        ] = [300, 300, 300, 300],  # noqa: B006
        hidden: Annotated[int, Field(ge=1, description="linear layer before the last")] = 100,
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.25,
    ) -> None:
        super().__init__(space)
        if len(sizes) != len(counts):
            raise ValueError(
                f"sizes has {len(sizes)} entries and counts {len(counts)}; give one each"
            )
        if max(sizes) > space.length:
            raise ValueError(
                f"a filter of size {max(sizes)} does not fit texts of {space.length} tokens; give "
                f"smaller ones and as many counts, such as {shorter(sizes, counts, space.length)}"
            )
        self.representations = representations
        self.embedding = TokenEmbedding(space.vocabulary, representations * embedding)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(embedding, count, size) for size, count in zip(sizes, counts, strict=True)
        )
        self.highway = Highway(sum(counts))
        self.hidden = Linear(sum(counts), hidden, bias=False)  # the output layer has one
        self.dropout = nn.Dropout(dropout)
        self.output = Linear(hidden, max(1, space.classes))
        truncated_normal_(self.embedding.weight, space.vocabulary**-0.5)
        for convolution in filters_of(self.convolutions):
            truncated_normal_(
                convolution.weight, (2 / (convolution.kernel_size[0] * embedding)) ** 0.5
            )
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
        for layer in (self.hidden, self.output):
            truncated_normal_(layer.weight, layer.in_features**-0.5)
        nn.init.zeros_(self.output.bias)

    def features(self, text: Text) -> Tensor:
        text = padded_to(
            text, max(c.kernel_size[0] for c in filters_of(self.convolutions)), self.space.pad
        )
        pieces = text.split(max(1, self.views_at_once // self.representations))
        return torch.cat([self._features(piece) for piece in pieces])

    def _features(self, text: Text) -> Tensor:
        vectors = self.embedding(text.inputs)
        fixed = self.space.eos is None or text.soft_tokens is not None
        if not fixed:
            vectors = vectors * text.mask.unsqueeze(2)
        # (B, T, S * E) to (B * S, E, T): to the filters a representation is a text of its own
        views = vectors.unflatten(2, (self.representations, -1)).permute(0, 2, 3, 1).flatten(0, 1)
        pooled: list[Tensor] = []
        for convolution in filters_of(self.convolutions):
            windows = convolution(views).unflatten(0, (len(text), -1))  # (B, S, filters, windows)
            if not fixed:
                # those inside the sentence; of one shorter than the filter, the first
                starts = torch.arange(windows.shape[3], device=windows.device)
                last = (text.lengths - convolution.kernel_size[0]).clamp(min=0)
                outside = starts > last.unsqueeze(1)
                windows = windows.masked_fill(outside[:, None, None], -torch.inf)
            pooled.append(windows.amax(3).relu())
        through = self.highway(torch.cat(pooled, 2).flatten(0, 1))
        features: Tensor = self.hidden(through).unflatten(0, (len(text), -1))
        return features
