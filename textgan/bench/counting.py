"""Counts of what each part does, which are the same however busy the machine is.

At a small size, after one time that does not count (optimisers make their state in it). The numbers
depend on the version of torch and on the kind of device, and on nothing else, so they can be
compared exactly before and after a change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from textgan.bench.parts import PARTS, Sides
from textgan.bench.setting import BenchSetting, PairSetting
from textgan.bench.work import Work
from textgan.core.precision import Precision
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream

# small, but with more tokens in its rollouts than words, as at the paper's size
COUNTED = BenchSetting(
    vocabulary=300, length=8, embedding=8, hidden=8, batch=8, rollouts=4, sentences=32,
    sizes=(1, 2, 4), counts=(6, 6, 4),
    answering=PairSetting(100, 100, 8, 4, 8, 8, batch=8, rollouts=2, pairs=16),
)  # fmt: skip


@dataclass(frozen=True)
class Count:
    """The counts of running a part once.

    operators: that torch was asked for. flop: of its matrix products and convolutions, as torch
    counts them (a recurrent layer that is one operator is not seen). bytes: of the tensors made.
    """

    name: str
    operators: int
    flop: int
    bytes: int


def count_parts(
    device: torch.device,
    name: Precision = "float32",
    parts: Sequence[str] = PARTS,
    setting: BenchSetting = COUNTED,
) -> list[Count]:
    """Count what our side of these parts does. The random state is left as it was."""
    counts = []
    for part in parts:  # each from the same start, so that none depends on which others there are
        with fork_rng(stream(Purpose.BENCH, 0), device):
            sides = Sides.make(setting, device, name)
            (work,) = sides.work(setting.sentences, setting.rollouts, [part])
            work.ours()
            counts.append(count(work))
    return counts


def count(work: Work) -> Count:
    """Run our side of a part once and count what it does."""
    with FlopCounterMode(display=False) as flop, Dispatched() as seen:
        work.ours()
    return Count(work.name, seen.operators, int(flop.get_total_flops()), seen.bytes)


class Dispatched(TorchDispatchMode):
    """Counts operators, and the bytes of the tensors that they make."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators = self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do it and count it; a view, or what is written in place, is no new memory."""
        given = _storages((args, kwargs))
        result = func(*args, **(kwargs or {}))
        self.operators += 1
        made = _storages(result)
        self.bytes += sum(size for storage, size in made.items() if storage not in given)
        return result


def _storages(tree: Any) -> dict[int, int]:
    """The bytes of every storage in arguments or results, by its address."""
    storages = [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}
