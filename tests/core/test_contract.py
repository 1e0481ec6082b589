"""Whose error it was, and that nothing outside of a part's own code is disturbed."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from parts import NETWORKS, SHORT, WritePart
from torch import nn

import textgan
from textgan.core.contract import (
    checked_loss,
    checked_state,
    checked_tensor,
    contained,
    undisturbed,
)
from textgan.core.errors import UserError


def test_an_error_in_a_parts_own_code_keeps_its_traceback_and_says_who_called_it(
    write_part: WritePart,
) -> None:
    write_part("def sample(self, generator, real, progress): return [][1]")
    with pytest.raises(IndexError) as result:
        textgan.train("mine.py:Mine", out="run", quiet=True, **SHORT)
    (note,) = result.value.__notes__
    assert "textgan called mine.py:Mine.sample" in note
    assert "nothing was trained or written" in note
    assert any(entry.path.name == "mine.py" for entry in result.traceback)  # type: ignore[union-attr]
    assert not Path("run").exists()


def test_a_missing_file_is_the_parts_and_not_the_runs(write_part: WritePart) -> None:
    write_part("def sample(self, generator, real, progress): open('nowhere')")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        textgan.train("mine.py:Mine", out="run", quiet=True, **SHORT)


def test_a_dry_run_disturbs_no_random_numbers(write_part: WritePart) -> None:
    write_part(
        """
        def on_fakes(self, fake):
            import random
            import numpy as np
            torch.manual_seed(3), np.random.rand(), random.random(), torch.rand(3)
        """
    )
    from textgan.training.config import make_config
    from textgan.training.run import create_run

    left = []
    write_part("", name="quiet.py")
    for target in ("mine.py:Mine", "quiet.py:Mine"):
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        create_run(make_config(target, SHORT), Path(target))
        left.append((torch.rand(3).tolist(), np.random.rand(), random.random()))
    assert left[0] == left[1]


def test_an_error_in_a_constructor_is_noted_to_be_its_own(write_part: WritePart) -> None:
    write_part(
        "", NETWORKS + "\nclass Bag(Bag):\n    def __init__(self, space): self.x = nn.Linear(1, 1)"
    )
    with pytest.raises(AttributeError) as result:
        textgan.train("reinforce", out="run", quiet=True, discriminator="mine.py:Bag",
                      **{key: value for key, value in SHORT.items()
                         if not key.startswith("discriminator.")})  # fmt: skip
    assert "the constructor of the discriminator mine.py:Bag" in result.value.__notes__[0]


def test_what_is_drawn_inside_is_of_the_seed_and_moves_no_stream() -> None:
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    state = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    drawn = []
    for seed in (1, 1, 2):
        with undisturbed(seed):
            random.random(), np.random.rand()
            drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == state[1:]


def test_code_inside_can_neither_end_the_process_nor_leave_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for error, words in ((SystemExit, "called sys.exit"), (GeneratorExit, "raised GeneratorExit")):
        with pytest.raises(UserError, match=rf"f {words}.*raise an error instead"), contained("f"):
            raise error
    with pytest.raises(KeyError), contained("f"):  # an error of its own is its own
        raise KeyError
    with pytest.raises(UserError, match="f changed the working directory to '/'"), contained("f"):
        os.chdir("/")
    assert Path.cwd() == tmp_path


def test_a_loss_is_a_number_with_a_gradient_in_its_network() -> None:
    network, other = nn.Linear(2, 1), nn.Linear(2, 1)
    value = network(torch.ones(2)).sum()
    result, metrics = checked_loss((value, {"a": 1.0}), "f", network, "generator")
    assert result is value and metrics == {"a": 1.0}
    for returned, of, words in (
        (value, network, "expected \\(loss, metrics\\)"),
        ((value * torch.nan, {}), network, "a loss of nan; expected a number"),
        ((value * torch.inf, {}), network, "a loss of -?inf; expected a number"),
        ((value, {"loss": value}), network, "a metric called 'loss'"),
        ((value, {}), other, "does not reach the generator"),
    ):
        with pytest.raises(UserError, match=f"^f returned .*{words}"):
            checked_loss(returned, "f", of, "generator")


def test_a_tensor_has_its_shape_and_is_of_numbers() -> None:
    right = torch.tensor([1.0, -torch.inf])
    assert checked_tensor(right, "f", (2,), "a score") is right
    for wrong, words in (
        (None, "None"),
        (torch.ones(2, 1), "a Tensor of shape \\(2, 1\\)"),
        (torch.ones(2).long(), ".* and type torch.int64"),
        (torch.tensor([1.0, torch.nan]), "what is not a number"),
    ):
        with pytest.raises(UserError, match=f"^f returned {words}.*expected a score, a tensor"):
            checked_tensor(wrong, "f", (2,), "a score")


def test_a_state_is_of_tensors_by_name() -> None:
    checked_state({}, "f")
    checked_state({"a": torch.zeros(2)}, "f")
    for wrong, words in (
        (None, "f is None; expected a mapping"),
        ({"a": 1.0}, r"f\['a'\] is a float; expected a tensor"),
        ({3: torch.zeros(1)}, r"f\[3\] is a Tensor"),
    ):
        with pytest.raises(UserError, match=words):
            checked_state(wrong, "f")
