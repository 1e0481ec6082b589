"""SMART against its formula, written out by hand."""

import pytest
import torch
from perturbed import (
    IDS,
    LABELS,
    WORDS,
    Net,
    agree,
    apply,
    at,
    gradients,
    make,
    placements,
    starting,
    watching,
)
from torch import Tensor
from torch.nn import functional as F

from textgan.core.optim import swapped_weights
from textgan.perturb.divergences import squared_error, symmetric_kl
from textgan.perturb.smart import SMART


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("projection", ["ball", "unit"])
@pytest.mark.parametrize("divergence", ["kl", "squared"])
def test_smart_is_its_formula(
    steps: int, projection: str, divergence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Net()
    noise = torch.randn(3, 4, 3, dtype=torch.float64)
    starting(monkeypatch, noise)
    between = symmetric_kl if divergence == "kl" else squared_error
    message = network(IDS).detach()
    shift = 0.05 * noise * WORDS
    for _ in range(steps):
        slope, _ = at(network, shift, lambda logits: between(message, logits))
        if projection == "ball":
            largest = slope.abs().amax((1, 2), keepdim=True)
            shift = (shift + 0.3 * slope / largest).clamp(-0.4, 0.4)
        else:
            shift = shift + 0.3 * slope
            shift = shift / (shift.abs().amax(2, keepdim=True) + 1e-6)
            assert (shift.abs().amax(2)[IDS != 0] > 0.999).all()
    vectors = network.table(IDS)
    shifted = network.output(network.rest(vectors + shift, IDS != 0))
    loss, _ = network.loss()()
    (loss + 1.5 * between(network(IDS), shifted)).backward()  # one graph: both sides have gradients
    wanted = gradients(network)
    made = SMART(
        weight=1.5, sigma=0.05, eta=0.3, epsilon=0.4, steps=steps,
        projection=projection, divergence=divergence,  # type: ignore[arg-type]
    )  # fmt: skip
    value, metrics = made(network, network.loss(), network.outputs())
    agree(gradients(network), wanted)
    agree(value, loss.detach())
    agree(metrics["divergence"], between(message, shifted.detach()))
    assert made.state == {} and not made.is_stateful


def test_smart_on_a_tied_table_is_the_gradient_of_both_sides() -> None:
    network = Net(tied=True)
    own = network.table.weight.detach().clone()
    made = make("smart", mu=0.0, placement="matrix", sigma=0.2)
    with watching(network) as shifts:
        result = apply(made, network)
    shift = shifts[-1]

    def whole(weight: Tensor) -> Tensor:
        def said(table: Tensor) -> Tensor:
            parameters = {"words.embedding.weight": table, "output.weight": table}
            logits: Tensor = torch.func.functional_call(network, parameters, (IDS,))
            return logits

        return F.cross_entropy(said(weight), LABELS) + symmetric_kl(
            said(weight), said(weight + shift)
        )

    table = own.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(whole(table), table)
    agree(result[0], wanted)


@placements
@pytest.mark.parametrize("divergence", ["kl", "squared"])
def test_smart_is_nothing_without_a_start_and_steps(placement: str, divergence: str) -> None:
    network = Net(tied=True)
    network.loss()()[0].backward()
    plain = gradients(network)
    for settings in ({"sigma": 0.0, "eta": 0.0}, {"sigma": 0.0}):
        made = make("smart", mu=0.0, placement=placement, divergence=divergence, **settings)
        torch.manual_seed(0)
        _, metrics = made(network, network.loss(), network.outputs())
        assert metrics["divergence"] == 0
        assert all(torch.equal(a, b) for a, b in zip(gradients(network), plain, strict=True))
    for seed in range(5):
        torch.manual_seed(seed)
        made = make("smart", mu=0.0, placement=placement, divergence=divergence)
        _, metrics = made(network, network.loss(), network.outputs())
        assert metrics["divergence"] > 0


def test_smart_s_average_of_the_weights() -> None:
    network = Net()
    made = SMART(weight=0.0, mu=2.0, beta=0.5, beta_later=0.75, early=3)
    assert made.is_stateful
    own = {f"average.{name}": weight for name, weight in network.named_parameters()}
    averages: dict[str, Tensor] = {}
    for update in range(1, 7):
        beta = 0.5 if update <= 3 else 0.75
        for name, weight in own.items():
            now = weight.detach().clone()
            averages[name] = now if update == 1 else beta * averages[name] + (1 - beta) * now
        with swapped_weights(network, {n.partition(".")[2]: w for n, w in averages.items()}):
            before = network(IDS).detach()
        loss, _ = network.loss()()
        (loss + 2.0 * symmetric_kl(network(IDS), before)).backward()
        wanted = gradients(network)
        _, metrics = made(network, network.loss(), network.outputs())
        agree(gradients(network), wanted)
        agree(metrics["drift"], symmetric_kl(network(IDS).detach(), before))
        assert (metrics["drift"] == 0) == (update == 1)
        assert int(made.state["updates"]) == update
        for name, average in averages.items():
            agree(made.state[name], average)
        with torch.no_grad():
            for weight in network.parameters():
                weight += 0.1 * torch.randn_like(weight)


def test_smart_goes_on_from_its_memory_and_knows_its_network() -> None:
    network = Net()
    one, other = make("smart"), make("smart")
    apply(one, network)
    with torch.no_grad():
        network.output.weight += 1
    other.state = {key: tensor.clone() for key, tensor in one.state.items()}
    assert all(
        torch.equal(a, b) for a, b in zip(apply(one, network), apply(other, network), strict=True)
    )
    kept = dict(one.state)
    with pytest.raises(ValueError, match="another network"):
        apply(one, Net(tied=True))
    assert one.state == kept
