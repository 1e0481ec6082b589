"""JSDGAN against its derivation: the divergence over the whole space from the training texts."""

from dataclasses import replace
from math import log

import pytest
import torch
from answers import all_answers, answering
from tables import generator_of
from torch import Tensor
from worlds import (
    FIXED,
    Uniform,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_generator,
    worlds,
)

from textgan.core.optim import Loss
from textgan.data.text import Text, TextSpace, concatenate
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.jsdgan import JSDGAN, jsd_log_weights

names = pytest.mark.parametrize("name", ["lstm", "gru"])
ZERO = torch.zeros((), dtype=torch.float64)


def chosen(space: TextSpace, n: int = 5) -> Tensor:
    """Which texts are the training set: n of them, short and long."""
    return torch.linspace(0, len(enumerate_texts(space)) - 1, n).long()


def closed_form(log_g: Tensor, p: float) -> Tensor:
    """sum of p log(p / (p + G)) + G log(G / (p + G)) over texts with log G."""
    g = log_g.exp()
    return (p * (p / (p + g)).log() + g * (g / (p + g)).log()).sum()


def divergence(generator: AutoregressiveGenerator, space: TextSpace) -> Tensor:
    """JSD(p, G) over every text of the space, p uniform on the training set."""
    texts, train = enumerate_texts(space), chosen(space)
    g = log_probs(generator, texts).exp()
    p = torch.zeros(len(texts), dtype=torch.float64)
    p[train] = 1 / len(train)
    half = (p + g) / 2
    return ((p[train] * (p[train] / half[train]).log()).sum() + (g * (g / half).log()).sum()) / 2


def loss_of(
    generator: AutoregressiveGenerator, train: Text, real: Text, flatten: float = 1.0
) -> Loss:
    objective = JSDGAN(flatten=flatten)
    objective.connect(generator, None, train)
    result: Loss = objective.generator_loss(generator, None, real, real, 0.0)
    return result


@worlds
@names
def test_the_closed_form_is_the_divergence(space: TextSpace, name: str) -> None:
    # texts outside of the training set included: what G gives them the sum does not see
    generator, texts = small_generator(space, name), enumerate_texts(space)
    train = texts[chosen(space)]
    assert probabilities(generator, train).sum() < 0.9
    result = closed_form(log_probs(generator, train), 1 / len(train))
    right = divergence(generator, space)
    assert same(result, 2 * right - 2 * log(2))
    assert same(gradient(result, generator), 2 * gradient(right, generator))


@worlds
@names
def test_the_step_descends_the_divergence(space: TextSpace, name: str) -> None:
    generator, train = small_generator(space, name), enumerate_texts(space)[chosen(space)]
    loss, figures = loss_of(generator, train, train)
    right = 2 * gradient(divergence(generator, space), generator)
    assert right.abs().max() > 1e-3
    assert same(gradient(loss, generator) * figures["log_weight"].exp(), right)


@worlds
def test_weights_are_those_of_the_envelope_theorem(space: TextSpace) -> None:
    generator, train = small_generator(space), enumerate_texts(space)[chosen(space)]
    g, p = probabilities(generator, train), 1 / len(train)
    right = -g * (g / (p + g)).log()
    assert same(jsd_log_weights(g.log(), log(p)).exp(), right)
    loss, figures = loss_of(generator, train, train)
    share = right / right.sum()
    assert same(loss, -(share * log_probs(generator, train)).sum())
    assert same(figures["ess"], 1 / share.square().sum() / len(train))
    assert same(figures["log_weight"], right.sum().log())
    # minus the derivative of each text's closed form with respect to log G
    log_g = g.log().requires_grad_()
    (slope,) = torch.autograd.grad(closed_form(log_g, p), log_g)
    assert same(-slope, right)


@worlds
def test_batches_add_up_to_the_training_set(space: TextSpace) -> None:
    # each batch has a factor of its own, which is what is logged
    generator, train = small_generator(space), enumerate_texts(space)[chosen(space)]
    right = 2 * gradient(divergence(generator, space), generator)
    total = torch.zeros_like(right)
    for batch in (train[:2], train[2:3], train[3:]):
        loss, figures = loss_of(generator, train, batch)
        total += gradient(loss, generator) * figures["log_weight"].exp()
        shares = loss_of(generator, train, batch)[1]["ess"] * len(batch)
        assert 1 - 1e-12 <= shares <= len(batch) + 1e-12
    assert same(total, right)


@worlds
@pytest.mark.parametrize("flatten", [0.0, 0.3])
def test_flatten_is_the_power_of_the_generators_probability(
    space: TextSpace, flatten: float
) -> None:
    generator, train = small_generator(space), enumerate_texts(space)[chosen(space)]
    g, p = probabilities(generator, train), 1 / len(train)
    weights = g**flatten * (1 + p / g).log()
    loss, _ = loss_of(generator, train, train, flatten)
    assert same(loss, -(weights / weights.sum() * log_probs(generator, train)).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_weights_of_what_is_nearly_impossible(dtype: torch.dtype) -> None:
    log_g = torch.tensor([-1e3, -1e3 + 1, -30.0, -1.0, -1e-6, 0.0], dtype=dtype)
    for log_p in (-log(10), -log(10_000), -log(1e7)):
        result = jsd_log_weights(log_g, log_p)
        assert result.isfinite().all()
        # G log(1 + p / G) = G (log p - log G) + terms of G / p, for G far below p
        right = log_g[:2] + (log_p - log_g[:2]).log()
        assert torch.allclose(result[:2], right, rtol=1e-6)
        # and p to first order for G far above it
        if log_p < -15:
            assert torch.allclose(result[-1], torch.tensor(log_p, dtype=dtype), rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_improbable_texts_still_have_a_direction(scale: float) -> None:
    generator, train = small_generator(FIXED), enumerate_texts(FIXED)[:6]
    generator = generator.float()
    with torch.no_grad():
        generator.output.bias[2] += scale  # texts of 0 and 1 alone: about e^-900
    train = train[train.tokens.amax(1) < 2]
    assert len(train) == 4
    total = log_probs(generator, train)
    assert (total < -2.9 * scale).all() or scale == 1
    loss, figures = loss_of(generator, train, train)
    result = gradient(loss, generator)
    assert loss.isfinite() and result.isfinite().all() and result.any()
    assert all(figure.isfinite() for figure in figures.values())


@worlds
def test_it_comes_to_rest_at_the_training_set(space: TextSpace) -> None:
    texts, train = enumerate_texts(space), chosen(space)
    p = torch.zeros(len(texts), dtype=torch.float64)
    p[train] = 1 / len(train)
    generator = generator_of(space, 0.999 * p + 0.001 / len(texts))
    optimiser = torch.optim.SGD(generator.parameters(), lr=0.5)
    before = divergence(generator, space).item()
    for _ in range(15):
        optimiser.zero_grad()
        loss_of(generator, texts[train], texts[train])[0].backward()
        optimiser.step()
    after = divergence(generator, space).item()
    assert after < before < 1e-3


def test_real_texts_are_all_that_it_reads() -> None:
    texts, generator = enumerate_texts(FIXED), Uniform(FIXED)
    objective = JSDGAN()
    objective.connect(generator, None, texts)
    assert objective.texts == len(texts)
    assert objective.sample(generator, texts, 0.3) is texts
    with pytest.raises(TypeError, match="jsdgan has no discriminator"):
        objective.discriminator_loss(None, texts, texts)


def test_texts_that_answer_a_source_descend_the_divergence_given_it() -> None:
    """Three training texts answer one source, two another: sum over sources of p(x) JSD(. | x)."""
    generator = answering()
    train = concatenate([all_answers(0)[torch.tensor([2, 9, 13])], all_answers(1)[7:9]])
    share = torch.tensor([3, 3, 3, 2, 2]).double() / 5
    p = 1 / torch.tensor([3, 3, 3, 2, 2]).double()  # of the text, given its source
    g = log_probs(generator, train).exp()
    each = share * (p * (p / (p + g)).log() + g * (g / (p + g)).log())
    right = gradient(each.sum(), generator)
    objective = JSDGAN()
    objective.connect(generator, None, train)

    def descent(texts: Text) -> Tensor:
        loss, metrics = objective.generator_loss(generator, None, texts, texts, 0.0)  # type: ignore[arg-type]
        return gradient(loss, generator) * metrics["log_weight"].exp()

    assert same(descent(train), right, 1e-9)
    # a text counts alike in any batch
    order = torch.tensor([4, 0])
    rest = descent(train[order]) + descent(train[torch.tensor([1, 2, 3])])
    assert same(rest, right, 1e-9)
    # with labels, what counts is the share of source and class together
    labelled = replace(
        train, condition=replace(train.condition, labels=torch.tensor([0, 1, 1, 0, 0]))
    )
    objective.connect(generator, None, labelled)
    assert objective.log_shares is not None
    shares = objective.log_shares.exp().tolist()
    assert sorted(shares) == pytest.approx([0.2, 0.4, 0.4])
