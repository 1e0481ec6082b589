"""Updates of weights: refused gradients, clipping, weights that are swapped."""

import math

import pytest
import torch
from perturbed import Net

from textgan.core.optim import NotFinite, build_optimiser, plain, swapped_weights, update
from textgan.data.text import Text, TextSpace
from textgan.losses import nll
from textgan.models.generators.recurrent import LSTMGenerator


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
