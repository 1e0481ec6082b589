"""Records of a run, read back, lost, and on disk in time."""

import json
import os
import shutil
from pathlib import Path

import pytest
from kept_runs import SMALL, copied
from toys import TOY, Cli, stop_when

import textgan
from textgan.core.errors import Interrupted
from textgan.core.log import read_records
from textgan.training.results import read_results


def test_records_that_are_none_are_left_out(tmp_path: Path) -> None:
    good = '{"tick": 1, "phase": "mle"}'
    lines = ["[]", "5", "null", "{}", '{"tick": "x"}', '{"tick": 2}', good, '{"tick": 3, "ph']
    (tmp_path / "metrics.jsonl").write_bytes("\n".join(lines).encode() + b"\xff")
    assert read_records(tmp_path) == [json.loads(good)]


def stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after five points of its curves, with a checkpoint."""
    with monkeypatch.context() as patch:
        stop_when(patch, lambda state: state.ticks_done == 4)
        with pytest.raises(Interrupted):
            textgan.train("seqgan", out=folder, quiet=True, **TOY | {"schedule.rounds": 3})
    assert len(read_records(folder)) >= 4
    return folder


def of_records(results: textgan.Results) -> list[str]:
    """The alarms about metrics.jsonl."""
    return [alarm for alarm in results.alarms if alarm.startswith("metrics.jsonl")]


def test_lost_points_are_counted_said_and_kept(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(tmp_path / "run", monkeypatch)
    shutil.copytree(run, tmp_path / "whole")
    whole = textgan.resume(tmp_path / "whole", quiet=True)
    assert of_records(whole) == []
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    first = json.dumps(json.loads(lines[0]) | {"step": 77}) + "\n"
    for kept, message in (
        (lines[:2], "lacks"),
        ([], "lacks"),
        ([lines[0], *lines[2:]], "(ticks 2)"),
        ([lines[0], "{ broken\n", *lines[2:]], "(ticks 2)"),
        ([first, *lines[1:]], "is not what this run wrote"),
        ([*lines, lines[0]], "is not what this run wrote"),
    ):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(run, copy)
        (copy / "metrics.jsonl").write_text("".join(kept))
        code, _, err = cli("resume", copy)
        assert code == 0
        (line,) = [line for line in err.splitlines() if "metrics.jsonl" in line]
        assert line.startswith("warning: ") and message in line
        results = read_results(copy)
        assert results is not None
        (alarm,) = of_records(results)
        assert results.rows == whole.rows
        assert cli("report", "--no-measure", copy)[0] == 0
        assert alarm in (copy / "report.html").read_text().replace("&#39;", "'")


def test_a_line_that_a_kill_cut_after_the_checkpoint_is_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(tmp_path / "run", monkeypatch)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"tick": 9, "pha')
    assert of_records(textgan.resume(run, quiet=True)) == []


def test_points_that_were_changed_after_the_end_are_noticed_by_the_report(
    cli: Cli, twin_runs: Path, tmp_path: Path
) -> None:
    run, other = copied(twin_runs, "oracle", tmp_path)
    assert cli("report", "--no-measure", run)[0] == 0
    assert "not to be trusted" not in (run / "report.html").read_text()
    shutil.copy(other / "metrics.jsonl", run)
    code, _, err = cli("report", "--no-measure", run)
    assert code == 0 and err.startswith(f"warning: {run.name}: metrics.jsonl is not what this run")
    assert "not to be trusted" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("finished", "content", "fault"),
    [
        (True, None, "metrics.jsonl is missing"),
        (False, "{}\n[1]\n", "metrics.jsonl is damaged (2 lines are no points)"),
        (False, '{"tick": 9, "pha', ""),  # as a kill cuts it
    ],
)
def test_a_fault_of_the_points_is_on_the_page_and_a_warning_of_the_command(
    finished: bool, content: str | None, fault: str, cli: Cli, twin_runs: Path, tmp_path: Path
) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
    (run / "metrics.jsonl").unlink()
    if not finished:
        (run / "results.json").unlink()
    if content is not None:
        (run / "metrics.jsonl").write_text(content)
    code, _, err = cli("report", "--no-measure", run)
    assert code == 0
    assert err.startswith(f"warning: {run.name}: {fault}") if fault else not err
    assert fault in (run / "report.html").read_text()


def test_points_are_on_disk_before_the_checkpoint_that_knows_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    def replaced(self: Path, target: Path) -> Path:
        done.append(f"renamed to {target}")
        return replace(self, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    textgan.train("mle", out=tmp_path / "run", quiet=True, **{
        key: value for key, value in SMALL.items() if not key.startswith(("obj", "disc"))
    })  # fmt: skip
    (first, *_) = [i for i, what in enumerate(done) if "renamed" in what and "checkpoints" in what]
    assert str(tmp_path / "run/metrics.jsonl") in done[:first]
