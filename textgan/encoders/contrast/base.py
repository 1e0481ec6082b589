"""What ways to train an encoder share: the network, and what stands beside it while it trains.

Shapes: B sentences, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Backward, Loss, dropout, plain
from textgan.core.registry import register
from textgan.data.text import Text
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.contrast.losses import cosines, matching_loss
from textgan.models.discriminators.base import Discriminator
from textgan.perturb.shifts import EmbeddingOutput, find_embedding, words_of

Temperature = Annotated[float, Field(gt=0, description="of the cosines")]
WithHead = Annotated[bool, Field(description="an MLP after the vectors, in training only")]
Epsilon = Annotated[float, Field(ge=0, description="length of the shift of a sentence's vectors")]


class Batch(NamedTuple):
    """Sentences as lists of token ids, neither cut nor ended, and their labels (B,)."""

    ids: Sequence[Sequence[int]]
    labels: Tensor | None = None


class EncoderObjective(nn.Module, ABC):
    """A way to train an encoder.

    Its parameters are the network's and those of heads, which are used in training only: the
    vector of a sentence is what the network alone makes of it, as `pooling` says.
    """

    paper: ClassVar[str] = ""
    labelled: ClassVar[bool] = False  # whether it learns from labels
    two_looks: ClassVar[bool] = False  # whether dropout is all that tells two looks apart
    prompted: ClassVar[bool] = False  # whether it begins with a network that knows masked words
    templates: ClassVar[tuple[str, ...]] = ()  # whose words a vocabulary from scratch has
    attacks: ClassVar[bool] = False  # whether it shifts embeddings itself
    measure: ClassVar[str] = "contrastive_loss"  # what `held_out` returns
    rises: ClassVar[bool] = False  # whether more of it is better

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            register("contrast", name, cls)

    def __init__(self, network: Discriminator, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer

    @abstractmethod
    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        """Add the gradient of a batch's loss to that of all weights; the loss and what is logged.

        backward: how the gradient of the loss is taken; a method that `attacks` has its own way.
        """

    @abstractmethod
    def held_out(self, batch: Batch) -> Tensor:
        """The mean measure of sentences that it does not learn from, a scalar without gradients."""

    @property
    def pooling(self) -> dict[str, str]:
        """What a sentence's vector is at test, as an encoder's facts say it."""
        return {"pooling": "features"}

    def read(self, batch: Batch) -> Text:
        """A batch as the network reads it, on its device."""
        return self.tokenizer.pad(batch.ids).to(self.network.output.weight.device)


class TwoViews(EncoderObjective):
    """One that tells a sentence from others by a second look at it, under another dropout.

    Dropout is that inside the network, where it has any, and that before its output layer, which
    stands before the head here.
    """

    two_looks: ClassVar[bool] = True

    def __init__(
        self, network: Discriminator, tokenizer: Tokenizer, temperature: float, head: bool
    ) -> None:
        super().__init__(network, tokenizer)
        self.head = build_head(network, head)
        self.temperature = temperature

    def look(self, text: Text) -> Tensor:
        """What is contrasted of each text, (B, F)."""
        found: Tensor = self.head(self.network.dropout(vectors(self.network, text)))
        return found

    def logits(self, text: Text) -> Tensor:
        """How alike two looks at the same texts are, each with each, (B, B)."""
        return cosines(self.look(text), self.look(text)) / self.temperature

    @torch.no_grad()
    def held_out(self, batch: Batch) -> Tensor:
        with dropout(self):
            return matching_loss(self.logits(self.read(batch)))


def build_head(network: Discriminator, on: bool) -> nn.Module:
    """What stands after a vector, (B, F) to (B, F), while an encoder learns to contrast: a linear
    layer and tanh, or where it is not `on` nothing (SimCSE, arXiv 2104.08821, section 6.3)."""
    features = network.output.in_features
    return nn.Sequential(nn.Linear(features, features), nn.Tanh()) if on else nn.Identity()


def vectors(network: Discriminator, text: Text) -> Tensor:
    """What a network sees in each text, (B, F), the mean over its views where it has several."""
    features = network.features(text)
    return features.mean(1) if features.dim() == 3 else features


def place_of(network: Discriminator) -> EmbeddingOutput:
    """What the network's embedding reads out, where sentences are shifted."""
    module = find_embedding(network)
    return EmbeddingOutput(module, words_of(network, module))
