"""Every curve that is shown is on one list, and stands on it once."""

from pathlib import Path

import pytest
from toys import TOY

import textgan
from textgan.training.panels import OVERVIEW, UPDATES, tensorboard_layout


def test_a_tag_is_in_one_panel_and_every_panel_in_tensorboard() -> None:
    panels = [*OVERVIEW, *UPDATES]
    tags = [tag for panel in panels for tag in panel.curves]
    assert len(set(tags)) == len(tags)
    assert len({panel.title for panel in panels}) == len(panels)
    charts = [chart for group in tensorboard_layout().values() for chart in group.items()]
    assert len(charts) == len(panels)
    for panel, (title, (kind, shown)) in zip(panels, charts, strict=True):
        assert title.startswith(panel.title)
        assert kind == "Multiline"
        oracle = ["eval/oracle_entropy$"] if panel.unit == "nats per token" else []
        assert shown == [f"{tag}$" for tag in panel.curves] + oracle


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
