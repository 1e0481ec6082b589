"""Updates of weights: refused gradients, clipping, weights that are swapped."""

import math

import pytest
import torch
from perturbed import Net

from textgan.core.errors import UserError
from textgan.core.optim import (
    NotFinite,
    Optimisers,
    build_optimiser,
    dropout,
    plain,
    swapped_weights,
    update,
)
from textgan.data.text import Text, TextSpace
from textgan.losses import nll
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.perturb.fgm import FGM
from textgan.perturb.freelb import FreeLB
from textgan.perturb.pgd import PGD
from textgan.perturb.vat import VAT


def test_update_refuses_a_gradient_that_is_not_finite() -> None:
    generator = LSTMGenerator(TextSpace(5, 3))
    before = {name: weight.clone() for name, weight in generator.state_dict().items()}
    text = Text.full(torch.tensor([[1, 2, 3]]))
    optimiser = build_optimiser(generator, 0.1)

    def loss() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return nll(generator.log_prob(text), text.mask) * math.inf, {}

    with pytest.raises(NotFinite, match="LSTMGenerator"):
        update(generator, optimiser, loss, plain, 5.0)
    assert all(torch.equal(before[name], weight) for name, weight in generator.state_dict().items())


def test_sgd_is_the_gradient_and_nothing_else() -> None:
    weight = torch.nn.Linear(3, 1, bias=False)
    before, given = weight.weight.detach().clone(), torch.tensor([[1.0, -2.0, 0.5]])
    optimiser = build_optimiser(weight, 0.1, Optimisers(method="sgd"))
    for step in (1, 2):
        update(weight, optimiser, lambda: (weight(given).sum(), {}), plain, 0.0)
        assert torch.allclose(weight.weight, before - 0.1 * step * given)
    assert optimiser.state_dict()["state"] == {}


def test_clip_bounds_the_step_and_zero_means_never() -> None:
    text = Text.full(torch.tensor([[1, 2, 3]]))
    norms = {}
    for clip in (0.0, 0.01):
        torch.manual_seed(0)
        generator = LSTMGenerator(TextSpace(5, 3))
        sgd = torch.optim.SGD([p for p in generator.parameters() if p.requires_grad], lr=1.0)
        before = torch.cat([p.detach().flatten().clone() for p in generator.parameters()])

        def loss(model: LSTMGenerator = generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            return nll(model.log_prob(text), text.mask), {}

        figures = update(generator, sgd, loss, plain, clip)
        after = torch.cat([p.detach().flatten() for p in generator.parameters()])
        norms[clip] = ((after - before).norm().item(), figures["gradient_norm"].item())
    assert norms[0.0][0] == pytest.approx(norms[0.0][1], rel=1e-5)
    assert norms[0.01][0] == pytest.approx(0.01, rel=1e-3)
    assert norms[0.01][1] == pytest.approx(norms[0.0][1])  # what is logged is the norm before


@pytest.mark.parametrize("tied", [False, True])
def test_weights_that_are_exchanged_come_back_to_the_bit(tied: bool) -> None:
    network = Net(tied=tied)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    averages = {name: torch.rand_like(weight) for name, weight in before.items()}
    read = "words.embedding.weight" if tied else "output.weight"

    def broken() -> None:
        with swapped_weights(network, averages):
            assert torch.equal(network.output.weight, averages[read])
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name])


@pytest.mark.parametrize("made", [FGM(), PGD(), FreeLB(), VAT(), PGD(include_clean=True)])
def test_a_closure_that_gives_no_loss_is_refused(made) -> None:  # type: ignore[no-untyped-def]
    network = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Linear(3, 2))
    ids = torch.tensor([[1, 2], [3, 4]])

    def outputs() -> torch.Tensor:
        return network(ids)[:, 0]

    for wrong, words in (
        (lambda: network(ids).sum(), "a Tensor of shape ()"),
        (lambda: (network(ids).sum().item(), {}), "a float as the loss"),
        (lambda: (network(ids), {}), "shape (2, 2, 2) as the loss"),
        (lambda: (network(ids).sum(), None), "None as the metrics"),
        (lambda: (network(ids).sum().detach(), {}), "without a gradient"),
    ):
        with pytest.raises(UserError) as refusal:
            made(network, wrong, outputs)
        assert f"the closure of the loss returned {words}" in str(refusal.value) or words in str(
            refusal.value
        )
        assert "expected (loss, metrics)" in str(refusal.value)
    with torch.no_grad(), pytest.raises(UserError, match=r"no_grad"):
        made(network, lambda: (network(ids).sum(), {}), outputs)


def test_dropout_is_on_in_updates_and_off_in_rewards() -> None:
    """Trap: a reward read with dropout on is noise."""
    from textgan.models.discriminators.cnn import CNNDiscriminator

    judge = CNNDiscriminator(TextSpace(9, 6), sizes=[1, 2], counts=[50, 50], dropout=0.5)
    text = Text.full(torch.randint(9, (4, 6)))
    for module in judge.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    assert torch.equal(judge(text), judge(text))
    with dropout(judge):
        assert not torch.equal(judge(text), judge(text))
        assert judge.training  # cuDNN wants recurrent networks in training mode
    assert torch.equal(judge(text), judge(text))
