"""PGD against its formula, written out by hand."""

import pytest
import torch
from perturbed import (
    Net,
    agree,
    apply,
    at,
    cross_entropy,
    into,
    make,
    placements,
    together,
    unit,
)

from textgan.perturb.pgd import PGD


@pytest.mark.parametrize("clean", [True, False])
def test_pgd_is_its_formula(clean: bool) -> None:
    network = Net()
    shift = torch.zeros(3, 4, 3).double()
    _, plain = at(network, shift, cross_entropy)
    for _ in range(4):
        slope, _ = at(network, shift, cross_entropy)
        shift = into(shift + 0.4 * unit(slope), 0.9)
    _, there = at(network, shift, cross_entropy)
    made = PGD(epsilon=0.9, alpha=0.4, steps=4, include_clean=clean)
    agree(apply(made, network), together(plain, there) if clean else there)


@placements
def test_pgd_of_one_long_step_is_fgm(placement: str) -> None:
    network = Net(tied=True)
    settings = {"epsilon": 0.6, "placement": placement}
    agree(
        apply(make("pgd", steps=1, alpha=0.6, **settings), network),
        apply(make("fgm", **settings), network),
    )
