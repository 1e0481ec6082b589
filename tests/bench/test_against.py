"""Comparing a benchmark with one that was kept."""

from pathlib import Path
from typing import Any

import pytest
from bench import CPU, kept, report
from places import ROOT
from toys import Cli, refused

from textgan.bench.against import check_comparable, compare, find_baseline, read_baseline
from textgan.bench.machine import identify
from textgan.bench.report import BenchReport
from textgan.bench.setting import PAPER, BenchSetting
from textgan.bench.timing import run_bench
from textgan.core.errors import UserError


def test_a_ratio_that_fell_is_worse_and_one_that_rose_is_not(tmp_path: Path) -> None:
    before = read_baseline(kept(report({"sampling": 8, "bleu": 4, "scoring": 2}), tmp_path / "b"))
    now = report({"sampling": 5.9, "bleu": 3.1, "scoring": 9, "rollouts": 1})
    result = compare(before, now, 0.25)
    assert [
        (change.part, change.worse) for change in result.changes if change.figure == "ratio"
    ] == [
        ("sampling", True),
        ("bleu", False),
        ("scoring", False),
    ]
    assert result.worse and not compare(before, now, 0.3).worse
    shown = str(result).splitlines()
    assert [line.split() for line in shown if line.startswith("sampling")] == [
        ["sampling", "times", "faster", "8", "5.9", "-26%", "WORSE"]
    ]
    assert "3 of 3 counts (operators, FLOP, bytes) are the same" in shown
    assert shown[-1] == "something is worse by more than 25%"
    assert result.remarks == []
    assert max(map(len, shown)) <= 100


def test_a_count_that_grew_is_worse(tmp_path: Path) -> None:
    old = [{"name": "bleu", "operators": 101, "flop": 7, "bytes": 700}]
    old += [{"name": "gone", "operators": 1, "flop": 1, "bytes": 1}]
    before = read_baseline(kept(report({"bleu": 4}), tmp_path / "b", counts=old))
    result = compare(before, report({"bleu": 4}), 0.25)
    moved = [(c.figure, c.before, c.now, c.worse) for c in result.changes if c.before != c.now]
    assert moved == [("operators", 101, 100, False), ("bytes", 700, 1000, True)]
    assert result.worse and not compare(before, report({"bleu": 4}), 0.5).worse
    assert "1 of 3 counts" in str(result)


def test_what_makes_reports_less_comparable_is_said(tmp_path: Path) -> None:
    old = report({"bleu": 4, "sampling": 3}, processor="Q", torch="1", matmul="blas")
    result = compare(read_baseline(kept(old, tmp_path / "b")), report({"bleu": 4}), 0.25)
    assert [remark.partition(":")[0] for remark in result.remarks] == [
        "another processor",
        "another library of products",
        "another torch",
        "not measured now",
    ]
    assert "sampling" in result.remarks[-1]
    assert not result.worse


def test_other_work_beside_either_report_is_named(tmp_path: Path) -> None:
    quiet, busy = report({"bleu": 4}), report({"bleu": 4}, load=1.0)
    path = tmp_path / "before.json"
    for before, now, words in (
        (quiet, quiet, []),
        (busy, quiet, ["before"]),
        (quiet, busy, ["now"]),
    ):
        remarks = compare(read_baseline(kept(before, path)), now).remarks
        assert remarks == [
            f"other work moved the numbers {word}: measure again when it is quiet" for word in words
        ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "not a report"),
        ("{", "not a report"),
        ("[1]", "not a report"),
        ("[" * 100_000, "not a report"),
        (b"\xff\xfe\0", "not a report"),
        ({"parts": None}, "parts: "),
        ({"parts": [{"name": "bleu", "ratio": "fast"}]}, "parts.0.ratio: "),
        ({"parts": [{"name": "bleu", "ratio": 0}]}, "parts.0.ratio: "),
        ({"parts": [{"name": "bleu", "ratio": float("nan")}]}, "parts.0.ratio: "),
        ({"parts": [{"name": "bleu", "ratio": float("inf")}]}, "parts.0.ratio: "),
        ({"counts": [{"name": "bleu", "operators": 1.5, "flop": 1, "bytes": 1}]}, "operators: "),
        ({"setting": None}, "setting: "),
        ({"parts": []}, "without times of bleu"),
        ({"parts": [{"name": "a\nb", "ratio": 1}]}, "without times of bleu"),
        ({"setting": {"vocabulary": 12}}, "batch was None and is 64"),
        ({"scale": 0.5}, "at another scale; give --scale 0.5, it is 1"),
        ({"precision": "bf16"}, "another precision; it was bf16 and is float32"),
        ({"precision": "x" * 1000}, "xxx..."),
    ],
)
def test_what_is_no_report_of_this_work_is_refused_at_once(
    content: Any, expected: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgan.bench.timing.describe", None)  # nothing is measured before
    path = tmp_path / "before.json"
    if isinstance(content, dict):
        kept(report({"bleu": 4}), path, **content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = refused(cli, "bench", "--parts", "bleu", "--against", path)
    assert expected in line
    assert len(line) < 400


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, cli: Cli) -> None:
    assert "no such file" in refused(cli, "bench", "--against", tmp_path / "none")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(2**24 + 1)
    assert "too large" in refused(cli, "bench", "--against", large)


def test_of_a_folder_the_newest_report_of_this_processor_and_work_is_taken(
    tmp_path: Path, cli: Cli
) -> None:
    here = identify(CPU)

    def keep(name: str, made: BenchReport, **changes: Any) -> None:
        kept(made, tmp_path / f"{name}.json", **changes)

    def made(ratio: float, **facts: Any) -> BenchReport:
        return report({"bleu": ratio}, **(here | facts))

    keep("b-oldest", report({"bleu": 1}, processor=here["processor"]))  # of before models and dates
    assert find_baseline(tmp_path).parts[0].ratio == 1
    keep("a", made(2, date="2026-11-27T08:00:00+00:00"))
    keep("z", made(3, date="2026-11-26T08:00:00+00:00"))
    keep("other", made(4, date="2027", processor="Q"))
    keep("model", made(4, date="2027", processor_model="family 1, model 1"))
    keep("gpu", made(4, date="2027", gpu="G"))
    keep("bf16", made(5, date="2027"), precision="bf16")
    keep("quick", made(6, date="2027"), scale=0.5)
    keep("sampling", report({"sampling": 4}, **here, date="2027"), counts=[])
    (tmp_path / "table.json").write_text("[1]")
    (tmp_path / "folder.json").mkdir()
    before = find_baseline(tmp_path, parts="bleu")
    assert (before.parts[0].ratio, before.source) == (2, "a.json")
    assert find_baseline(str(tmp_path), precision="bf16").parts[0].ratio == 5
    assert find_baseline(tmp_path, 0.5).parts[0].ratio == 6
    assert find_baseline(tmp_path / "z.json").source == ""  # no choice to speak of
    result = compare(before, made(2), 0.25)
    assert result.remarks == ["before is a.json of 2026-11-27T08:00:00+00:00"]
    with pytest.raises(UserError, match="no report there is of this processor"):
        find_baseline(tmp_path, 0.25)
    (tmp_path / "empty").mkdir()
    assert "keep one there with" in refused(cli, "bench", "--against", tmp_path / "empty")
    assert "precision = 'fp8'" in refused(cli, "bench", "--against", tmp_path, "--precision", "fp8")


def test_recorded_reports_can_be_compared_with() -> None:
    folder = ROOT / "experiments" / "results" / "bench"
    for name in ("xeon-2-cores", "xeon-2-cores-bf16", "xeon-2-cores-before"):
        before = read_baseline(folder / f"{name}.json")
        check_comparable(before, PAPER, 1.0, before.precision, ["sampling"], timed=True)
        (first, *_) = compare(before, report({"sampling": 1}, matmul="onednn")).remarks
        assert first.startswith("another processor: Intel(R) Xeon(R) Processor before, P now")


def test_parts_with_a_source_compare_where_both_reports_have_them(tmp_path: Path) -> None:
    now = report({"bleu": 4, "regs_step": 9})
    old = now.to_dict()["setting"]
    smaller = old | {"answering": old["answering"] | {"batch": 1}}
    del old["answering"]
    before = read_baseline(kept(report({"bleu": 4}), tmp_path / "old", setting=old))
    check_comparable(before, PAPER, 1.0, "float32", ["bleu", "regs_step"], timed=True)
    assert [c.part for c in compare(before, now).changes if c.figure == "ratio"] == ["bleu"]
    before = read_baseline(kept(now, tmp_path / "smaller", setting=smaller))
    check_comparable(before, PAPER, 1.0, "float32", ["bleu"], timed=True)
    with pytest.raises(UserError, match="another setting: answering was"):
        check_comparable(before, PAPER, 1.0, "float32", ["regs_step"], timed=True)


def test_counts_alone_compare_whatever_the_scale(tmp_path: Path) -> None:
    before = read_baseline(kept(report({"bleu": 4}), tmp_path / "b", scale=0.5))
    check_comparable(before, PAPER, 1.0, "float32", ["bleu"], timed=False)
    with pytest.raises(UserError, match="without counts of sampling"):
        check_comparable(before, PAPER, 1.0, "float32", ["sampling"], timed=False)


@pytest.mark.usefixtures("small_products")
def test_a_real_report_compares_with_itself(tmp_path: Path) -> None:
    tiny = BenchSetting(12, 5, 4, 4, batch=4, rollouts=2, sentences=8, sizes=(1, 3), counts=(3, 3))
    made = run_bench(1, 1.0, tiny, parts=["sampling", "mle_epoch"])
    before = read_baseline(kept(made, tmp_path / "before.json"))
    again = run_bench(1, 1.0, tiny, parts=["mle_epoch"], before=before)
    result = compare(before, again, 0.99)
    assert [change.figure for change in result.changes] == ["ratio", "operators", "flop", "bytes"]
    assert all(change.before == change.now for change in result.changes[1:])
    assert not compare(before, made, 0.0).worse
    # the machine may be busy, which is a remark, too
    assert result.remarks[-1] == "not measured now: sampling"
