"""Memory: how much there is, when it is out, and what networks would take of it."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from textgan.core.errors import UserError

MOST_TENSORS = 5_000  # of one network; a transformer of a hundred layers has less than two thousand
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
# what torch and its libraries say where memory is out; any other error may be about memory, too
_OUT = re.compile(
    r"can't allocate memory|not enough memory|out of memory|ALLOC_FAILED|bad_alloc"
    r"|Cannot allocate memory|Storage size calculation overflowed|integer multiplication overflow"
)


def reuse_memory() -> None:
    """Let this process keep what it frees, where its allocator is glibc's.

    That gives tensors of more than 32 MB back to the system, which hands out every page of the next
    one anew, filled with zeros: half of the time of an MLE update at a vocabulary of 5,000. What is
    kept is the most that was in use at a time. Nothing where the user has set the allocator.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    except TypeError:  # no CDLL(None) on Windows
        return
    if mallopt is not None:
        for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(option, 2**30)


class TooLarge(UserError):
    """A network that is too large to be made."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is an allocator's: Python's, torch's or that of one of the device's
    libraries."""
    if isinstance(error, MemoryError):
        return True
    kinds: tuple[type, ...] = (getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError),)
    if isinstance(error, kinds):
        return True
    return type(error) is RuntimeError and bool(_OUT.search(str(error)))


def asked_for(error: BaseException) -> str:
    """Describe how much memory an allocator could not give, as its error has it; "" where it does
    not."""
    match = re.search(r"[Tt]ried to allocate ([\d.]+) ?(bytes|[KMGT]iB)", str(error))
    if not match:
        return ""
    if match[2] != "bytes":
        return f"{match[1]} {match[2]} more were asked for"
    return f"{in_units(int(float(match[1])))} more were asked for"


def in_units(size: int) -> str:
    """Format a number of bytes in a unit that is easy to read."""
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit in ("bytes", "KiB", "MiB") else f"{value:.1f} {unit}"


@contextmanager
def memory_errors(remedy: str) -> Iterator[None]:
    """Running out of memory inside becomes a UserError that names the remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        about = asked_for(error)
        raise UserError(f"out of memory{f' ({about})' if about else ''}; try {remedy}") from None


def memory_of(device: torch.device) -> int | None:
    """Return the bytes that a process may have on a device; None where no limit is known.

    The least of the machine's memory, the limits of the process and of its control group.
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limits: list[int] = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            limits.append(limit)
        try:
            with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:  # noqa: PTH123
                limits.append(int(file.read()))
        except (OSError, ValueError):
            pass
    limits = [size for size in limits if size > 0]
    return min(limits, default=None)


def peak_of_tensors(do: Callable[[], object]) -> int:
    """Return the most bytes that the tensors made while it runs have at a time."""
    living = _Living()
    with living:
        do()
    return living.most


class _Living(TorchDispatchMode):
    """Adds up the tensors that are made and still in use."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self.total = 0
        self.living: dict[Any, int] = {}  # with those that died since the last time it was looked

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {StorageWeakRef(storage) for storage in _storages((args, kwargs))}
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            ref = StorageWeakRef(storage)
            # a view, or what is written in place, is no new memory
            if ref not in given and ref not in self.living:
                self.living[ref] = storage.nbytes()
                self.total += storage.nbytes()
        if self.total > self.most:
            self.living = {ref: size for ref, size in self.living.items() if not ref.expired()}
            self.total = sum(self.living.values())
            self.most = max(self.most, self.total)
        return made


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class _Counting(TorchDispatchMode):
    """Adds up the tensors that are made; raises TooLarge as soon as they are too many."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = most
        self.tensors = self.elements = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and "empty" in str(func):
            self.tensors += 1
            self.elements += made.numel()
            if self.tensors > MOST_TENSORS:
                raise TooLarge(f"it would have more than {MOST_TENSORS:,} tensors of weights")
            if self.elements > self.most:
                raise TooLarge(f"it would have more than {self.most:,} weights")
        return made


def count_weights(build: Callable[[], object], most: int) -> int:
    """Count the weights that a network would have, without making them.

    Raises TooLarge as soon as they are more than `most`, or in more than MOST_TENSORS tensors, or
    of a size that no tensor can have.
    """
    counting = _Counting(most)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), counting:
            build()
    except (OverflowError, MemoryError) as error:
        raise TooLarge(f"it cannot be made: {' '.join(str(error).split())[:200]}") from None
    except (RuntimeError, TypeError) as error:
        if re.search(r"[Oo]verflow|too large|dimension .* too big", str(error)):
            first = str(error).partition("\n")[0]
            raise TooLarge(f"it cannot be made: {first[:200]}") from None
        raise
    return counting.elements
