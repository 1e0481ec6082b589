"""FreeAT against its formulas, written out by hand, and its memory."""

import pytest
import torch
from perturbed import (
    IDS,
    LABELS,
    Net,
    agree,
    apply,
    at,
    cross_entropy,
    into,
    unit,
    watching,
)

from textgan.perturb.free_at import FreeAT


def test_free_at_moves_its_shift_once_a_call_and_forgets_it() -> None:
    network = Net()
    made = FreeAT(replays=3, alpha=0.4, epsilon=0.6)
    assert made.is_stateful
    for _ in range(2):
        shift = torch.zeros(3, 4, 3, dtype=torch.float64)
        for replay in range(3):
            slope, wanted = at(network, shift, cross_entropy)
            assert bool(made.state) == (replay > 0)
            agree(apply(made, network), wanted)
            shift = into(shift + 0.4 * unit(slope), 0.6)
            with torch.no_grad():  # an optimiser's step
                for weight, gradient in zip(network.parameters(), wanted, strict=True):
                    weight -= 0.1 * gradient
        assert made.state == {}


def test_free_at_of_the_paper_keeps_its_shift_and_steps_by_signs() -> None:
    network = Net()
    made = FreeAT(replays=2, alpha=0.3, epsilon=0.3, norm="inf", keep=True)
    shift = torch.zeros(3, 4, 3, dtype=torch.float64)
    for _ in range(5):  # two batches and a half
        slope, wanted = at(network, shift, cross_entropy)
        agree(apply(made, network), wanted)
        shift = (shift + 0.3 * slope.sign()).clamp(-0.3, 0.3)
        with torch.no_grad():
            for weight, gradient in zip(network.parameters(), wanted, strict=True):
                weight -= 0.1 * gradient
    assert shift.abs().max() == 0.3


def test_free_at_that_keeps_its_shift_fits_it_to_other_texts() -> None:
    network = Net()
    for rows in (2, 3):
        made = FreeAT(replays=1, keep=True)
        apply(made, network)
        kept = made.state["shift.0"].clone()
        ids = IDS[:rows, :3]
        with watching(network, ids) as shifts:
            made(network, network.loss(ids, LABELS[:rows]))
        network.zero_grad()
        words = (ids != 0).unsqueeze(2)
        agree(shifts[:1], [torch.where(words, kept[:rows, :3], 0.0)])
        assert made.state["shift.0"].shape == (rows, 3, 3)
        with watching(network) as shifts:  # and back: what was cut begins at zero
            made(network, network.loss(IDS, LABELS))
        network.zero_grad()
        assert not shifts[0][rows:].any()
        assert not shifts[0][:, 3:].any()
        assert shifts[0].any()


def test_free_at_goes_on_from_its_memory() -> None:
    network = Net()
    one, other = FreeAT(), FreeAT()
    apply(one, network)
    other.state = {key: tensor.clone() for key, tensor in one.state.items()}
    assert all(
        torch.equal(a, b) for a, b in zip(apply(one, network), apply(other, network), strict=True)
    )


def test_free_at_of_another_batch_amid_replays() -> None:
    network, made = Net(), FreeAT()
    apply(made, network)
    with pytest.raises(RuntimeError, match="other texts"):
        made(network, network.loss(IDS[:2], LABELS[:2]))
    network.zero_grad()
    fresh = apply(FreeAT(), network, IDS)  # and then it begins anew
    agree(apply(made, network), fresh)
