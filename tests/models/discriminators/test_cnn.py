"""The convolutional discriminator is the papers'."""

from typing import Any

import pytest
import torch

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.cnn import PRESETS, CNNDiscriminator


def test_the_presets_are_the_published_tables() -> None:
    assert {name: sum(table.values()) for name, table in PRESETS.items()} == {
        "seqgan20": 1720,
        "leakgan32": 1880,
        "texygen_small": 300,
    }
    assert list(PRESETS["seqgan20"]) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20]
    assert list(PRESETS["leakgan32"]) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 32]


@pytest.mark.parametrize(
    ("preset", "length", "features"),
    [
        ("seqgan20", 20, 1720),
        ("auto", 20, 1720),
        ("auto", 32, 1720),
        ("auto", 19, 1560),
        ("auto", 3, 500),
        ("auto", 1, 100),
        ("leakgan32", 32, 1880),
        ("texygen_small", 3, 300),
    ],
)
def test_presets_have_the_features_they_should(preset: str, length: int, features: int) -> None:
    judge = CNNDiscriminator(TextSpace(5000, length), preset=preset, embedding=2)
    text = Text.full(torch.randint(5000, (2, length)))
    assert judge.features(text).shape == (2, features)
    assert judge.output.in_features == features


def test_the_papers_discriminator_is_as_large_as_the_papers() -> None:
    judge = CNNDiscriminator(TextSpace(5000, 20))
    windows = sum(size * count for size, count in PRESETS["seqgan20"].items())
    expected = 5000 * 64 + 64 * windows + 1720  # embedding, filters and their biases
    expected += 2 * (1720 * 1720 + 1720)  # highway: candidate and gate
    assert sum(part.numel() for part in judge.parameters()) == expected + 1720 + 1
    assert judge.embedding.weight.abs().max() <= 1
    assert judge.output.bias.item() == 0
    assert judge.convolutions[3].weight.abs().max() <= 0.2
    assert (judge.convolutions[3].bias == 0.1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": [1, 2, 3], "counts": [4, 5]}, "sizes has 3 entries and counts 2"),
        ({"counts": [4]}, "sizes has 0 entries and counts 1"),
        ({"sizes": [2, 21], "counts": [4, 5]}, "filter of size 21 does not fit texts of 20 tokens"),
        ({"preset": "leakgan32"}, "filter of size 32 does not fit texts of 20 tokens"),
        ({"preset": "seqgan20", "sizes": [2], "counts": [4]}, "either preset = 'seqgan20' or"),
    ],
)
def test_filters_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CNNDiscriminator(TextSpace(50, 20), **settings)
