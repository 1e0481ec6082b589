"""Which errors are of memory."""

import pytest
import torch

from textgan.core.errors import UserError
from textgan.core.memory import asked_for, memory_errors


def test_only_what_is_out_of_memory_is_called_so() -> None:
    with pytest.raises(RuntimeError, match="shared memory"), memory_errors("less"):
        raise RuntimeError("my shared memory is in a wrong state")
    real = (
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    )
    message = r"^out of memory \(3.6 TiB more were asked for\); try less$"
    with pytest.raises(UserError, match=message), memory_errors("less"):
        raise RuntimeError(real)
    with pytest.raises(UserError, match="out of memory; try less"), memory_errors("less"):
        raise MemoryError
    with pytest.raises(UserError, match="more were asked for"), memory_errors("less"):
        torch.empty(2**60, dtype=torch.uint8)
    assert asked_for(RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0")) == (
        "20.00 GiB more were asked for"
    )
