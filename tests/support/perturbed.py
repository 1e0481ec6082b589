"""A small network in float64 whose every part can be looked at, for tests of perturbations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core import registry
from textgan.core.optim import Loss
from textgan.perturb.base import Perturbation
from textgan.perturb.passes import Passes

METHODS = registry.names("perturbation")
PASSES = {
    "free_at": 1,
    "vat": 4,
    "smart": 5,
    "pgd": 4,
    "freelb": 3,
    "yopo": 3,
}  # of the loss; else 2
IDS = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [4, 4, 2, 0]])  # zeros are padding
LABELS = torch.tensor([0, 1, 1])
WORDS = (IDS != 0).double().unsqueeze(-1)
placements = pytest.mark.parametrize("placement", ["output", "matrix"])


class Rest(nn.Module):
    """What follows the embedding: vectors (B, T, E) and a mask (B, T) to what is seen, (B, E)."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(size, size), nn.Tanh())
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        seen = self.dropout(self.first(vectors)) * mask.unsqueeze(-1)
        return torch.tanh(seen.sum(1)) + vectors.square().mul(mask.unsqueeze(-1)).sum(1)


class Net(nn.Module):
    """ids (B, T) to logits (B, C); tied: of which word comes next, by the embedding's table."""

    def __init__(
        self, *, padding: int | None = 0, tied: bool = False, dropout: float = 0.0, classes: int = 2
    ) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.words = nn.ModuleDict({"embedding": nn.Embedding(7, 3, padding_idx=padding)})
        self.rest = Rest(3, dropout)
        self.output = nn.Linear(3, 7 if tied else classes)
        self.unused = nn.Linear(3, 3)
        self.tied = tied
        if tied:
            self.output.weight = self.table.weight
        self.double()

    @property
    def table(self) -> nn.Embedding:
        table = self.words["embedding"]
        assert isinstance(table, nn.Embedding)
        return table

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.output(self.rest(self.table(ids), ids != 0))
        return logits

    def loss(self, ids: Tensor = IDS, labels: Tensor = LABELS) -> Callable[[], Loss]:
        """The closure of the mean cross-entropy."""
        return lambda: (F.cross_entropy(self(ids), labels), {})

    def outputs(self, ids: Tensor = IDS) -> Callable[[], Tensor]:
        """The closure of what it says."""
        return lambda: self(ids)


def make(name: str, **settings: Any) -> Perturbation:
    """A perturbation that does something."""
    if name == "smart":
        settings = {"mu": 0.5} | settings
    made: Perturbation = registry.find("perturbation", name)(**settings)
    return made


def gradients(network: nn.Module) -> list[Tensor]:
    """Those of all weights, zero where there is none; cleared."""
    weights = list(network.parameters())
    kept = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights]
    network.zero_grad()
    return kept


def apply(made: Perturbation, network: Net, ids: Tensor = IDS, scale: float = 1.0) -> list[Tensor]:
    """The gradients that it leaves for the mean cross-entropy, from a fixed seed."""
    torch.manual_seed(11)
    made(network, network.loss(ids), network.outputs(ids), scale)
    return gradients(network)


@contextmanager
def watching(network: Net, ids: Tensor = IDS) -> Iterator[list[Tensor]]:
    """The shifts of all passes inside, (B, T, E), or (V, E) of the table where that was shifted."""
    own = network.table.weight.detach().clone()
    clean = own[ids]
    seen: list[Tensor] = []

    def before(module: nn.Module, read: tuple[Tensor, ...]) -> None:
        table = network.table.weight.detach()
        seen.append(read[0].detach() - clean if torch.equal(table, own) else table - own)

    handle = network.rest.register_forward_pre_hook(before)
    try:
        yield seen
    finally:
        handle.remove()


def lengths(shift: Tensor) -> Tensor:
    """The length of each ball's shift."""
    return shift.flatten(1).norm(dim=1) if shift.dim() == 3 else shift.norm().unsqueeze(0)


def state_of(network: nn.Module) -> dict[str, Any]:
    """Everything but gradients that a call must leave as it was."""
    parts = dict(network.named_modules())
    return {
        "weights": {n: w.detach().clone() for n, w in network.named_parameters()},
        "where": {n: (id(w), w.data_ptr()) for n, w in network.named_parameters()},
        "trained": {n: w.requires_grad for n, w in network.named_parameters()},
        "modes": {n: m.training for n, m in parts.items()},
        "hooks": {
            n: (list(m._forward_hooks), list(m._forward_pre_hooks), list(m._backward_hooks))
            for n, m in parts.items()
        },
    }


def same_state(network: nn.Module, before: dict[str, Any]) -> None:
    """Nothing of `state_of` has changed, to the bit."""
    after = state_of(network)
    for name, weight in before.pop("weights").items():
        now = after["weights"][name]
        assert torch.equal(weight.view(torch.uint8), now.view(torch.uint8)), name
    del after["weights"]
    assert after == before


def agree(result: Any, wanted: Any) -> None:
    torch.testing.assert_close(result, wanted, rtol=1e-10, atol=1e-13)


def at(
    network: Net, shift: Tensor, compute: Callable[[Tensor], Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The gradient of a function of the logits in a shift (B, T, E), and in the weights."""
    leaf = shift.clone().requires_grad_()
    vectors = network.table(IDS) + leaf
    value = compute(network.output(network.rest(vectors, IDS != 0)))
    value.backward()
    assert leaf.grad is not None
    return leaf.grad * WORDS, gradients(network)


def cross_entropy(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, LABELS)


def unit(slope: Tensor) -> Tensor:
    return slope / slope.flatten(1).norm(dim=1).view(3, 1, 1)


def into(shift: Tensor, radius: float) -> Tensor:
    norm = shift.flatten(1).norm(dim=1).view(3, 1, 1)
    return shift * (radius / norm).clamp(max=1.0)


def together(*parts: list[Tensor]) -> list[Tensor]:
    return [torch.stack(each).sum(0) for each in zip(*parts, strict=True)]


def starting(monkeypatch: pytest.MonkeyPatch, noise: Tensor) -> None:
    """Normal noise is this."""
    monkeypatch.setattr(
        Passes, "normal", lambda self, deviation: lambda zeros, count: deviation * noise * count
    )


class Linear(nn.Module):
    """score of a sentence = sum_t <w, vector_t> over its words, and the loss sum_b c_b score_b."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.embedding = nn.Embedding(7, 3, padding_idx=0)
        self.output = nn.Linear(3, 1, bias=False)
        self.shares = torch.tensor([1.5, -0.5, 2.0])
        self.double()

    def forward(self, ids: Tensor) -> Tensor:
        vectors = self.embedding(ids) * (ids != 0).unsqueeze(-1)
        score: Tensor = self.output(vectors).sum(1)
        return score

    def loss(self) -> Loss:
        return (self.shares.double() * self(IDS).squeeze(1)).sum(), {}


def by_hand(shift: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the loss of `Linear` in w (1, E) and in the table, at a shift (B, T, E)."""
    network = Linear()
    shares = network.shares.double().view(3, 1, 1)
    vectors = network.embedding.weight.detach()[IDS] + shift
    of_table = torch.zeros(7, 3, dtype=torch.float64)
    each = (shares * network.output.weight.detach()).expand(3, 4, 3) * WORDS
    of_table.index_put_((IDS,), each, accumulate=True)
    return (shares * vectors * WORDS).sum((0, 1)).unsqueeze(0), of_table


def linear_shift(length: float) -> Tensor:
    """That of every method of length `length`: along c_b w at each word, scaled by sentence."""
    network = Linear()
    w = network.output.weight.detach().view(1, 1, 3)
    sizes = WORDS.sum((1, 2), keepdim=True)
    signs = network.shares.double().sign().view(3, 1, 1)
    return length * signs * w / (w.norm() * sizes.sqrt()) * WORDS


def left(network: Linear) -> tuple[Tensor, Tensor]:
    assert network.output.weight.grad is not None and network.embedding.weight.grad is not None
    return network.output.weight.grad, network.embedding.weight.grad


methods = pytest.mark.parametrize("name", METHODS)


def close(result: list[Tensor], wanted: list[Tensor]) -> None:
    """Equal but for rounding, and not all zero."""
    assert any(tensor.any() for tensor in wanted)
    torch.testing.assert_close(result, wanted, rtol=1e-9, atol=1e-12)
