"""FreeLB against its formula, written out by hand."""

import torch
from perturbed import (
    Net,
    agree,
    apply,
    at,
    cross_entropy,
    gradients,
    make,
    together,
    watching,
)

from textgan.perturb.freelb import FreeLB


def test_freelb_learns_from_the_mean_over_the_shifts_it_was_at() -> None:
    for placement in ("output", "matrix"):
        network = Net(tied=True)
        made = make("freelb", passes=4, magnitude=0.5, placement=placement)
        assert made.ascents == 3  # type: ignore[attr-defined]
        with watching(network) as shifts:
            result = apply(made, network)
        own = network.table.weight.data
        parts = []
        for shift in shifts:
            if placement == "output":
                parts.append(at(network, shift, cross_entropy)[1])
                continue
            network.table.weight.data = own + shift
            network.loss()()[0].backward()
            parts.append(gradients(network))
            network.table.weight.data = own
        agree(result, [gradient / 4 for gradient in together(*parts)])


def test_freelb_without_a_start_or_ascents_is_plain_training() -> None:
    network = Net(dropout=0.5).train()
    for scale in (1.0, 4.0):
        torch.manual_seed(11)
        (network.loss()()[0] * scale).backward()
        plain = gradients(network)
        result = apply(FreeLB(passes=1, magnitude=0.0), network, scale=scale)
        assert all(torch.equal(a, b) for a, b in zip(result, plain, strict=True))
