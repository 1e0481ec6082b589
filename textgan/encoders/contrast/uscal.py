"""USCAL: contrastive adversarial learning without labels.

Two views of a sentence under dropout, h1 and h2, are those of SimCSE. The embeddings of h1 are
shifted by delta = epsilon * g / |g| for each sentence, g the gradient of InfoNCE(h1, h2) in it: a
step that makes the two harder to match. The view of the shifted sentence, under the dropout of h1,
is h_adv, and

    L = InfoNCE(h1, h_adv) + alpha * InfoNCE(h2, h_adv)  [+ InfoNCE(h1, h2) with clean=true]

The shift is a constant of it. The paper weighs one of two terms by a constant below 1; which one,
and by how much, is our reading, for its formula was not to be had. Neither was its epsilon: ours is
from the middle of the range that SCAL searches. Three passes forward, two back.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from textgan.core.optim import Backward, Loss, plain
from textgan.core.seeds import draw_seed, fork_rng
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.contrast.base import (
    Batch,
    Epsilon,
    Temperature,
    TwoViews,
    WithHead,
)
from textgan.encoders.contrast.losses import info_nce
from textgan.models.discriminators.base import Discriminator
from textgan.perturb.shifts import shift_target


class USCAL(TwoViews, name="uscal"):
    """A sentence belongs to itself at its worst neighbour in the embedding; no labels."""

    paper: ClassVar[str] = "Miao et al. 2021, arXiv 2111.13301"
    shifts_embeddings: ClassVar[bool] = True

    def __init__(
        self,
        network: Discriminator,
        tokenizer: Tokenizer,
        *,
        temperature: Temperature = 0.05,
        head: WithHead = True,
        epsilon: Epsilon = 0.3,
        alpha: Annotated[float, Field(ge=0, description="weight of InfoNCE(h2, h_adv)")] = 0.5,
        clean: Annotated[bool, Field(description="learn from InfoNCE(h1, h2), too")] = False,
    ) -> None:
        super().__init__(network, tokenizer, temperature, head)
        self.epsilon = epsilon
        self.alpha = alpha
        self.clean = clean

    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        text, target = self.read(batch), shift_target(self.network)
        once, device = draw_seed(), text.tokens.device
        with target.shifted(None) as current, fork_rng(once, device):
            first = self.view(text)
        second = self.view(text)
        clean = info_nce(first, second, self.temperature)
        gradients = current.gradients(clean, retain_graph=True)
        shifts = [self.epsilon * target.direction(gradient) for gradient in gradients]
        with target.shifted(shifts), fork_rng(once, device):
            shifted = self.view(text)
        worst = info_nce(first, shifted, self.temperature)
        across = info_nce(second, shifted, self.temperature)
        loss = worst + self.alpha * across + (clean if self.clean else 0.0)
        loss.backward()
        metrics = {"contrastive_loss": clean, "perturbed_loss": worst, "across_loss": across}
        return loss.detach(), {name: value.detach() for name, value in metrics.items()}
