"""The machine that is measured on: what it is, how fast it multiplies; seconds and bytes."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textgan.core.matmul import library_now, matmul, matmul_by
from textgan.core.precision import Precision, precision

PRODUCTS = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}  # sizes of square matrices
# what decides how fast matrices are multiplied, as /proc/cpuinfo has it
INSTRUCTIONS = (
    "avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx_vnni", "avx512_vnni",
    "amx_tile", "amx_bf16", "amx_fp16", "asimd", "sve", "sve2", "bf16", "i8mm",
)  # fmt: skip


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


class Products:
    """The speed of square matrix products by each library that torch has for them, in a precision.

    What the fastest does is the most that any part can hope for. A busy moment makes it look slow,
    so it is measured again beside every part and the best is kept.
    """

    def __init__(self, device: torch.device, name: Precision) -> None:
        self.device, self.name = device, name
        self.sizes = PRODUCTS[device.type]
        kind = torch.bfloat16 if name == "bf16" else torch.float32
        self.factors = {n: torch.rand(2, n, n, device=device).to(kind) for n in self.sizes}
        self.best = {
            library: dict.fromkeys(self.sizes, 0.0) for library in _libraries(device, name)
        }
        self._measure(self.sizes, 6)  # the first time is never fair

    def again(self) -> float:
        """Measure products of the middle size, which take some ms; return the GFLOP/s of the
        fastest."""
        return self._measure(self.sizes[len(self.sizes) // 2 :][:1], 3)

    def facts(self) -> dict[str, Any]:
        """Return the best GFLOP/s: of the fastest product, and of each library and size."""
        return {
            "gflops": max(max(speeds.values()) for speeds in self.best.values()),
            "gflops_by_library": {
                library: {str(n): speed for n, speed in speeds.items()}
                for library, speeds in self.best.items()
            },
        }

    def _measure(self, sizes: Sequence[int], times: int) -> float:
        fastest = 0.0
        with precision(self.name, self.device):
            for library, product in _libraries(self.device, self.name).items():
                for n in sizes:
                    multiply = partial(product, *self.factors[n])
                    took = min(seconds(multiply, self.device) for _ in range(times))
                    speed = 2 * n**3 / took / 1e9
                    self.best[library][n] = max(speed, self.best[library][n])
                    fastest = max(speed, fastest)
        return fastest


def _libraries(
    device: torch.device, name: Precision
) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """The products that torch has here, by the library that takes them."""
    if device.type == "cuda":
        return {"cublas": torch.mm}
    if name == "bf16":
        return {"onednn": torch.mm}
    libraries: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"blas": torch.mm}
    with matmul_by("onednn"):
        if library_now() == "onednn":
            libraries["onednn"] = _by_onednn
    return libraries


def _by_onednn(left: Tensor, right: Tensor) -> Tensor:
    with matmul_by("onednn", smallest=0):
        return matmul(left, right)


def describe(device: torch.device) -> dict[str, Any]:
    """Describe the machine at this moment, so that two reports can be compared.

    matmul: the library of float32 products, None on a GPU. load: processes that want a core.
    """
    return identify(device) | {
        "device": str(device),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "instructions": [name for name in INSTRUCTIONS if name in _instructions()],
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "torch": torch.__version__,
        "matmul": library_now() if device.type == "cpu" else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def identify(device: torch.device) -> dict[str, str | None]:
    """Return the names of the processor and of the GPU, if that is the device.

    processor_model: its family and model, for a virtual machine may call it no more than AMD EPYC.
    """
    numbers = [f"{key.split()[-1]} {_of_processor(key)}" for key in ("cpu family", "model")]
    known = _of_processor("cpu family") and _of_processor("model")
    return {
        "processor": _processor(),
        "processor_model": ", ".join(numbers) if known else None,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def others_seconds() -> float | None:
    """Return the processor time that anything but this process has had since the system began.

    Seconds of all cores together, with what the host of a virtual machine withheld; None where the
    system does not count it.
    """
    try:
        times = map(int, Path("/proc/stat").read_text("ascii").split()[1:9])
        user, nice, system, _, _, irq, softirq, steal = times
    except (OSError, ValueError):
        return None
    own = os.times()
    all_of_it = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return all_of_it - own.user - own.system


def _processor() -> str:
    """The processor's name, as far as the system names it."""
    return _of_processor("model name") or platform.processor() or platform.machine()


def _instructions() -> set[str]:
    """The instruction sets of the processor, as Linux names them on x86 and on ARM."""
    return set((_of_processor("flags") or _of_processor("Features")).split())


def _of_processor(key: str) -> str:
    """What /proc/cpuinfo says of the first core; "" where it says nothing."""
    try:
        content = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return ""
    line = re.search(rf"^{key}\s*:(.*)$", content, re.MULTILINE)
    return line[1].strip() if line else ""
