"""The generator of LeakGAN: a manager that sees what the discriminator sees, and a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.errors import UserError
from textgan.generators.base import (
    LinearGenerator,
    TokenEmbedding,
    forbidden_logits,
    read_before,
)
from textgan.sampling import State
from textgan.text import Text, TextSpace

Leak = Callable[[Text], Tensor]
"""The features (B, F), or (B, S, F), that a discriminator sees in each text."""


class Trace(NamedTuple):
    """How B finished texts were written, T tokens each."""

    features: Tensor  # (B, T + 1, F): what was leaked of the first 0, 1, .., T tokens; constants
    goals: Tensor  # (B, T, F) of length 1, each set before its token; gradients reach the manager
    log_prob: Tensor  # (B, T) of every token; gradients reach the worker, the goals are given


class LeakGenerator(LinearGenerator, name="leak"):
    """Manager and worker LSTM (LeakGAN, arXiv 1709.08624).

    f_t      what the discriminator sees in the first t tokens, a constant; f_0 = 0
    g_t      the manager's goal, a direction among features: its LSTM over f, projected, length 1
    w_t      W (g_t + .. + g_{t-c+1}), goals before the first being zero
    logits   O_t w_t + b, with O_t linear in the worker's state after t tokens

    The manager is as wide as what is leaked, so it is made when the generator is connected. A
    discriminator reads words: of relaxed rows it is shown the likeliest.
    """

    manager: nn.LSTM
    goal: nn.Linear
    direction: nn.Linear
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
        init: Annotated[float, Field(gt=0, description="standard deviation at the start")] = 0.1,
    ) -> None:
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.worker = nn.LSTM(embedding, hidden, batch_first=True)
        self.output = nn.Linear(goal_size * (hidden + 1), space.vocabulary)
        if space.classes:  # what the worker's state is before the first token
            self.classes = nn.Embedding(space.classes, hidden)
        self.register_buffer("forbidden", forbidden_logits(space), persistent=False)
        self.goal_size, self.horizon, self.init = goal_size, horizon, init
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
        self.goal = nn.Linear(self.worker.hidden_size, features)
        self.direction = nn.Linear(features, self.goal_size, bias=False)
        for part in (self.manager, self.goal, self.direction):
            _randomise(part.to(weight), self.init)

    def start(self, n: int, source: Text | None = None, labels: Tensor | None = None) -> State:
        """Words written, symbols read, the last c - 1 goals, manager's and worker's memory."""
        if not self.features:
            raise UserError(
                "generator leak writes by what a discriminator leaks and is connected to none; "
                "train it with objective leakgan"
            )
        weight = self.embedding.weight
        written = torch.zeros(n, self.space.length, dtype=torch.long, device=weight.device)
        goals = weight.new_zeros(n, self.horizon - 1, self.goal_size)
        nothing = weight.new_zeros(n, 2, self.worker.hidden_size)
        if not self.space.classes:
            return written, written[:, 0], goals, nothing, nothing
        if labels is None:
            raise ValueError(f"texts of {self.space.classes} classes need labels")
        worker = torch.stack([self.classes(labels), nothing[:, 1]], 1)
        return written, written[:, 0], goals, nothing, worker

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        written, count, before, manager, worker = state
        columns = torch.arange(written.shape[1], device=written.device)
        here = columns == count.unsqueeze(1) - 1  # nowhere for the start token, which is not text
        written = torch.where(here, _words(symbol).unsqueeze(1), written)
        features = self._leaked(Text(written, count)).unsqueeze(1)
        goals, manager = self._manage(features, manager)
        vectors = self.embedding(symbol).unsqueeze(1)
        hidden, before, worker = self._work(vectors, goals, before, worker)
        return hidden.squeeze(1), (written, count + 1, before, manager, worker)

    def hidden(self, text: Text) -> Tensor:
        _, _, before, manager, worker = self.start(len(text), text.source, text.labels)
        goals, _ = self._manage(self._prefixes(text, text.tokens.shape[1]), manager)
        return self._teach(text, goals, before, worker)

    def trace(self, text: Text) -> Trace:
        """Features, goals and log-probabilities of finished texts."""
        _, _, before, manager, worker = self.start(len(text), text.source, text.labels)
        features = self._prefixes(text, text.tokens.shape[1] + 1)
        goals, _ = self._manage(features[:, :-1], manager)
        hidden = self._teach(text, goals.detach(), before, worker)
        return Trace(features, goals, self.log_prob_after(hidden, text))

    def _manage(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Goals (B, T, F) for features (B, T, F), and what the manager then remembers."""
        seen, memory = _run(self.manager, features, memory)
        return F.normalize(self.goal(seen), dim=2), memory

    def _work(
        self, vectors: Tensor, goals: Tensor, before: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What logits are linear in, (B, T, H), after reading vectors (B, T, E) under goals, and
        what is to be remembered: the last goals and the worker's state."""
        seen, memory = _run(self.worker, vectors, memory)
        directions = torch.cat([before, self.direction(goals)], 1)
        w = directions.unfold(1, self.horizon, 1).sum(3)
        seen = F.pad(seen, (0, 1), value=1.0)  # O_t has a bias of its own
        hidden = (w.unsqueeze(3) * seen.unsqueeze(2)).flatten(2)
        return hidden, directions[:, vectors.shape[1] :], memory

    def _teach(self, text: Text, goals: Tensor, before: Tensor, worker: Tensor) -> Tensor:
        """What logits are linear in, (B, T, H), before every token under goals (B, T, F)."""
        vectors = self.embedding(read_before(text))
        hidden, _, _ = self._work(vectors, goals, before, worker)
        return hidden

    def _prefixes(self, text: Text, n: int) -> Tensor:
        """What is leaked of the first 0 .. n - 1 tokens of each text, (B, n, F), in one call."""
        length = self.space.length
        # a batch may be narrower than the longest text, or padded beyond it
        words = F.pad(_words(text.symbols), (0, length - text.tokens.shape[1]))
        sizes = torch.arange(n, device=words.device)
        inside = torch.arange(length, device=words.device) < sizes.unsqueeze(1)
        prefixes = Text((words.unsqueeze(1) * inside).flatten(0, 1), sizes.repeat(len(text)))
        return self._leaked(prefixes).view(len(text), n, -1)

    @torch.no_grad()
    def _leaked(self, prefixes: Text) -> Tensor:
        """What the discriminator sees in texts that may be unfinished, (B, F).

        Zeros where nothing is written: no discriminator has learnt to judge that.
        """
        sizes = prefixes.sizes.clamp(1, self.space.length)
        features = self.leak(replace(prefixes, sizes=sizes)).flatten(1)
        return torch.where(prefixes.sizes.unsqueeze(1) > 0, features, 0.0)


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
