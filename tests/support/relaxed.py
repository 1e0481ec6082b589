"""Relaxed texts and a discriminator of them."""

from typing import Any

import torch
from worlds import (
    small_discriminator,
)

from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.base import Discriminator


def judge_of(space: TextSpace, name: str = "cnn", **settings: Any) -> Discriminator:
    return small_discriminator(space, name, channels=4, blocks=2, **settings)


def fakes_of(space: TextSpace, n: int = 6) -> Text:
    """Rows that are no words, the same every time."""
    rows = torch.randn(n, space.length, space.vocabulary, dtype=torch.float64).softmax(2)
    return Text(rows.argmax(2), torch.full((n,), space.length), rows)
