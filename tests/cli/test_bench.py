"""textgan bench."""

import io
import json
import math
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from bench import MACHINE, TINY, kept, report
from toys import Cli, refused

from textgan.bench import timing
from textgan.bench.against import Baseline, check_comparable
from textgan.bench.report import BenchReport, PartReport
from textgan.bench.setting import PAPER, PAPER_AXES
from textgan.cli import app

pytestmark = pytest.mark.usefixtures("small_products")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--parts", "sampling,rollout"],
            "parts = 'rollout': there is no such part; known: sampling, rollouts, scoring",
        ),
        (["--parts", ","], "parts = ',': give at least one name"),
        (["--precision", "fp8"], "precision = 'fp8': give float32, tf32 or bf16"),
        (["--precision", "tf32"], "float32"),
        (["--matmul", "mkl"], "matmul = 'mkl': give auto, blas or onednn"),
        (["--scale", "nan"], "scale = nan: give a number from 0.001 to 1"),
        (["--tolerance", "1"], "tolerance = 1.0: give a share"),
        (["--tolerance", "nan"], "tolerance = nan"),
    ],
)
def test_what_cannot_be_had_is_refused(arguments: list[str], expected: str, cli: Cli) -> None:
    assert expected in refused(cli, "bench", *arguments)


def test_a_profile_needs_a_folder(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "profile = " in refused(cli, "bench", "--profile", wrong)


def test_counts_take_no_time(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.setattr(timing, "time_parts", None)
    code, out, _ = cli("bench", "--counts", "--parts", "bleu")
    assert code == 0
    assert "operators" in out and "seconds" not in out
    code, out, _ = cli("bench", "--counts", "--json", "--parts", "bleu")
    result = json.loads(out)
    assert result["parts"] == [] and [made["name"] for made in result["counts"]] == ["bleu"]
    assert result["projections"]["ours"] == {"round": None, "run": None}
    assert math.isfinite(result["machine"]["gflops"])


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
        "--precision bf16 --matmul blas",
    ):
        with redirect_stdout(io.StringIO()) as out:
            app.app(arguments.split(), standalone_mode=False)
        printed.append(out.getvalue())
    assert asked == [(1, 0.5), (2, 1.0)]
    assert told == [
        {"precision": "float32", "parts": None, "timed": True, "axes": None, "profile": None,
         "before": None, "matmul": "auto"},
        {"precision": "bf16", "parts": "bleu,sampling", "timed": False,
         "axes": PAPER_AXES, "profile": Path("f"), "before": None, "matmul": "blas"},
    ]  # fmt: skip
    (row,) = [line.split() for line in printed[0].splitlines() if line.startswith("sampling")]
    assert row == ["sampling", "6", "sentences", "2", "20", "10", "3", "5", "10%", "3"]
    (part,) = json.loads(printed[1])["parts"]
    assert (part["ratio"], part["per_second"], part["share_of_peak"]) == (10, 3, 0.1)


def test_exit_codes_and_json(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    now = report({"bleu": 4})

    def timed(*_: object, before: Baseline | None, **__: object) -> BenchReport:
        if before is not None:
            check_comparable(before, PAPER, 1.0, "float32", ["bleu"], True)
        return now

    monkeypatch.setattr("textgan.bench.timing.run_bench", timed)
    for ratio, code in ((4, 0), (5, 0), (8, 1)):
        path = kept(report({"bleu": ratio}), tmp_path / "before.json")
        assert cli("bench", "--against", path)[0] == code
        result, out, _ = cli("bench", "--against", path, "--json")
        assert result == code
        content = json.loads(out)
        assert content["against"]["worse"] == (code == 1)
        assert content["against"]["changes"][0]["before"] == ratio
    assert cli("bench", "--against", path, "--tolerance", "0.5")[0] == 0
    assert "against" not in json.loads(cli("bench", "--json")[1])
