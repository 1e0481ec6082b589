"""Files know their run: those of another one, and those that were changed, are refused by name."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import TOY, TOY_TEXT, Cli, in_0_1s_way, refused, stop_when, toy_text

import textgan
from textgan.core.errors import Interrupted, UserError
from textgan.core.identity import identify, sealed
from textgan.core.log import read_records
from textgan.core.score import Score
from textgan.core.statistics import Estimate
from textgan.core.tensors import load_tensors, save_tensors
from textgan.evaluation import results as evaluations
from textgan.evaluation.results import Evaluation, read_evaluation
from textgan.evaluation.store import store_evaluation
from textgan.evaluation.temperature_sweep import curve, read_sweep
from textgan.training.checkpoint import checkpoints
from textgan.training.results import read_results
from textgan.training.run import open_run

QUICK: dict[str, Any] = {"metrics": ["distinct"], "resamplings": 100, "quiet": True}
SMALL = TOY | {"schedule.rounds": 1, "evaluation.final_samples": 20}
WORDS = TOY_TEXT | {"schedule.rounds": 1, "evaluation.final_samples": 20, "data.min_count": 1}


def trained(folder: Path, **settings: Any) -> Path:
    """A finished run, evaluated, with a curve."""
    textgan.train("seqgan", out=folder, quiet=True, **settings)
    store_evaluation(folder, textgan.evaluate(folder, **QUICK))
    curve(folder, temperatures=[1.0], metrics=["distinct"], quiet=True)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the oracle that differ in a seed, and runs of text that differ in a word."""
    made = tmp_path_factory.mktemp("runs")
    trained(made / "oracle", **SMALL)
    trained(made / "oracle-other", **SMALL | {"seed": 2, "oracle.seed": 7})
    text = toy_text(made)
    trained(made / "text", data=text, **WORDS)
    text.write_text(text.read_text().replace("house", "horse"))
    trained(made / "text-other", data=text, **WORDS)
    return made


def copied(place: Path, kind: str, tmp_path: Path, new: bool = True) -> tuple[Path, Path]:
    """A run to be spoilt, and one whose files do not belong to it."""
    shutil.copytree(place / kind, tmp_path / "run")
    shutil.copytree(place / f"{kind}-other", tmp_path / "other")
    if not new:
        in_0_1s_way(tmp_path / "run")
        in_0_1s_way(tmp_path / "other")
    return tmp_path / "run", tmp_path / "other"


COMMANDS: dict[str, list[str]] = {
    "sample": ["-n", "2"],
    "evaluate": ["--metrics", "distinct", "--resamplings", "0"],
    "compare": [],
    "curve": ["--metrics", "distinct", "--temperatures", "1"],
    "resume": [],
    "report": ["--no-measure"],
}
ALL = set(COMMANDS)
OPENING = ALL - {"report"}
# which commands read a file, and so must refuse another run's
READ_BY = {
    "config.json": ALL,
    "run.json": ALL,
    "data.safetensors": OPENING,
    "oracle.safetensors": OPENING,
    "vocabulary.json": OPENING,
    "mle.safetensors": {"evaluate", "curve", "resume"},
    "checkpoint": {"sample", "evaluate", "curve", "resume"},
    "evaluation.json": {"evaluate", "compare", "report"},
    "curve.json": {"curve", "report"},
    "results.json": {"report"},
}


@pytest.mark.parametrize("file", READ_BY)
def test_files_of_another_run_are_refused_by_name(
    cli: Cli, place: Path, tmp_path: Path, file: str
) -> None:
    kind = "text" if file == "vocabulary.json" else "oracle"
    run, other = copied(place, kind, tmp_path)
    if file == "checkpoint":
        mine, theirs = checkpoints(run)[-1], checkpoints(other)[-1]
    else:
        mine, theirs = run / file, other / file
    shutil.copy(theirs, mine)
    if file == "evaluation.json":
        for path in other.glob("evaluation-*"):
            shutil.copy(path, run)
    for command in COMMANDS:
        if command == "resume" and file != "results.json":
            (run / "results.json").unlink(missing_ok=True)
        if command not in READ_BY[file]:
            continue
        line = refused(cli, command, run, *COMMANDS[command])
        assert mine.name in line, command
        assert any(word in line for word in ("restore", "delete", "train anew")), line


@pytest.mark.parametrize("file", ["mle.safetensors", "checkpoint", "data.safetensors"])
def test_what_version_0_1_left_is_compared_as_far_as_that_goes(
    cli: Cli, place: Path, tmp_path: Path, file: str
) -> None:
    run, other = copied(place, "oracle", tmp_path, new=False)
    for command in COMMANDS:
        code, _, err = cli(command, run, *COMMANDS[command])
        assert code == 0, err
    mine, theirs = run / file, other / file
    if file == "checkpoint":
        mine, theirs = checkpoints(run)[-1], checkpoints(other)[-1]
    shutil.copy(theirs, mine)
    for command in ("evaluate", "curve"):
        assert str(run) in refused(cli, command, run, *COMMANDS[command])


@pytest.mark.parametrize(
    "file", ["run.json", "mle.safetensors", "evaluation.json", "curve.json", "results.json"]
)
def test_a_new_run_cannot_lose_what_says_whose_its_files_are(
    cli: Cli, place: Path, tmp_path: Path, file: str
) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    if file.endswith(".safetensors"):
        tensors, facts = load_tensors(run / file)
        save_tensors(run / file, tensors, {k: v for k, v in facts.items() if k != "run"})
    else:
        content = json.loads((run / file).read_text())
        gone = ("run", "digest", "files", "code")
        kept = {key: value for key, value in content.items() if key not in gone}
        (run / file).write_text(json.dumps(kept))
    command = {"curve.json": "curve", "results.json": "report"}.get(file, "evaluate")
    assert file in refused(cli, command, run, *COMMANDS[command])


def looks(folder: Path) -> dict[str, Callable[[], object]]:
    """What reads each file."""
    return {
        "config.json": lambda: open_run(folder).config.model_dump(),
        "run.json": lambda: identify(folder),
        "vocabulary.json": lambda: open_run(folder).corpus.tokenizer,
        "evaluation.json": lambda: str(read_evaluation(folder)),
        "curve.json": lambda: str(read_sweep(folder)),
        "results.json": lambda: read_results(folder),
    }


@pytest.mark.parametrize("file", looks(Path()))
def test_one_bit_is_noticed_or_nothing_changes(place: Path, tmp_path: Path, file: str) -> None:
    run, _ = copied(place, "text", tmp_path)
    look, content = looks(run)[file], (run / file).read_bytes()
    right = look()
    said: list[str] = []
    chosen = np.random.default_rng(0).integers(8 * len(content), size=40)
    for place_of_bit in chosen:
        damaged = bytearray(content)
        damaged[place_of_bit // 8] ^= 1 << place_of_bit % 8
        (run / file).write_bytes(damaged)
        try:
            assert look() == right
        except UserError as error:
            said.append(str(error))
    assert all(file in error for error in said)
    assert len(said) > 25  # the others are layout


@pytest.mark.parametrize("pattern", ["*.safetensors", "checkpoints/*1*.safetensors"])
def test_one_bit_of_tensors_is_noticed(place: Path, tmp_path: Path, pattern: str) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    for path in run.glob(pattern):
        damaged = bytearray(path.read_bytes())
        damaged[-3] ^= 4
        path.write_bytes(damaged)
        if path == checkpoints(run)[0] and len(checkpoints(run)) > 1:
            continue  # the one before the last, which nobody reads
        with pytest.raises(UserError, match=path.name.replace(".", r"\.")):
            textgan.evaluate(run, **QUICK)
        damaged[-3] ^= 4
        path.write_bytes(damaged)
    textgan.evaluate(run, **QUICK)


def test_a_missing_mle_row_is_said(cli: Cli, place: Path, tmp_path: Path) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    (run / "mle.safetensors").unlink()
    for file in ("evaluation.json", "results.json"):
        (run / file).unlink()
    code, out, err = cli("resume", run)
    assert code == 0
    assert "warning: no MLE row: mle.safetensors is missing" in out
    assert "warning: no MLE row" in err
    results = read_results(run)
    assert results is not None and "no MLE row" in results.warnings[0]
    _, out, _ = cli("evaluate", run, "--metrics", "distinct")
    assert "no MLE row: mle.safetensors is missing" in out
    found = read_evaluation(run)
    assert found is not None and any("no MLE row" in warning for warning in found.warnings)


def test_an_earlier_mle_epoch_of_the_same_run_is_not_its_best(place: Path, tmp_path: Path) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    tensors, facts = load_tensors(run / "mle.safetensors")
    save_tensors(run / "mle.safetensors", tensors, facts | {"score": facts["score"] + 0.1})
    with pytest.raises(UserError, match=r"mle\.safetensors is not of this run's best MLE epoch"):
        textgan.evaluate(run, **QUICK)


def test_a_run_that_has_no_mle_yet_lacks_nothing(tmp_path: Path) -> None:
    settings = SMALL | {"schedule.mle_epochs": 0}
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, **settings)
    assert not any("MLE" in warning for warning in results.warnings)


# --- metrics.jsonl ----------------------------------------------------------------------------


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
    for kept, said in (
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
        assert line.startswith("warning: ") and said in line
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
    cli: Cli, place: Path, tmp_path: Path
) -> None:
    run, other = copied(place, "oracle", tmp_path)
    assert cli("report", "--no-measure", run)[0] == 0
    assert "not to be trusted" not in (run / "report.html").read_text()
    shutil.copy(other / "metrics.jsonl", run)
    assert cli("report", "--no-measure", run)[0] == 0
    assert "not to be trusted" in (run / "report.html").read_text()


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


# --- several commands at once -------------------------------------------------------------------


def numbers(name: str, value: float, seed: int = 0) -> Evaluation:
    """An evaluation of one score, with replicates."""
    replicates = np.random.default_rng(seed).normal(value, 0.1, 50)
    score = Score(
        name, Estimate(value, value - 1, value + 1), f"{name}|x", "higher", "", replicates
    )
    return Evaluation({"seqgan, last": {name: score}}, None, facts={"metrics": [name]})


def test_two_evaluations_at_once_both_stay(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    (run / "evaluation.json").unlink()
    really = evaluations.read_evaluation

    def slowly(folder: Path) -> Evaluation | None:
        found = really(folder)
        time.sleep(0.2)  # long enough for everybody else to read, too
        return found

    monkeypatch.setattr("textgan.evaluation.store.read_evaluation", slowly)
    names = [f"m{i}" for i in range(4)]
    threads = [
        threading.Thread(target=store_evaluation, args=(run, numbers(name, float(i))))
        for i, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = really(run)
    assert found is not None
    assert sorted(found.rows["seqgan, last"]) == names
    assert all(len(score.replicates) == 50 for score in found.rows["seqgan, last"].values())
    assert len(list(run.glob("evaluation*.safetensors"))) == 1


class Killed(BaseException):
    """What nobody catches."""


def test_a_kill_leaves_the_old_evaluation_or_the_new_one(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    old, new = numbers("x", 1.0), numbers("x", 5.0, seed=1)
    steps = [(Path, "replace"), (Path, "unlink"), (os, "fsync")]
    seen, number = set(), 0
    while True:
        (run / "evaluation.json").unlink()
        store_evaluation(run, old)
        counted = 0

        def killing(really: Callable[..., Any], at: int = number) -> Callable[..., Any]:
            def do(*arguments: Any, **more: Any) -> Any:
                nonlocal counted
                counted += 1
                if counted == at + 1:
                    raise Killed
                return really(*arguments, **more)

            return do

        with monkeypatch.context() as patch:
            for owner, name in steps:
                patch.setattr(owner, name, killing(getattr(owner, name)))
            try:
                evaluations.write_evaluation(run, new)
                ended = True
            except Killed:
                ended = False
        found = read_evaluation(run)
        assert found is not None
        score = found.rows["seqgan, last"]["x"]
        right = old if score.estimate.value == 1.0 else new
        expected = right.rows["seqgan, last"]["x"]
        assert score.estimate == expected.estimate
        assert np.array_equal(score.replicates, expected.replicates)
        seen.add(score.estimate.value)
        number += 1
        if ended:
            break
    assert seen == {1.0, 5.0}
    assert number > 5


def test_replicates_of_another_evaluation_are_refused(place: Path, tmp_path: Path) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    (run / "evaluation.json").unlink()
    store_evaluation(run, numbers("x", 1.0))
    (path,) = run.glob("evaluation-*")
    save_tensors(path, {"seqgan, last/x": torch.zeros(50)}, {})
    with pytest.raises(UserError, match="is of another evaluation"):
        read_evaluation(run)
    path.unlink()
    with pytest.raises(UserError, match="is missing, which"):
        read_evaluation(run)
    content = json.loads((run / "evaluation.json").read_text())
    content["replicates"] = "../other/evaluation.safetensors"
    told = sealed({k: v for k, v in content.items() if k not in ("run", "digest")}, content["run"])
    (run / "evaluation.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="is missing, which"):
        read_evaluation(run)


def test_curves_of_several_commands_are_kept_together(place: Path, tmp_path: Path) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    curve(run, temperatures=[1.0, 0.5], metrics=["length"], quiet=True)
    found = read_sweep(run)
    assert found is not None
    last = found.rows["seqgan, last"]
    assert {"distinct1", "length"} <= last[1.0].keys()
    assert "length" in last[0.5] and "distinct1" not in last[0.5]
    (again,) = curve(run, temperatures=[1.0], metrics=["length"], samples=15, quiet=True)
    assert "distinct1" not in again.rows["seqgan, last"][1.0]  # other texts are another curve


def test_a_folder_that_cannot_be_written_can_be_read(place: Path, tmp_path: Path) -> None:
    run, _ = copied(place, "oracle", tmp_path)
    for path in [run, *run.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert read_evaluation(run) is not None
        assert read_sweep(run) is not None
        assert textgan.evaluate(run, **QUICK).rows
        if os.geteuid():  # root writes everywhere
            with pytest.raises(UserError, match="cannot be written"):
                store_evaluation(run, numbers("x", 1.0))
    finally:
        run.chmod(0o755)
