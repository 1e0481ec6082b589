"""What every pair discriminator keeps: D1 to D4, sources once, labels, perturbations."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from worlds import (
    SOURCES,
    VARIABLE,
    enumerate_texts,
    gradient,
    judged,
    one_hot,
    same,
    small_discriminator,
    some_sources,
)

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators import pair
from textgan.models.discriminators.convolution import SENTENCES_AT_ONCE
from textgan.models.discriminators.pair import PairDiscriminator, once_each
from textgan.perturb.fgm import FGM
from textgan.perturb.shifts import EmbeddingOutput, find_embedding, words_of

SPACE = replace(VARIABLE, source=SOURCES)
NAMES = [
    name
    for name in registry.names("discriminator")
    if issubclass(registry.find("discriminator", name), PairDiscriminator)
]
pairs = pytest.mark.parametrize("name", NAMES)


def every_pair(space: TextSpace = SPACE) -> Text:
    """Every text of the space in answer to every source."""
    texts, sources = enumerate_texts(space), some_sources()
    rows = torch.arange(len(sources)).repeat(len(texts))
    return with_source(texts.repeat(len(sources)), sources[rows])


def judge_of(name: str, space: TextSpace = SPACE, **settings: Any) -> PairDiscriminator:
    judge = small_discriminator(space, name, **settings)
    assert isinstance(judge, PairDiscriminator)
    return judge


def with_source(text: Text, source: Text) -> Text:
    return replace(text, condition=replace(text.condition, source=source))


def test_all_are_known() -> None:
    assert set(NAMES) >= {"hierarchical", "pair_cnn", "pair_grid", "pair_rnn"}


@pairs
@pytest.mark.parametrize("width", [5, 8])
def test_d1_padding_of_either_side_changes_nothing(name: str, width: int) -> None:
    judge, texts = judge_of(name), every_pair()
    scores, source = judge(texts), texts.source
    assert source is not None
    weights = torch.randn_like(scores)
    slope = gradient(scores @ weights, judge)
    scribbled = replace(source, tokens=torch.where(source.mask, source.tokens, 2))
    sides = [
        with_source(texts, source.pad_to(width)),
        with_source(texts.pad_to(width), source),
        with_source(texts.pad_to(width), source.pad_to(width + 1, 3)),
        with_source(texts, scribbled),
    ]
    for padded in sides:
        assert same(judge(padded), scores)
        assert same(gradient(judge(padded) @ weights, judge), slope, 1e-10)
        with torch.no_grad():
            assert same(judge(padded), scores)


@pairs
def test_d2_another_source_is_another_score(name: str) -> None:
    judge, texts = judge_of(name), enumerate_texts(SPACE)
    sources = some_sources()
    scores = judge(every_pair()).view(len(texts), len(sources))
    apart = (scores.unsqueeze(2) - scores.unsqueeze(1)).abs()[:, ~torch.eye(7, dtype=torch.bool)]
    assert apart.max(0).values.min() > 1e-6  # of any two sources, for some text
    assert (apart > 1e-9).double().mean() > 0.9
    two = texts[5:7]
    swapped = [with_source(two, sources[torch.tensor(order)]) for order in ([0, 1], [1, 0])]
    assert ((judge(swapped[0]) - judge(swapped[1])).abs() > 1e-6).all()


@pairs
def test_d3_rows_that_are_not_relaxed_score_like_tokens(name: str) -> None:
    judge, texts = judge_of(name), every_pair()
    texts = texts[texts.lengths == SPACE.length]
    relaxed = one_hot(texts, SPACE)
    assert same(judge(relaxed), judge(texts))
    assert relaxed.soft_tokens is not None
    relaxed.soft_tokens.requires_grad_()
    (slope,) = torch.autograd.grad(judge(relaxed).sum(), [relaxed.soft_tokens])
    assert slope.flatten(1).any(1).all()


@pairs
def test_d4_both_sides_may_be_narrower_than_the_space(name: str) -> None:
    judge, texts = judge_of(name), every_pair()
    scores, source = judge(texts), texts.source
    assert source is not None
    for size in (1, 2):
        for of_source in (1, 3):
            some = (texts.lengths <= size) & (source.lengths <= of_source)
            assert some.any()
            short = replace(texts[some], tokens=texts.tokens[some, :size])
            narrow = replace(source[some], tokens=source.tokens[some, :of_source])
            assert same(judge(with_source(short, narrow)), scores[some])


@pairs
def test_equal_sources_are_encoded_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, texts = judge_of(name), every_pair()
    weights = torch.randn(len(texts), dtype=torch.float64)
    alone = torch.cat([judge(texts[i : i + 1]) for i in range(len(texts))])
    encode, seen = judge.encode_source, []

    def counted(source: Text) -> Tensor:
        seen.append(len(source))
        return encode(source)

    monkeypatch.setattr(judge, "encode_source", counted)
    scores = judge(texts)
    assert seen == [7]
    assert same(scores, alone)
    assert same(gradient(scores @ weights, judge), gradient(alone @ weights, judge), 1e-10)


@pairs
def test_many_texts_score_as_few_do(name: str) -> None:
    judge, texts = judge_of(name), every_pair()
    many = texts.repeat(8)[torch.randperm(8 * len(texts))]
    assert len(many) > SENTENCES_AT_ONCE
    scores = torch.cat([judge(part) for part in many.split(100)])
    with torch.no_grad():
        assert same(judge(many.pad_to(6)), scores)


def test_once_each_is_exact_whatever_is_at_padding() -> None:
    sources = some_sources()
    scribbled = replace(sources, tokens=torch.where(sources.mask, sources.tokens, 4))
    both = Text(torch.cat([sources.tokens, scribbled.tokens]), sources.lengths.repeat(2))
    seen = []

    def encode(text: Text) -> Tensor:
        seen.append(text.tolist())
        weights = 10 ** torch.arange(4)
        return torch.where(text.mask, text.tokens * weights, 0).sum(1)

    assert torch.equal(once_each(both, encode, SOURCES.pad), encode(both))
    assert sorted(seen[0]) == sorted(sources.tolist())
    # a text that ends where another goes on with padding's number is another
    two = Text(torch.tensor([[3, 0], [3, 0]]), torch.tensor([1, 2]))
    assert once_each(two, lambda text: text.lengths, 0).tolist() == [1, 2]


def test_sources_that_share_a_number_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "text_keys", lambda texts: torch.zeros_like(texts.lengths))
    many = some_sources().repeat(2)
    assert torch.equal(once_each(many, lambda text: text.tokens, SOURCES.pad), many.tokens)


def test_an_accelerator_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgan.core.device.SYNCHRONOUS", frozenset())
    many = some_sources().repeat(3)
    assert once_each(many, lambda text: text.lengths, 0).tolist() == many.lengths.tolist()


@pairs
def test_sources_and_labels_together(name: str) -> None:
    judge = judge_of(name, replace(SPACE, classes=3))
    texts = every_pair()
    labels = torch.arange(len(texts)) % 3
    labelled = replace(texts, condition=replace(texts.condition, labels=labels))
    every = judge.class_logits(labelled)
    assert every.shape == (len(texts), 3)
    assert same(judge(labelled), every[torch.arange(len(texts)), labels])
    assert len(every.unique()) > 2 * len(texts)
    with pytest.raises(ValueError, match="texts of 3 classes need labels"):
        judge(texts)


@pairs
def test_one_table_where_the_vocabulary_is_shared(name: str) -> None:
    vocabulary = SOURCES.vocabulary
    apart = TextSpace(vocabulary, 3, eos=1, source=SOURCES)
    together = replace(apart, shares_vocabulary=True)
    judge, other = judge_of(name, together), judge_of(name, apart)
    weights = judge.state_dict()
    assert other.state_dict().keys() - weights.keys() == {"source_embedding.weight"}
    other.load_state_dict(weights | {"source_embedding.weight": weights["embedding.weight"]})
    texts = every_pair(apart)
    assert same(judge(texts), other(texts))


@pairs
def test_a_pair_discriminator_needs_a_source(name: str) -> None:
    with pytest.raises(UserError, match="together with its source, and these texts have none"):
        registry.build("discriminator", name, {}, VARIABLE)
    with pytest.raises(ValueError, match="texts that answer a source need one"):
        judge_of(name)(enumerate_texts(SPACE))


@pairs
def test_second_derivatives(name: str) -> None:
    """As the penalty of WGAN-GP takes them."""
    judge = judge_of(name)
    text = judged(SPACE, name)[1][:2]
    rows = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)

    def score(rows: Tensor) -> Tensor:
        return judge(replace(text, lengths=torch.tensor([3, 3]), soft_tokens=rows))

    assert torch.autograd.gradgradcheck(score, rows)
    (slope,) = torch.autograd.grad(score(rows).sum(), rows, create_graph=True)
    assert gradient(slope.square().sum(), judge).any()


@pairs
@pytest.mark.parametrize("side", ["", "source_embedding"])
def test_what_is_perturbed_is_the_table_of_the_texts_unless_named(name: str, side: str) -> None:
    space = TextSpace(5, 3, eos=4, bos=2, pad=3, source=SOURCES)  # other numbers for padding
    judge, texts = judged(space, name)
    assert isinstance(judge, PairDiscriminator)
    perturb = FGM(epsilon=0.1, embedding=side)
    module = find_embedding(judge, perturb.embedding)
    assert module is (judge.source_embedding if side else judge.embedding)
    with EmbeddingOutput(module, words_of(judge, module)).shifted(None) as here:
        slopes = here.gradients(judge(texts).sum())
    read = judge.source_space if side else space
    for slope, mask in zip(slopes, here.masks, strict=True):
        assert slope.any()
        assert not slope[~mask].any()
    if not side:
        assert torch.equal(here.masks[0][..., 0], texts.mask[:, : here.masks[0].shape[1]])
    else:
        words = sum(int(mask[..., 0].sum()) for mask in here.masks)
        assert words == int(some_sources().lengths.sum())
        assert read is SOURCES
    weights = dict(judge.named_parameters())
    plain = torch.autograd.grad(judge(texts).square().sum(), list(weights.values()))
    perturb(judge, lambda: (judge(texts).square().sum(), {}))
    for (key, weight), slope in zip(weights.items(), plain, strict=True):
        assert weight.grad is not None, key
        assert not same(weight.grad, slope, 1e-6), key  # that of the shifted pass is added
