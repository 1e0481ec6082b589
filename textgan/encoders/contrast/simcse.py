"""SimCSE without labels: two views of a sentence match each other and no other sentence.

The views differ by dropout, which is drawn anew; L = InfoNCE of the one and the other. The paper
trains BERT on a million sentences of Wikipedia at T = 0.05, one epoch in batches of 64 at a
learning rate of 3e-5, cut at 32 tokens, and takes the state of [CLS]; here a sentence's vector is
the network's features. Two passes forward, one back.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textgan.core.optim import Backward, Loss, plain
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.contrast.base import Batch, Temperature, TwoViews, WithHead
from textgan.encoders.contrast.losses import matching_loss
from textgan.models.discriminators.base import Discriminator


class SimCSE(TwoViews, name="simcse"):
    """Two views of a sentence under dropout belong together; other sentences do not."""

    paper: ClassVar[str] = "Gao et al. 2021, arXiv 2104.08821"

    def __init__(
        self,
        network: Discriminator,
        tokenizer: Tokenizer,
        *,
        temperature: Temperature = 0.05,
        head: WithHead = True,
    ) -> None:
        super().__init__(network, tokenizer, temperature, head)

    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        logits = partial(self.logits, self.read(batch))
        return backward(self.network, lambda: (matching_loss(logits()), {}), logits)
