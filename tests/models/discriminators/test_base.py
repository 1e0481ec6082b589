from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    build,
    enumerate_texts,
    gradient,
    one_hot,
    same,
    small_discriminator,
    small_generator,
    texts_of,
)

from textgan.core import registry
from textgan.data.text import Text, TextSpace, concatenate
from textgan.models.discriminators import base, convolution
from textgan.models.discriminators import cnn as discriminators
from textgan.models.discriminators.base import Discriminator, Highway
from textgan.models.discriminators.cnn import PRESETS, CNNDiscriminator
from textgan.models.discriminators.convolution import SENTENCES_AT_ONCE
from textgan.models.discriminators.rnn import RNNDiscriminator

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
# every registered discriminator, and the ways in which its computation differs
WAYS: list[tuple[str, dict[str, Any]]] = [
    *[(name, {}) for name in registry.names("discriminator")],
    ("cnn", {"preset": "auto"}),
    ("cnn", {"highway": False}),
    ("rnn", {"cell": "lstm"}),
]
ways = pytest.mark.parametrize(("name", "settings"), WAYS)


def test_the_two_discriminators_are_registered() -> None:
    assert registry.find("discriminator", "cnn") is CNNDiscriminator
    assert registry.find("discriminator", "rnn") is RNNDiscriminator


@worlds
@ways
def test_a_score_is_a_number_for_each_text(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge, texts = small_discriminator(space, name, **settings), enumerate_texts(space)
    scores = judge(texts)
    assert scores.shape == (len(texts),)
    # different texts look different (a max over time may confuse a few)
    assert len(torch.unique(scores)) > len(texts) / 2
    # and the score is linear in the features, its mean over views where there are several
    right = judge.features(texts) @ judge.output.weight[0] + judge.output.bias
    assert same(scores, right.view(len(texts), -1).mean(1))


@ways
@pytest.mark.parametrize("width", [4, 7])
def test_padding_changes_no_score_and_no_gradient(
    name: str, settings: dict[str, Any], width: int
) -> None:
    judge, texts = small_discriminator(VARIABLE, name, **settings), enumerate_texts(VARIABLE)
    scores, padded = judge(texts), judge(texts.pad_to(width))
    assert same(padded, scores)
    weights = torch.randn(15, dtype=torch.float64)
    assert same(gradient(padded @ weights, judge), gradient(scores @ weights, judge))
    with torch.no_grad():
        many = texts.repeat(9)
        assert same(judge(many.pad_to(width)), scores.repeat_interleave(9))


@ways
def test_a_text_may_be_as_narrow_as_its_longest_sentence(
    name: str, settings: dict[str, Any]
) -> None:
    judge, texts = small_discriminator(VARIABLE, name, **settings), enumerate_texts(VARIABLE)
    scores = judge(texts)
    for size in (1, 2):
        short = texts[texts.lengths <= size]
        narrow = Text(short.tokens[:, :size], short.lengths)
        assert same(judge(narrow), scores[texts.lengths <= size])
        with torch.no_grad():
            assert same(judge(narrow.repeat(9)), judge(narrow).repeat_interleave(9))


@ways
def test_what_stands_at_padding_does_not_matter(name: str, settings: dict[str, Any]) -> None:
    judge, texts = small_discriminator(VARIABLE, name, **settings), enumerate_texts(VARIABLE)
    scores = judge(texts)
    scribbled = Text(torch.where(texts.mask, texts.tokens, 3), texts.lengths)
    assert same(judge(scribbled), scores)
    if name == "residual":  # it reads padding as one symbol more
        return
    (slope,) = torch.autograd.grad(scores.sum(), [judge.embedding.weight])
    assert not slope[0].any()
    assert slope[1:].any(1).all()
    with torch.no_grad():
        judge.embedding.weight[0] = 1e3
        assert same(judge(texts), scores)  # no text has the padding token inside
        assert same(judge(texts.repeat(9)), scores.repeat_interleave(9))


def test_where_no_text_ends_token_zero_is_a_token_like_any_other() -> None:
    texts = enumerate_texts(FIXED)
    for name in registry.names("discriminator"):
        judge = small_discriminator(FIXED, name)
        (slope,) = torch.autograd.grad(judge(texts).sum(), [judge.embedding.weight])
        assert slope.any(1).all()


@worlds
@ways
def test_scores_move_with_their_texts(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge, texts = small_discriminator(space, name, **settings), enumerate_texts(space)
    order = torch.randperm(len(texts))
    assert same(judge(texts[order]), judge(texts)[order])
    assert same(judge(texts[4:5]), judge(texts)[4:5])
    with torch.no_grad():
        many = texts.repeat(9)
        order = torch.randperm(len(many))
        assert same(judge(many[order]), judge(many)[order])


@worlds
@ways
def test_rows_that_are_not_relaxed_score_like_tokens(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge, texts = small_discriminator(space, name, **settings), enumerate_texts(space)
    texts = texts[texts.lengths == space.length]
    assert same(judge(one_hot(texts, space)), judge(texts))


@worlds
@ways
def test_a_relaxed_text_has_a_gradient(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge = small_discriminator(space, name, **settings)
    relaxed = one_hot(enumerate_texts(space), space)
    assert relaxed.soft_tokens is not None
    relaxed.soft_tokens.requires_grad_()
    judge(relaxed).sum().backward()
    assert relaxed.soft_tokens.grad is not None
    assert relaxed.soft_tokens.grad.flatten(1).any(1).all()


@worlds
@ways
def test_a_gradient_reaches_every_parameter(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge = small_discriminator(space, name, **settings)
    judge(enumerate_texts(space)).sum().backward()
    for parameter in judge.parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None
        assert parameter.grad.any()


@worlds
@ways
def test_judging_together_is_judging_each(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge, texts = small_discriminator(space, name, **settings), enumerate_texts(space)
    real, fake = texts[:5], texts[5:12]
    of_real, of_fake = judge.score_pair(real, fake)
    assert same(of_real, judge(real))
    assert same(of_fake, judge(fake))
    relaxed = one_hot(fake, space)
    of_real, of_fake = judge.score_pair(real, relaxed)
    assert same(of_real, judge(real))
    assert same(of_fake, judge(relaxed))


@ways
def test_dropout_is_on_only_when_asked_for(name: str, settings: dict[str, Any]) -> None:
    judge, texts = small_discriminator(FIXED, name, **settings), enumerate_texts(FIXED)
    assert torch.equal(judge(texts), judge(texts))
    if name == "residual":
        assert judge.dropout.p == 0  # it drops nothing
        return
    with torch.no_grad():
        right = judge(texts[:3])
        judge.dropout.train()
        scores = judge(texts[:3].repeat(400)).view(3, 400)
    assert scores.std(1).min() > 0
    # dropout is unbiased before a linear layer
    assert ((scores.mean(1) - right).abs() < 5 * scores.std(1) / 400**0.5).all()


# --- the convolutional one ---


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

    monkeypatch.setattr(discriminators, "pool_windows", refuse)


@worlds
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

    monkeypatch.setattr(discriminators, "pool_by_table", refuse)
    judge, texts = small_discriminator(FIXED), enumerate_texts(FIXED)
    scores = judge(texts)
    with torch.no_grad():
        assert same(judge(texts[:2]), scores[:2])
        assert same(judge(one_hot(texts, FIXED)), scores)
        monkeypatch.setattr(convolution, "TABLES_AT_MOST", 100)
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
@pytest.mark.parametrize("settings", [{}, {"preset": "auto"}, {"sizes": [3], "counts": [5]}])
def test_convolutions_and_their_gradients_are_torchs(
    space: TextSpace, settings: dict[str, Any]
) -> None:
    judge, texts = small_discriminator(space, **settings), enumerate_texts(space)
    assert isinstance(judge, CNNDiscriminator)
    vectors = torch.randn(*texts.tokens.shape, judge.embedding.embedding_dim, dtype=torch.float64)
    vectors.requires_grad_()
    found = convolution.pool_windows(vectors, texts, convolution.filters_of(judge.convolutions))
    right = torch_convolutions(judge, vectors, texts.lengths)
    assert same(found, right)
    weights = torch.randn_like(right)
    of = [vectors, *(w for c in judge.convolutions for w in c.parameters())]
    for a, b in zip(
        torch.autograd.grad(found, of, weights),
        torch.autograd.grad(right, of, weights),
        strict=True,
    ):
        assert same(a, b)


@pytest.mark.parametrize("block", [2, 40])
def test_a_highway_and_its_gradients_are_those_of_its_formula(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BLOCK", block)  # rows of its gradient at a time, of ten
    highway = Highway(5).double()
    features = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    of = [features, *highway.parameters()]
    candidate, gate = F.linear(features, highway.both.weight, highway.both.bias).chunk(2, 1)
    gate = gate.sigmoid()
    right = gate * candidate.relu() + (1 - gate) * features
    found, weights = highway(features), torch.randn_like(right)
    assert same(found, right)
    for a, b in zip(
        torch.autograd.grad(found, of, weights),
        torch.autograd.grad(right, of, weights),
        strict=True,
    ):
        assert same(a, b)
    assert same(highway.replace(features.detach().clone(), at_once=3), right)
    assert torch.autograd.gradgradcheck(base._Linear.apply, of)


def test_equal_windows_share_the_gradient() -> None:
    vectors = torch.tensor([[[1.0], [3.0], [3.0], [2.0]]], requires_grad=True)
    filters = nn.Conv1d(1, 1, 1)
    with torch.no_grad():
        filters.weight.fill_(2)
    text = Text.full(torch.zeros(1, 4, dtype=torch.long))
    convolution.pool_windows(vectors, text, [filters]).backward()
    assert vectors.grad is not None and vectors.grad.flatten().tolist() == [0, 1, 1, 0]
    assert filters.weight.grad is not None and filters.weight.grad.item() == 3


def test_convolutions_have_second_derivatives() -> None:
    vectors = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    largest = convolution._Largest.apply
    assert torch.autograd.gradcheck(lambda *told: largest(*told, None), (vectors, weight))
    assert torch.autograd.gradgradcheck(lambda *told: largest(*told, None), (vectors, weight))


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


def test_a_closed_highway_gate_halves() -> None:
    highway = Highway(5).double()
    nn.init.zeros_(highway.both.weight)
    features = torch.randn(3, 5, dtype=torch.float64)
    assert same(highway(features), features / 2)  # gate 1/2, candidate 0


def test_a_highway_by_hand() -> None:
    highway = Highway(4).double()
    nn.init.normal_(highway.both.bias)
    features = torch.randn(6, 4, dtype=torch.float64)
    candidate = (features @ highway.both.weight[:4].t() + highway.both.bias[:4]).relu()
    gate = (features @ highway.both.weight[4:].t() + highway.both.bias[4:]).sigmoid()
    assert same(highway(features), gate * candidate + (1 - gate) * features)


# --- the recurrent one ---


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_discriminator_reads_both_ways(cell: str) -> None:
    judge = small_discriminator(VARIABLE, "rnn", cell=cell)
    assert isinstance(judge, RNNDiscriminator)
    texts = enumerate_texts(VARIABLE)
    found = judge.features(texts)
    for row, size in enumerate(texts.lengths.tolist()):
        _, last = judge.rnn(judge.embedding(texts.tokens[row : row + 1, :size]))
        hidden = last[0] if cell == "lstm" else last
        assert same(found[row], torch.cat([hidden[0, 0], hidden[1, 0]]))


@ways
def test_a_discriminator_can_learn_to_tell(name: str, settings: dict[str, Any]) -> None:
    judge: Discriminator = small_discriminator(VARIABLE, name, **settings)
    texts = enumerate_texts(VARIABLE)
    is_real = texts.tokens[:, 0] == 2
    optimiser = torch.optim.Adam(judge.parameters(), lr=0.03)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(judge(texts), is_real.double()).backward()
        optimiser.step()
    right = (judge(texts) > 0) == is_real
    assert right.double().mean() > 0.85


def test_concatenated_texts_keep_their_scores() -> None:
    judge, texts = small_discriminator(VARIABLE), enumerate_texts(VARIABLE)
    assert same(judge(concatenate([texts, texts])), judge(texts).repeat(2))
