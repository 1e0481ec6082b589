"""experiments/gpu_check.sh takes every path on a processor."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "experiments/gpu_check.sh"
TINY = (
    "oracle.vocabulary=50 oracle.length=6 oracle.positives=40 oracle.held_out=40 "
    "discriminator.preset=auto discriminator.sizes=[1,2] discriminator.counts=[4,4] "
    "objective.rollouts=2 schedule.batch_size=8 schedule.fakes=40 "
    "schedule.mle_epochs=1 schedule.discriminator_turns=1 schedule.rounds=1 "
    "schedule.d_steps=1 schedule.k=1 "
    "evaluation.samples=40 evaluation.final_samples=40"
)
pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("timeout") is None, reason="a script for Linux"
)


def check(out: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "DEVICE": "cpu", "SETTINGS": TINY}
    return subprocess.run(
        ["bash", SCRIPT, out], env=environment | variables, capture_output=True, text=True
    )


def summary(out: Path) -> dict[str, int]:
    rows = [line.split() for line in (out / "summary.txt").read_text().splitlines()[1:]]
    return {name: int(code) for name, _, code in rows}


def test_times_profiles_trains_and_reports(tmp_path: Path) -> None:
    out, stages = tmp_path / "out", ("bench-float32", "profile", "train", "report")
    done = check(out, STAGES=" ".join(stages), BENCH="--scale 0.001 --parts sampling")
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary(out) == dict.fromkeys(stages, 0)
    assert json.loads((out / "bench-float32.json").read_text())["parts"]
    updates = json.loads((out / "profile/updates.json").read_text())
    assert set(updates) == {"fakes", "mle", "discriminator", "generator"}
    for name in updates:
        assert "aten::" in (out / f"profile/{name}.txt").read_text()
        assert (out / f"profile/{name}.json.gz").stat().st_size > 0
    assert list((out / "run/checkpoints").iterdir())
    assert (out / "report.html").is_file()


def script(path: Path, line: str) -> str:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("bench", "code"), [(0, 0), (3, 1)])
def test_a_failure_does_not_keep_the_next_stage_from_running(
    bench: int, code: int, tmp_path: Path
) -> None:
    ends = f'case "$*" in *bench*) exit {bench};; *resume*) exit 124;; esac'  # its time was up
    done = check(tmp_path, PYTHON=script(tmp_path / "python", ends))
    assert done.returncode == code, done.stdout + done.stderr
    ended = dict.fromkeys(("tests", "bench-float32", "profile", "train", "resume", "report"), 0)
    assert summary(tmp_path) == ended | {"bench-float32": bench, "resume": 124}


def test_a_python_without_torch_is_refused_in_one_line(tmp_path: Path) -> None:
    bare = script(tmp_path / "python", f'exec {sys.executable} -S "$@"')
    done = check(tmp_path, PYTHON=bare)
    assert done.returncode == 2
    assert done.stderr.startswith(f"missing in {bare}: torch numpy scipy")
    assert len(done.stderr.splitlines()) == 1
