"""Generators that start from noise: z decides everything, and no text has a likelihood."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.generators.base import Generator
from textgan.models.sampling import Sampler, draw_by_weight, greedy


class NoiseGenerator(Generator):
    """Writes texts out of Gaussian noise z (B, Z); a class, where texts have one, shifts z.

    Its usual way is the likeliest symbol of every position. Where sentences vary in length, padding
    is a symbol like the others, which it learns to write after the end; padding before the end of a
    sentence is read as its end.
    """

    written_at_once = 256  # texts in memory while writing without gradients
    logits_at_once = 2**23  # and the logits of these: 32 MB in float32
    defaults: ClassVar[Mapping[str, Any]] = {"schedule.mle_epochs": 0, "evaluation.ngrams": 4}

    def __init__(self, space: TextSpace, noise: int) -> None:
        super().__init__(space)
        self.noise = noise
        if space.classes:
            self.classes = nn.Embedding(space.classes, noise)

    @abstractmethod
    def forward(self, noise: Tensor) -> Tensor:
        """Compute the logits (B, T, V) of the text of noise z (B, Z)."""

    def sample(
        self,
        n: int,
        *,
        choose: Sampler | None = None,
        prefix: Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        labels: Tensor | None = None,
        source: Text | None = None,
    ) -> Text:
        """Write n texts. Gradients flow where `choose` lets them.

        Raises ValueError for a prefix: a whole text is written at once, out of z alone.
        """
        if prefix is not None:
            raise ValueError(f"{type(self).__name__} cannot continue a prefix")
        choose, space = choose or greedy, self.space
        noise, condition = self._noise(n, condition, labels, source)
        at_once = n
        if not torch.is_grad_enabled():
            fit = self.logits_at_once // (space.length * space.vocabulary)
            at_once = max(1, min(self.written_at_once, fit))
        pieces = [choose(self(piece).flatten(0, 1)) for piece in noise.split(at_once)]
        written = torch.cat(pieces).unflatten(0, (n, space.length))
        if written.dim() == 3:
            text = Text.full(written.argmax(2))
            return Text(text.tokens, text.lengths, written, condition)
        for token in space.unwritten:
            written = written.masked_fill(written == token, space.eos)
        text = Text.ended(written, space)
        return Text(text.tokens, text.lengths, None, condition)

    def drawn(self, real: Text, shared: int) -> Text:
        """Draw one text for each of these, with their classes and sources, each symbol
        independently given z; `shared` neighbours have z in common.

        Its rows (B, T, V) are those chances, with gradients, padding counted as the end. Unlike
        relaxed text it has the sizes of its words: the product of a text's chances up to its size
        is P(text | z).
        """
        first = real[::shared]
        noise, condition = self._noise(len(first), first.condition)
        chances = self(noise).softmax(2)
        if self.space.eos is not None:
            ending = torch.zeros_like(chances[0, 0])
            ending[self.space.eos] = 1
            written = torch.ones_like(ending)
            written[list(self.space.unwritten)] = 0
            padding = chances[:, :, written == 0].sum(2, keepdim=True)
            chances = chances * written + padding * ending
        chances = chances.repeat_interleave(shared, 0)[: len(real)]
        tokens, _ = draw_by_weight(chances.detach().flatten(0, 1))
        text = Text.ended(tokens.view(len(real), -1), self.space)
        answered = condition.repeat(shared)[slice(len(real))]
        return Text(text.tokens, text.lengths, chances, answered)

    def _noise(
        self,
        n: int,
        condition: Condition,
        labels: Tensor | None = None,
        source: Text | None = None,
    ) -> tuple[Tensor, Condition]:
        """z (n, Z), shifted by the classes of the texts, and what these are written for."""
        weight = next(self.parameters())
        noise = torch.randn(n, self.noise, dtype=weight.dtype, device=weight.device)
        condition = self.conditions(n, condition, labels, source)
        if self.space.classes:
            noise = noise + self.classes(condition.require_labels(self.space.classes))
        return noise, condition
