"""REGS on two sources whose every answer is known: D is a table, expectations are sums."""

import math
from typing import Any

import torch
from answers import ANSWERS, all_answers
from rewards import ZERO
from torch import Tensor, nn
from worlds import enumerate_texts, gradient, log_probs, probabilities

from textgan.data.text import Text, concatenate
from textgan.models.discriminators.base import Discriminator
from textgan.objectives.regs import REGS

TEXTS = enumerate_texts(ANSWERS)
RADIX = ANSWERS.vocabulary ** torch.arange(ANSWERS.length)
PLAIN: dict[str, Any] = {"normalise": False, "critic": "none"}


class Pairs(Discriminator):
    """D of each answer, and of each prefix of one, to each source: a table of logits (2, ...)."""

    reads_source = True

    def __init__(self, seed: int = 0) -> None:
        super().__init__(ANSWERS)
        random = torch.Generator().manual_seed(seed)
        size = (2, ANSWERS.vocabulary**ANSWERS.length)
        self.table = nn.Parameter(torch.randn(size, generator=random, dtype=torch.float64))
        self.dropout = nn.Dropout(0)
        self.output = nn.Linear(1, 1).double().requires_grad_(False)
        nn.init.ones_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.largest = 0

    def features(self, text: Text) -> Tensor:
        self.largest = max(self.largest, len(text))
        tokens = text.tokens.masked_fill(~text.mask, ANSWERS.pad)[:, : ANSWERS.length]
        tokens = nn.functional.pad(tokens, (0, ANSWERS.length - tokens.shape[1]), value=ANSWERS.pad)
        which = (text.condition.require_source().lengths > 1).long()
        return self.table[which, tokens @ RADIX].unsqueeze(1)


def both_answers() -> Text:
    """Every answer to each of the two sources."""
    return concatenate([all_answers(0), all_answers(1)])


def rewards_of(judge: Pairs) -> list[Tensor]:
    """D of every answer to each source."""
    return [judge(all_answers(which)).sigmoid().detach() for which in (0, 1)]


def values_of(generator: Any, judge: Pairs, fake: Text) -> Tensor:
    """E[D | x, y_1..t] of each token, (B, T), by enumeration."""
    values = torch.zeros(fake.tokens.shape, dtype=torch.float64)
    which = (fake.condition.require_source().lengths > 1).long()
    for source, rewards in enumerate(rewards_of(judge)):
        texts = all_answers(source)
        chances = probabilities(generator, texts)
        rows = (which == source).nonzero().squeeze(1)
        for t in range(fake.tokens.shape[1]):
            prefix = fake.tokens[rows, None, : t + 1] == texts.tokens[None, :, : t + 1]
            weights = prefix.all(2) * chances
            values[rows, t] = (weights * rewards).sum(1) / weights.sum(1)
    return values * fake.mask


def climbed(generator: Any, judge: Pairs) -> Tensor:
    """The gradient of the expected reward, summed over the two sources (E2)."""
    total = ZERO
    for source, rewards in enumerate(rewards_of(judge)):
        total = total + (log_probs(generator, all_answers(source)).exp() * rewards).sum()
    return gradient(total, generator)


def expected(objective: REGS, generator: Any, judge: Pairs) -> Tensor:
    """Minus the expected gradient of a batch of one, summed over the two sources."""
    texts = both_answers()
    chances = probabilities(generator, texts)
    total = ZERO
    for i, chance in enumerate(chances):
        one = texts[i : i + 1]
        total = total + chance * objective.generator_loss(generator, judge, one, one, 0.0)[0]
    return -gradient(total, generator)


def connected(generator: Any, judge: Any, **settings: Any) -> REGS:
    objective = REGS(**settings)
    objective.connect(generator, judge, both_answers())
    return objective


def moved_critic(objective: REGS) -> REGS:
    """Its critic knows something, right or wrong."""
    for weight in objective.networks.parameters():
        nn.init.normal_(weight, generator=torch.Generator().manual_seed(7))
    return objective


def human(which: int) -> Tensor:
    """p(y | x): the law of human answers."""
    random = torch.Generator().manual_seed(10 + which)
    return torch.rand(len(TEXTS), generator=random, dtype=torch.float64).softmax(0)


def prefix_shares(chances: Tensor) -> dict[tuple[int, ...], float]:
    """How often each prefix is the one that is drawn, p~."""
    shares: dict[tuple[int, ...], float] = {}
    for sentence, chance in zip(TEXTS.tolist(), chances.tolist(), strict=True):
        for t in range(1, len(sentence) + 1):
            prefix = tuple(sentence[:t])
            shares[prefix] = shares.get(prefix, 0.0) + chance / len(sentence)
    return shares


def learn_prefixes(generator: Any, judge: Pairs) -> None:
    """The discriminator becomes the best one of prefixes: log p~ / q~."""
    for which in (0, 1):
        fakes = prefix_shares(probabilities(generator, all_answers(which)))
        for prefix, share in prefix_shares(human(which)).items():
            code = sum(token * int(RADIX[i]) for i, token in enumerate(prefix))
            code += sum(ANSWERS.pad * int(RADIX[i]) for i in range(len(prefix), ANSWERS.length))
            with torch.no_grad():
                judge.table[which, code] = math.log(share / fakes[prefix])
