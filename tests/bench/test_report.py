"""What a benchmark prints, and what it expects of whole runs."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from textgan.bench.counting import Count
from textgan.bench.parts import PARTS
from textgan.bench.profiling import HotSpot
from textgan.bench.report import BenchReport, PartReport, duration, megabytes, number
from textgan.bench.scaling import Growth
from textgan.bench.setting import PAPER_AXES, BenchSetting
from textgan.cli import app

TINY = BenchSetting(
    vocabulary=12, length=5, embedding=4, hidden=4, batch=4, rollouts=2, sentences=10,
    sizes=(1, 3), counts=(3, 3),
)  # fmt: skip


MACHINE: dict[str, Any] = {
    "device": "cpu", "processor": "P", "cores": 1, "threads": 1, "gpu": None, "torch": "2",
    "load": 0.5, "gflops": 50.0,
}  # fmt: skip


def test_projections_are_of_the_whole_work() -> None:
    names = ("sampling", "generator_step", "discriminator_epoch", "mle_epoch", "evaluation")
    parts = [PartReport(name, "x", 5, 1.0, 3.0, whole=10) for name in names]
    ours, textbook = BenchReport(parts, MACHINE, TINY, 0.5, 1).projections
    assert ours.round == 2 * (1 + 5 * (1 + 3))
    assert textbook.round == 3 * ours.round
    assert ours.run is not None and textbook.run == 3 * ours.run


def test_printed_report_fits_the_terminal() -> None:
    big = [
        PartReport(
            name, "completions", 123_456, 123.45, 9876.54, 10**14, 12_345_000_000, 12_345_678
        )
        for name in PARTS
    ]
    setting = BenchSetting(50_000, 100, 32, 32, 256, 64, 100_000)
    facts = MACHINE | {"processor": "AMD EPYC 9654 96-Core Processor", "cores": 192, "threads": 96}
    took, memory = (1e-4, 1.5, 123.4, 1234.5), (1, 10**8, 10**9, None)
    growths = [
        Growth("rollouts", part, (1, 4, 16, 64), took, memory, (1,) * 4, 1.5, None, 1, 1, 1, "why")
        for part in PARTS
    ]
    hottest = [HotSpot("discriminator_epoch", "x" * 80, 123.4, 0.5, 1_000_000)]
    counts = [Count("discriminator_epoch", 10**9, 10**12, 10**12)]
    report = BenchReport(big, facts, setting, 0.5, 3, "float32", counts, growths, hottest)
    for width in (80, 100):
        for shown in (report.text(width), replace(report, parts=[]).text(width)):
            assert max(map(len, shown.splitlines())) <= width, shown
    assert "discriminator_epoch GROWS FASTER THAN IT MUST" in str(report)
    share = 10**14 / 123.45 / 1e9 / 50
    assert f"{share:.0%}" in str(report)
    assert "GROWS" not in str(replace(report, growths=[replace(growths[0], time_exponent=1.2)]))


def test_numbers_for_readers() -> None:
    shown = [number(x) for x in (None, 0.0001234, 1.234, 99.94, 1234.5, 1.5e6, 2e9)]
    assert shown == ["", "0.000123", "1.23", "99.9", "1,234", "1.5 M", "2 G"]
    assert [megabytes(n) for n in (None, 0, 1_260_000, 10**9)] == ["", "0", "1.3", "1,000"]
    shown = [duration(s) for s in (1.234, 100, 600, 10_000, 10**6)]
    assert shown == ["1.23 s", "100 s", "10 min", "2.8 h", "11.6 days"]


def test_command_prints_table_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []
    told: list[dict[str, Any]] = []

    def report(repeats: int, scale: float, **more: Any) -> BenchReport:
        asked.append((repeats, scale))
        told.append(more)
        part = PartReport("sampling", "sentences", 6, 2.0, 20.0, 10**10, 3 * 10**6)
        return BenchReport([part], MACHINE, TINY, scale, repeats)

    monkeypatch.setattr("textgan.bench.timing.run_bench", report)
    printed = []
    for arguments in (
        "bench --scale 0.5",
        "bench --json --repeats 2 --scaling --counts --profile f --parts bleu,sampling "
        "--precision bf16",
    ):
        with redirect_stdout(io.StringIO()) as out:
            app.app(arguments.split(), standalone_mode=False)
        printed.append(out.getvalue())
    assert asked == [(1, 0.5), (2, 1.0)]
    assert told == [
        {"precision": "float32", "parts": None, "timed": True, "axes": None, "traces": None,
         "before": None},
        {"precision": "bf16", "parts": "bleu,sampling", "timed": False,
         "axes": PAPER_AXES, "traces": Path("f"), "before": None},
    ]  # fmt: skip
    (row,) = [line.split() for line in printed[0].splitlines() if line.startswith("sampling")]
    assert row == ["sampling", "6", "sentences", "2", "20", "10", "3", "5", "10%", "3"]
    (part,) = json.loads(printed[1])["parts"]
    assert (part["ratio"], part["per_second"], part["share_of_peak"]) == (10, 3, 0.1)
