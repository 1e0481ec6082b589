"""Which errors are of memory."""

import pytest
import torch

from textgan.core.errors import UserError
from textgan.core.memory import asked_for, memory_errors, peak_of_tensors


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


def test_the_peak_of_tensors_is_of_those_alive_at_a_time() -> None:
    before = torch.ones(1000)  # not made inside

    def do() -> None:
        first = torch.ones(100)  # 400 bytes
        first.add_(1)
        first.view(10, 10).t()
        del first
        second = torch.ones(50)
        third = second * 2  # 200 bytes each
        del second
        torch.cat([third, third])  # 400 beside 200
        before.add_(1)

    assert peak_of_tensors(do) == 600
