"""Files know their run: those of another one, and those that were changed, are refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from kept_runs import DISTINCT, SMALL, copied
from toys import Cli, refused

import textgan
from textgan.core.errors import UserError
from textgan.core.identity import identify
from textgan.core.tensors import load_tensors, save_tensors
from textgan.evaluation.results import read_evaluation
from textgan.evaluation.temperature_sweep import read_sweep
from textgan.training.checkpoint import checkpoints
from textgan.training.results import read_results
from textgan.training.run import open_run

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
    cli: Cli, twin_runs: Path, tmp_path: Path, file: str
) -> None:
    kind = "text" if file == "vocabulary.json" else "oracle"
    run, other = copied(twin_runs, kind, tmp_path)
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
    cli: Cli, twin_runs: Path, tmp_path: Path, file: str
) -> None:
    run, other = copied(twin_runs, "oracle", tmp_path, new=False)
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
    cli: Cli, twin_runs: Path, tmp_path: Path, file: str
) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
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
def test_one_bit_is_noticed_or_nothing_changes(twin_runs: Path, tmp_path: Path, file: str) -> None:
    run, _ = copied(twin_runs, "text", tmp_path)
    look, content = looks(run)[file], (run / file).read_bytes()
    right = look()
    message: list[str] = []
    chosen = np.random.default_rng(0).integers(8 * len(content), size=40)
    for place_of_bit in chosen:
        damaged = bytearray(content)
        damaged[place_of_bit // 8] ^= 1 << place_of_bit % 8
        (run / file).write_bytes(damaged)
        try:
            assert look() == right
        except UserError as error:
            message.append(str(error))
    assert all(file in error for error in message)
    assert len(message) > 25  # the others are layout


@pytest.mark.parametrize("pattern", ["*.safetensors", "checkpoints/*1*.safetensors"])
def test_one_bit_of_tensors_is_noticed(twin_runs: Path, tmp_path: Path, pattern: str) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
    for path in run.glob(pattern):
        damaged = bytearray(path.read_bytes())
        damaged[-3] ^= 4
        path.write_bytes(damaged)
        if path == checkpoints(run)[0] and len(checkpoints(run)) > 1:
            continue  # the one before the last, which nobody reads
        with pytest.raises(UserError, match=path.name.replace(".", r"\.")):
            textgan.evaluate(run, **DISTINCT)
        damaged[-3] ^= 4
        path.write_bytes(damaged)
    textgan.evaluate(run, **DISTINCT)


def test_a_missing_mle_row_is_said(cli: Cli, twin_runs: Path, tmp_path: Path) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
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
    result = read_evaluation(run)
    assert result is not None and any("no MLE row" in warning for warning in result.warnings)


def test_an_earlier_mle_epoch_of_the_same_run_is_not_its_best(
    twin_runs: Path, tmp_path: Path
) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
    tensors, facts = load_tensors(run / "mle.safetensors")
    save_tensors(run / "mle.safetensors", tensors, facts | {"score": facts["score"] + 0.1})
    with pytest.raises(UserError, match=r"mle\.safetensors is not of this run's best MLE epoch"):
        textgan.evaluate(run, **DISTINCT)


def test_a_run_that_has_no_mle_yet_lacks_nothing(tmp_path: Path) -> None:
    settings = SMALL | {"schedule.mle_epochs": 0}
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, **settings)
    assert not any("MLE" in warning for warning in results.warnings)
