"""What a benchmark prints."""

from dataclasses import replace

from bench import MACHINE, TINY

from textgan.bench.counting import Count
from textgan.bench.parts import PARTS
from textgan.bench.profiling import HotSpot
from textgan.bench.report import BenchReport, PartReport, duration, megabytes, number
from textgan.bench.scaling import Growth
from textgan.bench.setting import BenchSetting


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
