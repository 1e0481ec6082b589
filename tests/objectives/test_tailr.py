"""TaiLr: its weights, its two ends, and where it is at rest."""

import pytest
import torch
from real_words import (
    assert_is_mle,
    assert_of_real_words,
    conditionals_as,
    loss_of,
    weighted,
)
from tables import dyadic_generator, whole
from torch import Tensor
from worlds import enumerate_texts, gradient, same, small_generator, worlds

from textgan.data.text import TextSpace
from textgan.objectives.tailr import TaiLr, tail_weights


@worlds
def test_gamma_0_is_maximum_likelihood(space: TextSpace) -> None:
    generator, real = small_generator(space), enumerate_texts(space)
    assert_is_mle(TaiLr(gamma=0.0, least_weight=0.0), generator, real)
    assert_is_mle(TaiLr(gamma=0.7, least_weight=1.0), generator, real)


@worlds
def test_gamma_1_weighs_a_word_by_its_probability(space: TextSpace) -> None:
    generator, real = small_generator(space), enumerate_texts(space)
    objective = TaiLr(gamma=1.0, least_weight=0.0)
    loss = loss_of(objective, generator, real)
    by_hand = weighted(generator, real, generator.log_prob(real).exp())
    assert same(loss, by_hand)
    assert same(gradient(loss, generator), gradient(by_hand, generator))


def test_weights_by_hand() -> None:
    q = torch.tensor([1.0, 0.5, 0.125, 0.01], dtype=torch.float64)
    right = torch.tensor([1.0, 0.5 / 0.6, 0.125 / 0.3, 0.25], dtype=torch.float64)
    assert same(tail_weights(q.log(), 0.2, 0.25), right)


def test_an_impossible_word_has_a_weight_too() -> None:
    log_prob = torch.tensor([-1e4, -200.0, 0.0])  # exp of the first two is 0 in float32
    assert tail_weights(log_prob, 0.0, 0.0).tolist() == [1.0, 1.0, 1.0]
    assert tail_weights(log_prob, 0.1, 0.3).tolist() == pytest.approx([0.3, 0.3, 1.0])
    assert not tail_weights(log_prob.requires_grad_(), 0.1, 0.3).requires_grad


def test_it_is_a_loss_of_real_words() -> None:
    assert_of_real_words(TaiLr(gamma=0.3, least_weight=0.1))


@worlds
def test_the_data_are_no_fixed_point_but_a_sharper_distribution_is(space: TextSpace) -> None:
    gamma = 0.1
    data = dyadic_generator(space)

    def sharper(p: Tensor) -> Tensor:
        return (p * (1 - gamma + gamma * len(p)) - gamma) / (1 - gamma)

    objective, mle = TaiLr(gamma=gamma, least_weight=0.0), TaiLr(gamma=0.0, least_weight=0.0)
    real = whole(data)
    at_data, at_rest = conditionals_as(data, lambda p: p), conditionals_as(data, sharper)
    assert same(at_rest.table.exp().sum(2), torch.ones_like(at_rest.table[..., 0]))
    assert at_rest.table.exp().max() > at_data.table.exp().max() + 0.05
    assert gradient(loss_of(objective, at_data, real), at_data).norm() > 0.01
    assert gradient(loss_of(objective, at_rest, real), at_rest).norm() < 1e-12
    assert gradient(loss_of(mle, at_data, real), at_data).norm() < 1e-12
    # weights that are all at their least are equal
    equal = TaiLr(gamma=1.0, least_weight=0.6)
    assert gradient(loss_of(equal, at_data, real), at_data).norm() < 1e-12


def test_what_is_logged() -> None:
    generator, real = small_generator(TextSpace(3, 3)), enumerate_texts(TextSpace(3, 3))
    _, figures = TaiLr(gamma=1.0, least_weight=0.0).generator_loss(generator, None, real, real, 0.0)  # type: ignore[arg-type]
    assert same(figures["weight"], generator.log_prob(real).exp().mean().detach())
    assert same(figures["nll"], -generator.log_prob(real).mean().detach())
