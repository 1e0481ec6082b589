"""Texts whose vectors are known, for metrics that compare vectors."""

import torch
from torch import Tensor

from textgan.data.sentences import Sentences, Words
from textgan.metrics.base import MetricInputs
from textgan.metrics.vectors import Encoder


class Given(Encoder):
    """Every sentence is one word, and its number is the row of its vector."""

    name = "given"

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def encode(self, sentences: Sentences) -> Tensor:
        return self.vectors[sentences.words]


def material_of(judged: Tensor, real: Tensor, seed: int = 0) -> MetricInputs:
    """What is at hand where the encoder `lm` gives these vectors (B, F)."""
    words = Words()
    rows = words.encode([str(row)] for row in range(len(judged) + len(real)))
    first, second = rows[: len(judged)], rows[len(judged) :]
    return MetricInputs(
        words=words,
        tokenizer="whitespace",
        hypotheses=first,
        lines=[],
        references=second,
        alone=first,
        paired=first,
        real=second,
        seed=seed,
        memory={("encoder", "lm"): Given(torch.cat([judged, real]).double())},
    )
