"""The picture of a run's curves."""

import warnings
from pathlib import Path

import pytest
from lines import ENGLISH, TINY
from toys import TOY, Cli

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


def test_a_picture_does_not_complain_of_its_font(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    Path("春夏.txt").write_text("\n".join(ENGLISH), "utf-8")
    arguments = ["train", "mle", "--data", "春夏.txt", *TINY, "schedule.rounds=0", "--out", "run"]
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        code, _, err = cli(*arguments)
    assert code == 0 and Path("run/curves.png").is_file()
    assert not any("Glyph" in str(one.message) for one in complaints) and "Glyph" not in err
