"""In what precision the matrix products of networks are taken.

`float32` is float32. `tf32` rounds what a GPU multiplies to 10 bits; `bf16` computes products and
what follows them in bfloat16 (8 bits) while weights, their gradients and the optimiser stay in
float32 (autocast). The layer to the vocabulary keeps the precision of its weights in any case: see
`output_layer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from textgan.errors import UserError

Precision = Literal["float32", "tf32", "bf16"]


def supported(name: Precision, device: torch.device) -> None:
    """UserError, with what to use instead, unless the device computes in that precision."""
    if name == "float32":
        return
    on_gpu = device.type == "cuda"
    if name == "tf32" and not on_gpu:
        raise UserError(f"precision = 'tf32' is for GPUs, not for {device}; use float32 or bf16")
    if name == "tf32" and torch.cuda.get_device_capability(device) < (8, 0):
        raise UserError(f"precision = 'tf32': {device} is too old for it; use float32")
    if name == "bf16" and not (torch.cuda.is_bf16_supported() if on_gpu else _processor_has_bf16()):
        raise UserError(f"precision = 'bf16': {device} has no arithmetic for it; use float32")


def _processor_has_bf16() -> bool:
    return torch.backends.mkldnn.is_available() and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


@contextmanager
def precision(name: Precision, device: torch.device) -> Iterator[None]:
    """Products inside are taken in that precision."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = name == "tf32"
    try:
        # without the cache: a weight that was cast where no gradients are recorded would be taken
        # again where they are, and get none
        with torch.autocast(
            device.type, torch.bfloat16, enabled=name == "bf16", cache_enabled=False
        ):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
