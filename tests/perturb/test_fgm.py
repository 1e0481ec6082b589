"""FGM against its formula, written out by hand."""

import torch
from perturbed import (
    Net,
    agree,
    apply,
    at,
    cross_entropy,
    together,
    unit,
)

from textgan.perturb.fgm import FGM


def test_fgm_is_its_formula() -> None:
    network = Net()
    slope, clean = at(network, torch.zeros(3, 4, 3).double(), cross_entropy)
    _, there = at(network, 0.8 * unit(slope), cross_entropy)
    agree(apply(FGM(epsilon=0.8), network), together(clean, there))
