"""Which parts textgan list shows, and how."""

import json
from pathlib import Path

import pytest
from toys import Cli, refused


def test_list_takes_names_kinds_and_files_and_fits_the_terminal(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for width in (80, 50):
        monkeypatch.setenv("COLUMNS", str(width))
        assert max(map(len, cli("list")[1].splitlines())) <= width
    code, out, _ = cli("list", "seqgan", "cnn")
    assert code == 0
    assert out.startswith("objectives\n  seqgan: Policy gradient")
    assert "discriminators\n  cnn: " in out
    assert "maligan" not in out
    assert set(json.loads(cli("list", "metrics", "--json")[1])) == {"metric"}
    assert list(json.loads(cli("list", "perturbation", "--json")[1])) == ["perturbation"]
    Path("mine.py").write_text(
        """
from dataclasses import dataclass
from textgan.metrics.base import Metric
from textgan.objectives.cot import CoT

@dataclass(kw_only=True)
class Mine(CoT):
    "A method of mine."
    scale: float | None = 1.0
    other = 2.0

class Dots(Metric):
    def measure(self, material): return {}
"""
    )
    code, out, _ = cli("list", "mine.py")
    assert code == 0
    assert "mine.py:Mine: A method of mine." in out
    assert "objective.scale = 1.0\n        (number or none)" in out
    assert "note: mine.py:Mine.other = 2.0 has no annotation" in " ".join(out.split())
    assert "metrics\n  mine.py:Dots\n" in out
    assert "Dots" not in cli("list", "mine.py:Mine")[1]
    assert "did you mean 'seqgan'" in refused(cli, "list", "seqgn")
    assert "its parts: Mine, Dots" in refused(cli, "list", "mine.py:Other")
    assert "no file none.py" in refused(cli, "list", "none.py")
