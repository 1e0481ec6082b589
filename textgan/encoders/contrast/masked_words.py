"""Masked words: how a network learns its language before it learns to contrast.

Of the words that it knows 15 % are chosen; 80 % of these become [MASK], 10 % a random word, 10 %
stay, and the network predicts the words that were there (BERT, section 3.1). Sentence by sentence:
there is no next sentence to predict. One pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from textgan.core.errors import UserError, option
from textgan.core.optim import Backward, Loss, Outputs, plain
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import Tokenizer
from textgan.encoders.contrast.base import Batch, EncoderObjective
from textgan.encoders.templates import FIRST, SECOND
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.transformer import TransformerDiscriminator

HIDDEN, RANDOM = 0.8, 0.1  # shares of the chosen words; the others stay


class MaskedWords(EncoderObjective, name="mlm"):
    """A masked language model from scratch, for other methods to start from."""

    paper: ClassVar[str] = "Devlin et al. 2019, arXiv 1810.04805"
    templates: ClassVar[tuple[str, ...]] = (FIRST, SECOND)
    metric: ClassVar[str] = "masked_word_loss"  # nats per chosen word

    def __init__(
        self,
        network: Discriminator,
        tokenizer: Tokenizer,
        *,
        share: Annotated[float, Field(gt=0, lt=1, description="of the words are chosen")] = 0.15,
    ) -> None:
        super().__init__(network, tokenizer)
        if not isinstance(network, TransformerDiscriminator) or tokenizer.mask_id is None:
            raise UserError(
                "mlm trains the transformer from scratch only; give "
                f"{option('network', 'transformer')} (a pretrained masked language model is one "
                "already)"
            )
        self.words, self.mask_id = network, tokenizer.mask_id
        self.share = share

    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        return backward(self.network, *self._closures(batch))

    @torch.no_grad()
    def validation_step(self, batch: Batch) -> Tensor:
        loss, _ = self._closures(batch)
        return loss()[0]

    def _closures(self, batch: Batch) -> tuple[Callable[[], Loss], Outputs]:
        """The loss of a batch, whose words are hidden now, and the logits of the chosen ones."""
        text, words = self.read(batch), self.words
        hidden, chosen = hide(text, self.tokenizer.space, self.mask_id, self.share)
        right, count = text.tokens[chosen], chosen.sum().clamp(min=1)

        def logits() -> Tensor:
            return words.word_logits(words.states(hidden)[chosen])

        def loss() -> Loss:
            scores = logits()
            value = functional.cross_entropy(scores, right, reduction="sum") / count
            return value, {"accuracy": (scores.detach().argmax(1) == right).sum() / count}

        return loss, logits


def hide(text: Text, space: TextSpace, mask_id: int, share: float) -> tuple[Text, Tensor]:
    """Hide words of texts, each chosen with that probability; return the texts and the choice, (B,
    T) bool.

    Neither a special id of the space nor [MASK] itself is a word. Where none was chosen though
    there are some, the likeliest one is.
    """
    tokens = text.tokens
    ids = torch.arange(space.vocabulary, device=tokens.device)
    no_words = torch.tensor([*space.special, mask_id], device=tokens.device)
    words = ids[~torch.isin(ids, no_words)]
    known = torch.isin(tokens, words)
    draw = torch.rand(tokens.shape, device=tokens.device).masked_fill(~known, torch.inf)
    chosen = draw < share
    if not chosen.any():
        chosen = known & (draw == draw.min())
    fate = torch.rand(tokens.shape, device=tokens.device)
    others = words[torch.randint(len(words), tokens.shape, device=tokens.device)]
    changed = torch.where(fate < HIDDEN, mask_id, others)
    stay = ~chosen | (fate >= HIDDEN + RANDOM)
    return replace(text, tokens=torch.where(stay, tokens, changed)), chosen
