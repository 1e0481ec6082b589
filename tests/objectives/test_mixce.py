"""MixCE: its gradient, its end of maximum likelihood, and where it is at rest."""

import pytest
import torch
from real_words import (
    assert_is_mle,
    assert_of_real_words,
    conditionals_as,
    loss_of,
)
from tables import dyadic_generator, whole
from torch import Tensor
from worlds import enumerate_texts, gradient, same, small_generator, worlds

from textgan.data.text import TextSpace
from textgan.objectives.mixce import MixCE, mixed_weights


@worlds
def test_eta_1_is_maximum_likelihood(space: TextSpace) -> None:
    assert_is_mle(MixCE(eta=1.0), small_generator(space), enumerate_texts(space))


@worlds
@pytest.mark.parametrize("eta", [0.0, 0.3])
def test_its_gradient_is_that_of_log_q_times_a_weight(space: TextSpace, eta: float) -> None:
    generator, real = small_generator(space), enumerate_texts(space)
    total = torch.zeros(())
    for sentence in real.split(1):  # a token at a time: -(eta + (1 - eta) q) grad log q
        for t in range(int(sentence.lengths)):
            log_q = generator.log_prob(sentence)[0, t]
            q = log_q.detach().exp()
            total = total - (eta + (1 - eta) * q) * gradient(log_q, generator)
    loss = loss_of(MixCE(eta=eta), generator, real)
    assert same(gradient(loss, generator), total / real.lengths.sum())


def test_weights_by_hand() -> None:
    q = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    assert mixed_weights(q.log(), 0.2).tolist() == pytest.approx([1.0, 0.6, 0.2])
    assert not mixed_weights(q.log().requires_grad_(), 0.2).requires_grad


def test_it_is_a_loss_of_real_words() -> None:
    assert_of_real_words(MixCE(eta=0.3))


def at_rest(p: Tensor, eta: float) -> Tensor:
    """q_v = eta p_v / (c - (1 - eta) p_v), which sums to one; c by bisection."""
    low, high = float((1 - eta) * p.max()), 2.0
    for _ in range(200):
        c = (low + high) / 2
        q = eta * p / (c - (1 - eta) * p)
        low, high = (c, high) if q.sum() > 1 else (low, c)
    return q


@worlds
def test_the_data_are_no_fixed_point_but_a_sharper_distribution_is(space: TextSpace) -> None:
    eta, data = 0.4, dyadic_generator(space)
    real, objective = whole(data), MixCE(eta=eta)
    here, sharper = (
        conditionals_as(data, lambda p: p), conditionals_as(data, lambda p: at_rest(p, eta))
    )  # fmt: skip
    assert sharper.table.exp().max() > here.table.exp().max() + 0.05
    assert gradient(loss_of(objective, here, real), here).norm() > 0.01
    assert gradient(loss_of(objective, sharper, real), sharper).norm() < 1e-12
    assert gradient(loss_of(MixCE(eta=1.0), here, real), here).norm() < 1e-12


def test_what_is_logged() -> None:
    generator, real = small_generator(TextSpace(3, 3)), enumerate_texts(TextSpace(3, 3))
    _, figures = MixCE(eta=0.5).generator_loss(generator, None, real, real, 0.0)  # type: ignore[arg-type]
    log_prob = generator.log_prob(real).detach()
    assert same(figures["weight"], 0.5 + log_prob.exp().mean() / 2)
    assert same(figures["nll"], -log_prob.mean())
