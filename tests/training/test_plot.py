"""The picture of a run's curves."""

from pathlib import Path

import pytest
from toys import TOY

import textgan


def test_the_picture_may_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = TOY | {"schedule.rounds": 0, "schedule.mle_epochs": 1}
    textgan.train("seqgan", out=tmp_path / "without", plot=False, **short)
    assert "curves.png" not in capsys.readouterr().err
    textgan.train("seqgan", out=tmp_path / "with", **short)
    assert "curves.png" in capsys.readouterr().err
    names = [{path.name for path in (tmp_path / one).iterdir()} for one in ("with", "without")]
    assert names[0] - names[1] >= {"curves.png"}
    results = [(tmp_path / one / "samples.txt").read_text() for one in ("with", "without")]
    assert results[0] == results[1]
