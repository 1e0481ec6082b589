"""USCAL."""

from typing import Any

import pytest
import torch
from contrast import TAU, Bag, assert_gradients, batch, tokenizer, transformer
from torch import Tensor

from textgan.core.seeds import fork_rng
from textgan.encoders.contrast.losses import info_nce
from textgan.encoders.contrast.uscal import USCAL
from textgan.perturb.shifts import EmbeddingOutput


def test_uscals_shift_is_epsilon_long_and_zero_on_padding(told: list[Any]) -> None:
    method = USCAL(transformer(dropout=0.2), tokenizer(), epsilon=0.7).double()
    method.accumulate(batch())
    first, (shift,) = told
    assert first is None
    mask = method.read(batch()).mask
    assert not shift[~mask].any()
    norms = shift.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full_like(norms, 0.7))


def test_uscals_shift_increases_the_contrastive_loss_to_first_order(told: list[Any]) -> None:
    method = USCAL(transformer(dropout=0.2), tokenizer(), epsilon=1.0).double()
    with fork_rng(5, torch.device("cpu")):
        once = int(torch.randint(2**62, ()))
        second = method.view(method.read(batch())).detach()
    with fork_rng(5, torch.device("cpu")):
        method.accumulate(batch())
    (shift,) = told[1]
    text, place = method.read(batch()), EmbeddingOutput(method.network.embedding, lambda s: s != 0)

    def loss(t: float) -> tuple[float, float]:
        """The loss with the first look shifted by t * shift, and how long its gradients are."""
        with place.shifted([t * shift]) as here, fork_rng(once, torch.device("cpu")):
            value = info_nce(method.view(text), second, TAU)
        (slope,) = here.gradients(value)
        return float(value.detach()), float(slope.flatten(1).norm(dim=1).sum())

    step = 1e-6
    rise = (loss(step)[0] - loss(-step)[0]) / (2 * step)
    steepest = loss(0.0)[1]  # of all shifts of that length none rises faster
    assert steepest > 0.1
    assert rise == pytest.approx(steepest, rel=1e-6)


@pytest.mark.parametrize("clean", [False, True])
def test_uscals_gradient_by_hand(clean: bool) -> None:
    network = Bag().double()
    method = USCAL(network, tokenizer(), epsilon=0.4, alpha=0.3, clean=clean).double()
    text = method.read(batch())
    value, figures = method.accumulate(batch())

    def look(read: Tensor) -> Tensor:
        result: Tensor = method.head(network.of(read, text.mask))
        return result

    read = network.embedding(text.tokens)
    leaf = read.detach().requires_grad_()
    (slope,) = torch.autograd.grad(info_nce(look(leaf), look(read).detach(), TAU), leaf)
    slope = slope * text.mask.unsqueeze(2)
    delta = 0.4 * slope / slope.flatten(1).norm(dim=1)[:, None, None]
    worst = info_nce(look(read), look(read + delta), TAU)
    same = info_nce(look(read), look(read), TAU)
    expected = 1.3 * worst + (same if clean else 0.0)  # without dropout both looks are the same
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(figures["contrastive_loss"], same.detach())
    torch.testing.assert_close(figures["perturbed_loss"], figures["across_loss"])
    assert_gradients(method, expected)


def test_uscal_at_epsilon_zero_looks_again_with_the_first_dropout() -> None:
    method = USCAL(transformer(dropout=0.3), tokenizer(), epsilon=0.0, alpha=0.5).double()
    with fork_rng(5, torch.device("cpu")):
        once = int(torch.randint(2**62, ()))
        second = method.view(method.read(batch()))
        after = torch.rand(())
    with fork_rng(once, torch.device("cpu")):
        first = method.view(method.read(batch()))
    expected = info_nce(first, first, TAU) + 0.5 * info_nce(second, first, TAU)
    with fork_rng(5, torch.device("cpu")):
        value, _ = method.accumulate(batch())
        assert torch.equal(torch.rand(()), after)  # the next batch has numbers of its own
    torch.testing.assert_close(value, expected.detach())
    assert_gradients(method, expected)
