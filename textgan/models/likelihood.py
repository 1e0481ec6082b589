"""Negative log-likelihood of texts under a model, in nats per token.

The sum over the sentences divided by the number of their tokens, padding left out. NLL_oracle is
taken on the generator's texts and measures quality alone; NLL_test is taken on held-out real texts
and measures coverage alone. Neither may be read without the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from textgan.core.statistics import Estimate, bootstrap
from textgan.data.text import Text, TextSpace
from textgan.models.generators.base import NEVER, AutoregressiveGenerator
from textgan.models.tempering import Tempering, tempered

Progress = Callable[[Iterable[Text], str], Iterable[Text]]


def nll_per_token(
    model: AutoregressiveGenerator,
    text: Text,
    resamplings: int = 0,
    seed: int = 0,
    temperature: Tempering = 1.0,
) -> Estimate:
    """Compute the nats per token of texts under a model that writes at a temperature, or as
    `textgan.models.tempering` has it."""
    sources = text.condition.sources
    return bootstrap(
        -tempered(temperature, partial(log_probs, model, text)).double().cpu().numpy(),
        text.lengths.double().cpu().numpy(),
        resamplings,
        seed,
        None if sources is None else sources.cpu().numpy(),
    )


@torch.no_grad()
def log_probs(
    model: AutoregressiveGenerator,
    text: Text,
    temperature: float = 1.0,
    progress: Progress = lambda pieces, what: pieces,
) -> Tensor:
    """Compute log P of every sentence, (B,), under a model whose logits are divided by a
    temperature.

    Minus infinity for a sentence with a token that the model never writes. progress: a bar over the
    pieces of the text.
    """
    at_once = max(1, model.scored_at_once // (model.space.vocabulary * text.tokens.shape[1]))
    sums = []
    for part in progress(text.split(at_once), "likelihoods"):
        if temperature == 1.0:
            each = model.log_prob(part)
        else:
            logits = (model(part) / temperature).log_softmax(2)
            each = logits.gather(2, part.tokens.unsqueeze(2)).squeeze(2)
        each = each.masked_fill(each < NEVER / temperature / 2, -math.inf)
        sums.append(each.masked_fill(~part.mask, 0.0).sum(1))
    return torch.cat(sums)


@torch.no_grad()
def top_probabilities(
    model: AutoregressiveGenerator,
    text: Text,
    temperature: float = 1.0,
    progress: Progress = lambda pieces, what: pieces,
) -> Tensor:
    """Sum the probability of the likeliest token over the positions of every text, (B,), after its
    own words, under a model whose logits are divided by a temperature."""
    at_once = max(1, model.scored_at_once // (model.space.vocabulary * text.tokens.shape[1]))
    sums = []
    for part in progress(text.split(at_once), "likelihoods"):
        largest = (model(part) / temperature).softmax(2).amax(2)
        sums.append(largest.masked_fill(~part.mask, 0.0).sum(1))
    return torch.cat(sums)


def uniform_nll(space: TextSpace) -> float:
    """Compute the nats per token of any text under tokens drawn uniformly from those that may be
    written."""
    return math.log(space.vocabulary - len(space.unwritten))
