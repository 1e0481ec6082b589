"""A run's folder: what is made is what is opened."""

import sys
from collections import Counter
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import TOY, TOY_TEXT, Cli, toy_text

from textgan import perturb
from textgan.core import settings as core_settings
from textgan.core.errors import UserError
from textgan.objectives.seqgan import SeqGAN
from textgan.training import trainer
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


def test_settings_are_checked_once_from_the_command_line_to_the_first_update(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_settings, checked = core_settings.check_settings, Counter[str]()

    def count(kind: Any, part: type, *arguments: Any) -> dict[str, Any]:
        checked[part.__name__] += 1
        return check_settings(kind, part, *arguments)

    def stop(*_: object) -> None:
        raise UserError("the first update")

    for module in list(sys.modules.values()):  # wherever the name is bound
        if getattr(module, "check_settings", None) is check_settings:
            monkeypatch.setattr(module, "check_settings", count)
    monkeypatch.setattr(trainer, "take_step", stop)
    perturb.base._settings_in.cache_clear()
    options = [f"{key}={value}" for key, value in TOY.items()]
    perturbed = ["mle.perturb=vat(epsilon=0.5)", "discriminator.perturb=fgm"]
    code, _, err = cli("train", "seqgan", *options, *perturbed, "--out", tmp_path / "run")
    assert code == 2 and "the first update" in err
    assert checked == {
        "SeqGAN": 1, "LSTMGenerator": 1, "CNNDiscriminator": 1, "VAT": 1, "FGM": 1,
    }  # fmt: skip


def test_settings_given_to_a_part_itself_are_checked() -> None:
    with pytest.raises(ValueError, match=r"objective\.rollouts = 0"):
        SeqGAN(rollouts=0)
    assert SeqGAN.from_checked(rollouts=3) == SeqGAN(rollouts=3)
    with pytest.raises(ValueError, match=r"perturbation\.epsilon = -1"):
        perturb.FGM(epsilon=-1)
