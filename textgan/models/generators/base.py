"""Generators: what writes text.

Shapes: B sentences, T positions, V vocabulary, E embedding, H hidden, R hypotheses in flight.
A generator with a likelihood is an `AutoregressiveGenerator`; forking one of its hypotheses is
indexing a `State`, so rollouts need no knowledge of the network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.device import is_asynchronous
from textgan.core.matmul import linear
from textgan.core.registry import register
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.embedding import TokenEmbedding
from textgan.models.output_layer import BlockSampler, log_prob_of
from textgan.models.sampling import Categorical, HiddenSampler, Sampler, multinomial, pick_in_blocks

NEVER = -1e9  # the logit of a token that may not be written; finite, so that 0 * log 0 is 0


@dataclass(frozen=True)
class State:
    """The state of a generator over R hypotheses in flight.

    carried: tensors (R, ...), what each hypothesis carries from symbol to symbol; they may grow.
    shared: tensors (B, ...), what all hypotheses of each of B conditions read, such as the states
    of a source that attention reads: made once at the start, changed by no symbol, copied for no
    hypothesis.
    origin: (R,) which row of `shared` each hypothesis reads; at the start its own, if not given.
    """

    carried: tuple[Tensor, ...]
    shared: tuple[Tensor, ...] = ()
    origin: Tensor | None = None
    __iter__: ClassVar[None] = None  # else what indexes can be unpacked, into hypotheses

    def __post_init__(self) -> None:
        if self.shared and self.origin is None:
            rows = torch.arange(len(self.shared[0]), device=self.shared[0].device)
            object.__setattr__(self, "origin", rows)

    def __getitem__(self, index: Tensor | slice) -> State:
        """The hypotheses at `index`: some of them, or forks."""
        origin = None if self.origin is None else self.origin[index]
        return State(tuple(part[index] for part in self.carried), self.shared, origin)

    def carry(self, *carried: Tensor) -> State:
        """Return the state of the same hypotheses one symbol further."""
        return replace(self, carried=carried)

    def join(self, other: State) -> State:
        """Return the state of these hypotheses, followed by others of the same conditions that have
        read as many symbols."""
        if len(self.carried[0]) == 0:  # which may have read fewer
            return other
        origin = None
        if self.origin is not None and other.origin is not None:
            origin = torch.cat([self.origin, other.origin])
        pairs = zip(self.carried, other.carried, strict=True)
        return State(tuple(torch.cat(pair) for pair in pairs), self.shared, origin)


class Generator(nn.Module, ABC):
    """Anything that writes texts of a `TextSpace`."""

    defaults: ClassVar[Mapping[str, Any]] = {}  # as an Objective's
    # whether it writes by what its discriminator sees, so that it is not complete without that
    reads_discriminator: ClassVar[bool] = False
    # whether what it writes depends on the source, where texts answer one
    reads_source: ClassVar[bool] = False

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            register("generator", name, cls)

    def __init__(self, space: TextSpace) -> None:
        super().__init__()
        self.space = space

    @abstractmethod
    def sample(
        self,
        n: int,
        *,
        choose: Sampler | None = None,
        prefix: Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        labels: Tensor | None = None,
        source: Text | None = None,
    ) -> Text:
        """Write n texts; `choose` picks each symbol, unless given in the generator's usual way
        (drawn at temperature 1 where it has a likelihood).

        condition: what each text is written for; classes are drawn where texts have some and these
        have none. labels, source: short for condition=Condition(labels, source).
        """

    def conditions(
        self,
        n: int,
        condition: Condition,
        labels: Tensor | None = None,
        source: Text | None = None,
    ) -> Condition:
        """Return the condition that n texts are written for, from the arguments of `sample`.

        Raises ValueError where a source is missing, or labels or a source are given twice.
        """
        if labels is not None:
            if condition.labels is not None:
                raise ValueError("labels were given twice, in condition and alone")
            condition = replace(condition, labels=labels)
        if source is not None:
            if condition.source is not None:
                raise ValueError("a source was given twice, in condition and alone")
            condition = replace(condition, source=source)
        if self.space.source is not None:
            condition.require_source()
        if self.space.classes and condition.labels is None:
            device = next(self.parameters()).device
            drawn = torch.randint(self.space.classes, (n,), device=device)
            condition = replace(condition, labels=drawn)
        return condition


class AutoregressiveGenerator(Generator):
    """A generator that writes one symbol after another and knows the probability of each."""

    embedding: TokenEmbedding
    scored_at_once = 2**23  # logits held while scoring without gradients: 32 MB in float32

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        if "start" in vars(cls) and {"source", "labels"} & signature(cls.start).parameters.keys():
            raise TypeError(
                f"{cls.__name__}.start takes a source and labels, as it did in textgan 0.1; write "
                "start(self, n, condition) and return a State (textgan.models.generators.base)"
            )
        super().__init_subclass__(name=name, **kwargs)

    @abstractmethod
    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        """Return the state of n hypotheses before their first symbol."""

    @abstractmethod
    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one symbol, (R,) or (R, V), and return the hidden vectors (R, H) after it."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Compute the logits (..., V) of the next token from hidden vectors (..., H)."""

    @abstractmethod
    def forward(self, text: Text) -> Tensor:
        """Compute the logits (B, T, V) of every token of a text given those before it (teacher
        forcing)."""

    def step(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one symbol, (R,) or (R, V), and return the logits (R, V) of the next token."""
        hidden, state = self.read(symbol, state)
        return self.logits(hidden), state

    def log_prob(self, text: Text) -> Tensor:
        """Compute log P of every token, (B, T); what is at padding means nothing (use
        `text.mask`)."""
        logits = self(text)
        nll = F.cross_entropy(logits.flatten(0, 1), text.tokens.flatten(), reduction="none")
        return -nll.view_as(text.tokens)

    def picker(self, choose: Sampler) -> HiddenSampler:
        """Make a sampler of the next symbols, (R,) or (R, V), from hidden vectors (R, H), with the
        weights as they are now."""
        return pick_in_blocks(self.logits, choose, self.space.vocabulary)

    @torch.no_grad()
    def score(self, text: Text) -> Tensor:
        """Compute log P of every sentence, (B,), without gradients and in bounded memory."""
        at_once = max(1, self.scored_at_once // (self.space.vocabulary * text.tokens.shape[1]))
        return torch.cat([(self.log_prob(part) * part.mask).sum(1) for part in text.split(at_once)])

    def sample(
        self,
        n: int,
        *,
        choose: Sampler | None = None,
        prefix: Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        labels: Tensor | None = None,
        source: Text | None = None,
        reads_words: bool = False,
    ) -> Text:
        """Write n texts. Gradients flow where `choose` lets them: call under no_grad to draw words.

        prefix: (n, t) tokens that every text begins with; they are marked as `given`.
        reads_words: where `choose` makes rows, go on from the likeliest word of a row, not from
        the row.
        """
        condition = self.conditions(n, condition, labels, source)
        pick = self.picker(choose or multinomial)
        state = self.start(n, condition)
        symbol = self.embedding.weight.new_full((n,), self.space.bos, dtype=torch.long)
        given = 0 if prefix is None else prefix.shape[1]
        tokens = symbol.new_full((n, self.space.length), self.space.pad)
        active = torch.arange(n, device=symbol.device)  # which texts are still being written
        rows: list[Tensor] = []
        for position in range(self.space.length):
            hidden, state = self.read(symbol, state)
            if prefix is not None and position < given:
                tokens[:, position] = symbol = prefix[:, position]
                continue
            symbol = pick(hidden)
            if symbol.dim() == 2:
                rows.append(symbol)
                symbol = symbol.argmax(1) if reads_words else symbol
                continue
            tokens[active, position] = symbol
            if self.space.eos is not None and not is_asynchronous(symbol):
                writing = symbol != self.space.eos
                active, symbol = active[writing], symbol[writing]
                state = state[writing]
                if len(active) == 0:
                    break
        if not rows:
            text = Text.ended(tokens, self.space)
            return Text(text.tokens, text.lengths, None, condition, given)
        stacked = torch.stack(rows, 1)
        if prefix is not None:  # relaxed text continues a hard prefix
            hard = F.one_hot(prefix, self.space.vocabulary).to(stacked)
            stacked = torch.cat([hard, stacked], 1)
        stacked = end_rows(stacked, self.space)
        text = Text.full(stacked.argmax(2))
        return Text(text.tokens, text.lengths, stacked, condition, given)


class LinearGenerator(AutoregressiveGenerator):
    """A language model whose logits are linear in its hidden vectors: `output`, with
    `forbidden_logits` added to its bias."""

    output: nn.Linear
    forbidden: Tensor

    @abstractmethod
    def hidden(self, text: Text) -> Tensor:
        """Compute the hidden vector before every token of a text, (B, T, H) (teacher forcing)."""

    @property
    def bias(self) -> Tensor:
        """The bias (V,) of the logits."""
        return self.output.bias + self.forbidden

    def logits(self, hidden: Tensor) -> Tensor:
        return linear(hidden, self.output.weight, self.bias)

    def forward(self, text: Text) -> Tensor:
        return self.logits(self.hidden(text))

    def log_prob(self, text: Text) -> Tensor:
        return self.log_prob_after(self.hidden(text), text)

    def log_prob_after(self, hidden: Tensor, text: Text) -> Tensor:
        """Compute log P of every token, (B, T), from the hidden vector before it, (B, T, H)."""
        weight, bias = self.output.weight, self.bias
        if is_asynchronous(hidden) or (mask := text.mask).all():
            tokens = text.tokens.flatten()
            return log_prob_of(hidden.flatten(0, 1), weight, bias, tokens).view_as(text.tokens)
        # padding costs nothing
        each = log_prob_of(hidden[mask], weight, bias, text.tokens[mask])
        return each.new_zeros(mask.shape).masked_scatter(mask, each)

    def picker(self, choose: Sampler) -> HiddenSampler:
        if isinstance(choose, Categorical):
            return BlockSampler(self.output.weight, self.bias, choose.temperature)
        return super().picker(choose)


def read_before(text: Text, space: TextSpace) -> Tensor:
    """Return the symbol before each token, (B, T) or (B, T, V): the begin token, then the text but
    for its last."""
    symbols = text.inputs
    if text.soft_tokens is None:
        first = torch.full_like(symbols[:, :1], space.bos)
    else:
        first = torch.zeros_like(symbols[:, :1])
        first[:, :, space.bos] = 1
    return torch.cat([first, symbols[:, :-1]], 1)


def forbidden_logits(space: TextSpace) -> Tensor:
    """Return what to add to logits (V,): NEVER for ids that are never written, else zero."""
    added = torch.zeros(space.vocabulary)
    added[list(space.unwritten)] = NEVER
    return added


def end_rows(rows: Tensor, space: TextSpace) -> Tensor:
    """Relaxed rows (B, T, V) that turn into padding as far as the text has ended before.

    A row keeps the share of the text that goes on, the product of 1 - P(end) of the rows before it;
    the rest becomes padding. Of one-hot rows that is exactly the text with its padding, and without
    it a discriminator would know every real text by its padding.
    """
    if space.eos is None:
        return rows
    going_on = (1 - rows[:, :-1, space.eos]).clamp(min=0).cumprod(1)
    share = F.pad(going_on, (1, 0), value=1.0).unsqueeze(2)
    padding = torch.zeros_like(rows[0, 0])
    padding[space.pad] = 1
    return share * rows + (1 - share) * padding
