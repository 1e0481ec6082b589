"""The machine that is measured on: what it is, how fast it multiplies; seconds and bytes."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from textgan.core.precision import Precision, precision

PRODUCTS = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}  # sizes of square matrices


def seconds(do: Callable[[], object], device: torch.device) -> float:
    """Measure how long it takes, until the device has finished too."""

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    start = now()
    do()
    return now() - start


def peak_memory(do: Callable[[], object], device: torch.device) -> int | None:
    """Measure the most bytes in use at any time while it runs, above what was in use before.

    On CUDA what tensors hold; on Linux the resident memory of the process; elsewhere None, for the
    system keeps no maximum that can be reset.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        do()
        return torch.cuda.max_memory_allocated(device) - before
    if not _reset_high_water():
        do()
        return None
    before = _resident("VmRSS")
    do()
    return max(0, _resident("VmHWM") - before)


def _reset_high_water() -> bool:
    """Make the largest resident memory the present one; whether this system lets us."""
    try:
        # what was freed but is still kept for reuse would hide what is needed next
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, TypeError):  # TypeError: no CDLL(None) on Windows
        return False
    return True


def _resident(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return 1024 * int(value.split()[0])
    return 0


def products(device: torch.device, name: Precision) -> dict[int, float]:
    """Measure the FLOP/s of square matrix products in that precision, by their size: the best of
    several.

    What one product of such a size does is the most that any part can hope for.
    """
    dtype = torch.bfloat16 if name == "bf16" else torch.float32
    speeds = {}
    with precision(name, device):
        for n in PRODUCTS[device.type]:
            a, b = torch.rand(2, n, n, device=device).to(dtype)
            multiply = partial(torch.mm, a, b)
            multiply()  # the first time is never fair
            fastest = min(seconds(multiply, device) for _ in range(5))
            speeds[n] = 2 * n**3 / fastest
    return speeds


def describe(device: torch.device, name: Precision) -> dict[str, Any]:
    """Describe the machine, so that two reports can be compared. gflops: of the fastest matrix
    product."""
    measured = products(device, name)
    return {
        "device": str(device),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "system": platform.platform(),
        "torch": torch.__version__,
        "gflops": max(measured.values()) / 1e9,
        "gflops_by_size": {str(n): speed / 1e9 for n, speed in measured.items()},
    }


def _processor() -> str:
    """The processor's name, as far as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
