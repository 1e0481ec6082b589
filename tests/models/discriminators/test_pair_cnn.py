"""The convolutional pair discriminator, by hand, and what its code cannot tell."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from worlds import SOURCES, VARIABLE, judged, same

from textgan.data.text import Condition, Text, TextSpace
from textgan.losses import logistic
from textgan.models.discriminators.convolution import filters_of
from textgan.models.discriminators.pair_cnn import PairCNNDiscriminator

SPACE = replace(VARIABLE, source=SOURCES)


def make(space: TextSpace = SPACE, **settings: Any) -> tuple[PairCNNDiscriminator, Text]:
    judge, texts = judged(space, "pair_cnn", **settings)
    assert isinstance(judge, PairCNNDiscriminator)
    return judge, texts


def by_hand(side: nn.Module, vectors: Tensor) -> Tensor:
    """The features of one text of vectors (T, E), window by window."""
    features = []
    for filters in filters_of(side.convolutions):  # type: ignore[arg-type]
        size = filters.kernel_size[0]
        extended = torch.cat([vectors, vectors.new_zeros(max(0, size - len(vectors)), 4)])
        windows = [
            (extended[start : start + size].t() * filters.weight).sum((1, 2))
            for start in range(len(extended) - size + 1)
        ]
        features.append((torch.stack(windows) + filters.bias).amax(0).relu())
    through: Tensor = side.highway(torch.cat(features).unsqueeze(0))  # type: ignore[operator]
    return through[0]


@pytest.mark.parametrize("match", [0, 3])
def test_features_by_hand(match: int) -> None:
    judge, texts = make(match=match)
    features, source = judge.features(texts), texts.source
    assert source is not None
    for row, (words, answer) in enumerate(zip(source.tolist(), texts.tolist(), strict=True)):
        target = by_hand(judge.target, judge.embedding.weight[answer])
        asked = by_hand(judge.source, judge.source_embedding.weight[words])
        expected = [target, asked]
        if match:
            expected.append(judge.of_target(target) * judge.of_source(asked))
        assert same(features[row], torch.cat(expected))


def differences(judge: PairCNNDiscriminator, texts: Text) -> Tensor:
    """By how much more each text scores than the first, (sources, texts)."""
    source = texts.source
    assert source is not None
    rows = []
    for which in range(7):
        asked = source[torch.full((len(texts),), which)]
        scores = judge(replace(texts, condition=Condition(source=asked)))
        rows.append(scores - scores[0])
    return torch.stack(rows)


def test_as_released_it_prefers_the_same_texts_whatever_the_source_is() -> None:
    apart = differences(*make(match=0))
    assert same(apart, apart[:1].expand_as(apart))
    apart = differences(*make(match=3))
    assert not same(apart, apart[:1].expand_as(apart), 1e-6)


@pytest.mark.parametrize(("match", "learns"), [(0, False), (16, True)])
def test_only_with_a_product_can_it_tell_which_pairs_belong_together(
    match: int, learns: bool
) -> None:
    """Of copies and of the same copies in another order, text and source look alike alone."""
    sides = TextSpace(8, 1)
    space = TextSpace(8, 1, source=sides)
    judge, _ = make(space, match=match, sizes=[1], counts=[16])
    words = torch.arange(8)
    texts = Text.full(words.repeat_interleave(8).unsqueeze(1))
    sources = Text.full(words.repeat(8).unsqueeze(1))
    pairs = replace(texts, condition=Condition(source=sources))
    copies = texts.tokens[:, 0] == sources.tokens[:, 0]
    optimiser = torch.optim.Adam(judge.parameters(), lr=0.02)
    for _ in range(120):
        optimiser.zero_grad()
        scores = judge(pairs)
        logistic(scores[copies].repeat(7), scores[~copies]).backward()
        optimiser.step()
    scores = judge(pairs)
    accuracy = ((scores[copies] > 0).double().mean() + (scores[~copies] < 0).double().mean()) / 2
    assert (accuracy > 0.95) == learns
    assert accuracy > 0.4
    assert learns or accuracy < 0.6


@pytest.mark.parametrize(
    ("length", "of_source", "settings", "target", "source"),
    [
        (20, 20, {}, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        (20, 2, {}, [1, 2, 3, 4, 5], [1, 2]),
        (1, 4, {}, [1], [1, 2, 3, 4]),
        (50, 9, {"preset": "csgan"}, list(range(1, 50, 4)), [1, 5]),
        (1, 1, {"preset": "csgan"}, [1], [1]),
        (6, 3, {"sizes": [2, 6], "counts": [3, 4]}, [2, 6], [2]),
    ],
)
def test_each_side_has_the_filters_that_fit_it(
    length: int, of_source: int, settings: dict[str, Any], target: list[int], source: list[int]
) -> None:
    space = TextSpace(9, length, source=TextSpace(7, of_source))
    judge = PairCNNDiscriminator(space, embedding=2, **settings)
    for side, sizes in ((judge.target, target), (judge.source, source)):
        assert [c.kernel_size[0] for c in filters_of(side.convolutions)] == sizes


def test_the_released_sizes() -> None:
    space = TextSpace(30_000, 50, eos=1, source=TextSpace(30_000, 50, eos=1))
    with torch.device("meta"):
        judge = PairCNNDiscriminator(space, preset="csgan", embedding=512, match=0)
    for side in (judge.target, judge.source):
        assert side.features == 4550
        weights = sum(filters.weight.numel() for filters in filters_of(side.convolutions))
        assert round(weights / 1e6, 1) == 73.1
        assert round(side.highway.both.weight.numel() / 1e6, 1) == 41.4
    assert judge.output.in_features == 9100


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": [1, 2], "counts": [4]}, "sizes has 2 entries and counts 1"),
        ({"sizes": [3], "counts": [4]}, r"no filter of sizes \[3\] fits texts of 2 tokens"),
        ({"sizes": [1], "counts": [4], "preset": "csgan"}, "either preset = 'csgan' or sizes"),
    ],
)
def test_filters_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    space = TextSpace(9, 4, source=TextSpace(7, 2))
    with pytest.raises(ValueError, match=message):
        PairCNNDiscriminator(space, **settings)
