"""The lines that encoders are trained on, and their batches."""

from pathlib import Path

import pytest
import torch

from textgan.core.settings import make_settings
from textgan.encoders.config import EncoderConfig
from textgan.encoders.data import batch_rows
from textgan.encoders.trainer import prepare


def test_equal_lines_are_no_negatives(tmp_path: Path, text: Path) -> None:
    twice = tmp_path / "twice.txt"
    twice.write_text(text.read_text() * 2)
    device = torch.device("cpu")
    settings = make_settings(EncoderConfig, {"data.min_count": 1})
    trainer = prepare("simcse", twice, None, None, settings, 0, device, True)
    for part in (trainer.data.train, trainer.data.valid, trainer.data.test):
        assert len({tuple(ids) for ids in part.batch.ids}) == len(part)


@pytest.mark.parametrize(("n", "size"), [(2, 64), (5, 2), (33, 32), (64, 64), (100, 7), (3, 2)])
def test_batches_are_even_and_nobody_is_alone(n: int, size: int) -> None:
    parts = batch_rows(n, size)
    assert torch.cat(list(parts)).tolist() == list(range(n))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    assert max(sizes) <= max(size, 3)
