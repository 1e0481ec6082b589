"""SCAL: contrastive adversarial learning from labels.

delta = epsilon * g / |g| for each sentence, g the gradient of the classification's cross-entropy in
the output of the embedding, e. The three losses are added:

    L = CE(e) + CE(e + delta) + InfoNCE(h(e), h(e + delta))

The shift is a constant of it, and both views have the same dropout. The paper searches epsilon in
0.1 .. 0.5 and takes T = 0.05; whether clean sentences are negatives of each other, too, it was not
to be had, and here they are not. Two passes forward, two back.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from textgan.core.optim import Backward, Loss, plain
from textgan.core.seeds import draw_seed, fork_rng
from textgan.data.text import Text
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.contrast.base import (
    Batch,
    EncoderObjective,
    Epsilon,
    Temperature,
    WithHead,
    build_head,
    vectors,
)
from textgan.encoders.contrast.losses import info_nce
from textgan.models.discriminators.base import Discriminator
from textgan.perturb.shifts import shift_target


class SCAL(EncoderObjective, name="scal"):
    """A classifier whose sentences keep their class and their vector at their worst neighbour."""

    paper: ClassVar[str] = "Miao et al. 2021, arXiv 2111.13301"
    needs_labels: ClassVar[bool] = True
    shifts_embeddings: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    def __init__(
        self,
        network: Discriminator,
        tokenizer: Tokenizer,
        *,
        temperature: Temperature = 0.05,
        head: WithHead = True,
        epsilon: Epsilon = 0.3,
    ) -> None:
        super().__init__(network, tokenizer)
        self.head = build_head(network, head)
        self.temperature = temperature
        self.epsilon = epsilon

    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        text, target = self.read(batch), shift_target(self.network)
        labels = self._labels(batch, text)
        once, device = draw_seed(), text.tokens.device
        with target.shifted(None) as current, fork_rng(once, device):
            vector, scores = self.view(text)
        clean = functional.cross_entropy(scores, labels)
        gradients = current.gradients(clean, retain_graph=True)
        shifts = [self.epsilon * target.direction(gradient) for gradient in gradients]
        with target.shifted(shifts), fork_rng(once, device):
            shifted_vector, shifted_scores = self.view(text)
        shifted = functional.cross_entropy(shifted_scores, labels)
        contrast = info_nce(vector, shifted_vector, self.temperature)
        loss = clean + shifted + contrast
        loss.backward()
        metrics = {"cross_entropy": clean, "perturbed_loss": shifted, "contrastive_loss": contrast}
        return loss.detach(), {name: value.detach() for name, value in metrics.items()}

    def view(self, text: Text) -> tuple[Tensor, Tensor]:
        """Compute a view of each text, (B, F), and its scores (B, C)."""
        features = vectors(self.network, text)
        scores = self.network.output(self.network.dropout(features))
        return self.head(features), scores

    @torch.no_grad()
    def validation_step(self, batch: Batch) -> Tensor:
        text = self.read(batch)
        right = self.network.class_logits(text).argmax(1) == self._labels(batch, text)
        return right.to(self.network.output.weight.dtype).mean()

    def _labels(self, batch: Batch, text: Text) -> Tensor:
        if batch.labels is None:
            raise ValueError("scal learns from labels; the batch has none")
        return batch.labels.to(text.tokens.device)
