"""In what precision the matrix products of networks are taken.

`float32` is float32. `tf32` rounds what a GPU multiplies to 10 bits. `bf16` rounds it to 7: on a
processor the factors of matrix products, and the products of convolutions and of large linear
layers, while all else stays float32; on a GPU it is autocast, in which results are bfloat16 too.
Weights, their gradients and the optimiser are float32 in any case, and so is the layer to the
vocabulary (see `output_layer`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from textgan.core.errors import UserError

Precision = Literal["float32", "tf32", "bf16"]


def supported(name: Precision, device: torch.device) -> None:
    """Raise UserError, with what to use instead, unless the device computes in that precision."""
    if name == "float32":
        return
    on_gpu = device.type == "cuda"
    if name == "tf32" and not on_gpu:
        raise UserError(f"precision = 'tf32' is for GPUs, not for {device}; use float32 or bf16")
    if name == "tf32" and torch.cuda.get_device_capability(device) < (8, 0):
        raise UserError(f"precision = 'tf32': {device} is too old for it; use float32")
    if name == "bf16" and not (torch.cuda.is_bf16_supported() if on_gpu else processor_has_bf16()):
        raise UserError(f"precision = 'bf16': {device} has no arithmetic for it; use float32")


def processor_has_bf16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware."""
    return torch.backends.mkldnn.is_available() and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


@contextmanager
def precision(name: Precision, device: torch.device) -> Iterator[None]:
    """Products inside are taken in that precision."""
    on_gpu, cudnn = device.type == "cuda", torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    torch.set_float32_matmul_precision(
        "high" if name == "tf32" else "medium" if name == "bf16" and not on_gpu else "highest"
    )
    cudnn.allow_tf32 = name == "tf32"
    try:
        # without the cache: a weight that was cast where no gradients are recorded would be taken
        # again where they are, and get none
        low = name == "bf16" and on_gpu
        with torch.autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32 = before[1]


@contextmanager
def without_denormals() -> Iterator[None]:
    """Inside, processors take numbers below 1e-38 for zero, where they can.

    Adam's moments of words that were not seen for long decay to such numbers, and a processor needs
    a hundred times as long for each: of an update of SeqGAN's discriminator a sixth, after some
    hundred of them. Threads that are started inside do so too; those that are there already do not.
    """
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # known from here on: numpy before 2.4 warns if it looks for them inside
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def factor_type(factor: Tensor) -> torch.dtype:
    """Return the type to which the current precision rounds a factor of a matrix product.

    For products of which several share a factor, or whose results may be as rough: torch rounds the
    factors of each product anew.
    """
    kind = factor.device.type
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    low = kind == "cpu" and torch.get_float32_matmul_precision() == "medium"
    return torch.bfloat16 if low and factor.dtype == torch.float32 else factor.dtype
