"""Whose error it was, and that nothing outside of a part's own code is disturbed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from parts import NETWORKS, SHORT, WritePart

import textgan


def test_an_error_in_a_parts_own_code_keeps_its_traceback_and_says_who_called_it(
    write_part: WritePart,
) -> None:
    write_part("def sample(self, generator, real, progress): return [][1]")
    with pytest.raises(IndexError) as found:
        textgan.train("mine.py:Mine", out="run", quiet=True, **SHORT)
    (note,) = found.value.__notes__
    assert "textgan called mine.py:Mine.sample" in note
    assert "nothing was trained or written" in note
    assert any(entry.path.name == "mine.py" for entry in found.traceback)  # type: ignore[union-attr]
    assert not Path("run").exists()


def test_a_missing_file_is_the_parts_and_not_the_runs(write_part: WritePart) -> None:
    write_part("def sample(self, generator, real, progress): open('nowhere')")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        textgan.train("mine.py:Mine", out="run", quiet=True, **SHORT)


def test_a_dry_run_disturbs_no_random_numbers(write_part: WritePart) -> None:
    import random

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
    with pytest.raises(AttributeError) as found:
        textgan.train("reinforce", out="run", quiet=True, discriminator="mine.py:Bag",
                      **{key: value for key, value in SHORT.items()
                         if not key.startswith("discriminator.")})  # fmt: skip
    assert "the constructor of the discriminator mine.py:Bag" in found.value.__notes__[0]
