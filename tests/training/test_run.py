"""A run's folder: what is made is what is opened."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import TOY, TOY_TEXT, toy_text

from textgan.core.errors import UserError
from textgan.training.config import make_config
from textgan.training.run import create_run, open_run


def assert_same(one: Any, other: Any, where: str) -> None:
    """Two values are equal, whatever tensors, networks and dataclasses are in them."""
    assert type(one) is type(other), where
    if isinstance(one, Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    elif isinstance(one, nn.Module):
        assert_same(one.state_dict(), other.state_dict(), where)
        assert not any(weight.requires_grad for weight in (*one.parameters(), *other.parameters()))
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name), field.name)
    else:
        assert one == other, where


@pytest.mark.parametrize("kind", ["oracle", "text", "labelled", "own"])
def test_a_run_that_was_made_is_the_run_that_is_opened(kind: str, tmp_path: Path) -> None:
    settings, name = dict(TOY), "seqgan"
    if kind in ("text", "labelled"):
        data = toy_text(tmp_path, 40)
        if kind == "labelled":
            lines = data.read_text("utf-8").splitlines()
            data = tmp_path / "toy.tsv"
            data.write_text("".join(f"{'ab'[i % 2]}\t{x}\n" for i, x in enumerate(lines)), "utf-8")
        settings = TOY_TEXT | {"data.file": str(data)}
    if kind == "own":
        file = tmp_path / "mine.py"
        file.write_text(
            "from textgan.objectives.seqgan import SeqGAN\n\nclass Mine(SeqGAN, name='mine'):\n"
            "    pass\n"
        )
        name = f"{file}:Mine"
    made = create_run(make_config(name, settings), tmp_path / "run")
    assert_same(made, open_run(tmp_path / "run", trust_code=True), "run")
    assert made.digest == open_run(tmp_path / "run", trust_code=True).digest


def test_a_new_run_says_how_it_draws(tmp_path: Path) -> None:
    create_run(make_config("seqgan", TOY), tmp_path / "run")
    assert not open_run(tmp_path / "run").old


def test_a_run_of_a_later_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run(make_config("seqgan", TOY), tmp_path / "run")
    monkeypatch.setattr("textgan.training.run.SCHEME", 1)
    with pytest.raises(UserError, match="was made by a later version of textgan"):
        open_run(tmp_path / "run")
