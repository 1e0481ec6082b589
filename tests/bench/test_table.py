"""The tables of benchmarks in the pages that show them."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from bench import kept, report
from places import ROOT

SCRIPT = runpy.run_path(str(ROOT / "experiments" / "bench_table.py"))
written = SCRIPT["written"]


@pytest.mark.parametrize("page", SCRIPT["PAGES"], ids=lambda page: page.name)
def test_pages_show_the_reports(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "<!-- bench: " in text
    assert written(text) == text, "run python experiments/bench_table.py"


def keep(folder: Path, name: str, ratio: float, **changes: Any) -> None:
    facts = changes.pop("facts", {})
    made = report({"mle_epoch": ratio, "bleu": 4}, **facts)
    kept(made, folder / f"{name}.json", **({"warnings": []} | changes))


def test_a_column_for_the_newest_report_of_each_precision(tmp_path: Path) -> None:
    amd = {"processor": "AMD EPYC", "processor_model": "family 26, model 2", "threads": 2}
    speeds = {"blas": {"64": 30.0}, "onednn": {"64": 50.0}}
    day = "2026-11-2{}T08:00:00+00:00".format
    keep(tmp_path, "amd-2", 4, facts=amd | {"date": day(1)})
    keep(tmp_path, "amd-1", 2, facts=amd | {"date": day(2), "gflops_by_library": speeds})
    keep(tmp_path, "amd-0", 8, facts=amd, precision="bf16")
    keep(tmp_path, "amd-9", 9, facts=amd | {"date": day(9)}, scale=0.5)
    keep(tmp_path, "amd-8", 9, facts=amd | {"date": day(9)}, parts=[])
    keep(tmp_path, "xeon", 2.5, facts={"processor": "Intel(R) Xeon(R) Processor"})
    page = "a\n<!-- bench: amd-*.json none* xeon.json -->\nold\n<!-- end -->\nb\n"
    made = written(page, tmp_path)
    assert made.startswith("a\n<!-- bench") and made.endswith("<!-- end -->\nb\n")
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in made.splitlines()
        if line.startswith("|")
    }
    name = "AMD EPYC (family 26, model 2), 2 threads"
    xeon = "Intel(R) Xeon(R) Processor, 1 threads, float32"
    assert rows[""] == [f"{name}, float32", xeon, f"{name}, bf16"]
    assert rows["mle_epoch"] == ["2 s; 0.50", "2 s; 0.40", "2 s; 0.12"]
    assert rows["measured"] == ["2026-11-22; once", "once", "once"]
    assert rows["fastest product, GFLOP/s"] == ["blas 30, onednn 50", "50", "50"]
    assert rows["one run"] == ["", "", ""]
    assert written(made, tmp_path) == made


def test_goals_are_beside_what_each_maker_s_processor_has(tmp_path: Path) -> None:
    keep(tmp_path, "xeon", 2.5, facts={"processor": "Intel(R) Xeon(R) Processor"})
    made = written("<!-- goals: xeon.json amd* -->\n<!-- end -->", tmp_path)
    assert "| mle_epoch, float32 | 0.50 |  | 0.40 | 0.40 |" in made.splitlines()
    assert made.count("\n| ") == 1 + 1 + len(SCRIPT["GOALS"])


def test_warnings_and_projections_are_shown(tmp_path: Path) -> None:
    both = {"ours": {"round": 100.0, "run": 36000.0}, "textbook": {"round": 400.0, "run": 72000.0}}
    keep(tmp_path, "a", 2, warnings=["it was busy"], projections=both, repeats=3)
    rows = written("<!-- bench: a.json -->\n<!-- end -->", tmp_path)
    assert "| measured | median of 3; WARNING: it was busy |" in rows
    assert "| one round | 100 s; 0.25 |" in rows
    assert "| one run | 10.0 h; 0.50 |" in rows
