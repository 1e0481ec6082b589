"""The generator behind LeakGAN's leak: its logits by hand, and what of a text is leaked to it."""

from typing import Any

import pytest
import torch
from networks import pair
from torch import Tensor
from worlds import (
    FIXED,
    WORLDS,
    agree,
    build,
    counts_of,
    enumerate_texts,
    exact_values,
    probabilities,
    random_rewards,
    reward_of,
    same,
    small_discriminator,
)

from textgan.core.errors import UserError
from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.base import Discriminator
from textgan.models.draw import draw_texts
from textgan.models.generators.leak import LeakGenerator
from textgan.models.rollout import rollout_values

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])

horizons = pytest.mark.parametrize("horizon", [1, 2, 4])

ways = pytest.mark.parametrize("goals", ["every", "block"])


def by_hand(generator: LeakGenerator, judge: Discriminator, tokens: list[int]) -> Tensor:
    """Logits (T, V) of a sentence as the paper writes them, one prefix after another; or as the
    released code samples, where goals last for a block."""

    def cell(network: Any, read: Tensor, before: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        weights = (network.weight_ih_l0, network.weight_hh_l0)
        return torch.lstm_cell(read, before, *weights, network.bias_ih_l0, network.bias_hh_l0)

    actions = generator.output.weight.view(-1, generator.goal_size, 5)  # V matrices of k rows
    nothing = torch.zeros(1, 4, dtype=torch.float64)
    manager, worker = (nothing, nothing), (nothing, nothing)
    goals, logits = [], []
    for t, symbol in enumerate([FIXED.bos, *tokens[:-1]]):
        prefix = torch.tensor([tokens[:t] + [0] * (generator.space.length - t)])
        features = judge.features(Text(prefix, torch.tensor([t]))) if t else torch.zeros(1, 8)
        manager = cell(generator.manager, features.double(), manager)
        goal = generator.goal(manager[0])
        goals.append(goal / goal.norm())
        summed = torch.stack(goals[-generator.horizon :]).sum(0)
        if generator.block:
            begun = t - t % generator.horizon
            last = goals[begun - generator.horizon : begun] if begun else []
            summed = torch.stack(last).sum(0) if begun else generator.first_goal.unsqueeze(0)
        w = generator.direction(summed).squeeze(0)
        if generator.block:
            w = w / w.norm()
        worker = cell(generator.worker, generator.embedding(torch.tensor([symbol])), worker)
        matrix = actions[:, :, :4] @ worker[0].squeeze(0) + actions[:, :, 4]  # O_t: (V, k)
        logits.append(matrix @ w + generator.output.bias + generator.forbidden)
    return torch.stack(logits)


@worlds
@horizons
@ways
def test_logits_are_the_papers(space: TextSpace, horizon: int, goals: str) -> None:
    generator, judge = pair(space, horizon=horizon, goals=goals)
    texts = enumerate_texts(space)
    result = generator(texts)
    for row, (tokens, size) in enumerate(zip(texts.tokens, texts.lengths, strict=True)):
        right = by_hand(generator, judge, tokens[:size].tolist())
        assert same(result[row, :size], right, 1e-10)


@worlds
@horizons
@pytest.mark.parametrize("judge", ["cnn", "rnn"])
@ways
def test_stepping_agrees_with_teacher_forcing(
    space: TextSpace, horizon: int, judge: str, goals: str
) -> None:
    generator, _ = pair(space, judge, horizon=horizon, goals=goals)
    texts = enumerate_texts(space)
    symbol = torch.full((len(texts),), space.bos)
    state, stepped = generator.start(len(texts)), []
    for position in range(space.length):
        logits, state = generator.step(symbol, state)
        symbol = texts.tokens[:, position]
        stepped.append(logits)
    assert same(generator(texts), torch.stack(stepped, 1))
    trace = generator.trace(texts)
    assert same(trace.log_prob, generator.log_prob(texts))
    assert trace.features.shape == (len(texts), space.length + 1, generator.features)


@worlds
def test_what_is_leaked_is_the_prefix_and_nothing_else(space: TextSpace) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    features = generator.trace(texts).features
    assert not features[:, 0].any()  # nothing is written, nothing seen
    assert not features.requires_grad
    for t in range(1, space.length + 1):
        reached = texts.lengths >= t
        for behind in (0, 2):  # what stands behind the prefix is not looked at
            tokens = texts.tokens[reached].clone()
            tokens[:, t:] = behind
            seen = judge.features(Text(tokens, torch.full((len(tokens),), t)))
            assert same(features[reached, t], seen)
    whole = judge.features(texts)
    assert same(features[torch.arange(len(texts)), texts.lengths], whole)


@worlds
def test_a_discriminator_that_looks_behind_the_prefix_finds_nothing(space: TextSpace) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    generator.leak = lambda text: judge.features(Text.full(text.tokens))  # whatever the sizes say
    for position in range(space.length):
        other = texts.tokens.clone()
        other[:, position] = 2
        same_so_far = slice(0, position + 1)
        after = generator(Text(other, texts.lengths))
        assert same(after[:, same_so_far], generator(texts)[:, same_so_far])


@worlds
@horizons
@ways
def test_probabilities_sum_to_one_and_samples_have_them(
    space: TextSpace, horizon: int, goals: str
) -> None:
    generator, judge = pair(space, horizon=horizon, goals=goals)
    texts = enumerate_texts(space)
    chances = probabilities(generator, texts)
    assert abs(chances.sum().item() - 1) < 1e-12
    sample = draw_texts(generator, 20_000)
    assert agree(counts_of(sample, space), chances)
    if goals == "block":  # of these, so short, the first block or two know little of the features
        return
    generator.leak = lambda text: -5 * judge.features(text)  # other features, other texts
    assert not agree(counts_of(sample, space), probabilities(generator, texts))


@worlds
@ways
def test_rollouts_know_what_is_leaked(space: TextSpace, goals: str) -> None:
    (generator, _), texts = pair(space, horizon=2, goals=goals), enumerate_texts(space)
    rewards = random_rewards(space)
    result = rollout_values(generator, texts, reward_of(space, rewards), 600)
    right = exact_values(generator, texts, rewards)
    variance = exact_values(generator, texts, rewards**2) - right**2
    assert ((result - right).abs() <= 4 * (variance.clamp(min=0) / 600).sqrt() + 1e-7).all()


@worlds
def test_goals_have_length_one(space: TextSpace) -> None:
    (generator, _), texts = pair(space), enumerate_texts(space)
    goals = generator.trace(texts).goals
    assert goals.shape == (len(texts), space.length, 8)
    assert same(goals.norm(dim=2), torch.ones(len(texts), space.length, dtype=torch.float64))
    assert goals.std(0)[1:].amax(1).min() > 1e-3  # they depend on what was written


def test_nothing_is_read_without_a_discriminator() -> None:
    lonely = build("generator", "leak", FIXED)
    texts = enumerate_texts(FIXED)
    for use in (lonely, lonely.trace, lonely.score, lambda text: lonely.sample(2)):
        with pytest.raises(UserError, match="objective leakgan"):
            use(texts)


def test_connecting_again_keeps_the_manager() -> None:
    generator, judge = pair(FIXED)
    before = {name: weight.clone() for name, weight in generator.state_dict().items()}
    other = small_discriminator(FIXED, seed=1)
    generator.connect(other.features)
    after = generator.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    texts = enumerate_texts(FIXED)
    assert same(generator.trace(texts).features[:, -1], other.features(texts))
    with pytest.raises(ValueError, match="8 features, not 6"):
        generator.connect(small_discriminator(FIXED, "rnn", hidden=3).features)
    assert generator.leak == other.features
    assert generator.leak != judge.features


def test_classes_are_where_the_worker_begins() -> None:
    space = TextSpace(3, 3, classes=2)
    (generator, _), texts = pair(space), enumerate_texts(FIXED)
    with pytest.raises(ValueError, match="2 classes need labels"):
        generator(texts)
    chances = []
    for label in range(2):
        of_class = Condition(torch.full((20_000,), label))
        labelled = Text(texts.tokens, texts.lengths, condition=of_class[: len(texts)])
        chances.append(probabilities(generator, labelled))
        sample = draw_texts(generator, 20_000, condition=of_class)
        assert agree(counts_of(sample, space), chances[-1])
    assert not same(*chances)
