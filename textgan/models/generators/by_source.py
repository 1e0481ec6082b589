"""What hypotheses read of their sources, with no copy of a source's memory for each of them.

Rollouts grow some hundred hypotheses of one source. A copy of its memory for each would cost more
than the network itself, so on a processor those of one source are brought together and read it in
one product. An accelerator would have to be waited for to count them; it copies the memories of as
many hypotheses as fit in a fixed space, and does so where they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from textgan.core.device import is_asynchronous

Attend = Callable[..., Tensor]
"""What N queries of each of G sources read, (G, N, F), of queries (G, N, A) and memory (G, ...)."""

AT_ONCE = 2**20  # numbers of copied memory, or of as many queries, in memory together: 4 MB
FEW = 4  # hypotheses of a source from which it pays to bring them together


def by_source(
    attend: Attend, query: Tensor, memory: tuple[Tensor, ...], origin: Tensor | None
) -> Tensor:
    """Return what each hypothesis (R, F) reads of the memory of its source.

    query: (R, A). memory: tensors (B, ...), of `State.shared`. origin: (R,), of a `State` that has
    some. Time and memory are linear in R; what is in memory at once is bounded, but for the result.
    """
    assert origin is not None
    asks = not is_asynchronous(query)
    sources, size = len(memory[0]), sum(part[0].numel() for part in memory)
    rows = max(1, AT_ONCE * (1 if asks else 64) // size)
    if asks and len(query) >= FEW * sources:
        order = origin.argsort()
        counts = torch.bincount(origin, minlength=sources).tolist()
        read = torch.cat([*_together(attend, query[order].split(counts), memory, rows)])
        return read[torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))]
    pieces = [
        attend(some.unsqueeze(1), *(part[which] for part in memory)).squeeze(1)
        for some, which in zip(query.split(rows), origin.split(rows), strict=True)
    ]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _together(
    attend: Attend, queries: Sequence[Tensor], memory: tuple[Tensor, ...], rows: int
) -> Iterator[Tensor]:
    """What the queries of one source after the other read."""
    for source, of_source in enumerate(queries):
        own = [part[source : source + 1] for part in memory]
        for some in of_source.split(rows) if len(of_source) else ():
            yield attend(some.unsqueeze(0), *own).squeeze(0)
