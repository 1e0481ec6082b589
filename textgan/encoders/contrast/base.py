"""EncoderObjective: what an encoder minimises, and the heads it needs only while it trains.

Shapes: B sentences, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.moved import FormerName, adopt_former_names
from textgan.core.optim import Backward, Loss, dropout, plain
from textgan.core.registry import register
from textgan.data.text import Text
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.contrast.losses import cosines, matching_loss
from textgan.models.discriminators.base import Discriminator

Temperature = Annotated[float, Field(gt=0, description="of the cosines")]
WithHead = Annotated[bool, Field(description="an MLP after the vectors, in training only")]
Epsilon = Annotated[float, Field(ge=0, description="length of the shift of a sentence's vectors")]


class Batch(NamedTuple):
    """Sentences as lists of token ids, neither cut nor ended, and their labels (B,)."""

    ids: Sequence[Sequence[int]]
    labels: Tensor | None = None


class EncoderObjective(nn.Module, ABC):
    """The loss that trains an encoder of sentences.

    Its parameters are those of the network and of heads. Heads are used in training only: the
    network alone computes the vector of a sentence, as `pooling` says.
    """

    paper: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = False  # whether it learns from labels
    two_views: ClassVar[bool] = False  # whether only dropout makes two views differ
    needs_masked_words: ClassVar[bool] = False  # whether it starts from a masked language model
    templates: ClassVar[tuple[str, ...]] = ()  # whose words a vocabulary from scratch has
    shifts_embeddings: ClassVar[bool] = False  # whether it shifts embeddings itself
    metric: ClassVar[str] = "contrastive_loss"  # of what `validation_step` is
    higher_is_better: ClassVar[bool] = False  # of that metric

    # as version 0.1 called them
    reader = FormerName("tokenizer")
    labelled = FormerName("needs_labels")
    two_looks = FormerName("two_views")
    prompted = FormerName("needs_masked_words")
    attacks = FormerName("shifts_embeddings")
    measure = FormerName("metric")
    rises = FormerName("higher_is_better")
    held_out = FormerName("validation_step")

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        adopt_former_names(cls)
        if name:
            register("contrast", name, cls)

    def __init__(self, network: Discriminator, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer

    @abstractmethod
    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        """Add the gradient of a batch's loss to that of all weights; the loss and what is logged.

        backward: how the gradient of the loss is taken, but in an objective that
        `shifts_embeddings` itself.
        """

    @abstractmethod
    def validation_step(self, batch: Batch) -> Tensor:
        """Compute the mean metric of sentences that are not trained on, a scalar without
        gradients."""

    @property
    def pooling(self) -> dict[str, str]:
        """The pooling by which a sentence's vector is computed after training, for the facts of an
        encoder."""
        return {"pooling": "features"}

    def read(self, batch: Batch) -> Text:
        """Return a batch as the network reads it, on its device."""
        return self.tokenizer.pad(batch.ids).to(self.network.output.weight.device)


class TwoViews(EncoderObjective):
    """An objective that matches two views of a sentence, which differ by dropout.

    Dropout acts inside the network, where it has any, and before the head, where the network has it
    before its output layer.
    """

    two_views: ClassVar[bool] = True
    look = FormerName("view")  # as version 0.1 called it

    def __init__(
        self, network: Discriminator, tokenizer: Tokenizer, temperature: float, head: bool
    ) -> None:
        super().__init__(network, tokenizer)
        self.head = build_head(network, head)
        self.temperature = temperature

    def view(self, text: Text) -> Tensor:
        """Compute a view of each text, (B, F)."""
        view: Tensor = self.head(self.network.dropout(vectors(self.network, text)))
        return view

    def logits(self, text: Text) -> Tensor:
        """Compute the cosines of two views of texts over the temperature, each with each, (B,
        B)."""
        return cosines(self.view(text), self.view(text)) / self.temperature

    @torch.no_grad()
    def validation_step(self, batch: Batch) -> Tensor:
        with dropout(self):
            return matching_loss(self.logits(self.read(batch)))


def build_head(network: Discriminator, on: bool) -> nn.Module:
    """Make the head of an encoder in training, (B, F) to (B, F): a linear layer and tanh, or the
    identity where it is not `on` (SimCSE, arXiv 2104.08821, section 6.3)."""
    features = network.output.in_features
    return nn.Sequential(nn.Linear(features, features), nn.Tanh()) if on else nn.Identity()


def vectors(network: Discriminator, text: Text) -> Tensor:
    """Compute the features of each text, (B, F): their mean where the network has several views of
    it."""
    features = network.features(text)
    return features.mean(1) if features.dim() == 3 else features
