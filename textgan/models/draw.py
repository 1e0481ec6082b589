"""Drawing many texts from a generator, in pieces that fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textgan.core.seeds import fork_rng
from textgan.data.text import UNCONDITIONAL, Condition, Text, concatenate
from textgan.models.beam import BeamSearch, Progress
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.likelihood import log_probs
from textgan.models.resample import ResampledGenerator
from textgan.models.sampling import Categorical, Sampler, greedy, multinomial, without
from textgan.models.tempering import (
    FittedJoint,
    JointTemperature,
    Mixture,
    resample_jointly,
    without_token,
)


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
    temperature: float | Mixture = 1.0,
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
        with fork_rng(seed, next(generator.parameters()).device):
            whole = condition.repeat(n)
            return _draw_at(generator, len(whole) or n, temperature, forbid, whole, progress)
    if not isinstance(generator, AutoregressiveGenerator):
        raise ValueError("a generator without a likelihood has no likeliest texts to search for")
    return search(generator, condition, n, progress).text


def draw_like(
    generator: Generator,
    conditions: Condition,
    n: int,
    *,
    seed: int,
    temperature: float | Mixture = 1.0,
    forbid: int | None = None,
    label: int | None = None,
) -> Text:
    """Draw n texts by a seed, each written for one of these conditions, drawn with replacement.

    forbid: a token that is not written, such as the unknown word. label: the only one, if not all
    of them. At temperature 1 the generator draws in its usual way; of a mixture each text is drawn
    whole at one of its temperatures.
    """
    device = next(generator.parameters()).device
    with fork_rng(seed, device):
        drawn = conditions.draw(n)
        if label is not None:
            drawn = replace(drawn, labels=torch.full((n,), label, device=device))
        return _draw_at(generator, n, temperature, forbid, drawn)


@dataclass(frozen=True)
class JointlyDrawn:
    """Texts that were resampled from proposals, to be those of a joint temperature.

    proposal: (B,) which one each is; those that are alike are copies.
    """

    text: Text
    proposal: Tensor
    temperature: FittedJoint


def draw_jointly(
    generator: AutoregressiveGenerator,
    n: int,
    asked: JointTemperature,
    *,
    seed: int,
    forbids: Sequence[int | None] = (None,),
) -> list[JointlyDrawn]:
    """Draw n texts of a joint temperature, once for each of the tokens that is not written (None:
    all are), from one lot of proposals.

    Raises UserError where the proposals are worth too few texts; ValueError where texts are written
    for labels or sources, each of which has a Z of its own.
    """
    if generator.space.classes or generator.space.source is not None:
        raise ValueError("each label and source has a normaliser of its own")
    temperature = asked.temperature
    n_drawn = asked.times * n
    text = draw_like(generator, UNCONDITIONAL, n_drawn, seed=seed, temperature=temperature)
    own, drawn_with = (log_probs(generator, text, heat) for heat in (1.0, temperature))
    made = []
    for forbid in forbids:
        allowed = without_token(text, own, forbid)
        rows, fitted = resample_jointly(allowed, drawn_with, temperature, n, seed)
        rows = rows.to(text.tokens.device)
        made.append(JointlyDrawn(text[rows], rows, fitted))
    return made


def _draw_at(
    generator: Generator,
    n: int,
    temperature: float | Mixture,
    forbid: int | None,
    condition: Condition,
    progress: Progress = lambda pieces, what: pieces,
) -> Text:
    """Draw n texts at a temperature, or each at one of a mixture's."""
    if not isinstance(temperature, Mixture):
        choose = _sampler(generator, temperature, forbid)
        return draw_texts(generator, n, choose, condition, progress)
    weights = torch.tensor(temperature.weights, device=next(generator.parameters()).device)
    which = weights.multinomial(n, replacement=True)
    rows = [(which == part).nonzero().squeeze(1) for part in range(len(weights))]
    pieces = [
        draw_texts(
            generator, len(some), _sampler(generator, heat, forbid), condition[some], progress
        )
        for heat, some in zip(temperature.temperatures, rows, strict=True)
        if len(some)
    ]
    return concatenate(pieces)[torch.cat(rows).argsort()]


def _sampler(generator: Generator, temperature: float, forbid: int | None) -> Sampler | None:
    """A sampler at a temperature that forbids a token; None for the generator's usual way."""
    choose: Sampler | None = None if temperature == 1.0 else Categorical(temperature)
    if forbid is None:
        return choose
    writer = generator.generator if isinstance(generator, ResampledGenerator) else generator
    usual = multinomial if isinstance(writer, AutoregressiveGenerator) else greedy
    return without(forbid, choose or usual)
