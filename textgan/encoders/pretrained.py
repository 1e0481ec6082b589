"""Pretrained encoders in local folders, by transformers or sentence-transformers (extra `hf`).

A folder with a `modules.json` is one of sentence-transformers: that library makes its vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from textgan.core import huggingface
from textgan.core.files import exists
from textgan.encoders.base import LineEncoder, Progress, by_size

MODULES = "modules.json"


def open_pretrained(folder: Path, called: str, device: torch.device | None = None) -> LineEncoder:
    """Open the encoder in a folder of either library.

    called: what asked for it, for messages. Raises UserError where the library is missing or the
    folder has no such model.
    """
    kind = SentenceTransformerEncoder if exists(folder / MODULES) else PretrainedEncoder
    return kind(folder, called, device)


class PretrainedEncoder(LineEncoder):
    """A pretrained transformer, the mean of its last states over a sentence's tokens.

    called: what asked for the folder, for messages. Raises UserError where transformers is missing
    or the folder has no such model.
    """

    def __init__(self, folder: Path, called: str, device: torch.device | None = None) -> None:
        self.tokenizer = huggingface.load_tokenizer(folder, called)
        self.network = huggingface.load_network(folder, called).to(device or "cpu").eval()
        self.name = f"{folder.resolve().name}-mean-{huggingface.digest(folder)}"

    @torch.no_grad()
    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        network, padding = self.network, self.tokenizer.pad_token_id or 0
        vectors = torch.zeros(len(lines), network.config.hidden_size, dtype=torch.float64)
        if not lines:
            return vectors
        tokens: list[list[int]] = self.tokenizer(
            [_without_surrogates(line) for line in lines], truncation=True
        )["input_ids"]
        sizes = torch.tensor([len(part) for part in tokens])
        for rows in progress(by_size(sizes, self.at_once), f"encoding with {self.name}"):
            # a model that adds no tokens of its own has nothing to read in an empty line: zeros
            rows = rows[sizes[rows] > 0]
            if not len(rows):
                continue
            read = [torch.tensor(tokens[row]) for row in rows.tolist()]
            ids = pad_sequence(read, batch_first=True, padding_value=padding)
            mask = (torch.arange(ids.shape[1]) < sizes[rows].unsqueeze(1)).to(network.device)
            states = network(ids.to(network.device), attention_mask=mask.long()).last_hidden_state
            kept = states.where(mask.unsqueeze(2), 0.0)
            vectors[rows] = (kept.sum(1) / mask.sum(1, keepdim=True)).double().cpu()
        return vectors


class SentenceTransformerEncoder(LineEncoder):
    """A folder of sentence-transformers, encoded by that library: pooled, projected and normalised
    as its `modules.json` says, after the prompt that it names.

    Raises UserError where the library is missing or the folder has no such model.
    """

    def __init__(self, folder: Path, called: str, device: torch.device | None = None) -> None:
        device = device or torch.device("cpu")
        self.model, self.size = huggingface.load_sentence_transformer(folder, called, device)
        digest = huggingface.digest(folder, huggingface.READ_OF_MODULES)
        self.name = f"{folder.resolve().name}-{_names_of_modules(self.model)}-{digest}"

    @torch.no_grad()
    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        vectors = torch.zeros(len(lines), self.size, dtype=torch.float64)
        sizes = torch.tensor([len(line) for line in lines])
        for rows in progress(by_size(sizes, self.at_once), f"encoding with {self.name}"):
            some = [_without_surrogates(lines[row]) for row in rows.tolist()]
            batch = self.model.encode(some, convert_to_tensor=True, show_progress_bar=False)
            vectors[rows] = batch.double().cpu()
        return vectors


def _names_of_modules(model: Any) -> str:
    """Name what a model of sentence-transformers does with a transformer's states, for
    signatures."""
    names: list[str] = []
    for module in model:
        kind = type(module).__name__.lower()
        modes = getattr(module, "pooling_mode", kind)
        names += [modes] if isinstance(modes, str) else modes
    return "+".join(name for name in names if name != "transformer")


def _without_surrogates(line: str) -> str:
    """The line as a tokenizer takes it: half a surrogate pair is no text."""
    return line.encode(errors="replace").decode()
