"""What the machine that is measured on gives away of itself."""

from pathlib import Path

import pytest
import torch
from bench import CPU

from textgan.bench import machine
from textgan.bench.machine import (
    Products,
    describe,
    identify,
    others_seconds,
    peak_memory,
)
from textgan.core.matmul import matmul_by

X86 = """processor\t: 0
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16

processor\t: 1
model name\t: another
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd sve bf16\n"


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Files of /proc, to be filled in; the others are not there."""
    files: dict[str, str] = {}

    def read(path: Path, *_: object, **__: object) -> str:
        if str(path) in files:
            return files[str(path)]
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", read)
    return files


def test_the_processor_and_its_instruction_sets_are_named(proc: dict[str, str]) -> None:
    proc["/proc/cpuinfo"] = X86
    expected = {"processor": "AMD EPYC", "processor_model": "family 26, model 2", "gpu": None}
    assert identify(CPU) == expected
    with matmul_by("blas"):
        result = describe(CPU)
    assert result["instructions"] == ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
    assert result["capability"] == torch.backends.cpu.get_cpu_capability()
    assert (result["matmul"], result["threads"]) == ("blas", torch.get_num_threads())
    assert result["date"].endswith("+00:00") and "gflops" not in result
    proc["/proc/cpuinfo"] = ARM
    assert describe(CPU)["instructions"] == ["asimd", "sve", "bf16"]
    del proc["/proc/cpuinfo"]  # not Linux
    assert identify(CPU)["processor"] and identify(CPU)["processor_model"] is None
    assert describe(CPU)["instructions"] == []


def test_what_others_had_is_all_that_this_process_had_not(
    proc: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert others_seconds() is None
    proc["/proc/stat"] = "cpu  100 200 300 9999 9999 10 20 70 55 66\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    monkeypatch.setattr(machine.os, "sysconf", lambda _: 100)
    monkeypatch.setattr(machine.os, "times", lambda: machine.os.times_result((1.5, 0.5, 9, 9, 9)))
    assert others_seconds() == pytest.approx(7 - 2)  # neither idle, nor guests twice
    proc["/proc/stat"] = "cpu 1 2"
    assert others_seconds() is None


@pytest.mark.parametrize("name", ["float32", "bf16"])
@pytest.mark.usefixtures("small_products")
def test_of_every_library_the_best_product_is_kept(
    name: machine.Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = 2.0

    def seconds(do: object, _: object) -> float:
        assert callable(do)
        assert do().shape[0] in (32, 64)
        return took

    monkeypatch.setattr(machine, "seconds", seconds)
    products = Products(CPU, name)
    busy = 2 * 64**3 / 2e9
    assert products.facts()["gflops"] == busy
    took = 0.5
    assert products.again() == 4 * busy
    took = 1.0
    assert products.again() == 2 * busy
    facts = products.facts()
    assert facts["gflops"] == 4 * busy
    by_size = {"32": busy / 8, "64": 4 * busy}  # the middle size alone is measured again
    libraries = ["blas", "onednn"] if name == "float32" else ["onednn"]
    assert facts["gflops_by_library"] == dict.fromkeys(libraries, by_size)


@pytest.mark.usefixtures("small_products")
def test_products_are_by_the_libraries_that_torch_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgan.core.matmul._has_onednn", lambda: False)
    assert list(Products(CPU, "float32").facts()["gflops_by_library"]) == ["blas"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux resets its maximum")
def test_peak_memory_is_that_of_one_time() -> None:
    size = 2**25

    def most(n: int) -> int:
        result = peak_memory(lambda: torch.ones(n // 4), CPU)
        assert result is not None
        return result

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
