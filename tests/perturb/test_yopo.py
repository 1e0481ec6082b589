"""YOPO against its formulas, written out by hand."""

from typing import Any

import pytest
import torch
from perturbed import (
    IDS,
    LABELS,
    WORDS,
    Net,
    agree,
    apply,
    gradients,
    into,
    make,
    placements,
    together,
    unit,
)
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.errors import UserError
from textgan.perturb.yopo import YOPO


@placements
def test_yopo_of_one_step_is_freelb(placement: str) -> None:
    network = Net(tied=True)
    settings = {"passes": 4, "alpha": 0.2, "magnitude": 0.4, "placement": placement}
    agree(
        apply(make("yopo", steps=1, **settings), network),
        apply(make("freelb", **settings), network),
    )


@placements
def test_yopo_s_steps_through_a_linear_layer_are_one_long_one(placement: str) -> None:
    class Affine(Net):
        def __init__(self) -> None:
            super().__init__()
            self.rest.first = nn.Sequential(nn.Linear(3, 3), nn.Identity()).double()

        def forward(self, ids: Tensor) -> Tensor:  # all of it goes through the layer
            seen = torch.tanh(self.rest.first[0](self.table(ids)) * (ids != 0).unsqueeze(-1))
            logits: Tensor = self.output(seen.cumsum(1).tanh().sum(1))
            return logits

    for layer in ("", "rest.first.0"):
        network = Affine()
        settings = {"passes": 3, "magnitude": 0.3, "epsilon": 5.0, "placement": placement}
        many = apply(make("yopo", steps=4, alpha=0.1, layer=layer, **settings), network)
        one = apply(make("yopo", steps=1, alpha=0.4, layer="", **settings), network)
        agree(many, one)
        other = apply(make("yopo", steps=1, alpha=0.1, layer="", **settings), network)
        assert not torch.allclose(many[0], other[0])


class Layered(Net):
    """Words and positions through a layer that is not linear, then the rest."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(4, 3))
        layers = {
            "norm": nn.LayerNorm(3),
            "tanh": nn.Sequential(nn.Linear(3, 5), nn.Tanh()),
            "dropout": nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.5)),
        }
        self.front = layers[kind]
        self.back = nn.Linear(3 if kind == "norm" else 5, 2)
        self.double().train()

    def ahead(self, ids: Tensor) -> Tensor:
        return self.table(ids) + self.positions

    def above(self, first: Tensor, ids: Tensor) -> Tensor:
        logits: Tensor = self.back((first.cos() * (ids != 0).unsqueeze(-1)).sum(1))
        return logits

    def forward(self, ids: Tensor) -> Tensor:
        return self.above(self.front(self.ahead(ids)), ids)


@placements
@pytest.mark.parametrize("kind", ["norm", "tanh", "dropout"])
def test_yopo_through_a_layer_is_what_is_written_by_hand(kind: str, placement: str) -> None:
    network = Layered(kind)
    torch.manual_seed(7)
    parts = []
    shift = torch.zeros(7, 3).double() if placement == "matrix" else torch.zeros(3, 4, 3).double()

    def read(leaf: Tensor) -> Tensor:
        return leaf[IDS] if placement == "matrix" else leaf

    def direction(slope: Tensor) -> Tensor:
        return slope / slope.norm() if placement == "matrix" else unit(slope)

    def masked(slope: Tensor) -> Tensor:
        if placement == "output":
            return slope * WORDS
        slope[0] = 0
        return slope

    for number in range(3):
        torch.manual_seed(7)
        first = network.front(network.ahead(IDS) + read(shift))
        first.retain_grad()
        (F.cross_entropy(network.above(first, IDS), LABELS) / 3).backward()
        parts.append(gradients(network))
        assert first.grad is not None
        p = first.grad
        if number == 2:
            break
        for _ in range(3):
            torch.manual_seed(7)
            leaf = shift.clone().requires_grad_()
            again = network.front(network.ahead(IDS).detach() + read(leaf))
            (slope,) = torch.autograd.grad((p * again).sum(), leaf)
            moved = shift + 0.3 * direction(masked(slope))
            shift = (
                into(moved, 0.7)
                if placement == "output"
                else moved * min(1.0, 0.7 / float(moved.norm()))
            )
    torch.manual_seed(7)
    made = make(
        "yopo", passes=3, steps=3, alpha=0.3, epsilon=0.7, layer="front", placement=placement
    )
    made(network, network.loss())
    agree(gradients(network), together(*parts))


def test_yopo_calls_the_layer_and_not_the_rest() -> None:
    network, calls = Layered("tanh"), {"front": 0, "back": 0}
    for name in calls:

        def count(module: nn.Module, read: Any, name: str = name) -> None:
            calls[name] += 1

        network.get_submodule(name).register_forward_pre_hook(count)
    YOPO(passes=4, steps=3, layer="front")(network, network.loss())
    assert calls == {"front": 4 + 3 * 2, "back": 4}


@pytest.mark.parametrize(("layer", "message"), [
    ("fornt", r"has no such module; did you mean 'front'\?; known: words, words.embedding, rest"),
    ("back", "Linear does not read the vectors of the embedding"),
    ("words.embedding", "Embedding does not read the vectors"),
    ("unused", "once for each time it reads"),
])  # fmt: skip
def test_yopo_of_no_first_layer(layer: str, message: str) -> None:
    network = Layered("tanh")
    with pytest.raises(UserError, match=f"yopo: layer = '{layer}': .*{message}") as refused:
        YOPO(layer=layer)(network, network.loss())
    assert "\n" not in str(refused.value)
    assert not network.front._forward_hooks and not network.table._forward_hooks
