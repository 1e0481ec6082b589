"""What the machine that is measured on gives away of itself."""

from pathlib import Path

import pytest
import torch
from bench import CPU

from textgan.bench.machine import peak_memory


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux resets its maximum")
def test_peak_memory_is_that_of_one_time() -> None:
    size = 2**25

    def most(n: int) -> int:
        found = peak_memory(lambda: torch.ones(n // 4), CPU)
        assert found is not None
        return found

    before, large, after = most(size // 8), most(size), most(size // 8)
    assert 0.9 * size < large < 1.6 * size
    assert after < 0.5 * size, "an earlier maximum is not this one's"
    assert before < 0.5 * size


def test_peak_memory_is_unknown_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    done: list[int] = []
    monkeypatch.setattr(Path, "write_text", refuse)
    assert peak_memory(lambda: done.append(1), CPU) is None
    assert done == [1]
