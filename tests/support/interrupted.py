"""Runs that are stopped, and all that a finished one leaves."""

import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from toys import stop_when

import textgan
from tests.campaign.process import run_command
from textgan.core.errors import Interrupted
from textgan.training.checkpoint import checkpoints


def everything(folder: Path) -> dict[str, bytes]:
    """All that a finished run leaves, but for event files, which hold times of day."""
    last = checkpoints(folder)[-1]
    names = ["metrics.jsonl", "results.json", "samples.txt"]
    names += ["mle.safetensors"] if (folder / "mle.safetensors").exists() else []
    return {name: (folder / name).read_bytes() for name in names} | {"last": last.read_bytes()}


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while that step is being done."""
    stop_when(monkeypatch, lambda state: state.done == step)


def assert_survives_kills(run: Path, whole: Path, steps: Sequence[int]) -> None:
    """A run that is killed (-9) as it saves each of these steps, then goes on, leaves to the bit
    what one that was not leaves; both are new."""
    textgan.resume(whole, quiet=True, plot=False)
    for step in steps:
        ended = run_command(["resume", run], run.parent, before=partial(_die_before, step))
        assert ended.code == -signal.SIGKILL, ended.err
        assert int(checkpoints(run)[-1].stem) == step - 1
    textgan.resume(run, quiet=True, plot=False)
    assert everything(run) == everything(whole)


def _die_before(step: int) -> None:
    """Let the process be killed when a checkpoint of that step is written and not yet named."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and Path(arguments[1]).name == f"{step:012d}.safetensors":
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def assert_resumes(
    objective: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    before_end: int,
    **settings: Any,
) -> Path:
    """A run that is stopped so many steps before its end, and resumed, leaves to the bit what one
    without a stop leaves; the folder of that one."""
    told = settings | {"quiet": True, "plot": False}
    textgan.train(objective, out=folder / "whole", **told)
    last = int(checkpoints(folder / "whole")[-1].stem)
    with monkeypatch.context() as patch:
        stop_at(last - before_end, patch)
        with pytest.raises(Interrupted):
            textgan.train(objective, out=folder / "run", **told)
    textgan.resume(folder / "run", quiet=True, plot=False)
    assert everything(folder / "run") == everything(folder / "whole")
    return folder / "whole"
