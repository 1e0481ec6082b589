"""Texts of a run as the command draws them."""

from pathlib import Path

import pytest
from toys import TOY, Cli

import textgan
from textgan.core.errors import UserError
from textgan.training.run import open_run


def test_sampling_an_interrupted_run_says_where_it_stopped(cli: Cli, tmp_path: Path) -> None:
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, plot=False, **TOY)
    code, out, err = cli("sample", tmp_path / "run", "-n", 2)
    assert code == 0 and "not finished" not in err and len(out.splitlines()) == 2
    assert textgan.sample(tmp_path / "run", 2) == out.splitlines()
    (tmp_path / "run/results.json").unlink()
    assert open_run(str(tmp_path / "run")).stopped_at() == "before its final measures"
    newest, *_ = sorted((tmp_path / "run/checkpoints").iterdir(), reverse=True)
    newest.unlink()  # the one before is from the end of the discriminator's pretraining
    code, out, err = cli("sample", tmp_path / "run", "-n", 2)
    assert code == 0 and len(out.splitlines()) == 2
    [line] = err.strip().splitlines()
    assert "is not finished: it stopped in round 1 of 2. Go on with: textgan resume" in line
    for wrong in ({"temperature": 0}, {"n": 0}, {"seed": -1}, {"weights": "best"}):
        with pytest.raises(UserError, match="give"):
            textgan.sample(tmp_path / "run", **wrong)  # type: ignore[arg-type]
