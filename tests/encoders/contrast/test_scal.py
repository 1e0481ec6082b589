"""SCAL."""

import pytest
import torch
from contrast import TAU, Bag, assert_gradients, batch, tokenizer, transformer
from torch import Tensor
from torch.nn import functional as F

from textgan.core.seeds import fork_rng
from textgan.encoders.contrast.losses import info_nce
from textgan.encoders.contrast.scal import SCAL


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_scal_at_epsilon_zero(dropout: float) -> None:
    method = SCAL(transformer(dropout, classes=3), tokenizer(), epsilon=0.0).double()
    sentences = batch([0, 1, 2, 1, 0])
    with fork_rng(5, torch.device("cpu")):
        once = int(torch.randint(2**62, ()))
    with fork_rng(once, torch.device("cpu")):
        features = method.network.features(method.read(sentences))
        scores = method.network.output(method.network.dropout(features))
    views = method.head(features)
    assert sentences.labels is not None
    expected = 2 * F.cross_entropy(scores, sentences.labels) + info_nce(views, views, TAU)
    with fork_rng(5, torch.device("cpu")):
        value, figures = method.accumulate(sentences)
    torch.testing.assert_close(value, expected.detach())
    assert torch.equal(figures["cross_entropy"], figures["perturbed_loss"])
    assert_gradients(method, expected)


def test_scals_gradient_by_hand() -> None:
    network = Bag(classes=2).double()
    method = SCAL(network, tokenizer(), epsilon=0.4).double()
    sentences = batch([0, 1, 1, 0, 1])
    text, labels = method.read(sentences), torch.tensor([0, 1, 1, 0, 1])
    value, _ = method.accumulate(sentences)

    def cost(read: Tensor) -> Tensor:
        return F.cross_entropy(network.output(network.of(read, text.mask)), labels)

    read = network.embedding(text.tokens)
    leaf = read.detach().requires_grad_()
    (slope,) = torch.autograd.grad(cost(leaf), leaf)
    delta = 0.4 * slope / slope.flatten(1).norm(dim=1)[:, None, None]
    assert float(cost(read + delta).detach()) > float(cost(read).detach())
    there = read + delta
    views = [method.head(network.of(part, text.mask)) for part in (read, there)]
    expected = cost(read) + cost(there) + info_nce(views[0], views[1], TAU)
    torch.testing.assert_close(value, expected.detach())
    assert_gradients(method, expected)


def test_scal_counts_what_is_right() -> None:
    method = SCAL(Bag(classes=2).double(), tokenizer()).double()
    told = method.network.class_logits(method.read(batch())).argmax(1)
    told[0] = 1 - told[0]
    assert float(method.validation_step(batch(told.tolist()))) == pytest.approx(4 / 5)
    with pytest.raises(ValueError, match="learns from labels"):
        method.accumulate(batch())
