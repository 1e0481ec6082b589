"""The benchmark: what is measured and reported."""

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch
from bench import CPU, TINY

from textgan.bench import timing
from textgan.bench.pairs import PAIR_PARTS
from textgan.bench.parts import PARTS, PLAIN
from textgan.bench.setting import Axes
from textgan.bench.timing import run_bench
from textgan.bench.work import Work
from textgan.core.errors import UserError
from textgan.core.matmul import library_now

pytestmark = pytest.mark.usefixtures("small_products")


@pytest.mark.parametrize(("repeats", "scale"), [(1, 0.1), (3, 1.0)])
def test_report_has_every_part_and_consistent_figures(repeats: int, scale: float) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    report = run_bench(repeats, scale, TINY)
    assert torch.equal(torch.get_rng_state(), before)  # nobody's numbers depend on a benchmark
    result = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert {"machine", "setting", "scale", "repeats", "precision", "parts", "counts"} <= set(result)
    assert (result["repeats"], result["scale"], result["precision"]) == (repeats, scale, "float32")
    assert result["setting"] == json.loads(json.dumps(asdict(TINY)))
    n, m = (4, 1) if scale < 1 else (10, 2)  # a batch and a rollout at least
    amounts = {part["name"]: part["amount"] for part in result["parts"]}
    assert amounts == {
        "sampling": n,
        "rollouts": m * 4 * 4,
        "scoring": m * 4 * 4,
        "policy_update": 4,
        "generator_step": m * 4 * 4,
        "mle_epoch": n,
        "discriminator_epoch": 2 * n,
        "evaluation": n,
        "bleu": n,
        "pair_mle_epoch": found_pairs(scale),
        "translation": found_pairs(scale),
        "br_csgan_step": 4,
        "regs_step": 4,
    }
    assert tuple(amounts) == PARTS
    done = 4 if n > 4 else None
    assert [part["textbook_amount"] for part in result["parts"]] == [None] * 8 + [done] + [None] * 4
    assert ("the textbook did 4 of 10, one by one" in str(report)) == (n == 10)
    peak = result["machine"]["gflops"]
    by_library = result["machine"]["gflops_by_library"]
    assert peak == max(speed for sizes in by_library.values() for speed in sizes.values()) > 0
    # tiny products are no peak: plain arithmetic may be faster, and is one then
    peak = max(peak, *(part["gflops"] for part in result["parts"] if part["name"] in PLAIN))
    for part in result["parts"]:
        assert part["seconds"] > 0 and part["textbook_seconds"] > 0
        assert part["ratio"] == part["textbook_seconds"] / part["seconds"]
        assert part["per_second"] == part["amount"] / part["seconds"]
        if part["name"] not in PAIR_PARTS:
            whole = 1 if scale == 1 else found_whole(part["name"], n)
            assert part["whole"] == part["amount"] * whole
        assert 0 < part["machine_speed"] <= 1
        assert (part["spread"] is None) == (repeats == 1)
        assert part["name"] in str(report)
        if part["name"] in ("bleu", *PAIR_PARTS):
            assert part["flop"] is part["gflops"] is part["share_of_peak"] is None
        else:
            assert part["gflops"] == part["flop"] / part["seconds"] / 1e9
            assert part["share_of_peak"] == part["gflops"] / peak
    assert result["machine"]["threads"] >= 1
    assert result["machine"]["processor"] and result["machine"]["processor"] in str(report)
    assert ("only for a quick look" in str(report)) == (scale < 1)
    for side in ("ours", "textbook"):
        assert 0 < result["projections"][side]["round"] < result["projections"][side]["run"]


def found_pairs(scale: float) -> int:
    return max(TINY.answering.batch, round(TINY.answering.pairs * scale))


def found_whole(name: str, sentences: int) -> float:
    """How much more of a part there is at scale 1."""
    if name in ("rollouts", "scoring", "generator_step"):
        return 2
    return 1 if name == "policy_update" else 10 / sentences


def test_medians_and_order_of_the_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats alternate which side goes first, and the reported figure is the median."""
    clock = iter([1.0, 10.0, 30.0, 2.0, 6.0, 20.0])  # ours 1, 2, 6; textbook 10, 30, 20
    done: list[str] = []
    work = Work("w", "x", 6, lambda: done.append("ours"), lambda: done.append("textbook"), 12)

    def seconds(do, device):  # type: ignore[no-untyped-def]
        do()
        return next(clock)

    monkeypatch.setattr(timing, "seconds", seconds)
    monkeypatch.setattr(timing, "peak_memory", lambda *_: 77)
    (part,) = timing.time_parts([work], {"w": 12}, 3, CPU)
    assert done == ["ours", "textbook", "textbook", "ours", "ours", "textbook"]
    assert part.spread == (6 - 1) / 2  # ours; the textbook's is 1
    assert (part.seconds, part.textbook_seconds, part.ratio, part.per_second) == (2, 20, 10, 3)
    assert (part.flop, part.memory, part.whole, part.gflops) == (12, 77, 12, 6e-9)


def test_the_machine_is_measured_beside_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "seconds", lambda *_: 1.0)
    monkeypatch.setattr(timing, "peak_memory", lambda *_: None)
    speeds = iter([8.0, 4.0, 10.0, 2.0, 9.0, 9.0, 9.0])  # before the first, and after each
    works = [Work(name, "x", 1, lambda: None, lambda: None) for name in "ab"]
    a, b = timing.time_parts(works, {"a": 1, "b": 1}, 3, CPU, lambda: next(speeds))
    assert next(speeds, None) is None
    # a: the slower of (8, 4), (10, 2), (9, 9); b: of (4, 10), (2, 9), (9, 9); medians
    assert (a.machine_speed, b.machine_speed) == (0.4, 0.4)


def test_our_products_are_by_the_library_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[str] = []
    counted = timing.count_parts

    def count_parts(*arguments: Any) -> Any:
        used.append(library_now())
        return counted(*arguments)

    monkeypatch.setattr(timing, "count_parts", count_parts)
    for library in ("blas", "onednn"):
        report = run_bench(1, 1.0, TINY, parts="bleu", matmul=library, timed=False)
        assert report.machine["matmul"] == library
    assert used == ["blas", "onednn"]
    monkeypatch.setattr("textgan.core.matmul._has_onednn", lambda: False)
    with pytest.raises(UserError, match="matmul = 'onednn': this torch has no such product"):
        run_bench(1, 1.0, TINY, parts="bleu", matmul="onednn")
    with pytest.raises(UserError, match="matmul = 'mkl': give auto, blas or onednn"):
        run_bench(1, 1.0, TINY, parts="bleu", matmul="mkl")  # type: ignore[arg-type]


def test_what_the_textbook_does_in_part_is_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 10.0])
    work = Work("w", "x", 600, lambda: None, lambda: None, None, 4)
    monkeypatch.setattr(timing, "seconds", lambda *_: next(clock))
    (part,) = timing.time_parts([work], {"w": 600}, 1, CPU)
    assert (part.seconds, part.textbook_seconds, part.ratio) == (1, 1500, 1500)
    assert (part.amount, part.textbook_amount, part.per_second) == (600, 4, 600)
    assert part.gflops is None


def test_scaling_is_part_of_the_report() -> None:
    axes = Axes(TINY, (5, 6), (12, 14), ())
    report = run_bench(1, 1.0, TINY, parts=["sampling"], timed=False, axes=axes)
    assert [(growth.axis, growth.part) for growth in report.growths] == [
        ("length", "sampling"),
        ("vocabulary", "sampling"),
    ]
    assert len(json.loads(json.dumps(report.to_dict(), allow_nan=False))["growths"]) == 2
