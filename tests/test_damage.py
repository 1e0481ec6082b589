"""Every file of a folder, damaged in every way, and every command that reads it.

The one line names the file and the remedy, and nothing else in the folder changes.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from places import ROOT
from toys import Cli

import textgan
from textgan.core.errors import UserError

OLD = ROOT / "tests/old_runs"


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


Damage = Callable[[Path], object]
WAYS: dict[str, Damage] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path: path.write_bytes(Random(1).randbytes(200)),
    "no JSON": lambda path: path.write_text('{"a": \n'),
    "another type": lambda path: path.write_text('[1, {}, "x"]\n'),
    "a number": lambda path: path.write_text("3\n"),
    "a folder": folder,
    "a pipe": pipe,
}
MADE_WITH = ["config.json", "run.json", "data.safetensors", "vocabulary.json"]
EVALUATION = ["evaluation.json", "evaluation-b5e9963eb8f13c6d.safetensors"]
CHECKPOINT = "checkpoints/000000000116.safetensors"
COMMANDS: dict[str, tuple[list[str], list[str]]] = {  # what it reads, and its options
    "resume": ([*MADE_WITH, CHECKPOINT, "mle.safetensors", "results.json", "metrics.jsonl"], []),
    "sample": ([*MADE_WITH, CHECKPOINT], ["-n", "2"]),
    "evaluate": (
        [*MADE_WITH, CHECKPOINT, "mle.safetensors", *EVALUATION],
        ["--metrics", "distinct", "--resamplings", "0"],
    ),
    "curve": (["curve.json"], ["--metrics", "distinct", "--temperatures", "1,0.7"]),
    "compare": (EVALUATION, []),
    "report": (["config.json", *EVALUATION, "curve.json", "results.json"], ["--no-measure"]),
}
# of a file of points a kill may have cut the last, and points may be missing
TOLERATED = [("metrics.jsonl", "empty"), ("metrics.jsonl", "cut")]


def is_new(command: str, name: str, way: str) -> bool:
    """Whether nobody else tries it: what a run was made with is opened by one function, and of JSON
    that is none there are more kinds than of tensors."""
    if name in MADE_WITH and command != "sample":
        return way == "cut"
    return not name.endswith(".safetensors") or way not in ("no JSON", "another type", "a number")


def content(run: Path) -> dict[str, object]:
    """What a folder holds, but for what is only a lock."""
    return {
        str(path.relative_to(run)): path.read_bytes() if path.is_file() else path.stat().st_mode
        for path in run.rglob("*")
        if path.suffix != ".lock" and "events.out" not in path.name
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_file_of_a_run_is_one_line(command: str, cli: Cli, tmp_path: Path) -> None:
    names, options = COMMANDS[command]
    for name in names:
        for way, damage in WAYS.items():
            if (name, way) in TOLERATED or not is_new(command, name, way):
                continue
            run = tmp_path / "run"
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(OLD / "labelled/done", run)
            damage(run / name)
            before = content(run)
            code, out, err = cli(command, run, *options)
            case = f"{command}, {name}: {way}\n{out}{err}"
            line = err.strip().splitlines()[-1]
            assert code == 2 and line.startswith("textgan: "), case
            assert "Traceback" not in err and Path(name).name in line, case
            assert any(word in line for word in ("restore", "delete", "remove")), case
            assert content(run) == before, case


@pytest.mark.parametrize("name", ["encoder.json", "encoder.safetensors"])
def test_a_damaged_file_of_an_encoder_is_one_line(name: str, tmp_path: Path) -> None:
    for source, opened in (
        (OLD / "encoder", textgan.open_encoder),
        (OLD / "classifiers/models/fgm-0", textgan.load_classifier),
    ):
        for way, damage in WAYS.items():
            place = tmp_path / "encoder"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(source, place)
            damage(place / name)
            with pytest.raises(UserError, match="restore it from a copy") as error:
                opened(place)
            assert str(place / name) in str(error.value), way
            assert "missing" not in str(error.value), way


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_study_is_one_line(way: str, cli: Cli, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(OLD / "classifiers", study)
    WAYS[way](study / "classify.json")
    before = content(study)
    settings = ["network.embedding=4", "network.hidden=4", "data.min_count=1", "epochs=2"]
    options = ["--perturb", "none,fgm", "--seeds", "2", "--keep", "--out", study]
    code, _, err = cli("classify", OLD / "moods.tsv", *options, *settings)
    assert code == 2 and len(err.splitlines()) == 1
    assert "classify.json" in err and "choose another --out" in err
    assert content(study) == before


def test_the_folder_of_a_study_names_a_classifier_in_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a study, whose 4 classifiers .* load one, such as"):
        textgan.load_classifier(OLD / "classifiers")
    with pytest.raises(UserError, match="holds no classifier"):
        textgan.load_classifier(tmp_path)


def test_points_that_cannot_be_read_are_not_lost(cli: Cli, tmp_path: Path) -> None:
    """A line of garbage in a finished run: the file stays until the user decides."""
    run = tmp_path / "run"
    shutil.copytree(OLD / "labelled/done", run)
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "garbage", *lines[1:]]) + "\n")
    before = path.read_bytes()
    code, _, err = cli("resume", run)
    assert code == 2 and f"{path} is damaged (line 2 is no point of the curves)" in err
    assert path.read_bytes() == before
    path.write_text("\n".join([*lines, json.dumps({"tick": 99})[:6]]))  # as a kill leaves it
    assert cli("resume", run)[0] == 0
