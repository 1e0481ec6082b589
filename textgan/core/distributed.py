"""The processes that train one run together, as torchrun starts them; most often there is one.

All of them hold the same networks, optimisers, counters and random state. Each computes its own
shards of every batch (see `schedule`), the gradients are added up, and all take the same step.
What is the user's to see or to keep, process 0 does: `Group.lead`.

torch is imported inside the functions, so that the command line may ask who is first at no cost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from textgan.core.errors import ReportedElsewhere, UserError

if TYPE_CHECKING:
    from torch import Tensor, device

Made = TypeVar("Made")

# A process that ends is missed at once, for its connections close. This is for one that hangs, or
# a machine that is gone, and must be longer than the longest evaluation of process 0.
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Group:
    """The processes of a run, seen from one of them; alone, nothing here costs anything.

    All processes must make the same calls in the same order. A call raises Lost where another
    process ended or did not answer.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is process 0, which writes and speaks."""
        return self.rank == 0

    def refuse(self, shards: int, where: device) -> None:
        """Raise UserError unless the processes can divide that many shards, and have a device
        each."""
        if shards % self.size:
            raise UserError(
                f"schedule.shards = {shards}: {self.size} processes (WORLD_SIZE) cannot share that "
                f"many parts of a batch; set it to a multiple of {self.size}, or start fewer"
            )
        if self.size == 1 or where.type != "cuda":
            return
        import torch

        here, gpus = _number("LOCAL_WORLD_SIZE", 1), torch.cuda.device_count()
        if here > gpus:
            raise UserError(
                f"device = {str(where)!r}: {here} processes need a GPU each, and this machine has "
                f"{gpus}; start fewer, or use device=cpu"
            )

    def share(self, shards: int) -> range:
        """Return the shards that belong to this process."""
        each = shards // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Add to each tensor, in place, what it is in all other processes."""
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist

        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):  # in their order
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in alike])
            with self._together():
                dist.all_reduce(flat)
            pieces = flat.split([tensor.numel() for tensor in alike])
            for tensor, piece in zip(alike, pieces, strict=True):
                tensor.copy_(piece.view_as(tensor))

    def whole(self, own: Tensor, start: int, length: int) -> Tensor:
        """Gather the rows of all processes, (length, ...), of which `own` are those from `start`
        on."""
        if self.size == 1:
            return own
        rows = own.new_zeros(length, *own.shape[1:])
        rows[start : start + len(own)] = own
        self.add([rows])
        return rows

    def any(self, asked: bool) -> bool:
        """Return whether it is asked for in any process."""
        if self.size == 1:
            return asked
        import torch

        votes = torch.tensor(int(asked))
        self.add([votes])
        return bool(votes)

    def lead(
        self,
        work: Callable[[], Made],
        *,
        tell: Callable[[Made], Any] = lambda made: made,
        follow: Callable[[Any], Made] = lambda made: made,
    ) -> Made:
        """Do `work` in process 0 and return what it makes; the others wait, and return `follow` of
        what process 0 sends them.

        tell: what it sends. Where `work` raises, it does so in process 0, and the
        others raise ReportedElsewhere.
        """
        if self.size == 1:
            return work()
        import torch
        import torch.distributed as dist

        answer: list[Any] = [None, None]  # what went wrong, what was made
        here = torch.device("cpu")
        if not self.first:
            with self._together():
                dist.broadcast_object_list(answer, src=0, device=here)
            if answer[0] is not None:
                raise ReportedElsewhere(answer[0])
            return follow(answer[1])
        try:
            made = work()
            answer[1] = tell(made)
        except BaseException as error:
            answer[0] = str(error)
            with suppress(RuntimeError):  # what went wrong here says more
                dist.broadcast_object_list(answer, src=0, device=here)
            raise
        with self._together():
            dist.broadcast_object_list(answer, src=0, device=here)
        return made

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            why = (str(error).splitlines() or [type(error).__name__])[0][:100]
            raise Lost(
                f"process {self.rank} of {self.size} lost the others ({why}): one of them ended, "
                f"or did not answer for {PATIENCE.total_seconds() / 60:.0f} minutes; "
                "textgan resume goes on from the last checkpoint"
            ) from None


class Lost(UserError):
    """Another process of the group ended or does not answer."""


def first() -> bool:
    """Return whether this process is the first, or the only one, of its group."""
    return os.environ.get("WORLD_SIZE") == "1" or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined() -> Iterator[Group]:
    """This process among those that torchrun started, inside; alone where it started none.

    A group that the caller's program made is used and left as it is. Raises UserError where the
    environment promises others that cannot be found.
    """
    import torch
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        yield Group(dist.get_rank(), dist.get_world_size())
        return
    size, rank = _number("WORLD_SIZE", 1), _number("RANK", 0)
    if size == 1:
        yield Group()
        return
    cuda = torch.cuda.is_available()
    if cuda and (local := _number("LOCAL_RANK", 0)) < torch.cuda.device_count():
        torch.cuda.set_device(local)  # what is called cuda, each process for itself
    backend = "cpu:gloo,cuda:nccl" if cuda and dist.is_nccl_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError(
            f"WORLD_SIZE = {size}, but the processes did not find each other ({why}); "
            "start them with torchrun, or unset WORLD_SIZE"
        ) from None
    try:
        yield Group(rank, size)
    finally:
        dist.destroy_process_group()


def _number(name: str, default: int) -> int:
    """A number that torchrun sets in the environment; UserError where it is none."""
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise UserError(f"{name} = {text!r} in the environment is not a number; unset it")
    return int(text)
