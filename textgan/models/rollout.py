"""Monte Carlo rollouts: what the prefixes of a text are worth.

All completions of all prefixes of all sentences advance together. At step t the hypotheses that
grew from prefixes shorter than t take one step, and n copies of every sentence join them, so T
steps suffice where completing one prefix after another takes T * T * n / 2 (SeqGAN, arXiv
1609.05473, eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from textgan.core.device import is_asynchronous
from textgan.core.memory import peak_of_tensors
from textgan.data.text import Condition, Text
from textgan.models.generators.base import AutoregressiveGenerator, State
from textgan.models.output_layer import BLOCK
from textgan.models.sampling import multinomial

READ = 128, 256  # hypotheses by which the memory of a step is measured

Reward = Callable[[Text, Tensor], Tensor]
"""Scores of finished texts (R,), given the texts and, for each, the sentence that it grew from."""


@dataclass(frozen=True)
class Rollouts:
    """R finished texts, the sentence (R,) each grew from, and how many tokens (R,) it kept."""

    text: Text
    origin: Tensor
    kept: Tensor


@torch.no_grad()
def roll_out(generator: AutoregressiveGenerator, fake: Text, n: int) -> Rollouts:
    """Draw n completions of every proper prefix of every sentence, R = n * sum(sizes - 1) texts.

    A prefix that holds the whole sentence needs no completion and has none here. No gradient is
    recorded.
    """
    # a batch may be narrower than its generator's longest text, or padded beyond it
    space = generator.space
    written = F.pad(fake.tokens, (0, space.length - fake.tokens.shape[1]), value=space.pad)
    device = written.device
    sentences = torch.arange(len(fake), device=device)
    # hypotheses in the order in which they join: shortest prefixes first
    everyone = sentences.repeat_interleave(n)
    asks = not is_asynchronous(written)
    joining = [
        everyone[fake.lengths[everyone] > position] if asks else everyone
        for position in range(1, space.length)
    ]
    origin = torch.cat([sentences[:0], *joining])
    kept = torch.cat(
        [origin[:0], *(torch.full_like(rows, at) for at, rows in enumerate(joining, start=1))]
    )
    columns = torch.arange(space.length, device=device)
    tokens = written[origin].masked_fill(columns >= kept.unsqueeze(1), space.pad)

    pick = generator.picker(multinomial)
    trunk = generator.start(len(fake), fake.condition)
    symbol = written.new_full((len(fake),), space.bos)
    active, last = sentences[:0], symbol[:0]  # rows of `tokens` still writing; their last token
    state = trunk[:0]
    joined = 0
    for position, forks in enumerate(joining, start=1):
        # the trunk reads all but the last token of the prefix, the forks go on from there
        _, trunk = generator.read(symbol, trunk)
        symbol = written[:, position - 1]
        rows = torch.arange(joined, joined + len(forks), device=device)
        joined += len(forks)
        active, last = torch.cat([active, rows]), torch.cat([last, symbol[forks]])
        state = state.join(trunk[forks])
        if len(active) == 0:
            break
        hidden, state = generator.read(last, state)
        last = pick(hidden)
        tokens[active, position] = last
        if asks and space.eos is not None:
            writing = last != space.eos
            active, last, state = active[writing], last[writing], state[writing]
    all_full = space.eos is None and fake.tokens.shape[1] == space.length
    if not asks and not all_full:
        proper = (kept < fake.lengths[origin]).nonzero().squeeze(1)  # the only wait
        tokens, origin, kept = tokens[proper], origin[proper], kept[proper]
    grown = replace(Text.ended(tokens, space), condition=fake.condition[origin])
    return Rollouts(grown, origin, kept)


def rollout_values(
    generator: AutoregressiveGenerator, fake: Text, reward: Reward, n: int, chunk: int = 0
) -> Tensor:
    """Estimate Q(s_t, y_t): the mean reward (B, T) of n completions of each prefix fake[:, : t +
    1].

    The last token's value is the reward of the sentence itself, exactly and without completion;
    values at padding are zero. `chunk` is how many of the n completions are in memory at once
    (0: all); the mean is over all n in any case.
    """
    sentences = torch.arange(len(fake), device=fake.tokens.device)
    with torch.no_grad():
        whole = reward(fake, sentences)
        values = whole.new_zeros(fake.tokens.shape)
        left = n
        while left > 0:
            now = min(chunk or n, left)
            left -= now
            grown = roll_out(generator, fake, now)
            if len(grown.text):
                scores = reward(grown.text, grown.origin)
                values.index_put_((grown.origin, grown.kept - 1), scores / n, accumulate=True)
        values[sentences, fake.lengths - 1] = whole
    return values


def rollout_bytes(
    generator: AutoregressiveGenerator, sentences: int, n: int, chunk: int, features: int
) -> int:
    """Estimate the memory that the rollouts of a batch take at their peak, in bytes.

    Token ids twice (written, and read by the reward), what each completion carries twice (before
    and after a step), what a step makes besides, what those of one sentence share once, the logits
    of one block, and what the discriminator makes of all texts (`features` floats a text, twice).
    On a processor the heap holds a step twice: it has more hypotheses than the one before, so
    that what was freed has room for little of it.
    """
    space = generator.space
    weight = generator.embedding.weight
    rows = sentences * min(chunk or n, n) * (space.length - 1)
    label = torch.zeros(1, dtype=torch.long, device=weight.device)
    source = None
    if space.source is not None:
        source = Text.full(label.new_zeros(1, space.source.length))
    with torch.no_grad(), torch.random.fork_rng():  # there may be dropout
        start = generator.start(1, Condition(label, source))
        after = generator.read(label, start)[1]
        few, many = (_step_bytes(generator, start[label.repeat(n)]) for n in READ)
    first, second, shared = (
        sum(part.numel() for part in side) for side in (start.carried, after.carried, start.shared)
    )
    state = first + (second - first) * space.length  # of those that have read most
    logits = rows if is_asynchronous(weight) else min(rows, max(1, BLOCK // space.vocabulary))
    floats = 2 * rows * features + 3 * logits * space.vocabulary + sentences * shared
    # of many hypotheses: what a few of one source have is bounded
    step = (many - few) // (READ[1] - READ[0]) + (2 * state - second) * weight.element_size()
    step *= 1 if weight.is_cuda else 2
    return rows * (space.length * 2 * 8 + step) + floats * weight.element_size()


def _step_bytes(generator: AutoregressiveGenerator, state: State) -> int:
    """The most bytes of tensors at a time in a step of these hypotheses."""
    symbol = state.carried[0].new_zeros(len(state.carried[0]), dtype=torch.long)
    return peak_of_tensors(lambda: generator.read(symbol, state))
