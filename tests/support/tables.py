"""Networks that are tables, so that any distribution and any verdict can be written down."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from worlds import enumerate_texts, exact_values

from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import NEVER, AutoregressiveGenerator, Generator, State
from textgan.models.rollout import Reward
from textgan.models.sampling import Sampler
from textgan.objectives.base import Objective

PARTS = 64  # all probabilities of a dyadic table generator are multiples of 1 / 64


class TableGenerator(AutoregressiveGenerator):
    """A language model with logits of its own for every prefix (and class).

    Prefixes are the nodes of a tree in which the children of node i are i V + 1 .. i V + V.
    """

    def __init__(self, space: TextSpace, logits: Tensor) -> None:
        super().__init__(space)
        self.embedding = nn.Embedding(1, 1).double()  # of no use; says which dtype and device
        self.embedding.weight.requires_grad_(False)
        self.table = nn.Parameter(logits)  # (classes, nodes, V)

    @property
    def forbidden(self) -> Tensor:
        forbidden = torch.zeros(self.space.vocabulary, dtype=torch.float64)
        forbidden[0] = 0 if self.space.eos is None else NEVER
        return forbidden

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        labels = condition.labels
        classes = torch.zeros(n, dtype=torch.long) if labels is None else labels
        return State((torch.full((n,), -1), classes))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        node, classes = state.carried
        node = torch.where(node < 0, 0, node * self.space.vocabulary + symbol + 1)
        return self.table[classes, node], state.carry(node, classes)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden + self.forbidden

    def forward(self, text: Text) -> Tensor:
        state = self.start(len(text), text.condition)
        symbol, written = torch.zeros_like(text.lengths), []
        for position in range(text.tokens.shape[1]):
            logits, state = self.step(symbol, state)
            symbol = text.tokens[:, position]
            written.append(logits)
        return torch.stack(written, 1)


def nodes(space: TextSpace) -> int:
    """How many prefixes there are that something can follow."""
    return sum(space.vocabulary**length for length in range(space.length))


def dyadic_generator(space: TextSpace, seed: int = 0) -> TableGenerator:
    """A half and two quarters for the three tokens that may follow, in another order each time."""
    random = torch.Generator().manual_seed(seed)
    free = range(0 if space.eos is None else 1, space.vocabulary)
    assert len(free) == 3
    table = torch.zeros(max(1, space.classes), nodes(space), space.vocabulary, dtype=torch.float64)
    for rows in table:
        for row in rows:
            likely = int(torch.randint(3, (1,), generator=random))
            row[free[likely]] = torch.tensor(2.0).double().log()
    return TableGenerator(space, table)


def random_generator(space: TextSpace, seed: int = 0) -> TableGenerator:
    """Logits from N(0, 1)."""
    random = torch.Generator().manual_seed(seed)
    shape = (max(1, space.classes), nodes(space), space.vocabulary)
    return TableGenerator(space, torch.randn(shape, generator=random, dtype=torch.float64))


def generator_of(space: TextSpace, chances: Tensor) -> TableGenerator:
    """The language model of a distribution over all texts of a space."""
    table = torch.zeros(1, nodes(space), space.vocabulary, dtype=torch.float64)
    texts = enumerate_texts(space)
    for sentence, size, chance in zip(texts.tokens, texts.lengths, chances, strict=True):
        node = 0
        for token in sentence[:size].tolist():
            table[0, node, token] += chance
            node = node * space.vocabulary + token + 1
    unseen = table.sum(2) == 0
    table[unseen] = 1.0
    return TableGenerator(space, (table / table.sum(2, keepdim=True)).log().clamp(min=NEVER))


def shares(generator: AutoregressiveGenerator, text: Text) -> Tensor:
    """How often each text stands in a batch of PARTS that holds them as the generator does."""
    with torch.no_grad():
        each = torch.where(text.mask, generator.log_prob(text), 0.0).sum(1).exp() * PARTS
    assert torch.allclose(each, each.round(), rtol=0, atol=1e-9)
    return each.round().long()


def whole(generator: AutoregressiveGenerator, label: int = 0) -> Text:
    """All that a dyadic generator writes, as often as it writes it, in PARTS texts."""
    texts = enumerate_texts(generator.space)
    if generator.space.classes:
        labels = torch.full((len(texts),), label)
        texts = Text(texts.tokens, texts.lengths, condition=Condition(labels))
    batch = texts[torch.arange(len(texts)).repeat_interleave(shares(generator, texts))]
    assert len(batch) == PARTS
    return batch


def distribution(space: TextSpace, seed: int = 5) -> Tensor:
    """Some distribution over all texts of a space, one of which it never writes."""
    random = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(len(enumerate_texts(space)), generator=random, dtype=torch.float64)
    logits[-1] = -torch.inf
    return logits.softmax(0)


class Judge(Discriminator):
    """A discriminator whose score of each text of the space (and class) is given."""

    def __init__(self, space: TextSpace, scores: Tensor) -> None:
        super().__init__(space)
        self.radix = space.vocabulary ** torch.arange(space.length)
        per_class = scores if scores.dim() == 2 else scores.unsqueeze(0)
        size = space.vocabulary**space.length
        table = torch.full((len(per_class), size), torch.nan, dtype=torch.float64)
        table[:, enumerate_texts(space).tokens @ self.radix] = per_class
        self.table = nn.Parameter(table)

    def features(self, text: Text) -> Tensor:
        raise NotImplementedError

    def forward(self, text: Text) -> Tensor:
        classes = torch.zeros_like(text.lengths) if text.labels is None else text.labels
        return self.table[classes, text.tokens @ self.radix]


class Seer(Discriminator):
    """A discriminator whose features of each text of the space are given, (texts, F)."""

    def __init__(self, space: TextSpace, features: Tensor) -> None:
        super().__init__(space)
        self.radix = space.vocabulary ** torch.arange(space.length)
        table = torch.full((space.vocabulary**space.length, features.shape[1]), torch.nan).double()
        table[enumerate_texts(space).tokens @ self.radix] = features
        self.table = nn.Parameter(table)

    def features(self, text: Text) -> Tensor:
        return self.table[text.tokens @ self.radix]


class Speechless(Generator):
    """A generator without a likelihood."""

    def sample(
        self,
        n: int,
        *,
        choose: Sampler | None = None,
        prefix: Tensor | None = None,
        source: Text | None = None,
        labels: Tensor | None = None,
    ) -> Text:
        raise NotImplementedError


def exact_rollouts(
    generator: AutoregressiveGenerator, fake: Text, reward: Reward, n: int, chunk: int = 0
) -> Tensor:
    """In place of `rollout_values`: what it comes to with infinitely many completions."""
    texts = enumerate_texts(generator.space)
    if fake.source is None:
        with torch.no_grad():
            rewards = reward(texts, torch.arange(len(texts)))
        assert not rewards.requires_grad
        return exact_values(generator, fake, rewards)
    values = []
    for row, one in enumerate(fake.split(1)):
        given = replace(texts, condition=one.condition.repeat(len(texts)))
        with torch.no_grad():
            rewards = reward(given, torch.full((len(texts),), row))
        values.append(exact_values(generator, one, rewards))
    return torch.cat(values)


def weights_of(
    objective: Objective,
    generator: AutoregressiveGenerator,
    judge: Discriminator | None,
    real: Text,
    fake: Text,
    progress: float = 0.0,
) -> Tensor:
    """What a policy gradient weighs each token's log-probability with, (B, T)."""
    leaf = torch.zeros(fake.tokens.shape, dtype=torch.float64, requires_grad=True)
    with mock.patch.object(generator, "log_prob", return_value=leaf):
        loss = objective.generator_loss(generator, judge, real, fake, progress)[0]
    (gradient,) = torch.autograd.grad(loss, leaf)
    return -gradient


def weights_given(module: Any, update: Callable[[], Any]) -> list[Tensor]:
    """The weights (B, T) of the policy gradients that an update takes in a module."""
    given = []

    def policy_gradient(log_prob: Tensor, weights: Tensor, *others: Any) -> Tensor:
        given.append(weights.detach().expand(log_prob.shape))
        return log_prob.sum()

    with mock.patch.object(module, "policy_gradient", policy_gradient):
        update()
    return given


def slope(
    loss: Callable[[], Tensor], network: nn.Module, along: Tensor, step: float = 1e-5
) -> float:
    """The derivative of a loss along a direction of all trainable weights, by differences."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    before = [parameter.detach().clone() for parameter in trained]
    parts = along.split([parameter.numel() for parameter in trained])
    losses: list[float] = []
    for sign in (step, -step):
        with torch.no_grad():
            for parameter, old, part in zip(trained, before, parts, strict=True):
                parameter.copy_(old + sign * part.view_as(old))
        losses.append(loss().item())
    with torch.no_grad():
        for parameter, old in zip(trained, before, strict=True):
            parameter.copy_(old)
    return (losses[0] - losses[1]) / (2 * step)
