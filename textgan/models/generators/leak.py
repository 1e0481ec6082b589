"""The generator of LeakGAN: a manager that sees what the discriminator sees, and a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.core.errors import UserError
from textgan.core.matmul import Linear
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.embedding import TokenEmbedding
from textgan.models.generators.base import LinearGenerator, State, forbidden_logits, read_before

Leak = Callable[[Text], Tensor]
"""The features (B, F), or (B, S, F), that a discriminator sees in each text."""


class Trace(NamedTuple):
    """The features, goals and log-probabilities of B finished texts of T tokens."""

    features: Tensor  # (B, T + 1, F): what was leaked of the first 0, 1, .., T tokens; constants
    # (B, T, F), each set before its token, of length 1; where goals last for a block, the one in
    # force at each token, of any length. Gradients reach the manager
    goals: Tensor
    log_prob: Tensor  # (B, T) of every token; gradients reach the worker, the goals are given


class LeakGenerator(LinearGenerator, name="leak"):
    """Manager and worker LSTM (LeakGAN, arXiv 1709.08624).

    f_t      what the discriminator sees in the first t tokens, a constant; f_0 = 0
    g_t      the manager's goal, a direction among features: its LSTM over f, projected, length 1
    w_t      W (g_t + .. + g_{t-c+1}), goals before the first being zero
    logits   O_t w_t + b, with O_t linear in the worker's state after t tokens

    goals = "block" is the released code's way (CR-Gjx/LeakGAN, Synthetic Data/LeakGANModel.py,
    `_g_recurrence`): for each block of c tokens one goal, the sum of the g of the block before, the
    first block's being learned, and w_t scaled to length 1. Its teacher forcing (`preTrain`) sums
    g_1 .. g_c where its sampling sums g_0 .. g_{c-1}; here both are as it samples. Its first goal
    is one for each place in a batch, here one for all.

    The manager is as wide as what is leaked, so it is made when the generator is connected. A
    discriminator reads words: of relaxed rows it is shown the likeliest.
    """

    reads_discriminator = True

    manager: nn.LSTM
    goal: nn.Linear
    direction: nn.Linear
    first_goal: nn.Parameter  # (F,), only where goals last for a block
    leak: Leak

    def __init__(
        self,
        space: TextSpace,
        *,
        embedding: Annotated[
            int, Field(ge=1, le=65_536, description="size of a token's vector")
        ] = 32,
        hidden: Annotated[
            int, Field(ge=1, le=65_536, description="size of the manager's and the worker's state")
        ] = 32,
        goal_size: Annotated[
            int, Field(ge=1, le=65_536, description="of a goal as the worker reads it; paper: 16")
        ] = 16,
        horizon: Annotated[
            int, Field(ge=1, description="c: tokens for which a goal is set; paper: 4")
        ] = 4,
        goals: Annotated[
            Literal["every", "block"],
            Field(description="set at every token (paper), or once in c tokens (released code)"),
        ] = "every",
        init: Annotated[float, Field(gt=0, description="standard deviation at the start")] = 0.1,
    ) -> None:
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.worker = nn.LSTM(embedding, hidden, batch_first=True)
        self.output = Linear(goal_size * (hidden + 1), space.vocabulary)
        if space.classes:  # what the worker's state is before the first token
            self.classes = nn.Embedding(space.classes, hidden)
        self.register_buffer("forbidden", forbidden_logits(space), persistent=False)
        self.goal_size, self.horizon, self.init = goal_size, horizon, init
        self.block = goals == "block"
        self.features = 0  # how many are leaked; none before `connect`
        _randomise(self, init)

    def connect(self, leak: Leak) -> None:
        """Read what `leak` sees in prefixes from now on; nothing of it becomes this network's.

        Raises ValueError where the manager was made for another number of features.
        """
        weight = self.embedding.weight
        words = torch.zeros(1, self.space.length, dtype=torch.long, device=weight.device)
        with torch.no_grad():
            features = leak(Text.full(words)).flatten(1).shape[1]
        if self.features not in (0, features):
            raise ValueError(f"the manager reads {self.features} features, not {features}")
        self.leak = leak
        if self.features:
            return
        self.features = features
        self.manager = nn.LSTM(features, self.worker.hidden_size, batch_first=True)
        self.goal = Linear(self.worker.hidden_size, features)
        self.direction = Linear(features, self.goal_size, bias=False)
        for part in (self.manager, self.goal, self.direction):
            _randomise(part.to(weight), self.init)
        if self.block:
            self.first_goal = nn.Parameter(weight.new_empty(features).normal_(std=self.init))

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        """Return the state before the first symbol: the words written, symbols read, goals, and the
        manager's and worker's memory.

        The goals are the last c - 1 as the worker reads them, (n, c - 1, k); or (n, 2, k): the sum
        of this block's so far, and the one in force.
        """
        if not self.features:
            raise UserError(
                "generator leak writes by what a discriminator leaks and is connected to none; "
                "train it with objective leakgan"
            )
        weight = self.embedding.weight
        written = weight.new_full((n, self.space.length), self.space.pad, dtype=torch.long)
        count = written.new_zeros(n)
        goals = weight.new_zeros(n, self.horizon - 1, self.goal_size)
        if self.block:
            first = self.direction(self.first_goal).expand(n, -1)
            goals = torch.stack([torch.zeros_like(first), first], 1)
        nothing = weight.new_zeros(n, 2, self.worker.hidden_size)
        worker = nothing
        if self.space.classes:
            of_class = self.classes(condition.require_labels(self.space.classes))
            worker = torch.stack([of_class, nothing[:, 1]], 1)
        return State((written, count, goals, nothing, worker))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        written, count, before, manager, worker = state.carried
        columns = torch.arange(written.shape[1], device=written.device)
        here = columns == count.unsqueeze(1) - 1  # nowhere for the start token, which is not text
        written = torch.where(here, _words(symbol).unsqueeze(1), written)
        features = self._leaked(Text(written, count)).unsqueeze(1)
        goals, manager = self._manage(features, manager)
        vectors = self.embedding(symbol).unsqueeze(1)
        if self.block:
            w = before[:, 1:]
            total = before[:, 0] + self.direction(goals.squeeze(1))
            over = ((count + 1) % self.horizon == 0).unsqueeze(1)  # the block ends with this token
            after = [torch.where(over, 0.0, total), torch.where(over, total, before[:, 1])]
            before = torch.stack(after, 1)
        else:
            directions = torch.cat([before, self.direction(goals)], 1)
            w, before = self._last(directions), directions[:, 1:]
        hidden, worker = self._work(vectors, w, worker)
        return hidden.squeeze(1), state.carry(written, count + 1, before, manager, worker)

    def hidden(self, text: Text) -> Tensor:
        _, _, _, manager, worker = self.start(len(text), text.condition).carried
        goals, _ = self._manage(self._prefixes(text, text.tokens.shape[1]), manager)
        return self._teach(text, self._in_force(goals), worker)

    def trace(self, text: Text) -> Trace:
        """Compute features, goals and log-probabilities of finished texts."""
        _, _, _, manager, worker = self.start(len(text), text.condition).carried
        features = self._prefixes(text, text.tokens.shape[1] + 1)
        goals, _ = self._manage(features[:, :-1], manager)
        goals = self._in_force(goals)
        hidden = self._teach(text, goals.detach(), worker)
        return Trace(features, goals, self.log_prob_after(hidden, text))

    def _manage(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Goals (B, T, F) for features (B, T, F), and what the manager then remembers."""
        seen, memory = _run(self.manager, features, memory)
        return F.normalize(self.goal(seen), dim=2), memory

    def _in_force(self, goals: Tensor) -> Tensor:
        """The goal (B, T, F) that each token is written under, of the goals (B, T, F) that the
        manager sets before it: those themselves, or for each block the sum of the last one's."""
        if not self.block:
            return goals
        n, steps, features = goals.shape
        blocks = -(-steps // self.horizon)
        whole = F.pad(goals, (0, 0, 0, blocks * self.horizon - steps))
        sums = whole.view(n, blocks, self.horizon, features).sum(2)
        kept = torch.cat([self.first_goal.expand(n, 1, -1), sums[:, :-1]], 1)
        return kept.repeat_interleave(self.horizon, 1)[:, :steps]

    def _last(self, directions: Tensor) -> Tensor:
        """Sums (B, T, k) of every c neighbours in (B, T + c - 1, k)."""
        return directions.unfold(1, self.horizon, 1).sum(3)

    def _work(self, vectors: Tensor, w: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the hidden vectors (B, T, H) after reading vectors (B, T, E) with w (B, T, k),
        and the worker's state then."""
        seen, memory = _run(self.worker, vectors, memory)
        if self.block:
            w = F.normalize(w, dim=2)
        seen = F.pad(seen, (0, 1), value=1.0)  # O_t has a bias of its own
        return (w.unsqueeze(3) * seen.unsqueeze(2)).flatten(2), memory

    def _teach(self, text: Text, goals: Tensor, worker: Tensor) -> Tensor:
        """Compute the hidden vectors (B, T, H) before every token under goals (B, T, F)."""
        w = self.direction(goals)
        if not self.block:
            w = self._last(F.pad(w, (0, 0, self.horizon - 1, 0)))
        hidden, _ = self._work(self.embedding(read_before(text, self.space)), w, worker)
        return hidden

    def _prefixes(self, text: Text, n: int) -> Tensor:
        """Compute the features leaked of the first 0 .. n - 1 tokens of each text, (B, n, F), in
        one call."""
        length = self.space.length
        # a batch may be narrower than the longest text, or padded beyond it
        extra = length - text.tokens.shape[1]
        words = F.pad(_words(text.inputs), (0, extra), value=self.space.pad)
        sizes = torch.arange(n, device=words.device)
        inside = torch.arange(length, device=words.device) < sizes.unsqueeze(1)
        words = words.unsqueeze(1).masked_fill(~inside, self.space.pad)
        prefixes = Text(words.flatten(0, 1), sizes.repeat(len(text)))
        return self._leaked(prefixes).view(len(text), n, -1)

    @torch.no_grad()
    def _leaked(self, prefixes: Text) -> Tensor:
        """Compute the discriminator's features of texts that may be unfinished, (B, F).

        Zeros where nothing is written: no discriminator was trained to score an empty text.
        """
        sizes = prefixes.lengths.clamp(1, self.space.length)
        features = self.leak(replace(prefixes, lengths=sizes)).flatten(1)
        return torch.where(prefixes.lengths.unsqueeze(1) > 0, features, 0.0)


def _run(network: nn.LSTM, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """States (B, T, H) over inputs (B, T, E), from and to a memory (B, 2, H) of h and c."""
    h, c = memory.transpose(0, 1).unsqueeze(1).contiguous()
    seen, after = network(inputs, (h, c))
    return seen, torch.cat(after).transpose(0, 1)


def _words(symbols: Tensor) -> Tensor:
    """Token ids (...) of ids (...), or of the likeliest words of rows (..., V)."""
    return symbols.argmax(-1) if symbols.is_floating_point() else symbols


def _randomise(network: nn.Module, deviation: float) -> None:
    for name, parameter in network.named_parameters():
        nn.init.normal_(parameter, std=deviation)
        if "bias_hh" in name:  # torch has two bias vectors a gate, the paper one
            nn.init.zeros_(parameter).requires_grad_(False)
