"""Drawing many texts from a generator, in pieces that fit in memory."""

from __future__ import annotations

from dataclasses import replace

import torch

from textgan.core.seeds import fork_rng
from textgan.data.text import UNCONDITIONAL, Condition, Text, concatenate
from textgan.models.beam import BeamSearch, Progress
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import Categorical, Sampler, greedy, multinomial, without


@torch.no_grad()
def draw_texts(
    generator: Generator,
    n: int,
    choose: Sampler | None = None,
    condition: Condition = UNCONDITIONAL,
    progress: Progress = lambda pieces, what: pieces,
) -> Text:
    """Draw n texts in pieces of 4,096, of 512 where they answer sources, whose words are kept for
    each, so that memory does not grow with n. progress: a bar over the pieces."""
    at_once = 4096 if condition.source is None else 512
    pieces = [
        generator.sample(
            min(at_once, n - start),
            choose=choose,
            condition=condition[slice(start, start + at_once)],
        )
        for start in progress(range(0, n, at_once), "sampling")
    ]
    return concatenate(pieces)


def answers(
    generator: Generator,
    condition: Condition,
    n: int = 1,
    *,
    seed: int,
    search: BeamSearch | None = None,
    temperature: float = 1.0,
    forbid: int | None = None,
    progress: Progress = lambda pieces, what: pieces,
) -> Text:
    """Write n texts for each of these conditions, in their order: those for b are at b * n ..
    b * n + n - 1, beside the references of `corpus.test.condition`, say.

    search: take the n best of a beam search (of width 1: greedy decoding), for which nothing is
    drawn; else they are drawn by the seed at a temperature, and `forbid` is a token that is not
    written, as for `draw_like`. Raises ValueError for a search by a generator without a likelihood.
    """
    if search is None:
        choose = _sampler(generator, temperature, forbid)
        with fork_rng(seed, next(generator.parameters()).device):
            whole = condition.repeat(n)
            return draw_texts(generator, len(whole) or n, choose, whole, progress)
    if not isinstance(generator, AutoregressiveGenerator):
        raise ValueError("a generator without a likelihood has no likeliest texts to search for")
    return search(generator, condition, n, progress).text


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
    choose = _sampler(generator, temperature, forbid)
    with fork_rng(seed, device):
        drawn = conditions.draw(n)
        if label is not None:
            drawn = replace(drawn, labels=torch.full((n,), label, device=device))
        return draw_texts(generator, n, choose, drawn)


def _sampler(generator: Generator, temperature: float, forbid: int | None) -> Sampler | None:
    """A sampler at a temperature that forbids a token; None for the generator's usual way."""
    choose: Sampler | None = None if temperature == 1.0 else Categorical(temperature)
    if forbid is None:
        return choose
    usual = multinomial if isinstance(generator, AutoregressiveGenerator) else greedy
    return without(forbid, choose or usual)
