"""Pair discriminators: networks that score a text together with the source that it answers.

Shapes: B texts, S positions of a source, E embedding, F features. A pair discriminator encodes the
source and then compares each text with its source's code. Rollouts are thousands of texts of a few
sources, so equal sources are encoded once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from textgan.core.device import is_asynchronous
from textgan.data.text import Text, TextSpace, text_keys
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.convolution import SENTENCES_AT_ONCE
from textgan.models.embedding import TokenEmbedding


class PairDiscriminator(Discriminator):
    """A discriminator that scores a text together with its source.

    Two tables of words, or one where the space says that both sides share a vocabulary. Of two,
    perturbations shift that of the texts, `embedding`, unless they name the other.
    Raises ValueError for a space without a source.
    """

    reads_source = True

    def __init__(self, space: TextSpace, embedding: int) -> None:
        super().__init__(space)
        if space.source is None:
            raise ValueError(
                "it scores a text together with its source, and these texts have none; give it "
                "pairs, or take another discriminator, such as cnn"
            )
        self.source_space = space.source
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        if not space.shares_vocabulary:
            self.source_embedding = TokenEmbedding(space.source.vocabulary, embedding)

    @property
    def source_words(self) -> TokenEmbedding:
        """The table of the sources' words."""
        return self.embedding if self.space.shares_vocabulary else self.source_embedding

    @abstractmethod
    def encode_source(self, source: Text) -> Tensor:
        """Encode each source, (B, ...), whatever the others are."""

    @abstractmethod
    def compare(self, text: Text, source: Tensor) -> Tensor:
        """Compute the features (B, F) of each text and its encoded source (B, ...)."""

    def features(self, text: Text) -> Tensor:
        return self.compare(text, self.encoded_sources(text))

    def encoded_sources(self, text: Text) -> Tensor:
        """Encode the source of each text, (B, ...)."""
        return once_each(text.condition.require_source(), self.encode_source, self.source_space.pad)


def by_length(text: Text, source: Tensor, compare: Callable[[Text, Tensor], Tensor]) -> Tensor:
    """compare(text, source), (B, F), of many texts in pieces of about the same length, so that
    little of what is read is padding."""
    if is_asynchronous(text.tokens) or len(text) <= SENTENCES_AT_ONCE:
        return compare(text.trimmed(), source)
    order = text.lengths.argsort(stable=True)
    pieces = order.split(SENTENCES_AT_ONCE)
    parts = [compare(text[rows].trimmed(), source[rows]) for rows in pieces]
    return torch.cat(parts)[order.argsort()]


def once_each(texts: Text, encode: Callable[[Text], Tensor], pad: int) -> Tensor:
    """encode(texts), (B, ...), computed once for equal texts.

    On an accelerator it is computed of all: to know how many are equal is to wait for it.
    """
    if is_asynchronous(texts.tokens):
        return encode(texts)
    rows = torch.cat([texts.lengths.unsqueeze(1), texts.tokens.masked_fill(~texts.mask, pad)], 1)
    # rows are told apart by one number each, twenty times as fast as by torch.unique(rows, dim=0)
    numbers, which = torch.unique(text_keys(texts), return_inverse=True)
    one_of_each = torch.empty_like(numbers).scatter_(0, which, torch.arange(len(rows)))
    different = rows[one_of_each]
    if len(different) == len(rows) or not torch.equal(different[which], rows):
        return encode(texts)  # nothing to save, or two rows with one number
    return encode(Text(different[:, 1:], different[:, 0]))[which]
