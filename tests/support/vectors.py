"""Texts whose vectors are known, for metrics that compare vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from textgan.data.sentences import Sentences
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.base import MetricInputs
from textgan.metrics.vectors import Encoder


class Given(Encoder):
    """Every sentence is one word, and its number is the row of its vector."""

    name = "given"

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def encode(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        return self.vectors[[int(word) for (word,) in sentences]]


def material_of(judged: Tensor, real: Tensor, seed: int = 0) -> MetricInputs:
    """What is at hand where the encoder `lm` gives these vectors (B, F)."""
    n = len(judged) + len(real)
    rows = Sentences(torch.arange(n), torch.ones(n, dtype=torch.long))
    first, second = rows[: len(judged)], rows[len(judged) :]
    return MetricInputs(
        tokenizer=WordTokenizer.numbers(n, 1),
        predictions=first,
        lines=[],
        references=second,
        sample=first,
        paired_sample=first,
        paired_references=second,
        seed=seed,
        memory={("encoder", "lm"): Given(torch.cat([judged, real]).double())},
    )
