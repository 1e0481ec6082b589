"""The contract of functions on texts: what they may do, and what they must return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from textgan.core.errors import UserError, described
from textgan.data.text import Text, TextSpace


@contextmanager
def unchanged(
    who: str, networks: Mapping[str, object], texts: Mapping[str, Text]
) -> Iterator[None]:
    """UserError where a function that runs inside changes a weight, or a text it is computed from.

    Both by the names that messages give them.
    """
    of_networks = _weights(networks)
    of_texts = _tensors(texts)
    kept = {name: tensor.detach().clone() for name, tensor in (of_networks | of_texts).items()}
    yield
    for name, tensor in of_networks.items():
        if not torch.equal(tensor, kept[name]):
            raise UserError(f"{who} changed the weight {name}; only optimisers may")
    for name, tensor in of_texts.items():
        if not torch.equal(tensor, kept[name]):
            raise UserError(f"{who} changed {name} in place; compute with a copy (.clone())")


def _weights(networks: Mapping[str, object]) -> dict[str, Tensor]:
    return {
        f"{who}.{name}": weight
        for who, network in networks.items()
        if isinstance(network, nn.Module)
        for name, weight in network.named_parameters()
    }


def _tensors(texts: Mapping[str, Text]) -> dict[str, Tensor]:
    return {
        f"{who}.{name}": tensor
        for who, text in texts.items()
        for name, tensor in text.to_tensors().items()
    }


def checked_text(returned: object, who: str, real: Text, space: TextSpace) -> Text:
    """Return `returned` if it is one text of a space in answer to each real one, else raise
    UserError."""
    if not isinstance(returned, Text):
        raise UserError(
            f"{who} returned {described(returned)}; expected a Text, such as generator.sample gives"
        )
    n, length = real.tokens.shape
    tokens, lengths, rows = returned.tokens, returned.lengths, returned.soft_tokens
    answer = f"expected {n} texts, one in answer to each real one"
    if tokens.dim() != 2 or len(tokens) != n:
        raise UserError(f"{who} returned tokens of shape {tuple(tokens.shape)}; {answer}")
    if tokens.shape[1] != length:
        raise UserError(
            f"{who} returned texts of {tokens.shape[1]} positions; expected {length}, as real "
            "texts have (shorter ones are padded: Text.pad_to)"
        )
    if tokens.dtype != torch.long or lengths.dtype != torch.long or lengths.shape != (n,):
        raise UserError(
            f"{who} returned tokens of {tokens.dtype} and lengths of {lengths.dtype} and shape "
            f"{tuple(lengths.shape)}; expected int64, and {n} lengths"
        )
    if bool(((tokens < 0) | (tokens >= space.vocabulary)).any()):
        raise UserError(
            f"{who} returned tokens from {int(tokens.min())} to {int(tokens.max())}; expected 0 to "
            f"{space.vocabulary - 1}, the vocabulary"
        )
    if bool(((lengths < 1) | (lengths > length)).any()) or bool(
        ((tokens != space.pad) & ~returned.mask).any()
    ):
        raise UserError(
            f"{who} returned lengths that do not fit its tokens; expected 1 to {length}, and "
            f"padding, {space.pad}, after the end of a text (see Text.ended)"
        )
    if rows is None and not torch.equal(lengths, Text.ended(tokens, space).lengths):
        end = "all positions" if space.eos is None else f"the first end token, {space.eos}"
        raise UserError(f"{who} returned lengths that are not where texts end; expected {end}")
    if rows is not None and (
        rows.shape != (n, length, space.vocabulary) or not rows.is_floating_point()
    ):
        raise UserError(
            f"{who} returned soft tokens of shape {tuple(rows.shape)}; expected "
            f"{(n, length, space.vocabulary)}, a row over the vocabulary at each position"
        )
    if space.classes and (returned.labels is None or not torch.equal(returned.labels, _of(real))):
        raise UserError(
            f"{who} did not answer each real text with one of its class; give the generator "
            "condition=real.condition"
        )
    return returned


def _of(text: Text) -> Tensor:
    assert text.labels is not None  # a space with classes has texts with labels
    return text.labels
