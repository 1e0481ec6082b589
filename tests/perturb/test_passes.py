"""How often a loss is computed, and what random numbers each pass sees."""

from typing import Any

import pytest
import torch
from perturbed import (
    IDS,
    LABELS,
    PASSES,
    Net,
    close,
    gradients,
    make,
    methods,
    placements,
    watching,
)
from torch import Tensor

from textgan.perturb.fgm import FGM
from textgan.perturb.freelb import FreeLB
from textgan.perturb.passes import Passes
from textgan.perturb.pgd import PGD
from textgan.perturb.smart import SMART
from textgan.perturb.vat import VAT

BACKWARD = PASSES | {"vat": 3, "smart": 4}


@pytest.mark.parametrize("name", ["vat", "smart"])
def test_the_same_for_those_that_start_at_random(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Net(padding=None)
    ids = torch.tensor([[5, 2, 6, 1]])
    table = torch.randn(7, 3, dtype=torch.float64)
    made = {place: make(name, placement=place) for place in ("output", "matrix")}

    def normal(passes: Passes, deviation: float) -> Any:
        kept = torch.zeros(7, 1).index_fill_(0, ids[0], 1.0).double() * table
        return lambda zeros, count: deviation * (kept if zeros.dim() == 2 else table[ids])

    monkeypatch.setattr(Passes, "normal", normal)
    loss = network.loss(ids, LABELS[:1])
    left = []
    for one in made.values():
        one(network, loss, network.outputs(ids))
        left.append(gradients(network))
    close(*left)


@methods
@placements
def test_as_many_passes_as_are_promised(name: str, placement: str) -> None:
    network, backward = Net(), list[int]()
    made = make(name, placement=placement)

    def count(tensor: Tensor) -> Tensor:
        tensor.register_hook(lambda gradient: backward.append(1))
        return tensor

    with watching(network) as forward:
        made(
            network,
            lambda: (count(network.loss()()[0]), {}),
            lambda: count(network(IDS)),
        )
    assert len(forward) == PASSES.get(name, 2)
    assert len(backward) == BACKWARD.get(name, 2)


@pytest.mark.parametrize(("told", "forward"), [
    (PGD(steps=5), 6), (PGD(steps=2, init="random"), 4),
    (PGD(steps=2, init="random", include_clean=False), 3), (FreeLB(passes=4), 4),
    (VAT(iterations=3), 6), (SMART(steps=3), 6), (SMART(steps=3, mu=1.0), 7),
], ids=str)  # fmt: skip
def test_passes_with_other_settings(told: Any, forward: int) -> None:
    network = Net()
    with watching(network) as passes:
        told(network, network.loss(), network.outputs())
    assert len(passes) == forward


@methods
def test_dropout_falls_alike_in_all_passes(name: str) -> None:
    network = Net(dropout=0.5).train()
    still = {
        "fgm": {"epsilon": 0.0}, "fgsm": {"epsilon": 0.0}, "pgd": {"epsilon": 0.0},
        "freelb": {"alpha": 0.0}, "yopo": {"alpha": 0.0}, "free_at": {"replays": 1},
        "vat": {"epsilon": 0.0, "xi": 1e-300}, "smart": {"sigma": 0.0, "eta": 0.0},
    }[name]  # fmt: skip
    seen: list[Tensor] = []
    network.output.register_forward_hook(lambda module, read, out: seen.append(out.detach()))
    for same in (True, False):
        seen.clear()
        make(name, same_dropout=same, **still)(network, network.loss(), network.outputs())
        alike = [torch.equal(seen[0], other) for other in seen[1:]]
        assert all(alike) if same else not any(alike)


@methods
def test_the_stream_of_random_numbers_goes_on(name: str) -> None:
    """Two calls are not alike, and the same seed gives the same."""
    network = Net(dropout=0.5).train()

    def three() -> list[list[Tensor]]:
        torch.manual_seed(0)
        result = []
        for _ in range(3):
            make(name)(network, network.loss(), network.outputs())
            result.append(gradients(network))
        return result

    first, again = three(), three()
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(first[0][1], first[1][1])


def test_noise() -> None:
    network = Net(padding=None)
    passes = Passes(network, FGM())
    uniform, normal = passes.uniform(0.7), passes.normal(0.3)
    assert uniform is not None and normal is not None
    assert passes.uniform(0.0) is None and passes.normal(0.0) is None
    zeros = torch.zeros(40, 50, 30, dtype=torch.float64)
    count = torch.ones_like(zeros, dtype=torch.bool)
    count[:, 20:] = False
    start = uniform(zeros, count)[:, :20]
    # the true length times the embedding's size
    assert 0.999 * 0.7 / 600**0.5 < start.abs().max() <= 0.7 / 600**0.5
    of_length = start.flatten(1).norm(dim=1)
    torch.testing.assert_close(
        of_length, torch.full_like(of_length, 0.7 / 3**0.5), rtol=0.1, atol=0
    )
    drawn = normal(zeros, torch.ones_like(count)) / 0.3
    assert abs(drawn.mean()) < 5 / drawn.numel() ** 0.5
    assert abs(drawn.square().mean() - 1) < 5 * (2 / drawn.numel()) ** 0.5
    for z, share in ((1.0, 0.841345), (-0.5, 0.308538), (2.5, 0.993790)):
        assert abs((drawn < z).double().mean() - share) < 5 * 0.5 / drawn.numel() ** 0.5
    assert not torch.equal(drawn[0], drawn[1])
