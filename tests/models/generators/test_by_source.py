"""Reading memory that hypotheses share."""

import pytest
import torch
from torch import Tensor
from worlds import same

from textgan.models.generators import by_source as module
from textgan.models.generators.base import State
from textgan.models.generators.by_source import by_source

SIZE, WIDTH = 3, 4


def attend(query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
    scores = (query @ memory.transpose(1, 2)).masked_fill(~mask.unsqueeze(1), -torch.inf)
    return scores.softmax(2) @ memory


def state_of(origin: list[int], sources: int = 5) -> State:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        memory = torch.randn(sources, WIDTH, SIZE, dtype=torch.float64)
    mask = torch.arange(WIDTH) <= torch.arange(sources).unsqueeze(1)
    return State((torch.zeros(len(origin), 1),), (memory, mask), torch.tensor(origin))


ORIGINS = {
    "few": [4, 0, 2],
    "each": [0, 1, 2, 3, 4],
    "many": [3, 0, 1, 1, 3] * 8,  # of two sources none
    "of one": [2] * 30,
}


@pytest.mark.parametrize("at_once", [1, 50, 2**20])
@pytest.mark.parametrize("origin", ORIGINS.values(), ids=ORIGINS)
def test_each_hypothesis_reads_its_own_source(
    origin: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    state, query = state_of(origin), torch.randn(len(origin), SIZE, dtype=torch.float64)
    query.requires_grad_()
    alone = torch.cat(
        [
            attend(some.view(1, 1, -1), *(part[which : which + 1] for part in state.shared))
            for some, which in zip(query, origin, strict=True)
        ]
    ).squeeze(1)
    read = by_source(attend, query, state.shared, state.origin)
    assert same(read, alone)
    weights = torch.randn_like(read)
    slopes = [torch.autograd.grad((one * weights).sum(), query)[0] for one in (read, alone)]
    assert same(*slopes)


def test_what_is_in_memory_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 10 * WIDTH * (SIZE + 1))
    sizes: list[tuple[int, int]] = []

    def seen(query: Tensor, *memory: Tensor) -> Tensor:
        sizes.append((len(memory[0]), query.shape[1]))
        return attend(query, *memory)

    few, many = state_of([0, 1, 2, 3, 4] * 3 + [0, 0, 0, 0]), state_of([1, 2] * 30)
    by_source(seen, torch.randn(19, SIZE, dtype=torch.float64), few.shared, few.origin)
    assert sizes == [(10, 1), (9, 1)]  # few: their memories are copied
    sizes.clear()
    by_source(seen, torch.randn(60, SIZE, dtype=torch.float64), many.shared, many.origin)
    assert sizes == [(1, 10)] * 6  # no memory is
