"""What hypotheses read of their sources, with no copy of a source's memory for each of them.

Rollouts grow some hundred hypotheses of one source. A copy of its memory for each would cost more
than the network itself, so on a processor those of one source are brought together and read it in
one product. An accelerator would have to be waited for to count them; it copies the memories of as
many hypotheses as fit in a fixed space, and does so where they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from textgan.core.device import is_asynchronous
from textgan.models.generators.base import State

Attend = Callable[..., Tensor]
"""What N queries of each of G sources read, (G, N, F), of queries (G, N, A) and memory (G, ...)."""

AT_ONCE = 2**20  # numbers of copied memory, or of as many queries, in memory together: 4 MB
FEW = 4  # hypotheses of a source from which it pays to bring them together


def by_source(attend: Attend, query: Tensor, state: State) -> Tensor:
    """Return what each hypothesis (R, F) reads of the memory of its source, `state.shared`.

    query: (R, A). Time and memory are linear in R; what is in memory at once is bounded, but for
    the result.
    """
    assert state.origin is not None  # a state that shares nothing has no memory
    asks = not is_asynchronous(query)
    sources, size = len(state.shared[0]), sum(part[0].numel() for part in state.shared)
    rows = max(1, AT_ONCE * (1 if asks else 64) // size)
    if asks and len(query) >= FEW * sources:
        order = state.origin.argsort()
        read = torch.cat([*_together(attend, query[order], state, rows)])
        return read[torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))]
    pieces = [
        attend(some.unsqueeze(1), *(part[which] for part in state.shared)).squeeze(1)
        for some, which in zip(query.split(rows), state.origin.split(rows), strict=True)
    ]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _together(attend: Attend, query: Tensor, state: State, rows: int) -> Iterator[Tensor]:
    """What queries read, given in the order of their sources."""
    assert state.origin is not None
    counts = torch.bincount(state.origin, minlength=len(state.shared[0])).tolist()
    for source, queries in enumerate(query.split(counts)):
        memory = [part[source : source + 1] for part in state.shared]
        for some in queries.split(rows) if len(queries) else ():
            yield attend(some.unsqueeze(0), *memory).squeeze(0)
