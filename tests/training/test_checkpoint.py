"""Checkpoints: those that are damaged, and those of another run."""

from pathlib import Path

import pytest
from interrupted import everything, stop_at
from toys import TOY

import textgan
from textgan.core.errors import Interrupted, UserError
from textgan.training.checkpoint import checkpoints


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    textgan.train("seqgan", out=folder, quiet=True, **TOY)
    return folder


def test_a_damaged_checkpoint_is_refused_by_name_and_the_previous_offered(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(30, patch)
        with pytest.raises(Interrupted):
            textgan.train("seqgan", out=folder, quiet=True, **TOY, checkpoint_seconds=0)
    older, newer = checkpoints(folder)
    whole = newer.read_bytes()
    changed = bytearray(whole)
    changed[-5] ^= 1  # one bit of a weight
    header = whole.replace(b'done\\\\\\": 31', b'done\\\\\\": 30')  # one counter
    assert header != whole
    for damaged in (whole[: len(whole) // 2], b"", bytes(changed), header, b"\x80\x04N."):
        newer.write_bytes(damaged)
        with pytest.raises(UserError) as refused:
            textgan.resume(folder, quiet=True)
        assert str(newer) in str(refused.value)
        assert str(older) in str(refused.value)
        assert "\n" not in str(refused.value)
    newer.unlink()  # the remedy that the message names
    textgan.resume(folder, quiet=True)
    assert everything(folder)["last"] == everything(uninterrupted)["last"]


def test_a_checkpoint_of_another_run_is_refused(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(30, patch)
        with pytest.raises(Interrupted):
            textgan.train("seqgan", out=folder, quiet=True, **TOY | {"seed": 5})
    (own,) = checkpoints(folder)[-1:]
    kept = own.read_bytes()
    own.write_bytes(checkpoints(uninterrupted)[-1].read_bytes())
    with pytest.raises(UserError, match="belongs to another run"):
        textgan.resume(folder, quiet=True)
    own.write_bytes(kept)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"seed": 5', '"seed": 6'))
    with pytest.raises(UserError, match=r"config\.json was changed"):
        textgan.resume(folder, quiet=True)
    (folder / "config.json").write_text(config.replace('"device": "auto"', '"device": "cpu"'))
    textgan.resume(folder, quiet=True)  # where it runs is no part of what it is
