"""Templates: a sentence among other words, and the state at [MASK] as its vector (PromptBERT).

A state at [MASK] depends on the words around it, too, even where there is no sentence. Template
denoising takes that away: the state of the template alone, whose words after the gap keep the
places that they have behind a sentence of n tokens (Jiang et al. 2022, arXiv 2201.04337, section
3.3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textgan.core.errors import UserError
from textgan.data.text import Text
from textgan.data.tokenizers import Tokenizer, WordTokenizer
from textgan.models.discriminators.transformer import TokenStates

SENTENCE, MASK = "[X]", "[MASK]"
# the paper's, for BERT without labels
FIRST = f'This sentence of "{SENTENCE}" means {MASK}.'
SECOND = f'This sentence : "{SENTENCE}" means {MASK}.'


@dataclass(frozen=True)
class Template:
    """The tokens around a sentence.

    before, after: without what the tokenizer itself puts around a sentence. place: where in both
    together [MASK] is. lead: tokens that the tokenizer puts first. room: tokens of a sentence that
    fit; what follows them is cut.
    """

    tokenizer: Tokenizer
    before: tuple[int, ...]
    after: tuple[int, ...]
    place: int
    lead: int
    room: int

    @staticmethod
    def of(template: str, tokenizer: Tokenizer, key: str = "template") -> Template:
        """Parse a template from a text with one [X] and one [MASK].

        Raises UserError, which names the key, for another text, words that the tokenizer does not
        know, a tokenizer without a token for [MASK], or one that cuts texts too short for it.
        """
        if tokenizer.mask_id is None:
            raise UserError(
                f"{key}: {tokenizer.name} has no token for {MASK}; take a network that has"
            )
        pieces = pieces_of(template)
        if pieces.count(SENTENCE) != 1 or pieces.count(MASK) != 1:
            raise UserError(
                f"{key} = {template!r}: give one {SENTENCE}, the sentence, and one {MASK}, whose "
                "state is its vector"
            )
        tokens = [
            [tokenizer.mask_id] if piece == MASK else ids
            for piece, ids in zip(pieces, tokenizer.encode(pieces), strict=True)
        ]
        unknown = [
            piece
            for piece, ids in zip(pieces, tokens, strict=True)
            if piece != SENTENCE
            and isinstance(tokenizer, WordTokenizer)
            and tokenizer.space.unknown in ids
        ]
        if unknown:
            raise UserError(
                f"{key} = {template!r}: the network knows no word for all of "
                f"{unknown[0].strip()!r}; use words that it was trained with"
            )
        gap = pieces.index(SENTENCE)
        before = tuple(token for part in tokens[:gap] for token in part)
        after = tuple(token for part in tokens[gap + 1 :] for token in part)
        alone = tokenizer.pad([[tokenizer.mask_id]])
        lead = alone.tokens[0].tolist().index(tokenizer.mask_id)
        room = tokenizer.space.length - (int(alone.lengths) - 1) - len(before) - len(after)
        if room < 1:
            raise UserError(
                f"{key} = {template!r}: texts are cut at {tokenizer.space.length} tokens, which "
                "leaves none for a sentence; allow longer ones (data.length) or shorten the "
                "template"
            )
        place = (before + after).index(tokenizer.mask_id)
        return Template(tokenizer, before, after, place, lead, room)

    def around(self, ids: Sequence[Sequence[int]]) -> Text:
        """Put the template around each sentence of tokens, which is cut where it does not fit."""
        return self.tokenizer.pad([(*self.before, *some[: self.room], *self.after) for some in ids])

    def sizes(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Count the tokens of each sentence that are put into the gap, (B,)."""
        return torch.tensor([min(len(some), self.room) for some in ids])

    def shifted(self, sizes: Tensor) -> Tensor:
        """Return the positions (B, T) that the template's own tokens have around these many tokens
        (B,), which are left out: those after the gap are further out."""
        places = torch.arange(int(self.around([()]).lengths))
        return places + (places >= self.lead + len(self.before)) * sizes.unsqueeze(1)

    def state(self, network: TokenStates, ids: Sequence[Sequence[int]]) -> Tensor:
        """Compute the state (B, H) at [MASK] around each sentence of tokens."""
        sizes = self.sizes(ids)
        at = self.lead + self.place + (sizes if self.place >= len(self.before) else 0 * sizes)
        device = network.output.weight.device
        states = network.states(self.around(ids).to(device))
        return states[torch.arange(len(at), device=device), at.to(device)]

    def alone(self, network: TokenStates, sizes: Tensor) -> Tensor:
        """Compute the state (B, H) at [MASK] around nothing, each word where it would be around
        these many tokens (B,); the same for equal numbers."""
        kinds, kind = sizes.unique(return_inverse=True)
        device = network.output.weight.device
        text = self.around([()] * len(kinds)).to(device)
        states = network.states(text, self.shifted(kinds).to(device))
        return states[kind.to(device), self.lead + self.place]


def pieces_of(template: str) -> list[str]:
    """Split a template into its words, [X] and [MASK] apart from the others."""
    parts = re.split(rf"({re.escape(SENTENCE)}|{re.escape(MASK)})", template)
    # a space before a word is a part of it to some tokenizers, one at the end is none
    return [part.rstrip() for part in parts if part.strip()]
