"""Checkpoints: those that are damaged, and those of another run."""

from pathlib import Path

import pytest
import torch
from interrupted import everything, stop_at
from torch import Tensor
from toys import TOY

import textgan
from textgan.core.errors import Interrupted, UserError
from textgan.training.checkpoint import (
    checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)


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


def test_the_newest_checkpoints_are_kept_and_what_a_kill_left_is_not(tmp_path: Path) -> None:
    for step in (3, 20, 100):
        path = save_checkpoint(tmp_path, step, {"a": torch.full((2,), step)}, {"done": step})
        assert path.stem == f"{step:012d}" and checkpoints(tmp_path)[-1] == path
        (path.parent / "x.partial").write_text("half")
    assert [int(path.stem) for path in checkpoints(tmp_path)] == [20, 100]
    save_checkpoint(tmp_path, 101, {}, {})
    assert {path.suffix for path in (tmp_path / "checkpoints").iterdir()} == {".safetensors"}
    tensors, facts = load_checkpoint(checkpoints(tmp_path)[0])
    assert (tensors["a"].tolist(), facts) == ([100, 100], {"done": 100})


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.RMSprop])
def test_an_optimiser_goes_on_as_it_was(kind: type[torch.optim.Optimizer]) -> None:
    def steps(weight: Tensor, optimiser: torch.optim.Optimizer, n: int) -> None:
        for _ in range(n):
            optimiser.zero_grad()
            (weight**4).sum().backward()
            optimiser.step()

    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    optimiser = kind([weight], lr=0.1)
    steps(weight, optimiser, 3)
    state = {name: tensor.clone() for name, tensor in optimiser_tensors(optimiser).items()}
    again = weight.detach().clone().requires_grad_()
    restored = kind([again], lr=0.1)
    restore_optimiser(restored, state)
    fresh = weight.detach().clone().requires_grad_()
    steps(fresh, kind([fresh], lr=0.1), 2)
    steps(weight, optimiser, 2)
    steps(again, restored, 2)
    assert torch.equal(weight, again) and not torch.equal(weight, fresh)
    for wrong in (
        {"1.step": state["0.step"]},
        {"0.step": state["0.step"]},
        state | {name: torch.zeros(3) for name in state if name != "0.step"},
    ):
        with pytest.raises(ValueError, match="optimiser"):
            restore_optimiser(kind([again], lr=0.1), wrong)
