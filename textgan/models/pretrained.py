"""Pretrained networks as discriminators, and networks by name.

What a folder holds is `core.huggingface`'s, and its tokens are `data.tokenizers`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from textgan.core import huggingface, registry
from textgan.core.errors import UserError
from textgan.core.matmul import linear
from textgan.core.names import suggest
from textgan.core.settings import check_settings
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import HF, PretrainedTokenizer, Tokenizer, is_pretrained
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.transformer import TokenStates
from textgan.models.embedding import TokenEmbedding


class PretrainedEmbedding(TokenEmbedding):
    """A pretrained table of vectors, which may be longer than the vocabulary."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__(table.num_embeddings, table.embedding_dim, device="meta")
        self.weight = table.weight

    def forward(self, symbols: Tensor) -> Tensor:
        """Embed ids (...), or rows (..., V), as vectors (..., E)."""
        if symbols.is_floating_point():
            return linear(symbols, self.weight[: symbols.shape[-1]].t())
        return super().forward(symbols)


class PretrainedNetwork(TokenStates):
    """A transformer from a folder that was trained elsewhere; all its weights go on learning.

    model: as transformers loads it. Its own dropout is on where that before the output layer is.
    """

    def __init__(
        self,
        space: TextSpace,
        model: Any,
        *,
        dropout: Annotated[float, Field(ge=0, lt=1, description="before the output layer")] = 0.1,
    ) -> None:
        super().__init__(space)
        self.model = model
        self.embedding = PretrainedEmbedding(self.model.get_input_embeddings())
        # its own would never be called, and whoever looks for it by its name is to find this one
        self.model.set_input_embeddings(self.embedding)
        self.first_place = _first_place(model)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.model.config.hidden_size, max(1, space.classes))

    def states(self, text: Text, positions: Tensor | None = None) -> Tensor:
        # attention in transformers drops by its own flag, which nobody else switches
        self.model.train(self.dropout.training)
        places = {} if positions is None else {"position_ids": positions + self.first_place}
        vectors, mask = self.embedding(text.inputs), text.mask.long()
        states: Tensor = self.model(
            inputs_embeds=vectors, attention_mask=mask, **places
        ).last_hidden_state
        return states

    def save_model(self, folder: Path) -> None:
        """Write the model as transformers does, without the layer that is only here."""
        with huggingface.silent():
            self.model.save_pretrained(folder)

    def saved_with_the_model(self) -> set[str]:
        """Return the names of the weights that `save_model` writes."""
        own = set(self.state_dict())
        return {name for name in own if name.startswith(("model.", "embedding."))}


def build_network(
    network: str, settings: Mapping[str, Any], tokenizer: Tokenizer, classes: int = 0
) -> Discriminator:
    """Build the network called `network`, a registered discriminator or `hf:FOLDER`, for the tokens
    of a tokenizer.

    Raises UserError for a name, folder or setting that does not exist or does not fit.
    """
    space = replace(tokenizer.space, classes=classes)
    if is_pretrained(network) != isinstance(tokenizer, PretrainedTokenizer):
        raise UserError(f"network = {network!r} does not read the tokens of {tokenizer.name}")
    if not is_pretrained(network):
        known = registry.names("discriminator")
        if network not in known:
            raise UserError(
                f"network = {network!r}: there is no such discriminator"
                f"{suggest(network, known)}; known: {', '.join(known)}, or {HF}FOLDER"
            )
        part = registry.find("discriminator", network)
        try:
            made: Discriminator = part(
                space, **check_settings("discriminator", part, settings, "network")
            )
        except ValueError as error:
            raise UserError(f"network {network}: {error}") from None
        return made
    model = huggingface.load_network(
        Path(network.removeprefix(HF)), f"network = {network!r}", attn_implementation="eager"
    )
    checked = check_settings("discriminator", PretrainedNetwork, settings, "network")
    return PretrainedNetwork(space, model, **checked)


def _first_place(model: nn.Module) -> int:
    """The number of the first place: the RoBERTa family begins behind that of the padding."""
    for name, part in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding):
            return 0 if part.padding_idx is None else part.padding_idx + 1
    return 0
