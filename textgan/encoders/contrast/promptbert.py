"""PromptBERT: the vector of a sentence is the state of a masked language model at [MASK].

Two templates around the same sentence give the two views of SimCSE, less the state that each
template has around no sentence (see `templates`):

    L = InfoNCE(head(h1 - h1(n)), head(h2 - h2(n)))

with n the tokens of a sentence. Gradients flow through the templates' own states unless they are
frozen. At test a vector is the state in the first template, without denoising and head, as the
authors evaluate without labels; they train BERT at T = 0.05, one epoch in batches of 256 at a
learning rate of 1e-5, cut at 32 tokens. Four passes forward, two of them short, and one back.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.errors import UserError, option
from textgan.core.optim import Backward, Loss, dropout, plain
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.contrast.base import (
    Batch,
    EncoderObjective,
    Temperature,
    WithHead,
    build_head,
)
from textgan.encoders.contrast.losses import cosines, matching_loss
from textgan.encoders.templates import FIRST, SECOND, Template
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.transformer import TokenStates


class PromptBERT(EncoderObjective, name="promptbert"):
    """A sentence in two templates belongs together; its vector is the state at [MASK]."""

    paper: ClassVar[str] = "Jiang et al. 2022, arXiv 2201.04337"
    needs_masked_words: ClassVar[bool] = True

    def __init__(
        self,
        network: Discriminator,
        tokenizer: Tokenizer,
        *,
        temperature: Temperature = 0.05,
        head: WithHead = True,
        first: Annotated[str, Field(description="template, with [X] and [MASK]; the test's")] = (
            FIRST
        ),
        second: Annotated[str, Field(description="template of the other view")] = SECOND,
        denoise: Annotated[bool, Field(description="subtract a template's own state")] = True,
        frozen: Annotated[bool, Field(description="no gradients through that state")] = False,
    ) -> None:
        super().__init__(network, tokenizer)
        if not isinstance(network, TokenStates):
            raise UserError(
                "promptbert needs a network with states of tokens: give "
                f"{option('network', 'transformer')} with {option('start', 'FOLDER')}, or hf:FOLDER"
            )
        self.head = build_head(network, head)
        self.words = network
        self.first = Template.of(first, tokenizer, "contrast.first")
        self.second = Template.of(second, tokenizer, "contrast.second")
        self.template = first
        self.temperature, self.denoise, self.frozen = temperature, denoise, frozen

    @property
    def pooling(self) -> dict[str, str]:
        return {"pooling": "mask", "template": self.template}

    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        logits = partial(self.logits, batch)
        return backward(self.network, lambda: (matching_loss(logits()), {}), logits)

    def logits(self, batch: Batch) -> Tensor:
        """Compute the cosines of the two views of sentences over the temperature, each with each,
        (B, B)."""
        one, other = (self.view(template, batch) for template in (self.first, self.second))
        return cosines(one, other) / self.temperature

    def view(self, template: Template, batch: Batch) -> Tensor:
        """Compute a view of each sentence, in a template, (B, F)."""
        state = template.state(self.words, batch.ids)
        if self.denoise:
            with torch.no_grad() if self.frozen else nullcontext():
                alone = template.alone(self.words, template.sizes(batch.ids))
            state = state - alone
        view: Tensor = self.head(state)
        return view

    @torch.no_grad()
    def validation_step(self, batch: Batch) -> Tensor:
        # without dropout two views of a sentence match too easily to compare encoders by
        with dropout(self):
            return matching_loss(self.logits(batch))
