"""InfoNCE and cosines."""

import math

import pytest
import torch
from contrast import (
    TAU,
)
from torch.nn import functional as F

from textgan.encoders.contrast.losses import cosines, info_nce, unit


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0])
def test_identical_orthonormal_views(size: int, temperature: float) -> None:
    basis = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0]
    scaled = basis * torch.rand(size, 1, dtype=torch.float64)  # lengths do not count
    expected = math.log1p((size - 1) * math.exp(-1 / temperature))
    assert float(info_nce(basis, scaled, temperature)) == pytest.approx(expected, rel=1e-12)


def test_a_batch_of_one_costs_nothing() -> None:
    a, b = torch.randn(2, 1, 5, dtype=torch.float64)
    assert float(info_nce(a, b, TAU)) == 0.0


def test_info_nce_is_its_formula() -> None:
    a, b = torch.randn(4, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    total = 0.0
    for i in range(4):
        terms = [math.exp(float(F.cosine_similarity(a[i], b[j], dim=0)) / 0.3) for j in range(6)]
        total -= math.log(terms[i] / sum(terms))
    assert float(info_nce(a, b, 0.3)) == pytest.approx(total / 4, rel=1e-12)


def test_the_order_of_a_batch_is_nothing() -> None:
    a, b = torch.randn(2, 7, 4, dtype=torch.float64)
    order = torch.randperm(7)
    torch.testing.assert_close(info_nce(a[order], b[order], TAU), info_nce(a, b, TAU))
    assert not torch.isclose(info_nce(a[order], b, TAU), info_nce(a, b, TAU))


def test_the_gradient_of_a_cosine_is_orthogonal_to_the_vector() -> None:
    a, b = torch.randn(2, 5, 4, dtype=torch.float64).unbind()
    a.requires_grad_(), b.requires_grad_()
    of_a, of_b = torch.autograd.grad(info_nce(a, b, 0.1), (a, b))
    assert of_a.norm() > 1e-3
    torch.testing.assert_close((a * of_a).sum(1), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close((b * of_b).sum(1), torch.zeros(5, dtype=torch.float64))


def test_a_vector_of_zeros_has_no_direction_and_no_gradient() -> None:
    a = torch.randn(3, 4, dtype=torch.float64)
    a[1] = 0
    a.requires_grad_()
    assert not unit(a)[1].any()
    assert not cosines(a, a)[1].any()
    value = info_nce(a, torch.randn(3, 4, dtype=torch.float64), TAU)
    (slope,) = torch.autograd.grad(value, a)
    assert value.isfinite()
    assert slope.isfinite().all()
    assert not slope[1].any()
