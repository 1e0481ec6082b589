"""Drawing many texts from a generator, in pieces that fit in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from textgan.core.seeds import fork_rng
from textgan.data.text import Text, concatenate
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import Categorical, Sampler, greedy, multinomial, without


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


def draw_like(
    generator: Generator,
    train: Text,
    n: int,
    *,
    seed: int,
    temperature: float = 1.0,
    forbid: int | None = None,
    label: int | None = None,
) -> Text:
    """n texts drawn by a seed, on the device of `train`, whose labels they have as often as it has.

    forbid: a token that is not written, such as the unknown word. label: the only one, if not all
    of them. At temperature 1 the generator draws in its usual way.
    """
    device = train.tokens.device
    choose: Sampler | None = None if temperature == 1.0 else Categorical(temperature)
    if forbid is not None:
        usual = multinomial if isinstance(generator, AutoregressiveGenerator) else greedy
        choose = without(forbid, choose or usual)
    with fork_rng(seed, device):
        labels = labels_like(train, n)
        if label is not None:
            labels = torch.full((n,), label, device=device)
        return draw_texts(generator, n, choose, labels)


def labels_like(text: Text, n: int) -> Tensor | None:
    """n labels drawn as often as they stand in a text; None where it has none."""
    if text.labels is None:
        return None
    return text.labels[torch.randint(len(text), (n,), device=text.labels.device)]
