"""The table of a trained encoder."""

import json
from pathlib import Path

from textgan.core.version import __version__
from textgan.encoders.results import EncoderResult


def result(**more: object) -> EncoderResult:
    rows = {
        "before": {"alignment": 0.5, "uniformity": -1.25, "accuracy@1": 0.25},
        "best, update 8": {"alignment": 0.25, "uniformity": -2.5, "accuracy@1": 0.75},
    }
    best = {"measure": "contrastive_loss", "value": 1.5, "update": 8}
    return EncoderResult(Path("sea/encoder"), rows, best, 30, **more)  # type: ignore[arg-type]


def test_its_table_says_which_way_is_better_and_what_is_next() -> None:
    shown = str(result(warnings=("30 lines are few",)))
    header, *rest = shown.splitlines()
    assert [part in header for part in ("alignment ↓", "uniformity ↓", "accuracy@1 ↑")] == [
        True
    ] * 3
    [best] = [line.split() for line in rest if line.strip().startswith("best, update 8")]
    assert best[-3:] == ["0.250", "-2.500", "0.750"]
    assert "on 30 held-out lines and copies that lack 20% of the words" in shown
    assert "warning: 30 lines are few" in shown
    assert shown.endswith("--encoder sea/encoder")


def test_it_is_json() -> None:
    made = result(warnings=("few",))
    kept = json.loads(json.dumps(made.to_dict()))
    assert kept == made.to_dict()
    assert kept["textgan"] == __version__
    assert kept["rows"] == made.rows and kept["best"]["update"] == 8
    assert (kept["lines"], kept["warnings"]) == (30, ["few"])
