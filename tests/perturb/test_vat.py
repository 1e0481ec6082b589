"""VAT against its formula, written out by hand."""

import pytest
import torch
from perturbed import (
    IDS,
    LABELS,
    WORDS,
    Net,
    agree,
    at,
    gradients,
    starting,
    together,
    unit,
    watching,
)
from torch import Tensor

from textgan.perturb.divergences import kl
from textgan.perturb.vat import VAT


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("iterations", [1, 3])
def test_vat_is_its_formula(classes: int, iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Net(classes=classes)
    noise = torch.randn(3, 4, 3, dtype=torch.float64)
    starting(monkeypatch, noise)

    def loss(logits: Tensor) -> Tensor:
        return logits.square().mean()

    message = network(IDS).detach()
    d = unit(noise * WORDS)
    _, clean = at(network, torch.zeros_like(noise), loss)
    for _ in range(iterations):
        slope, _ = at(network, 0.2 * d, lambda logits: kl(message, logits))
        d = unit(slope)
    _, there = at(network, 0.9 * d, lambda logits: 1.5 * kl(message, logits))
    made = VAT(epsilon=0.9, xi=0.2, iterations=iterations, weight=1.5)
    value, metrics = made(network, lambda: (loss(network(IDS)), {}), network.outputs())
    agree(gradients(network), together(clean, there))
    agree(value, loss(message))
    assert metrics["divergence"] > 0


def test_vat_finds_where_the_divergence_curves_most() -> None:
    """The more iterations, the nearer the first eigenvector of the KL's Hessian at zero."""
    network = Net()
    ids = IDS[:1]
    message = network(ids).detach()

    def divergence(shift: Tensor) -> Tensor:
        vectors = network.table(ids) + shift.view(1, 4, 3)
        return kl(message, network.output(network.rest(vectors, ids != 0)))

    result = torch.autograd.functional.hessian(divergence, torch.zeros(12, dtype=torch.float64))
    curvatures, vectors = torch.linalg.eigh(result)
    # of two classes the Hessian has rank one: one iteration is enough
    assert curvatures[-2].abs() < 1e-12 * curvatures[-1]
    with watching(network, ids) as shifts:
        VAT(epsilon=1.0, xi=1e-5)(network, network.loss(ids, LABELS[:1]), network.outputs(ids))
    cosine = shifts[-1].flatten() @ vectors[:, -1]
    assert float(cosine.abs()) == pytest.approx(1, abs=1e-6)
