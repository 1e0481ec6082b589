"""FGM against its formula, written out by hand."""

import torch
from perturbed import (
    IDS,
    LABELS,
    WORDS,
    Linear,
    Net,
    agree,
    apply,
    at,
    by_hand,
    cross_entropy,
    left,
    together,
    unit,
)
from torch import nn
from torch.nn import functional as F

from textgan.perturb.fgm import FGM, FGSM


def test_fgm_is_its_formula() -> None:
    network = Net()
    slope, clean = at(network, torch.zeros(3, 4, 3).double(), cross_entropy)
    _, there = at(network, 0.8 * unit(slope), cross_entropy)
    agree(apply(FGM(epsilon=0.8), network), together(clean, there))


def test_five_lines_on_a_plain_model() -> None:
    network = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(12, 2))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.5)
    values = []
    made = FGM(epsilon=0.1)
    for _ in range(20):
        optimiser.zero_grad()
        value, _ = made(network, lambda: (F.cross_entropy(network(IDS), LABELS), {}))
        optimiser.step()
        values.append(float(value))
    assert values[-1] < values[0] / 3


def test_fgsm_on_a_linear_model() -> None:
    network = Linear()
    FGSM(epsilon=0.2)(network, network.loss)
    signs = (network.shares.view(3, 1, 1) * network.output.weight.detach()).sign() * WORDS
    one, other = by_hand(torch.zeros(3, 4, 3)), by_hand(0.2 * signs)
    agree(left(network), (one[0] + other[0], one[1] + other[1]))


def test_the_plain_formulas_on_a_linear_model_s_table() -> None:
    network = Linear()
    _, slope = by_hand(torch.zeros(3, 4, 3))
    shift = 0.7 * slope / slope.norm()
    assert shift[4].norm() > 0 and not shift[0].any()
    value, metrics = FGM(epsilon=0.7, placement="matrix")(network, network.loss)
    one, other = by_hand(torch.zeros(3, 4, 3)), by_hand(shift[IDS])
    agree(left(network), (one[0] + other[0], one[1] + other[1]))
    agree(metrics["perturbed_loss"], value + 0.7 * slope.norm())
