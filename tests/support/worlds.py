"""Worlds so small that every text can be written down, and what is exactly true in them.

Everything is float64, so that an identity holds to about 1e-12 or does not hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from textgan.core import registry
from textgan.core.names import Kind
from textgan.core.settings import settings_of
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.pair import PairDiscriminator
from textgan.models.generators.base import AutoregressiveGenerator, State
from textgan.models.generators.leak import LeakGenerator
from textgan.objectives.base import Objective

FIXED = TextSpace(3, 3)  # 27 texts of three tokens
VARIABLE = TextSpace(4, 3, eos=1)  # 15 texts: 7 that end, 8 that are cut off
WORLDS = (FIXED, VARIABLE)
ASKED = TextSpace(5, 4, eos=1)  # what conditional generators answer, where a world has no sources
worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
SOURCES = TextSpace(5, 4, eos=1, turn=2)  # of those that answer something
TIGHT = 1e-12


def enumerate_texts(space: TextSpace) -> Text:
    """Every text of a space, once."""
    written = [token for token in range(space.vocabulary) if token not in space.unwritten]
    writing: list[tuple[int, ...]] = [()]
    finished: list[tuple[int, ...]] = []
    for _ in range(space.length):
        longer = [(*text, token) for text in writing for token in written]
        finished += [text for text in longer if text[-1] == space.eos]
        writing = [text for text in longer if text[-1] != space.eos]
    return texts_of(space, finished + writing)


def texts_of(space: TextSpace, sentences: list[tuple[int, ...]]) -> Text:
    """Sentences, end token included, as a batch."""
    rows = [(*text, *[space.pad] * (space.length - len(text))) for text in sentences]
    return Text(torch.tensor(rows), torch.tensor([len(text) for text in sentences]))


def some_sources() -> Text:
    """Sources of one to four tokens and one to three utterances."""
    dialogues = [(3, 2, 4, 1), (4, 2, 3, 1), (3, 1), (1,), (4, 4, 3, 1), (2, 2, 4, 1), (3, 2, 4, 2)]
    return texts_of(SOURCES, dialogues)


def one_hot(text: Text, space: TextSpace) -> Text:
    """The same sentences as rows that are not relaxed at all."""
    rows = nn.functional.one_hot(text.tokens, space.vocabulary).double()
    sizes = torch.full_like(text.lengths, text.tokens.shape[1])
    return replace(text, lengths=sizes, soft_tokens=rows)


def build(kind: Kind, name: str, space: TextSpace, seed: int = 0, **settings: Any) -> Any:
    """A registered network in float64, dropout off, with those of the settings that it has."""
    known = {setting.name for setting in settings_of(registry.find(kind, name))}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        accepted = {key: value for key, value in settings.items() if key in known}
        return registry.build(kind, name, accepted, space).double().eval()


def small_generator(
    space: TextSpace, name: str = "lstm", seed: int = 0, **settings: Any
) -> AutoregressiveGenerator:
    """A generator with opinions: its texts are far from equally probable."""
    usual = {"embedding": 3, "hidden": 4, "init": 0.7, "goal_size": 2, "head_size": 2}
    usual |= {"channels": 4, "blocks": 2, "noise": 3, "attention": 3}
    if name == "luong":  # uniform within (-init, init), and without a bias
        usual["init"] = 2.0
    if name == "encoder_decoder":
        usual |= {"embedding": 4, "heads": 2}
    if registry.find("generator", name).reads_source and space.source is None:
        space = replace(space, source=ASKED)
    generator: AutoregressiveGenerator = build("generator", name, space, seed, **usual | settings)
    if space.source is ASKED:
        _answer_one(generator)
    if isinstance(generator, LeakGenerator):  # it writes nothing without a discriminator
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            generator.connect(small_discriminator(space).features)
    return generator


def _answer_one(generator: AutoregressiveGenerator) -> None:
    """Let a conditional generator write as if it were none: all texts answer one source."""
    start, one = generator.start, texts_of(ASKED, [(3, 4, 1)])

    def conditions(n: int, condition: Condition, *given: Any) -> Condition:
        return kept(n, replace(condition, source=condition.source or one.repeat(n)), *given)

    def answering(n: int, condition: Condition = UNCONDITIONAL) -> State:
        return start(n, replace(condition, source=one.repeat(n)))

    kept = generator.conditions
    generator.start, generator.conditions = answering, conditions  # type: ignore[method-assign]


def small_discriminator(
    space: TextSpace, name: str = "cnn", seed: int = 0, **settings: Any
) -> Discriminator:
    """A discriminator whose filters reach from one token to the whole text."""
    usual = {"embedding": 4, "hidden": 3, "sizes": [1, 2, 3], "counts": [3, 3, 2]}
    usual |= {"channels": 4, "blocks": 2}
    if "preset" in settings:
        usual |= {"sizes": [], "counts": []}
    part = registry.find("discriminator", name)
    if issubclass(part, PairDiscriminator) and space.source is None:
        space = replace(space, source=SOURCES)
    discriminator: Discriminator = build("discriminator", name, space, seed, **usual | settings)
    return discriminator


def judged(
    space: TextSpace, name: str = "cnn", seed: int = 0, **settings: Any
) -> tuple[Discriminator, Text]:
    """A small discriminator and every text of its space, once; in answer to one source or another
    where it reads them."""
    judge = small_discriminator(space, name, seed, **settings)
    texts = enumerate_texts(space)
    if judge.space.source is not None:
        sources = some_sources()
        condition = Condition(source=sources[torch.arange(len(texts)) % len(sources)])
        texts = replace(texts, condition=condition)
    return judge, texts


class Uniform(AutoregressiveGenerator):
    """Every token that may be written is equally probable; `bias` (V,) changes that."""

    def __init__(self, space: TextSpace) -> None:
        super().__init__(space)
        self.embedding = nn.Embedding(1, 1).double()  # of no use; says which dtype and device
        self.bias = nn.Parameter(torch.zeros(space.vocabulary, dtype=torch.float64))
        self.forbidden = torch.zeros(space.vocabulary, dtype=torch.float64)
        if space.eos is not None:
            self.forbidden[0] = -1e9
        self.steps = self.rows = 0

    def start(self, n: int, condition: Condition = UNCONDITIONAL) -> State:
        return State((torch.zeros(n, 1),))

    def read(self, symbol: Tensor, state: State) -> tuple[Tensor, State]:
        self.steps += 1
        self.rows += len(symbol)
        return self.bias.new_zeros(len(symbol), 1), state.carry(state.carried[0] + 1)

    def logits(self, hidden: Tensor) -> Tensor:
        return (self.bias + self.forbidden).repeat(len(hidden), 1)

    def forward(self, text: Text) -> Tensor:
        return (self.bias + self.forbidden).repeat(*text.tokens.shape, 1)


def log_probs(generator: AutoregressiveGenerator, text: Text) -> Tensor:
    """log P of every sentence, (B,), with gradients."""
    each = generator.log_prob(text)
    return torch.where(text.mask, each, each.new_zeros(())).sum(1)


def probabilities(generator: AutoregressiveGenerator, text: Text) -> Tensor:
    """P of every sentence, (B,), a constant."""
    return log_probs(generator, text).detach().exp()


def exact_values(generator: AutoregressiveGenerator, fake: Text, rewards: Tensor) -> Tensor:
    """Q(s_t, y_t) = E[R | y_1..t], (B, T), from the reward of every text of the space, in answer to
    the source of the first one."""
    texts = enumerate_texts(generator.space)
    texts = replace(texts, condition=fake.condition[slice(1)].repeat(len(texts)))
    chances = probabilities(generator, texts)
    values = torch.zeros(fake.tokens.shape, dtype=torch.float64)
    for t in range(fake.tokens.shape[1]):
        prefix = fake.tokens[:, None, : t + 1] == texts.tokens[None, :, : t + 1]
        weights = prefix.all(2) * chances
        values[:, t] = (weights * rewards).sum(1) / weights.sum(1)
    return values * fake.mask


def reward_of(space: TextSpace, rewards: Tensor) -> Callable[[Text, Tensor], Tensor]:
    """The reward that gives each text of the space its number; what is no text gets NaN."""
    radix = space.vocabulary ** torch.arange(space.length)
    table = torch.full((space.vocabulary**space.length,), torch.nan, dtype=torch.float64)
    table[enumerate_texts(space).tokens @ radix] = rewards

    def reward(text: Text, origin: Tensor) -> Tensor:
        return table[text.tokens @ radix]

    return reward


def random_rewards(space: TextSpace, seed: int = 1) -> Tensor:
    """An arbitrary number in (0, 1) for every text of the space."""
    random = torch.Generator().manual_seed(seed)
    return torch.rand(len(enumerate_texts(space)), generator=random, dtype=torch.float64)


def counts_of(text: Text, space: TextSpace) -> Tensor:
    """How often each text of the space is in a batch, in the order of `enumerate_texts`."""
    radix = space.vocabulary ** torch.arange(space.length)
    codes = torch.bincount(text.tokens @ radix, minlength=space.vocabulary**space.length)
    known = codes[enumerate_texts(space).tokens @ radix]
    assert known.sum() == len(text)  # nothing else was written
    return known


def gradient(loss: Tensor, network: nn.Module) -> Tensor:
    """d loss / d every trainable parameter, as one vector."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, trained, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(weight) if part is None else part).flatten()
            for part, weight in zip(gradients, trained, strict=True)
        ]
    )


def same(a: Tensor, b: Tensor, tolerance: float = TIGHT) -> bool:
    """Whether two tensors are equal but for rounding."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=tolerance)


def assert_padding_changes_no_loss(
    objectives: Sequence[Objective], generator: AutoregressiveGenerator, judge: Any
) -> None:
    """No loss, gradient or metric of these knows how wide a batch is; the first one's stands for
    the discriminator's."""
    texts = enumerate_texts(VARIABLE)
    longer = texts.pad_to(5)
    for objective in objectives:
        plain, padded = (
            objective.generator_loss(generator, judge, text, text, 0.0) for text in (texts, longer)
        )
        assert same(plain[0], padded[0])
        assert same(gradient(plain[0], generator), gradient(padded[0], generator))
        assert all(same(plain[1][name], padded[1][name]) for name in plain[1])
    plain = objectives[0].discriminator_loss(judge, texts[:7], texts[7:])
    padded = objectives[0].discriminator_loss(judge, longer[:7], longer[7:])
    assert same(plain[0], padded[0])
    assert same(gradient(plain[0], judge), gradient(padded[0], judge))


def agree(counts: Tensor, chances: Tensor) -> bool:
    """Whether counts could have been drawn with these probabilities.

    Pearson's chi-square within five deviations of its mean; rare outcomes are taken together, and
    an outcome of probability zero must not have occurred.
    """
    if counts[chances == 0].any():
        return False
    expected = chances * counts.sum()
    common = expected >= 10
    observed = torch.cat([counts[common].double(), counts[~common].sum().double()[None]])
    expected = torch.cat([expected[common], expected[~common].sum()[None]])
    if expected[-1] < 10:
        observed[-2] += observed[-1]
        expected[-2] += expected[-1]
        observed, expected = observed[:-1], expected[:-1]
    freedom = len(expected) - 1
    assert freedom > 0
    statistic = ((observed - expected) ** 2 / expected).sum()
    return bool(statistic < freedom + 5 * (2 * freedom) ** 0.5)
