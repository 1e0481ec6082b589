"""What every encoder of lines keeps."""

from pathlib import Path
from typing import Any

import pytest
import torch
from encoded import LINES, saved

from textgan.encoders.base import LineEncoder
from textgan.encoders.folder import load_encoder


def test_lines_beside_a_line_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = load_encoder(saved(tmp_path / "encoder"))
    vectors = result.encode_lines(LINES)
    monkeypatch.setattr(LineEncoder, "at_once", 2)
    order = [3, 0, 4, 2, 1]
    again = result.encode_lines([LINES[i] for i in order])
    assert torch.allclose(again, vectors[order], atol=1e-6)
    result.network.train()  # dropout is off all the same
    assert torch.equal(result.encode_lines([LINES[i] for i in order]), again)
    steps: list[int] = []

    def progress(pieces: Any, what: str) -> Any:
        assert result.name in what
        steps.extend(len(piece) for piece in pieces)
        return pieces

    result.encode_lines(LINES, progress=progress)
    assert steps == [2, 2, 1]
