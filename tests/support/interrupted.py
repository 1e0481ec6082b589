"""Runs that are stopped, and all that a finished one leaves."""

from pathlib import Path

import pytest
from toys import stop_when

from textgan.training.checkpoint import checkpoints


def everything(folder: Path) -> dict[str, bytes]:
    """All that a finished run leaves, but for event files, which hold times of day."""
    last = checkpoints(folder)[-1]
    names = ["metrics.jsonl", "results.json", "samples.txt", "mle.safetensors"]
    return {name: (folder / name).read_bytes() for name in names} | {"last": last.read_bytes()}


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while that step is being done."""
    stop_when(monkeypatch, lambda state: state.done == step)
