"""What a benchmark prints."""

from dataclasses import replace
from typing import Any

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
    facts["gflops"] = 2000.0
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
    share = 10**14 / 123.45 / 1e9 / 2000
    assert f"{share:.0%}" in str(report)
    assert "GROWS" not in str(replace(report, growths=[replace(growths[0], time_exponent=1.2)]))


def test_the_peak_is_no_less_than_what_plain_arithmetic_reached() -> None:
    """A busy moment at which the peak was measured makes no part faster than it."""
    plain = PartReport("mle_epoch", "x", 1, 1.0, 2.0, 80 * 10**9)
    tables = PartReport("scoring", "x", 1, 1.0, 2.0, 200 * 10**9)
    alone = BenchReport([tables], MACHINE, TINY, 1.0, 1)
    assert (alone.peak, alone.to_dict()["parts"][0]["share_of_peak"]) == (50, 4)
    both = BenchReport([plain, tables], MACHINE, TINY, 1.0, 1)
    assert (both.peak, [p["share_of_peak"] for p in both.to_dict()["parts"]]) == (80, [1, 2.5])
    assert BenchReport([], MACHINE, TINY, 1.0, 1).peak == 50


def test_the_report_warns_of_other_work() -> None:
    def report(parts: list[PartReport], **facts: Any) -> BenchReport:
        return BenchReport(parts, MACHINE | {"cores": 4, "threads": 2} | facts, TINY, 1.0, 2)

    quiet = PartReport("bleu", "x", 1, 1.0, 2.0, spread=0.15, machine_speed=0.86)
    slow, uneven = replace(quiet, machine_speed=0.8), replace(quiet, name="scoring", spread=0.3)
    once = replace(quiet, spread=None, machine_speed=None)
    assert report([quiet, once], others=2.3).warnings == []  # 0.3 of two threads wait
    assert report([], others=3).warnings == []  # nothing was timed
    assert report([quiet], others=2.4).warnings == ["other work took 2.4 of 4 cores"]
    # where the system does not count it, by what wanted a core before it began
    assert report([quiet], load=2.4, others=None).warnings == ["other work took 2.4 of 4 cores"]
    assert report([quiet], load=None, cores=None).warnings == []
    busy = report([slow, uneven], others=0.0)
    assert busy.warnings == [
        "around bleu the fastest matrix product ran at no more than 80% of its best",
        "repeats of scoring differ by up to 30%",
    ]
    assert busy.to_dict()["warnings"] == busy.warnings
    shown = str(busy).splitlines()
    assert [line.split()[1] for line in shown if line.startswith("WARNING")] == [
        "around",
        "repeats",
    ]
    assert "0.0 cores taken by others" in str(busy)


def test_the_machine_is_described() -> None:
    facts = MACHINE | {
        "processor": "AMD EPYC", "processor_model": "family 26, model 2", "capability": "AVX512",
        "instructions": ["avx512f", "avx512_bf16"], "matmul": "onednn",
        "gflops_by_library": {"blas": {"64": 20.0, "512": 30.0}, "onednn": {"64": 50.0}},
    }  # fmt: skip
    shown = BenchReport([], facts, TINY, 1.0, 1).text(200)
    assert "AMD EPYC (family 26, model 2), 1 cores" in shown
    assert "torch's kernels AVX512; avx512f avx512_bf16" in shown
    assert "50 GFLOP/s in its fastest matrix product (blas 30, onednn 50)" in shown
    assert "products   of float32 by onednn" in shown
    named = facts | {"processor": "AMD EPYC 9654"}
    assert "family" not in BenchReport([], named, TINY, 1.0, 1).text(200)


def test_numbers_for_readers() -> None:
    shown = [number(x) for x in (None, 0.0001234, 1.234, 99.94, 1234.5, 1.5e6, 2e9)]
    assert shown == ["", "0.000123", "1.23", "99.9", "1,234", "1.5 M", "2 G"]
    assert [megabytes(n) for n in (None, 0, 1_260_000, 10**9)] == ["", "0", "1.3", "1,000"]
    shown = [duration(s) for s in (1.234, 100, 600, 10_000, 10**6)]
    assert shown == ["1.23 s", "100 s", "10 min", "2.8 h", "11.6 days"]
