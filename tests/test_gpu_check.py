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


def test_profiles_trains_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = check(out, STAGES="profile train report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary(out) == dict.fromkeys(("profile", "train", "report"), 0)
    updates = json.loads((out / "profile/updates.json").read_text())
    assert set(updates) == {"fakes", "mle", "discriminator", "generator"}
    for name in updates:
        assert "aten::" in (out / f"profile/{name}.txt").read_text()
        assert (out / f"profile/{name}.json.gz").stat().st_size > 0
    assert list((out / "run/checkpoints").iterdir())
    assert (out / "report.html").is_file()


def test_a_failure_does_not_keep_the_next_stage_from_running(tmp_path: Path) -> None:
    done = check(tmp_path, STAGES="bench-float32 resume", BENCH="--scale 0.001 --parts sampling")
    assert done.returncode == 1
    assert summary(tmp_path) == {"bench-float32": 0, "resume": 2}
    assert json.loads((tmp_path / "bench-float32.json").read_text())["parts"]


def test_a_python_without_torch_is_refused_in_one_line(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    done = check(tmp_path, PYTHON=str(bare))
    assert done.returncode == 2
    assert done.stderr.startswith(f"missing in {bare}: torch numpy scipy")
    assert len(done.stderr.splitlines()) == 1
