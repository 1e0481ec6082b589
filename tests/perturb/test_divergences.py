"""Divergences of two outputs."""

import torch
from perturbed import (
    agree,
)

from textgan.perturb.divergences import halves, kl, log_probabilities, squared_error, symmetric_kl


def test_divergences() -> None:
    a, b = torch.randn(2, 6, 3, dtype=torch.float64) * 3
    p, q = a.softmax(1), b.softmax(1)
    agree(kl(a, b), (p * (p / q).log()).sum(1).mean())
    agree(symmetric_kl(a, b), kl(a, b) + kl(b, a))
    agree(squared_error(a, b), (a - b).square().sum(1).mean())
    for between in (symmetric_kl, squared_error):
        assert torch.equal(between(a, b), between(b, a))
        assert between(a, b) > 0
        assert between(a, a) == 0
    # one column is a coin
    one, other = a[:, :1], b[:, :1]
    agree(log_probabilities(one).exp(), torch.cat([one.sigmoid(), (-one).sigmoid()], 1))
    coin = torch.distributions.Bernoulli
    agree(
        kl(one, other),
        torch.distributions.kl_divergence(coin(logits=one), coin(logits=other)).mean(),
    )
    value, of_a, of_b = halves(symmetric_kl, a, b)
    sides = a.clone().requires_grad_(), b.clone().requires_grad_()
    whole = symmetric_kl(*sides)
    agree((of_a, of_b), torch.autograd.grad(whole, sides))
    assert not value.requires_grad
    # never negative, also where both are nearly the same and in float32
    near = a.float() + 1e-6 * torch.randn(6, 3)
    assert symmetric_kl(a.float(), near) >= 0
    sure = torch.tensor([[0.0, -1e9]])  # a word that may not be written
    assert kl(sure, sure) == 0 and symmetric_kl(sure, sure) == 0
