"""A small network that reads pairs, and pairs of a language whose law is known."""

import random

import torch
from torch import Tensor, nn

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.embedding import TokenEmbedding

WORDS = [f"w{i}" for i in range(8)]


class Bags(Discriminator):
    """The bags of words of an answer and of its source, and their product."""

    reads_source = True

    def __init__(self, space: TextSpace, *, size: int = 16) -> None:
        super().__init__(space)
        assert space.source is not None
        self.embedding = TokenEmbedding(space.vocabulary, size)
        self.sources = TokenEmbedding(space.source.vocabulary, size)
        self.dropout = nn.Dropout(0.0)
        self.output = nn.Linear(3 * size, 1)

    def features(self, text: Text) -> Tensor:
        answer, source = (
            (table(one.tokens) * one.mask.unsqueeze(2)).sum(1)
            for table, one in (
                (self.embedding, text),
                (self.sources, text.condition.require_source()),
            )
        )
        return torch.cat([answer, source, answer * source], 1)


def echoes(n: int, seed: int, words: list[str] = WORDS) -> tuple[list[str], list[str]]:
    """Sources of three words, and answers that say one of them twice."""
    dice = random.Random(seed)
    sources = [" ".join(dice.choices(words, k=3)) for _ in range(n)]
    return sources, [f"{word} {word}" for word in (dice.choice(s.split()) for s in sources)]
