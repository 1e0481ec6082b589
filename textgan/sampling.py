"""How the next symbol is chosen from logits, and one step of many hypotheses at once.

A `Choose` maps logits (R, V) to token ids (R,) or to relaxed rows (R, V).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

Choose = Callable[[Tensor], Tensor]
State = tuple[Tensor, ...]  # every part batch first, so that forking a hypothesis is indexing

# Logits of one block of rows; 1M of them (4 MB in float32) stay in a processor's cache while they
# are exponentiated, summed and searched. Measured at V = 5,000 on one core, 4,096 texts: 0.75 s;
# with blocks of twice the size 1.4 s, of four times 1.5 s.
BLOCK = 2**20


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers from `seed` inside, and outside as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


OTHER = 2**40  # added to a seed that others may share: what is drawn then is none of theirs


class Steps(Protocol):
    """What `advance` needs of a generator."""

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]: ...

    def logits(self, hidden: Tensor) -> Tensor: ...


def greedy(logits: Tensor) -> Tensor:
    """The most probable token of each row, (R,)."""
    return logits.argmax(1)


def softmax(logits: Tensor) -> Tensor:
    """The probabilities themselves as relaxed rows (R, V): differentiable, nothing is drawn."""
    return logits.softmax(1)


def categorical(temperature: float = 1.0) -> Choose:
    """Tokens drawn from softmax(logits / temperature).

    Raises ValueError unless the temperature is positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")

    def choose(logits: Tensor) -> Tensor:
        if temperature == 1.0:
            return draw(logits)
        # from the largest down, so that no division overflows
        return draw((logits - logits.amax(1, keepdim=True)) / temperature, spend=True)

    return choose


def multinomial(logits: Tensor) -> Tensor:
    """Tokens drawn at temperature 1 from logits that nobody else needs: they are overwritten."""
    return draw(logits, spend=True)


def gumbel(temperature: float) -> Choose:
    """Relaxed rows softmax((logits + g) / temperature) with Gumbel noise g, differentiable.

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


def without(token: int, choose: Choose) -> Choose:
    """`choose` with one token forbidden, for instance the unknown word."""

    def restricted(logits: Tensor) -> Tensor:
        logits = logits.clone()
        logits[:, token] = -torch.inf
        return choose(logits)

    return restricted


def draw(logits: Tensor, block: int = 100, *, spend: bool = False) -> Tensor:
    """One token (R,) from each row of logits (R, V), by inverting the cumulative distribution.

    Two levels: first a block of `block` neighbouring tokens by the blocks' sums, then a token
    inside that block. It reads each row three times and writes it once, where `torch.multinomial`
    costs about 0.1 ms a row at V = 5,000. A token of probability zero is never drawn: every
    comparison is "the first cumulative sum that exceeds the target", and targets stay below the
    last sum. `spend`: the logits are not needed afterwards and may be overwritten, which saves the
    memory traffic of a copy.
    """
    rows, vocabulary = logits.shape
    largest = logits.amax(1, keepdim=True)
    weights = (logits.sub_(largest) if spend else logits - largest).exp_()
    uniform = torch.rand(rows, 1, dtype=weights.dtype, device=weights.device)
    if vocabulary <= 2 * block:
        return _invert(weights, uniform).squeeze(1)
    whole = vocabulary // block * block
    sums = weights[:, :whole].unflatten(1, (-1, block)).sum(2)
    if whole < vocabulary:
        sums = torch.cat([sums, weights[:, whole:].sum(1, keepdim=True)], 1)
    chosen = _invert(sums, uniform)
    columns = chosen * block + torch.arange(block, device=logits.device)
    inside = weights.gather(1, columns.clamp(max=vocabulary - 1))
    if whole < vocabulary:
        inside = inside * (columns < vocabulary)
    # a uniform number that chose its block says nothing about the place inside it
    again = torch.rand(rows, 1, dtype=weights.dtype, device=weights.device)
    return (chosen * block + _invert(inside, again)).squeeze(1)


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """The first index (R, 1) at which the running sum of weights (R, N) exceeds its share."""
    cumulative = weights.cumsum(1)
    total = cumulative[:, -1:]
    # rounding must not lift the target to the total: that would choose the last index, which may
    # have weight zero
    target = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    found = torch.searchsorted(cumulative, target, right=True)
    return found.clamp_(max=weights.shape[1] - 1)  # only weights that are not numbers get so far


def advance(
    generator: Steps, symbol: Tensor, state: State, choose: Choose, vocabulary: int
) -> tuple[Tensor, State]:
    """One step of R hypotheses: the next symbols, (R,) or (R, V), and the next state.

    On a processor the logits are made and used up in blocks of rows that stay in the cache (see
    BLOCK); on an accelerator all rows go at once.
    """
    hidden, state = generator.read(symbol, state)
    rows = len(hidden) if hidden.is_cuda else max(1, BLOCK // vocabulary)
    pieces = [choose(generator.logits(piece)) for piece in hidden.split(max(1, rows))]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces), state
