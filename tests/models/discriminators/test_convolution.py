"""Convolutions and their largest windows: by hand, by torch, and by table."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from worlds import (
    FIXED,
    WORLDS,
    build,
    enumerate_texts,
    one_hot,
    same,
    small_discriminator,
    small_generator,
    texts_of,
)

from textgan.core import device
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators import convolution
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.discriminators.convolution import SENTENCES_AT_ONCE

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])


@pytest.fixture(params=[False, True], ids=["processor", "ahead"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor, and as if it were a device that runs ahead."""
    if request.param:
        monkeypatch.setattr(device, "SYNCHRONOUS", frozenset())


def by_hand(judge: CNNDiscriminator, sentence: list[int]) -> Tensor:
    """The features of one sentence before the highway, window by window."""
    vectors = judge.embedding.weight[sentence]
    features = []
    for filters in judge.convolutions:
        assert isinstance(filters, nn.Conv1d)
        assert filters.bias is not None
        size = filters.kernel_size[0]
        extended = torch.cat([vectors, vectors.new_zeros(max(0, size - len(vectors)), 4)])
        windows = [
            (extended[start : start + size].t() * filters.weight).sum((1, 2))
            for start in range(len(extended) - size + 1)
        ]
        features.append((torch.stack(windows) + filters.bias).amax(0).relu())
    return torch.cat(features)


@worlds
def test_convolutions_by_hand(space: TextSpace) -> None:
    judge, texts = small_discriminator(space, highway=False), enumerate_texts(space)
    assert isinstance(judge, CNNDiscriminator)
    right = torch.stack(
        [
            by_hand(judge, row[:size])
            for row, size in zip(texts.tokens.tolist(), texts.lengths.tolist(), strict=True)
        ]
    )
    assert same(judge.features(texts), right)


def test_a_convolution_of_words_that_point_the_same_way() -> None:
    # word w is the number w; a filter of ones adds up its window; the bias is 0.5
    space = TextSpace(9, 4, eos=1)
    judge = build("discriminator", "cnn", space, embedding=1, sizes=[2], counts=[1], highway=False)
    with torch.no_grad():
        judge.embedding.weight.copy_(torch.arange(9.0).unsqueeze(1))
        judge.convolutions[0].weight.fill_(1)
        judge.convolutions[0].bias.fill_(0.5)
    texts = texts_of(space, [(2, 8, 3, 1), (1,), (5, 1), (7, 4, 4, 8)])
    right = torch.tensor([[11.5], [1.5], [6.5], [12.5]], dtype=torch.float64)
    assert same(judge.features(texts), right)
    with torch.no_grad():
        judge.convolutions[0].weight.fill_(-1)
        # the best window is the one that takes least away, and what is below zero is zero
        judge.convolutions[0].bias.fill_(9)
    right = torch.tensor([[5.0], [8.0], [3.0], [1.0]], dtype=torch.float64)
    assert same(judge.features(texts), right)


@pytest.fixture
def no_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only lookup tables may be used."""

    def refuse(*_: object) -> Tensor:
        raise AssertionError("convolved without a table")

    monkeypatch.setattr(convolution, "pool_windows", refuse)


@worlds
@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("settings", [{}, {"preset": "auto"}, {"sizes": [3], "counts": [5]}])
def test_tables_give_what_convolutions_give(
    space: TextSpace, settings: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    judge = small_discriminator(space, **settings)
    texts = enumerate_texts(space).repeat(80)  # more than are in memory together
    assert len(texts) > SENTENCES_AT_ONCE
    convolved = judge.features(texts)
    request.getfixturevalue("no_convolution")
    with torch.no_grad():
        assert same(judge.features(texts), convolved, 1e-10)


def test_tables_of_a_longer_space() -> None:
    space = TextSpace(50, 12, eos=1)
    generator = small_generator(space)
    judge = small_discriminator(space, sizes=[1, 4, 7, 12], counts=[5, 6, 7, 8])
    with torch.no_grad():
        texts = generator.sample(600)
        by_table = judge(texts)
    assert texts.lengths.unique().tolist() == list(range(1, 13))
    assert same(by_table, judge(texts), 1e-10)


@worlds
def test_tables_follow_the_weights(space: TextSpace, no_convolution: None) -> None:
    judge, texts = small_discriminator(space), enumerate_texts(space).repeat(3)
    assert isinstance(judge, CNNDiscriminator)
    optimiser = torch.optim.Adam(judge.parameters(), lr=0.1)
    with torch.no_grad():
        before = judge.features(texts)
    for parameter in judge.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    with torch.no_grad():
        after = judge.features(texts)
        first = texts.tokens[0, : int(texts.lengths[0])].tolist()
        right = judge.highway(by_hand(judge, first).unsqueeze(0))
    assert not same(after, before, 1e-3)
    assert same(after[:1], right, 1e-10)


def test_few_texts_and_relaxed_texts_are_convolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError("used a table")

    monkeypatch.setattr(convolution, "pool_by_table", refuse)
    judge, texts = small_discriminator(FIXED), enumerate_texts(FIXED)
    scores = judge(texts)
    with torch.no_grad():
        assert same(judge(texts[:2]), scores[:2])
        assert same(judge(one_hot(texts, FIXED)), scores)
        judge.tables_at_most = 100
        assert same(judge(texts), scores)


def torch_convolutions(judge: CNNDiscriminator, vectors: Tensor, sizes: Tensor) -> Tensor:
    """What torch's own convolution makes of token vectors (B, T, E) of texts of these sizes."""
    rows = []
    for sentence, size in zip(vectors, sizes.tolist(), strict=True):
        best = []
        for filters in judge.convolutions:
            assert isinstance(filters, nn.Conv1d)
            width = max(size, filters.kernel_size[0])
            inside = torch.zeros(width, vectors.shape[2], dtype=vectors.dtype)
            inside = torch.cat([sentence[:size], inside[size:]])
            best.append(filters(inside.t()).amax(1))
        rows.append(torch.cat(best))
    return torch.stack(rows).relu()


@worlds
@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("settings", [{}, {"preset": "auto"}, {"sizes": [3], "counts": [5]}])
def test_convolutions_and_their_gradients_are_torchs(
    space: TextSpace, settings: dict[str, Any]
) -> None:
    judge, texts = small_discriminator(space, **settings), enumerate_texts(space)
    assert isinstance(judge, CNNDiscriminator)
    vectors = torch.randn(*texts.tokens.shape, judge.embedding.embedding_dim, dtype=torch.float64)
    vectors.requires_grad_()
    result = convolution.pool_windows(vectors, texts, convolution.filters_of(judge.convolutions))
    right = torch_convolutions(judge, vectors, texts.lengths)
    assert same(result, right)
    weights = torch.randn_like(right)
    of = [vectors, *(w for c in judge.convolutions for w in c.parameters())]
    for a, b in zip(
        torch.autograd.grad(result, of, weights),
        torch.autograd.grad(right, of, weights),
        strict=True,
    ):
        assert same(a, b)


@pytest.mark.usefixtures("either")
def test_equal_windows_share_the_gradient() -> None:
    vectors = torch.tensor([[[1.0], [3.0], [3.0], [2.0]]], requires_grad=True)
    filters = nn.Conv1d(1, 1, 1)
    with torch.no_grad():
        filters.weight.fill_(2)
    text = Text.full(torch.zeros(1, 4, dtype=torch.long))
    convolution.pool_windows(vectors, text, [filters]).backward()
    assert vectors.grad is not None and vectors.grad.flatten().tolist() == [0, 1, 1, 0]
    assert filters.weight.grad is not None and filters.weight.grad.item() == 3


@pytest.mark.usefixtures("either")
def test_convolutions_have_second_derivatives() -> None:
    vectors = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    largest = convolution._Largest.apply
    assert torch.autograd.gradcheck(lambda *arguments: largest(*arguments, None), (vectors, weight))
    assert torch.autograd.gradgradcheck(
        lambda *arguments: largest(*arguments, None), (vectors, weight)
    )
