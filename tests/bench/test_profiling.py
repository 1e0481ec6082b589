"""Traces of parts, and the operators that take most time."""

import json
from pathlib import Path

import pytest
from bench import TINY

from textgan.bench.timing import run_bench

pytestmark = pytest.mark.usefixtures("small_products")


def test_a_trace_of_each_part(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "traces"
    wanted = ["mle_epoch", "sampling"]
    report = run_bench(1, 1.0, TINY, parts=wanted, timed=False, profile=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["mle_epoch.json", "sampling.json"]
    for path in folder.iterdir():
        names = {event.get("name") for event in json.loads(path.read_text())["traceEvents"]}
        assert any(str(name).startswith("aten::") for name in names)
    backward = json.loads((folder / "mle_epoch.json").read_text())["traceEvents"]
    assert any("backward" in str(event.get("name")).lower() for event in backward)
    assert {hot.part for hot in report.hottest} == set(wanted)
    for part in wanted:
        shares = [hot.share for hot in report.hottest if hot.part == part]
        assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.000001
    assert report.parts == [] and "aten::" in str(report)
