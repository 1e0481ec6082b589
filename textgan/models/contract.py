"""The contract of a network's functions, tried on a few texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from textgan.core.contract import BEFORE, called, checked_loss, checked_tensor, name_of
from textgan.core.errors import UserError, described
from textgan.core.names import title
from textgan.data.contract import checked_text
from textgan.data.text import UNCONDITIONAL, Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator


@contextmanager
def dropout_off(*networks: Any) -> Iterator[None]:
    """Dropout modules as `training` has them outside of updates."""
    modules = [
        module
        for network in networks
        if isinstance(network, nn.Module)
        for module in network.modules()
        if isinstance(module, nn.Dropout)
    ]
    before = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, on in zip(modules, before, strict=True):
            module.train(on)


def check_generator(generator: Generator, real: Text, *, likelihood: bool) -> None:
    """Raise UserError unless a connected generator writes texts of its space and its likelihood,
    checked where it has one, is one number for each token."""
    when = BEFORE.format("sampling")
    n, length = real.tokens.shape
    who = name_of(generator, "sample")
    with torch.no_grad():
        text = called(generator, "sample", n, condition=real.condition, when=when)
    fixed = real if generator.space.classes else replace(real, condition=UNCONDITIONAL)
    checked_text(text, who, fixed, generator.space)
    if not likelihood or not isinstance(generator, AutoregressiveGenerator):
        return
    when = BEFORE.format("an MLE update")
    log_prob = called(generator, "log_prob", real, when=when)
    who = name_of(generator, "log_prob")
    checked_tensor(log_prob, who, (n, length), "the log-probability of each token")
    if bool((log_prob[real.mask] > 1e-4).any()):
        raise UserError(f"{who} returned log-probabilities above 0; expected logarithms of shares")
    value = -(log_prob * real.mask).sum()
    checked_loss((value, {}), who, generator, "generator")


def check_discriminator(discriminator: Discriminator, real: Text) -> None:
    """Raise UserError unless a discriminator computes features of texts and scores each of them."""
    when = BEFORE.format("judging real texts")
    who, n = name_of(discriminator, "features"), len(real)
    kind = title(type(discriminator))
    output = getattr(discriminator, "output", None)
    if not isinstance(output, nn.Linear):
        raise UserError(
            f"{kind}.output is {described(output)}; expected nn.Linear, from features to a score "
            "for each class"
        )
    if not isinstance(getattr(discriminator, "dropout", None), nn.Dropout):
        raise UserError(f"{kind}.dropout is missing; expected nn.Dropout, before the output layer")
    space: TextSpace = discriminator.space
    classes, size = max(1, space.classes), output.in_features
    with torch.no_grad():
        features = called(discriminator, "features", real, when=when)
        views = features.shape[1] if getattr(features, "ndim", 0) == 3 else 0
        shape = (n, views, size) if views else (n, size)
        checked_tensor(features, who, shape, "features of each text, (B, F) or (B, S, F)")
        if output.out_features != classes:
            raise UserError(
                f"{kind}.output gives {output.out_features} scores a text; expected "
                f"max(1, space.classes) = {classes}, one of each class"
            )
        score = called(discriminator, "forward", real, when=when)
        checked_tensor(score, name_of(discriminator, "forward"), (n,), "the score of each text")
