"""A small network in float64 whose every part can be looked at, for tests of perturbations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core import registry
from textgan.core.optim import Loss
from textgan.perturb.base import Perturbation

METHODS = registry.names("perturbation")
IDS = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [4, 4, 2, 0]])  # zeros are padding
LABELS = torch.tensor([0, 1, 1])


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
    found = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights]
    network.zero_grad()
    return found


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
