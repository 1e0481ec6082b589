"""The convolutional discriminator of SeqGAN."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.discriminators.base import Discriminator, Highway
from textgan.generators.base import TokenEmbedding
from textgan.text import Text, TextSpace

# (filter size: number of filters)
PRESETS: dict[str, dict[int, int]] = {
    # SeqGAN's table for 20 tokens (LantaoYu/SeqGAN, sequence_gan.py): 1,720 features
    "seqgan20": {1: 100, 2: 200, 3: 200, 4: 200, 5: 200, 6: 100, 7: 100, 8: 100, 9: 100, 10: 100}
    | {15: 160, 20: 160},
    # LeakGAN's for captions of 32 tokens (CR-Gjx/LeakGAN, Image COCO/Main.py)
    "leakgan32": {1: 100, 2: 200, 3: 200, 4: 200, 5: 200, 6: 100, 7: 100, 8: 100, 9: 100, 10: 100}
    | {15: 160, 20: 160, 32: 160},
    # Texygen's (models/maligan_basic/Maligan.py), a much weaker judge
    "texygen_small": {2: 100, 3: 200},
}

TABLES_AT_MOST = 2**30  # bytes that the lookup tables of `_convolve_by_table` may take
SENTENCES_AT_ONCE = 256  # whose windows are in memory together


class CNNDiscriminator(Discriminator, name="cnn"):
    """Convolutions of many sizes, max over time, highway (SeqGAN, arXiv 1609.05473, appendix).

    A window counts when it lies inside its sentence; a sentence shorter than a filter is extended
    by zeros to exactly one window. For texts of full length that is the paper's VALID convolution.
    """

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[int, Field(ge=1, description="size of a token's vector")] = 64,
        preset: Annotated[
            Literal["auto", "seqgan20", "leakgan32", "texygen_small"],
            Field(description="table of filters; auto: seqgan20 without sizes that do not fit"),
        ] = "auto",
        sizes: Annotated[
            list[Annotated[int, Field(ge=1)]], Field(description="own filter sizes, for a preset")
        ] = [],  # noqa: B006 (never changed)
        counts: Annotated[
            list[Annotated[int, Field(ge=1)]], Field(description="filters of each of `sizes`")
        ] = [],  # noqa: B006
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.25,
        highway: Annotated[bool, Field(description="the highway layer of the paper")] = True,
    ) -> None:
        super().__init__(space)
        table = _filters(space, preset, sizes, counts)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(embedding, count, size) for size, count in table
        )
        features = sum(count for _, count in table)
        self.highway = Highway(features) if highway else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(features, max(1, space.classes))
        nn.init.uniform_(self.embedding.weight, -1, 1)
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            _truncated(convolution.weight)
            assert convolution.bias is not None
            nn.init.constant_(convolution.bias, 0.1)
        # the difference of the paper's two columns, each a truncated normal of deviation 0.1
        _truncated(self.output.weight, 0.1 * 2**0.5)
        nn.init.zeros_(self.output.bias)

    def features(self, text: Text) -> Tensor:
        text, fixed = self._narrowed(text)
        tables = sum(c.weight.numel() // self.embedding.embedding_dim for c in self._filters())
        tables *= (self.space.vocabulary + 1) * self.embedding.weight.element_size()
        by_table = (
            not torch.is_grad_enabled()
            and text.rows is None
            and tables <= TABLES_AT_MOST
            # a table costs what V windows cost
            and text.tokens.numel() > 2 * self.space.vocabulary
        )
        if by_table:
            pooled = _convolve_by_table(text, self.embedding.weight, self._filters(), fixed)
        else:
            pooled = torch.cat(
                [
                    _convolve(self.embedding(part.symbols), part, self._filters(), fixed)
                    for part in text.split(SENTENCES_AT_ONCE)
                ]
            )
        if torch.is_grad_enabled():
            through: Tensor = self.highway(pooled)
            return through
        # for many texts the pieces stay in the cache, and the result needs no memory of its own
        for part in pooled.split(4 * SENTENCES_AT_ONCE):
            part.copy_(self.highway(part))
        return pooled

    def _narrowed(self, text: Text) -> tuple[Text, bool]:
        """The text no wider than its longest sentence and filter, and whether all of it is real."""
        if text.rows is not None:
            return text, True
        shortest, longest = (int(size) for size in text.sizes.aminmax())
        width = max(longest, *(c.kernel_size[0] for c in self._filters()))
        tokens = text.tokens[:, :width]
        return replace(text, tokens=tokens), shortest == tokens.shape[1]

    def _filters(self) -> list[nn.Conv1d]:
        return [c for c in self.convolutions if isinstance(c, nn.Conv1d)]


def _filters(
    space: TextSpace, preset: str, sizes: list[int], counts: list[int]
) -> list[tuple[int, int]]:
    if len(sizes) != len(counts):
        raise ValueError(f"sizes has {len(sizes)} entries and counts {len(counts)}; give one each")
    if sizes and preset != "auto":
        raise ValueError(f"give either preset = {preset!r} or sizes and counts")
    if sizes:
        table = list(zip(sizes, counts, strict=True))
    elif preset == "auto":
        table = [item for item in PRESETS["seqgan20"].items() if item[0] <= space.length]
    else:
        table = list(PRESETS[preset].items())
    longest = max(size for size, _ in table)
    if longest > space.length:
        raise ValueError(
            f"a filter of size {longest} does not fit texts of {space.length} tokens; "
            'use preset = "auto" or smaller sizes'
        )
    return table


def _truncated(weight: Tensor, deviation: float = 0.1) -> None:
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


def _best(windows: Tensor, counts: Tensor | None) -> Tensor:
    """The largest value over time, (B, F), of windows (B, N, F) that count (B, N)."""
    if counts is not None:
        windows = windows.masked_fill(~counts.unsqueeze(2), -torch.inf)
    return windows.amax(1)


def _counts(text: Text, size: int, fixed: bool) -> Tensor | None:
    """(B, T - size + 1): which windows lie inside their sentence; None where all do."""
    if fixed:
        return None
    positions = torch.arange(text.tokens.shape[1] - size + 1, device=text.tokens.device)
    return positions <= (text.sizes - size).clamp(min=0).unsqueeze(1)


def _convolve(vectors: Tensor, text: Text, convolutions: list[nn.Conv1d], fixed: bool) -> Tensor:
    """max over windows of relu(convolution), (B, F), of token vectors (B, T, E)."""
    if not fixed:
        vectors = vectors * text.mask.unsqueeze(2)
    vectors = vectors.transpose(1, 2)
    return torch.cat(
        [
            F.relu(
                _best(
                    convolution(vectors).transpose(1, 2),
                    _counts(text, convolution.kernel_size[0], fixed),
                )
            )
            for convolution in convolutions
        ],
        1,
    )


def _convolve_by_table(
    text: Text, embedding: Tensor, convolutions: list[nn.Conv1d], fixed: bool
) -> Tensor:
    """The same as `_convolve` for many texts at once and without gradients.

    A convolution over vectors that come from a vocabulary is a sum of table rows: for each offset
    of the filter, what every token would contribute there. The products are paid once a token of
    the vocabulary instead of once a token of the texts.
    """
    vocabulary = embedding.shape[0]
    nothing = embedding.new_zeros(1, embedding.shape[1])
    rows = torch.cat([embedding, nothing])  # padding contributes nothing: row V
    tokens = text.tokens if fixed else torch.where(text.mask, text.tokens, vocabulary)
    pooled = embedding.new_empty(len(text), sum(c.out_channels for c in convolutions))
    columns = pooled.split([c.out_channels for c in convolutions], 1)
    # one buffer for the tables of all filters: fresh memory costs as much as filling it
    largest = max(c.kernel_size[0] * c.out_channels for c in convolutions)
    buffer = embedding.new_empty(largest * len(rows))
    for convolution, place in zip(convolutions, columns, strict=True):
        assert convolution.bias is not None
        size, filters = convolution.kernel_size[0], convolution.out_channels
        table = buffer[: size * len(rows) * filters].view(-1, filters)
        for offset, part in enumerate(table.split(len(rows))):
            torch.mm(rows, convolution.weight[:, :, offset].t(), out=part)
        offsets = torch.arange(size, device=tokens.device) * (vocabulary + 1)
        counts = _counts(text, size, fixed)
        for start in range(0, len(text), SENTENCES_AT_ONCE):
            piece = slice(start, start + SENTENCES_AT_ONCE)
            windows = tokens[piece].unfold(1, size, 1) + offsets
            sums = F.embedding_bag(windows.flatten(0, 1), table, mode="sum")
            best = _best(
                sums.unflatten(0, windows.shape[:2]),
                None if counts is None else counts[piece],
            )
            # the bias is the same for all windows, so it may wait for the largest
            place[piece] = F.relu(best + convolution.bias)
    return pooled
