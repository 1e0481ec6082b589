"""Drawing many texts from a generator, in pieces that fit in memory."""

from __future__ import annotations

from dataclasses import replace

import torch

from textgan.core.seeds import fork_rng
from textgan.data.text import UNCONDITIONAL, Condition, Text, concatenate
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import Categorical, Sampler, greedy, multinomial, without


@torch.no_grad()
def draw_texts(
    generator: Generator,
    n: int,
    choose: Sampler | None = None,
    condition: Condition = UNCONDITIONAL,
) -> Text:
    """Draw n texts in pieces of 4,096, so that memory does not grow with n."""
    pieces = [
        generator.sample(
            min(4096, n - start), choose=choose, condition=condition[slice(start, start + 4096)]
        )
        for start in range(0, n, 4096)
    ]
    return concatenate(pieces)


def draw_like(
    generator: Generator,
    conditions: Condition,
    n: int,
    *,
    seed: int,
    temperature: float = 1.0,
    forbid: int | None = None,
    label: int | None = None,
) -> Text:
    """Draw n texts by a seed, each written for one of these conditions, drawn with replacement.

    forbid: a token that is not written, such as the unknown word. label: the only one, if not all
    of them. At temperature 1 the generator draws in its usual way.
    """
    device = next(generator.parameters()).device
    choose: Sampler | None = None if temperature == 1.0 else Categorical(temperature)
    if forbid is not None:
        usual = multinomial if isinstance(generator, AutoregressiveGenerator) else greedy
        choose = without(forbid, choose or usual)
    with fork_rng(seed, device):
        drawn = conditions.draw(n)
        if label is not None:
            drawn = replace(drawn, labels=torch.full((n,), label, device=device))
        return draw_texts(generator, n, choose, drawn)
