"""Drawing many texts from a generator, in pieces that fit in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from textgan.data.text import Text, concatenate
from textgan.models.generators.base import Generator
from textgan.models.sampling import Sampler


@torch.no_grad()
def draw_texts(
    generator: Generator, n: int, choose: Sampler | None = None, labels: Tensor | None = None
) -> Text:
    """n texts written in pieces of 4,096, so that memory does not grow with n."""
    pieces = [
        generator.sample(
            min(4096, n - start),
            choose=choose,
            labels=None if labels is None else labels[start : start + 4096],
        )
        for start in range(0, n, 4096)
    ]
    return concatenate(pieces)


def labels_like(text: Text, n: int) -> Tensor | None:
    """n labels drawn as often as they stand in a text; None where it has none."""
    if text.labels is None:
        return None
    return text.labels[torch.randint(len(text), (n,), device=text.labels.device)]
