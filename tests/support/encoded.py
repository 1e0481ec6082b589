"""Encoders that train in a second, and folders of encoders with random weights."""

from pathlib import Path
from typing import Any

import torch

from textgan.core.tensors import load_tensors
from textgan.data.pre_tokenizer import Tokens
from textgan.data.tokenizers import MASK_WORD, WordTokenizer
from textgan.encoders.folder import save_encoder
from textgan.models.pretrained import build_network

TOY: dict[str, Any] = {
    "epochs": 2,
    "batch": 8,
    "network.embedding": 8,
    "network.layers": 1,
    "network.heads": 2,
    "data.min_count": 1,
}
FLAGS = [f"{key}={value}" for key, value in TOY.items()]
STARTED = FLAGS[:2]  # the rest is decided by what it starts from

LINES = ["the cat sees the dog", "the dog sees a cat", "a house", "", "the dog the dog unheard"]
SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"embedding": 8, "layers": 1},
    "rnn": {"embedding": 4, "hidden": 3},
    "cnn": {"embedding": 4, "sizes": [1, 2], "counts": [3, 2]},
    "representations": {"embedding": 4, "sizes": [1, 2], "counts": [3, 2]},
    "residual": {"channels": 3, "blocks": 1},
}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / "encoder.safetensors")[0]


def saved(
    folder: Path, name: str = "transformer", seed: int = 0, tokens: Tokens = "word", **facts: Any
) -> Path:
    """A folder of an encoder with random weights."""
    extra = (MASK_WORD, "it", "means")
    tokenizer = WordTokenizer.train(LINES, tokens=tokens, min_count=1, length=9, extra=extra)
    torch.manual_seed(seed)
    network = build_network(name, SMALL[name], tokenizer, classes=2)
    save_encoder(folder, name, SMALL[name], network, tokenizer, {"by": "a test"} | facts)
    return folder
