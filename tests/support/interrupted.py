"""Runs that are stopped, and all that a finished one leaves."""

from pathlib import Path
from typing import Any

import pytest
from toys import stop_when

import textgan
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
