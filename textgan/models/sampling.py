"""Samplers: ways to choose the next symbol.

A `Sampler` maps logits (R, V) to token ids (R,) or to relaxed rows (R, V); a `HiddenSampler`
does the same from the hidden states of a generator, (R, H).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from textgan.core.device import is_asynchronous

Sampler = Callable[[Tensor], Tensor]
HiddenSampler = Callable[[Tensor], Tensor]

# Logits of one block of rows; 1M of them (4 MB in float32) stay in a processor's cache until they
# are used up
BLOCK = 2**20


def greedy(logits: Tensor) -> Tensor:
    """Choose the most probable token of each row, (R,)."""
    return logits.argmax(1)


def softmax(logits: Tensor) -> Tensor:
    """Return the probabilities themselves as relaxed rows (R, V): differentiable, nothing is
    drawn."""
    return logits.softmax(1)


@dataclass(frozen=True)
class Categorical:
    """Tokens drawn from softmax(logits / temperature).

    Raises ValueError unless the temperature is positive.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")

    def __call__(self, logits: Tensor) -> Tensor:
        """One token (R,) from each row of logits (R, V)."""
        if self.temperature == 1.0:
            return draw(logits)
        # from the largest down, so that no division overflows
        return draw((logits - logits.amax(1, keepdim=True)) / self.temperature, spend=True)


multinomial = Categorical()


def gumbel(temperature: float) -> Sampler:
    """Make a sampler of relaxed rows softmax((logits + g) / temperature) with Gumbel noise g,
    differentiable.

    The likeliest word of a row is distributed as softmax(logits) at any temperature; towards 0 the
    rows become one-hot (Jang et al., Maddison et al. 2017). Raises ValueError unless the
    temperature is positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")

    def choose(logits: Tensor) -> Tensor:
        # -log of a standard exponential is a standard Gumbel; the clamp keeps log finite
        noise = torch.empty_like(logits).exponential_().clamp_(min=1e-30).log().neg()
        return ((logits + noise) / temperature).softmax(1)

    return choose


def without(token: int, choose: Sampler) -> Sampler:
    """Make a sampler that is `choose` with one token forbidden, for instance the unknown word."""

    def restricted(logits: Tensor) -> Tensor:
        logits = logits.clone()
        logits[:, token] = -torch.inf
        return choose(logits)

    return restricted


def draw(logits: Tensor, *, spend: bool = False) -> Tensor:
    """Draw one token (R,) from each row of logits (R, V); a token of probability zero is never
    drawn.

    `spend`: the logits are not needed afterwards and may be overwritten, which saves the memory
    traffic of a copy.
    """
    largest = logits.amax(1, keepdim=True)
    weights = (logits.sub_(largest) if spend else logits - largest).exp_()
    return draw_by_weight(weights)[0]


def draw_by_weight(weights: Tensor, block: int = 100) -> tuple[Tensor, Tensor]:
    """Draw one token (R,) from each row of weights (R, V), by inverting the cumulative
    distribution; return with it the sum (R, 1) of each row.

    Two levels: first a block of `block` neighbouring tokens by the blocks' sums, then a token
    inside that block. It reads each row once, where `torch.multinomial` costs about 0.1 ms a row at
    V = 5,000. A token of weight zero is never drawn: every comparison is "the first cumulative sum
    that exceeds the target", and targets stay below the last sum.
    """
    rows, vocabulary = weights.shape

    def uniform() -> Tensor:
        return torch.rand(rows, 1, dtype=weights.dtype, device=weights.device)

    if vocabulary <= 2 * block:
        index, total = invert(weights, uniform())
        return index.squeeze(1), total
    whole = vocabulary // block * block
    sums = weights[:, :whole].unflatten(1, (-1, block)).sum(2)
    if whole < vocabulary:
        sums = torch.cat([sums, weights[:, whole:].sum(1, keepdim=True)], 1)
    chosen, total = invert(sums, uniform())
    columns = chosen * block + torch.arange(block, device=weights.device)
    if whole < vocabulary:
        inside = weights.gather(1, columns.clamp(max=vocabulary - 1)) * (columns < vocabulary)
    else:
        inside = weights.gather(1, columns)
    # a uniform number that chose its block gives no information about the place inside it
    place, _ = invert(inside, uniform())
    return chosen.mul_(block).add_(place).squeeze(1), total


def invert(weights: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Find the first index (R, 1) at which the running sum of weights (R, N) exceeds its share of
    the sum; return both the index and the sum (R, 1)."""
    cumulative = weights.cumsum(1)
    total = cumulative[:, -1:]
    # rounding must not lift the target to the total: that would choose the last index, which may
    # have weight zero
    target = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    index = torch.searchsorted(cumulative, target, right=True)
    # only weights that are not numbers get beyond the last
    return index.clamp_(max=weights.shape[1] - 1), total


def pick_in_blocks(
    logits: Callable[[Tensor], Tensor], choose: Sampler, vocabulary: int, block: int = BLOCK
) -> HiddenSampler:
    """Make a sampler by the logits (R, V) of hidden vectors (R, H).

    On a processor the logits are made and used up in blocks of rows that stay in the cache, `block`
    logits at once; on an accelerator all rows go at once.
    """

    def pick(hidden: Tensor) -> Tensor:
        rows = len(hidden) if is_asynchronous(hidden) else block // vocabulary
        pieces = [choose(logits(piece)) for piece in hidden.split(max(1, rows))]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    return pick
