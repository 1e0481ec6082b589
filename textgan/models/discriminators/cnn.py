"""The convolutional discriminator of SeqGAN."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator, Highway, through
from textgan.models.discriminators.convolution import TABLES_AT_MOST, filters_of, pool, shorter
from textgan.models.embedding import TokenEmbedding, truncated_normal_

# (filter size: number of filters)
PRESETS: dict[str, dict[int, int]] = {
    # SeqGAN's table for 20 tokens (LantaoYu/SeqGAN, sequence_gan.py): 1,720 features
    "seqgan20": {1: 100, 2: 200, 3: 200, 4: 200, 5: 200, 6: 100, 7: 100, 8: 100, 9: 100, 10: 100}
    | {15: 160, 20: 160},
    # LeakGAN's for captions of 32 tokens (CR-Gjx/LeakGAN, Image COCO/Main.py)
    "leakgan32": {1: 100, 2: 200, 3: 200, 4: 200, 5: 200, 6: 100, 7: 100, 8: 100, 9: 100, 10: 100}
    | {15: 160, 20: 160, 32: 160},
    # Texygen's (models/maligan_basic/Maligan.py), a much weaker discriminator
    "texygen_small": {2: 100, 3: 200},
}


class CNNDiscriminator(Discriminator, name="cnn"):
    """Convolutions of many sizes, max over time, highway (SeqGAN, arXiv 1609.05473, appendix).

    A window counts when it lies inside its sentence; a sentence shorter than a filter is extended
    by zeros to exactly one window. For texts of full length that is the paper's VALID convolution.
    """

    tables_at_most = TABLES_AT_MOST

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
        for convolution in filters_of(self.convolutions):
            truncated_normal_(convolution.weight, 0.1)
            assert convolution.bias is not None
            nn.init.constant_(convolution.bias, 0.1)
        # the difference of the paper's two columns, each a truncated normal of deviation 0.1
        truncated_normal_(self.output.weight, 0.1 * 2**0.5)
        nn.init.zeros_(self.output.bias)

    def features(self, text: Text) -> Tensor:
        filters, most = filters_of(self.convolutions), self.tables_at_most
        return through(self.highway, pool(text, self.embedding, filters, self.space.pad, most))


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
            'use preset = "auto", or smaller ones and as many counts, such as '
            f"{shorter([size for size, _ in table], [n for _, n in table], space.length)}"
        )
    return table
