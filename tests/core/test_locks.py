"""Who trains a run, or writes its numbers, is alone."""

from pathlib import Path

import pytest
from toys import TOY

import textgan
from textgan.core.errors import UserError
from textgan.core.locks import keeping, locked
from textgan.training.config import make_config
from textgan.training.run import create_run


def test_two_processes_cannot_train_one_run(tmp_path: Path) -> None:
    create_run(make_config("seqgan", TOY), tmp_path / "run")
    with locked(tmp_path / "run"), pytest.raises(UserError, match="another process"):
        textgan.resume(tmp_path / "run", quiet=True)


def test_who_waits_too_long_says_so(tmp_path: Path) -> None:
    with (
        keeping(tmp_path),
        pytest.raises(UserError, match=r"another command has been writing .* for 0\.1 seconds"),
        keeping(tmp_path, patience=0.1),
    ):
        pass
    with keeping(tmp_path, patience=0.1):  # it is free again
        pass
