"""Folders of pretrained networks: what is read of them, and which are refused."""

from pathlib import Path

import torch
from tiny import WORDS, tiny

from textgan.core import huggingface


def test_loading_draws_no_random_numbers_of_weights(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "tiny", head=True)  # without a pooler
    before = torch.get_rng_state()
    weights = [
        huggingface.load_network(folder, "network").pooler.dense.weight.detach() for _ in range(2)
    ]
    assert torch.equal(*weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_frames(tmp_path: Path) -> None:
    folders = [tiny(tmp_path / "framed"), tiny(tmp_path / "frameless", frame=False)]
    result = [
        huggingface.special_tokens(huggingface.load_tokenizer(folder, "it")) for folder in folders
    ]
    assert result == [([2], [3]), ([], [])]
    assert len(WORDS) == 8
