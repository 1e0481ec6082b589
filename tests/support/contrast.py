"""Small networks and batches for objectives of encoders."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import EOS, MASK_WORD, UNKNOWN, WordTokenizer
from textgan.encoders.contrast.base import Batch
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.transformer import TransformerDiscriminator
from textgan.models.embedding import TokenEmbedding
from textgan.perturb.shifts import EmbeddingOutput, Shifts

WORDS = ["a", "cat", "dog", "sees", "likes", "trees", "This", "sentence", "of", '"', "means", "."]
LINES = ["a cat", "a dog sees a cat", "trees", "dog likes trees .", "a cat likes a dog sees trees"]
TAU = 0.05


def tokenizer(length: int = 30, words: Sequence[str] = (*WORDS, ":", MASK_WORD)) -> WordTokenizer:
    return WordTokenizer(tuple(words), length=length)


def space_of(vocabulary: int) -> TextSpace:
    return TextSpace(vocabulary, 30, EOS, unknown=UNKNOWN)


def batch(labels: Sequence[int] | None = None, lines: Sequence[str] = LINES) -> Batch:
    ids = tokenizer().encode(lines)
    return Batch(ids, None if labels is None else torch.tensor(labels))


def transformer(dropout: float = 0.0, classes: int = 0, length: int = 30) -> Any:
    space = TextSpace(tokenizer().space.vocabulary, length, EOS, classes)
    network = TransformerDiscriminator(space, embedding=8, layers=2, heads=2, dropout=dropout)
    return network.double()


class Bag(Discriminator):
    """h = tanh of a linear map of the sum of a sentence's vectors: a network that can be written
    down as a function of what the embedding reads out."""

    def __init__(self, classes: int = 0, dropout: float = 0.0) -> None:
        super().__init__(TextSpace(tokenizer().space.vocabulary, 30, EOS, classes))
        self.embedding = TokenEmbedding(self.space.vocabulary, 6)
        self.inner = nn.Linear(6, 5)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(5, max(1, classes))

    def features(self, text: Text) -> Tensor:
        return self.of(self.embedding(text.inputs), text.mask)

    def of(self, read: Tensor, mask: Tensor) -> Tensor:
        result: Tensor = self.inner((read * mask.unsqueeze(2)).sum(1)).tanh()
        return result


class Spy(EmbeddingOutput):
    """Remembers the shifts that it was told."""

    told: list[Shifts]

    @contextmanager
    def shifted(self, shifts: Shifts) -> Iterator[Any]:
        self.told.append(shifts)
        with super().shifted(shifts) as here:
            yield here


def gradients(module: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(w) if w.grad is None else w.grad for w in module.parameters()]


def assert_gradients(module: nn.Module, expected: Tensor) -> None:
    wanted = torch.autograd.grad(expected, list(module.parameters()), allow_unused=True)
    for result, one in zip(gradients(module), wanted, strict=True):
        torch.testing.assert_close(result, torch.zeros_like(result) if one is None else one)
