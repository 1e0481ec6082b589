from dataclasses import replace
from typing import Any

import pytest
import torch
from answers import IDS
from torch import Tensor, nn
from torch.nn import functional as F
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    gradient,
    judged,
    one_hot,
    same,
    small_discriminator,
)

from textgan.core import registry
from textgan.data.text import Condition, TextSpace, concatenate
from textgan.models.discriminators.base import Highway
from textgan.models.discriminators.cnn import CNNDiscriminator
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
    judge, texts = judged(space, name, **settings)
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
    judge, texts = judged(VARIABLE, name, **settings)
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
    judge, texts = judged(VARIABLE, name, **settings)
    scores = judge(texts)
    for size in (1, 2):
        short = texts[texts.lengths <= size]
        narrow = replace(short, tokens=short.tokens[:, :size])
        assert same(judge(narrow), scores[texts.lengths <= size])
        with torch.no_grad():
            assert same(judge(narrow.repeat(9)), judge(narrow).repeat_interleave(9))


@ways
def test_what_stands_at_padding_does_not_matter(name: str, settings: dict[str, Any]) -> None:
    judge, texts = judged(VARIABLE, name, **settings)
    scores = judge(texts)
    scribbled = replace(texts, tokens=torch.where(texts.mask, texts.tokens, 3))
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
    for name in registry.names("discriminator"):
        judge, texts = judged(FIXED, name)
        (slope,) = torch.autograd.grad(judge(texts).sum(), [judge.embedding.weight])
        assert slope.any(1).all()


@worlds
@ways
def test_scores_move_with_their_texts(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge, texts = judged(space, name, **settings)
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
    judge, texts = judged(space, name, **settings)
    texts = texts[texts.lengths == space.length]
    assert same(judge(one_hot(texts, space)), judge(texts))


@worlds
@ways
def test_a_relaxed_text_has_a_gradient(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge, texts = judged(space, name, **settings)
    relaxed = one_hot(texts, space)
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
    judge, texts = judged(space, name, **settings)
    judge(texts).sum().backward()
    for parameter in judge.parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None
        assert parameter.grad.any()


@worlds
@ways
def test_judging_together_is_judging_each(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge, texts = judged(space, name, **settings)
    real, fake = texts[:5], texts[5:12]
    of_real, of_fake = judge.score_pair(real, fake)
    assert same(of_real, judge(real))
    assert same(of_fake, judge(fake))
    relaxed = one_hot(fake, space)
    of_real, of_fake = judge.score_pair(real, relaxed)
    assert same(of_real, judge(real))
    assert same(of_fake, judge(relaxed))


@ways
def test_prefixes_score_as_texts(name: str, settings: dict[str, Any]) -> None:
    judge, texts = judged(VARIABLE, name, **settings)
    scores = judge.prefix_scores(texts.pad_to(4))
    assert not scores[:, 3:].any()
    assert not scores[:, :3][~texts.mask].any()
    for t in range(3):
        reach = texts[texts.lengths > t]
        prefixes = replace(
            reach, tokens=reach.tokens[:, : t + 1], lengths=reach.lengths * 0 + t + 1
        )
        assert same(scores[texts.lengths > t, t], judge(prefixes))


def test_prefixes_of_labelled_texts_score_as_of_their_class() -> None:
    judge, texts = judged(replace(VARIABLE, classes=2))
    labels = torch.arange(len(texts)) % 2
    labelled = replace(texts, condition=Condition(labels))
    whole = judge.prefix_scores(labelled)[torch.arange(len(texts)), texts.lengths - 1]
    assert same(whole, judge(labelled))


@ways
def test_dropout_is_on_only_when_asked_for(name: str, settings: dict[str, Any]) -> None:
    judge, texts = judged(FIXED, name, **settings)
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


# --- highways ---


def test_a_highway_and_its_gradients_are_those_of_its_formula() -> None:
    highway = Highway(5).double()
    features = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    of = [features, *highway.parameters()]
    candidate, gate = F.linear(features, highway.both.weight, highway.both.bias).chunk(2, 1)
    gate = gate.sigmoid()
    right = gate * candidate.relu() + (1 - gate) * features
    result, weights = highway(features), torch.randn_like(right)
    assert same(result, right)
    for a, b in zip(
        torch.autograd.grad(result, of, weights),
        torch.autograd.grad(right, of, weights),
        strict=True,
    ):
        assert same(a, b)
    assert same(highway.replace(features.detach().clone(), at_once=3), right)

    def with_weights(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        weights = {"both.weight": weight, "both.bias": bias}
        through: Tensor = torch.func.functional_call(highway, weights, (features,))
        return through

    assert torch.autograd.gradgradcheck(with_weights, of)


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


@ways
def test_a_discriminator_can_learn_to_tell(name: str, settings: dict[str, Any]) -> None:
    judge, texts = judged(VARIABLE, name, **settings)
    is_real = texts.tokens[:, 0] == 2
    optimiser = torch.optim.Adam(judge.parameters(), lr=0.03)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(judge(texts), is_real.double()).backward()
        optimiser.step()
    right = (judge(texts) > 0) == is_real
    assert right.double().mean() > 0.85


def test_concatenated_texts_keep_their_scores() -> None:
    judge, texts = judged(VARIABLE)
    assert same(judge(concatenate([texts, texts])), judge(texts).repeat(2))


@pytest.mark.parametrize(
    "name", [name for name in registry.names("discriminator") if name != "representations"]
)
def test_a_discriminator_does_not_know_padding_by_its_number(name: str) -> None:
    space, order = IDS[2], torch.tensor([2, 3, 0, 0, 1])
    judge, (other, texts) = small_discriminator(VARIABLE, name), judged(space, name)
    weights = judge.state_dict()
    weights["embedding.weight"] = weights["embedding.weight"][order]
    other.load_state_dict(weights)
    known = replace(texts, tokens=torch.where(texts.mask, order[texts.tokens], 0))
    assert same(other(texts), judge(known))
    assert same(other(texts.trimmed()), judge(known))
