"""REGS given a source: values, baselines, teacher forcing, prefixes; by enumeration."""

import math
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers, answering, sources
from dialogues import QUESTIONS, tsv, written
from interrupted import everything
from rewards import ZERO, unchanged, weights_of
from torch import Tensor, nn
from toys import learn
from worlds import (
    agree,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_generator,
    texts_of,
)

import textgan
from textgan.contracts.worlds import train
from textgan.data.text import Condition, Text, concatenate
from textgan.losses import nll
from textgan.models.discriminators.base import Discriminator
from textgan.objectives import regs
from textgan.objectives.regs import (
    REGS,
    inverse_frequencies,
    one_length,
    prefix_of,
    rates_by_tfidf,
)
from textgan.training.checkpoint import checkpoints, load_checkpoint
from textgan.training.config import make_config
from textgan.training.run import create_run

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


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Callable[[Pairs], None]:
    """Called with the discriminator: rollouts give exact values from then on."""

    def patch(judge: Pairs) -> None:
        def values(generator: Any, fake: Text, reward: Any, n: int, chunk: int) -> Tensor:
            return values_of(generator, judge, fake).detach()

        monkeypatch.setattr(regs, "rollout_values", values)

    return patch


def connected(generator: Any, judge: Any, **settings: Any) -> REGS:
    objective = REGS(**settings)
    objective.connect(generator, judge, both_answers())
    return objective


def moved_critic(objective: REGS) -> REGS:
    """Its critic knows something, right or wrong."""
    for weight in objective.networks.parameters():
        nn.init.normal_(weight, generator=torch.Generator().manual_seed(7))
    return objective


# --- E1-E7, given the source ---


def test_a_constant_reward_teaches_nothing_on_average() -> None:  # E1
    generator, judge = answering(), Pairs()
    nn.init.constant_(judge.table, 0.3)
    for variant in ("reinforce", "mc", "partial"):
        objective = connected(generator, judge, variant=variant, rollouts=2, **PLAIN)
        assert expected(objective, generator, judge).abs().max() < 1e-12, variant
    fake = both_answers()[:1]
    loss, *_ = objective.generator_loss(generator, judge, fake, fake, 0.0)
    assert gradient(loss, generator).abs().max() > 1e-3  # of one text alone


def test_reinforce_climbs_the_expected_reward() -> None:  # E2
    generator, judge = answering(), Pairs()
    objective = connected(generator, judge, variant="reinforce", **PLAIN)
    assert same(expected(objective, generator, judge), climbed(generator, judge))


def test_mc_climbs_the_expected_reward_and_partial_something_else(
    exact: Callable[[Pairs], None],
) -> None:  # E3, R3
    generator, judge = answering(), Pairs()
    exact(judge)
    right = climbed(generator, judge)
    mc = connected(generator, judge, variant="mc", **PLAIN)
    assert same(expected(mc, generator, judge), right)
    # with the best D of prefixes, too
    learn_prefixes(generator, judge)
    exact(judge)
    right = climbed(generator, judge)
    assert same(expected(mc, generator, judge), right)
    partial = connected(generator, judge, variant="partial", **PLAIN)
    other = expected(partial, generator, judge)
    assert (other - right).norm() > 0.1 * right.norm()


def test_sampled_rollouts_climb_the_expected_reward() -> None:
    generator, judge = answering(), Pairs()
    torch.manual_seed(2)
    objective = connected(generator, judge, variant="mc", rollouts=2, **PLAIN)
    real = both_answers().repeat(600)
    fake = objective.sample(generator, real, 0.0)
    loss, *_ = objective.generator_loss(generator, judge, real, fake, 0.0)
    result, right = -2 * gradient(loss, generator), climbed(generator, judge)
    assert torch.cosine_similarity(result, right, 0) > 0.98
    assert abs((result.norm() / right.norm()).item() - 1) < 0.1


@pytest.mark.parametrize("critic", ["none", "mean", "encoder", "hierarchical"])
@pytest.mark.parametrize("variant", ["reinforce", "mc"])
def test_what_is_expected_before_a_token_changes_no_gradient(
    variant: str, critic: str, exact: Callable[[Pairs], None]
) -> None:  # E4, R4
    generator, judge = answering(), Pairs()
    exact(judge)
    settings: dict[str, Any] = {"variant": variant, "critic": critic, "normalise": False}
    settings["critic_hidden"] = 3
    objective = moved_critic(connected(generator, judge, **settings))
    if critic == "mean":
        objective.state["mean"] = torch.tensor(0.7, dtype=torch.float64)
    texts = both_answers()
    assert objective._expected(generator, texts).any() == (critic != "none")
    assert same(expected(objective, generator, judge), climbed(generator, judge))


def test_a_baseline_that_sees_the_token_is_caught(exact: Callable[[Pairs], None]) -> None:  # R4
    generator, judge = answering(), Pairs()
    exact(judge)

    class Biased(REGS):
        """b(x, Y_t), as the paper prints it."""

        def _expected(self, generator: Any, text: Text) -> Tensor:
            return text.tokens.double() / ANSWERS.vocabulary

    wrong = expected(Biased(**PLAIN), generator, judge)
    right = climbed(generator, judge)
    assert (wrong - right).norm() > 0.1 * right.norm()


def test_the_last_token_earns_the_response_itself_without_chance() -> None:  # E5
    generator, judge, texts = answering(), Pairs(), both_answers()
    ends = torch.arange(len(texts)), texts.lengths - 1
    for variant in ("reinforce", "mc", "partial"):
        objective = connected(generator, judge, variant=variant, rollouts=1, **PLAIN)
        values = objective._values(generator, judge, texts)
        assert same(values[ends], torch.cat(rewards_of(judge)))
        assert not values[~texts.mask].any()


def test_rewards_stay_with_their_response_and_token() -> None:  # E6
    generator, judge, texts = answering(), Pairs(), both_answers()
    with torch.no_grad():  # D depends on the first token and the source
        for which in (0, 1):
            for code in range(judge.table.shape[1]):
                judge.table[which, code] = code % ANSWERS.vocabulary - 3 * which
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0))
    for variant in ("reinforce", "mc", "partial"):
        objective = connected(generator, judge, variant=variant, rollouts=3, **PLAIN)
        values = objective._values(generator, judge, texts)
        constant = values[:, :1].expand_as(values) * texts.mask
        assert same(values, constant)
        assert same(objective._values(generator, judge, texts[order]), values[order])


@pytest.mark.parametrize("variant", ["reinforce", "mc", "partial"])
def test_padding_changes_neither_loss_nor_gradient(variant: str) -> None:  # E7
    generator, judge, texts = answering(), Pairs(), both_answers()
    if variant == "mc":
        nn.init.constant_(judge.table, 0.4)  # nothing is left to the luck of rollouts
    objective = moved_critic(connected(generator, judge, variant=variant, critic="encoder"))
    which = torch.arange(2).repeat_interleave(len(TEXTS))
    longer = replace(
        texts.pad_to(ANSWERS.length + 2, ANSWERS.pad),
        condition=Condition(source=sources().trimmed()[which]),
    )
    results = []
    for text in (texts, longer):
        loss, metrics, _ = objective.generator_loss(generator, judge, text, text, 0.0)
        results.append((loss, gradient(loss, generator), *metrics.values()))
    assert all(map(same, *results))


# --- prefixes ---


def test_one_prefix_of_each_text_every_length_as_often() -> None:  # R1
    generator, judge = answering(), Pairs()
    objective = connected(generator, judge, variant="partial")
    text = texts_of(ANSWERS, [(0, 1, 4), (1, 4), (4,), (2, 2, 2)][:3])
    counts = {length: torch.zeros(length) for length in text.lengths.tolist()}
    for _ in range(3000):
        lengths = one_length(text, objective._shares(text, len(text)))
        prefix = prefix_of(text, lengths, ANSWERS.pad)
        assert len(prefix) == len(text)
        for whole, part in zip(text.tolist(), prefix.tolist(), strict=True):
            assert part == whole[: len(part)]
            assert (prefix.tokens[~prefix.mask] == ANSWERS.pad).all()
            counts[len(whole)][len(part) - 1] += 1
        objective.after_discriminator_step(judge)
    for length, seen in counts.items():
        assert seen.sum() == 3000
        if length > 1:
            assert agree(seen, torch.full((length,), 1 / length))


def test_real_and_fake_prefixes_are_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, variant="partial")
    drawn: list[Tensor] = []

    def watched(text: Text, shares: Tensor) -> Tensor:
        drawn.append(shares)
        return one_length(text, shares)

    monkeypatch.setattr(regs, "one_length", watched)
    objective.discriminator_loss(judge, texts, texts)
    of_real, of_fake = drawn
    assert len(torch.cat(drawn).unique()) == len(of_real) + len(of_fake)


def test_the_same_prefixes_until_the_discriminator_has_moved() -> None:
    generator, judge = answering(), Pairs()
    objective = connected(generator, judge, variant="partial")
    texts = both_answers()
    state = torch.get_rng_state()
    first = objective.discriminator_loss(judge, texts, texts)[0]
    assert torch.equal(objective.discriminator_loss(judge, texts, texts)[0], first)
    assert torch.equal(torch.get_rng_state(), state)
    objective.after_discriminator_step(judge)
    assert objective.discriminator_loss(judge, texts, texts)[0] != first


def test_the_shards_of_a_batch_draw_prefixes_of_their_own() -> None:
    objective = connected(answering(), Pairs(), variant="partial")
    texts = all_answers(0)[:6]
    first, second = (objective._shares(half, 6) for half in (texts[:3], texts[3:]))
    assert not (first == second).any()
    wider = texts[:3].pad_to(texts.tokens.shape[1] + 2, ANSWERS.pad)
    assert torch.equal(objective._shares(wider, 6), first)


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


def test_the_best_discriminator_of_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:  # R2
    """At p~ / (p~ + q~) the expected loss of its updates has no slope."""
    generator, judge = answering(), Pairs()
    objective = connected(generator, judge, variant="partial")
    learn_prefixes(generator, judge)
    slope = torch.zeros_like(judge.table)
    for which in (0, 1):
        texts = all_answers(which)
        total = ZERO
        real, fake = human(which), probabilities(generator, texts)
        for t in range(ANSWERS.length):
            # every text's prefix of one length after another
            monkeypatch.setattr(
                regs, "one_length", lambda text, shares, t=t: text.lengths.clamp(max=t + 1)
            )
            for i in range(len(texts)):
                if texts.lengths[i] > t:
                    one = texts[i : i + 1]
                    loss = objective.discriminator_loss(judge, one, one)[0]
                    # of the real half, and of the fake one
                    score = judge(prefix_of(one, torch.tensor([t + 1]), ANSWERS.pad))[0]
                    halves = nn.functional.softplus(-score) / 2, nn.functional.softplus(score) / 2
                    assert same(loss, sum(halves))  # type: ignore[arg-type]
                    total = total + (real[i] * halves[0] + fake[i] * halves[1]) / texts.lengths[i]
        slope = slope + torch.autograd.grad(total, judge.table)[0]
    assert slope.abs().max() < 1e-12
    with torch.no_grad():
        judge.table += 0.1
    assert gradient(total_loss(objective, judge, generator), judge).abs().max() > 1e-3


def total_loss(objective: REGS, judge: Pairs, generator: Any) -> Tensor:
    texts = both_answers()
    return objective.discriminator_loss(judge, texts, texts[torch.randperm(len(texts))])[0]


def test_every_prefix_is_scored_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, variant="partial", **PLAIN)
    whole = objective._values(generator, judge, texts)
    assert judge.largest == int(texts.lengths.sum())
    judge.largest = 0
    monkeypatch.setattr(regs, "PREFIXES_AT_ONCE", 7)
    assert torch.equal(objective._values(generator, judge, texts), whole)
    assert judge.largest <= 7
    for b, t in ((0, 0), (5, 1), (29, 2)):
        prefix = prefix_of(texts[b : b + 1], torch.tensor([t + 1]), ANSWERS.pad)
        assert same(whole[b, t], judge(prefix)[0].sigmoid())
    # the end token is one of the prefix: a whole response is not scored like its words
    ended = (texts.lengths == 2).nonzero()[0]
    assert texts.tokens[ended, 1] == ANSWERS.eos
    assert whole[ended, 0] != whole[ended, 1]


# --- what an update weighs ---


@pytest.mark.parametrize(("rollouts", "chunk", "asked"), [(1, 0, 2), (6, 0, 2), (6, 4, 3)])
def test_rollouts_and_chunk_reach_the_rollouts(rollouts: int, chunk: int, asked: int) -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    calls: list[int] = []
    judge.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    objective = connected(generator, judge, rollouts=rollouts, chunk=chunk)
    objective.generator_loss(generator, judge, texts, texts, 0.0)
    assert len(calls) == asked
    assert sum(calls[1:]) == rollouts * int((texts.lengths - 1).sum())
    assert objective.completions == rollouts
    assert REGS(variant="partial").completions == REGS(variant="reinforce").completions == 0


@pytest.mark.parametrize("variant", ["reinforce", "mc", "partial"])
def test_it_learns_to_write_what_is_rewarded(variant: str) -> None:
    generator, judge = answering(), Pairs()
    good = ANSWERS.vocabulary ** torch.arange(ANSWERS.length)
    codes = torch.arange(judge.table.shape[1])
    with torch.no_grad():  # a 1 as the first word, or to the other source as the second
        for which in (0, 1):
            here = codes // good[which] % ANSWERS.vocabulary == 1
            judge.table[which] = torch.where(here, 2.0, -2.0)
    real = both_answers()
    objective = connected(generator, judge, variant=variant, rollouts=2, critic="mean")

    def reward() -> float:
        chances = (probabilities(generator, all_answers(i)) @ rewards_of(judge)[i] for i in (0, 1))
        return float(sum(chances) / 2)

    torch.manual_seed(0)
    before, most = reward(), float(judge.table.detach().max().sigmoid())
    optimiser = torch.optim.Adam(generator.parameters(), lr=0.05)
    for _ in range(20):
        fake = objective.sample(generator, real, 0.0)
        optimiser.zero_grad()
        learn(objective, generator, judge, real, fake, 0.0)[0].backward()
        optimiser.step()
    assert most - reward() < (most - before) / 2


def test_normalised_rewards_have_mean_square_one() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    plain = connected(generator, judge, variant="reinforce", critic="none", normalise=False)
    scaled = connected(generator, judge, variant="reinforce", critic="none", reward_scale=3.0)
    values = plain._values(generator, judge, texts)
    root = values[texts.mask].square().mean().sqrt()
    one, *_ = plain.generator_loss(generator, judge, texts, texts, 0.0)
    other, *_ = scaled.generator_loss(generator, judge, texts, texts, 0.0)
    assert same(other, 3 * one / root)
    nn.init.zeros_(judge.table)
    mean = connected(generator, judge, variant="reinforce", critic="mean")
    mean.state["mean"] = torch.tensor(0.5, dtype=torch.float64)
    loss, *_ = mean.generator_loss(generator, judge, texts, texts, 0.0)
    assert loss == 0  # and not 0 / 0


def test_the_released_codes_weighting() -> None:
    """0.5 / B on the reward, and the gradient over B once more."""
    generator, judge, texts = answering(), Pairs(), both_answers()
    n = len(texts)
    settings: dict[str, Any] = {"reward_scale": 0.5 / n, "reduction": "mean_sentence", **PLAIN}
    objective = connected(generator, judge, variant="reinforce", **settings)
    loss, *_ = objective.generator_loss(generator, judge, texts, texts, 0.0)
    rewards = torch.cat(rewards_of(judge))
    assert same(loss, -(0.5 / n) * (rewards * log_probs(generator, texts)).sum() / n)


def test_the_end_token_is_rewarded_and_trained() -> None:
    generator, judge = answering(), Pairs()
    ended = replace(texts_of(ANSWERS, [(4,)]), condition=all_answers(0)[:1].condition)
    objective = connected(generator, judge, variant="mc", **PLAIN)
    loss, *_ = objective.generator_loss(generator, judge, ended, ended, 0.0)
    assert same(loss, -judge(ended).sigmoid()[0] * log_probs(generator, ended)[0])
    assert gradient(loss, generator).any()


def test_completions_are_as_long_as_texts_may_be() -> None:
    generator, judge = answering(), Pairs()
    seen = []
    judge.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    cut = replace(texts_of(ANSWERS, [(0, 4)]), condition=all_answers(0)[:1].condition)
    cut = replace(cut, tokens=cut.tokens[:, :2])  # a batch narrower than its space
    objective = connected(generator, judge, variant="mc", rollouts=60, **PLAIN)
    objective.generator_loss(generator, judge, cut, cut, 0.0)
    assert max(int(text.lengths.max()) for text in seen) == ANSWERS.length


def test_what_is_logged() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, variant="reinforce", critic="none")
    _, metrics = learn(objective, generator, judge, texts, texts, 0.0)
    rewards = torch.cat(rewards_of(judge))
    assert metrics.keys() == {"reward", "reward_deviation", "value", "error"}
    assert same(metrics["reward"], rewards.mean())
    assert same(metrics["reward_deviation"], rewards.std(unbiased=False))
    shares = texts.lengths.double() / texts.lengths.sum()
    assert same(metrics["value"], (rewards * shares).sum())
    assert same(metrics["error"], (rewards.square() * shares).sum())


# --- critics ---


def test_the_mean_of_all_rewards_so_far() -> None:
    generator, texts = answering(), both_answers()
    objective = connected(generator, Pairs(), variant="reinforce", critic="mean")
    means = []
    for seed in range(3):
        judge = Pairs(seed)
        before = sum(means) / len(means) if means else 0
        assert float(objective._expected(generator, texts)[0, 0]) == pytest.approx(before)
        learn(objective, generator, judge, texts, texts, 0.0)
        means.append(float(torch.cat(rewards_of(judge)).mean()))
        assert float(objective.state["mean"]) == pytest.approx(sum(means) / len(means))


def test_the_encoders_critic_starts_at_zero_and_learns_the_mean_reward_of_each_source() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    with torch.no_grad():
        judge.table[0], judge.table[1] = -1.0, 2.0
    objective = connected(generator, judge, variant="reinforce", critic="encoder")
    assert not objective._expected(generator, texts).any()
    optimiser = torch.optim.Adam(objective.networks.parameters(), lr=0.2)
    before = weights_of(generator)
    for _ in range(60):
        optimiser.zero_grad()
        objective.generator_loss(generator, judge, texts, texts, 0.0)[0].backward()
        optimiser.step()
    assert unchanged(generator, before)
    assert same(objective._expected(generator, texts)[:, 0], torch.cat(rewards_of(judge)), 1e-2)


def test_a_generator_that_begins_with_nothing_has_no_encoders_critic() -> None:
    generator = small_generator(ANSWERS, "encoder_decoder")
    with pytest.raises(ValueError, match=r"critic = encoder .* begins with none; choose"):
        connected(generator, Pairs(), critic="encoder")
    connected(generator, Pairs(), critic="hierarchical")


def test_the_hierarchical_critic_reads_the_words_before_alone() -> None:
    generator, texts = answering(), both_answers()
    objective = moved_critic(connected(generator, Pairs(), critic_hidden=3))
    expected = objective._expected(generator, texts)
    words = texts.tokens.masked_fill(~texts.mask, ANSWERS.pad).tolist()
    known: dict[tuple[int, ...], float] = {}
    for row, length, source, values in zip(
        words, texts.lengths.tolist(), texts.source.lengths.tolist(), expected.tolist(), strict=True
    ):  # type: ignore[union-attr]
        for t in range(length):
            before = (source, *row[:t])
            assert known.setdefault(before, values[t]) == pytest.approx(values[t], abs=1e-12)
    assert len({round(value, 9) for value in known.values()}) == len(known)  # all of them count


def test_the_hierarchical_critic_learns_what_prefixes_are_worth() -> None:
    """Where D is of the first word, the words before tell the rest of its reward."""
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, variant="reinforce", critic_hidden=8)
    assert (objective._expected(generator, texts)[texts.mask] == 0.5).all()  # D of what is unknown
    optimiser = torch.optim.Adam(objective.networks.parameters(), lr=0.05)
    with torch.no_grad():
        for code in range(judge.table.shape[1]):
            judge.table[:, code] = code % ANSWERS.vocabulary - 2
    for _ in range(80):
        optimiser.zero_grad()
        objective.generator_loss(generator, judge, texts, texts, 0.0)[0].backward()
        optimiser.step()
    errors = objective._values(generator, judge, texts) - objective._expected(generator, texts)
    assert errors[:, 1:][texts.mask[:, 1:]].abs().max() < 0.05
    assert errors[:, 0].abs().max() > 0.2


@pytest.mark.parametrize("critic", ["encoder", "hierarchical"])
def test_a_critics_error_reaches_the_critic_alone(critic: str) -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    settings: dict[str, Any] = {"variant": "reinforce", "normalise": False}
    objective = moved_critic(connected(generator, judge, critic=critic, **settings))
    loss, *_ = objective.generator_loss(generator, judge, texts, texts, 0.0)
    errors = objective._values(generator, judge, texts) - objective._expected(generator, texts)
    error = (errors.square() * texts.mask).sum() / len(texts)
    assert same(
        gradient(loss, objective.networks["critic"]), gradient(error, objective.networks["critic"])
    )
    policy = -(errors.detach() * generator.log_prob(texts))[texts.mask].sum() / len(texts)
    assert same(gradient(loss, generator), gradient(policy, generator))
    assert all(weight.grad is None for weight in judge.parameters())


# --- teacher forcing ---


def test_teacher_forcing_is_maximum_likelihood() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge)
    right = nll(generator.log_prob(texts), texts.mask)
    for loss, metrics in (
        objective.teacher_loss(generator, judge, texts),
        objective.mle_loss(generator, texts),
    ):
        assert torch.equal(loss, right)
        assert metrics == {}


@pytest.mark.parametrize("critic", ["none", "mean", "encoder", "hierarchical"])
def test_better_teaches_only_what_is_above_the_baseline(critic: str) -> None:  # R5
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, teacher="better", critic=critic)
    objective.state["mean"] = torch.tensor(0.5, dtype=torch.float64)
    for network in objective.networks.values():
        last: Any = getattr(network, "output", network)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, 0.5)
    level = {"none": 0.0}.get(critic, 0.5)
    rewards = torch.cat(rewards_of(judge))
    assert critic == "none" or 0 < (rewards > level).sum() < len(rewards)
    loss, metrics = objective.teacher_loss(generator, judge, texts)
    weights = torch.where(rewards > level, rewards, 0.0)
    right = -(weights * log_probs(generator, texts)).sum() / texts.lengths.sum()
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))
    assert same(metrics["better"], (rewards > level).double().mean())
    assert same(metrics["reward"], rewards.mean())
    if critic == "none":
        return
    # nothing at or below it
    nn.init.zeros_(judge.table)
    loss, _ = objective.teacher_loss(generator, judge, texts)
    assert loss == 0
    assert not gradient(loss, generator).any()


def test_better_compares_without_dropout() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    generator.add_module("dropout", nn.Dropout(0.5))
    generator.dropout.train()
    seen = []
    generator.start = lambda *given, **named: (  # type: ignore[method-assign]
        seen.append(generator.dropout.training),
        type(generator).start(generator, *given, **named),
    )[1]
    objective = connected(generator, judge, teacher="better", critic="encoder")
    seen.clear()
    objective.teacher_loss(generator, judge, texts)
    assert seen == [False, True]  # the critic's, then the likelihood's


# --- learning rates by tf-idf ---


def test_rates_by_tfidf() -> None:  # R6
    words = texts_of(ANSWERS, [(0, 1, 4), (0, 0, 4), (1, 4), (0, 2, 4), (0, 4)])
    idf = inverse_frequencies(words, ANSWERS.vocabulary)
    frequency = torch.tensor([4, 2, 1, 1, 5])  # of 3 none
    assert same(idf, (6 / frequency).log())
    rates = rates_by_tfidf(words, idf, ANSWERS.eos)
    means = torch.stack([
        (idf[0] + idf[1]) / 2, idf[0], idf[1], (idf[0] + idf[2]) / 2, idf[0]
    ])  # fmt: skip
    raw = 5 * means / means.sum()
    assert float(raw.mean()) == pytest.approx(1)
    assert (rates <= 3 * rates.min() + 1e-6).all()
    assert torch.allclose(rates, raw.clamp(max=3 * float(raw.min())))
    # within three times the least they average 1
    some = words[torch.tensor([0, 1, 2])]
    assert float(rates_by_tfidf(some, torch.tensor([1.0, 2, 3, 3, 9]), 4).mean()) == pytest.approx(
        1
    )


def test_equal_tfidf_is_plain_maximum_likelihood() -> None:  # R6
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, tfidf=True)
    words = texts[(texts.tokens[:, 0] != ANSWERS.eos).nonzero().squeeze(1)]
    right = nll(generator.log_prob(words), words.mask)
    right_slope = gradient(right, generator)
    objective.idf = torch.tensor([1.0, 2, 3, 3, 9])
    assert not same(objective.mle_loss(generator, words)[0], right, 1e-3)
    objective.idf = torch.full((ANSWERS.vocabulary,), 0.7, dtype=torch.float64)
    for loss, _ in (
        objective.mle_loss(generator, words),
        objective.teacher_loss(generator, judge, words),
    ):
        assert same(loss, right)
        assert same(gradient(loss, generator), right_slope)


def test_tfidf_weighs_each_response() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    words = texts[(texts.tokens[:, 0] != ANSWERS.eos).nonzero().squeeze(1)]
    objective = connected(generator, judge, tfidf=True, teacher="better", critic="none")
    objective.idf = torch.tensor([1.0, 2, 3, 3, 9])
    rates = rates_by_tfidf(words, objective.idf, ANSWERS.eos).double()
    assert rates.max() > 1.2 * rates.min()
    plain = -(rates * log_probs(generator, words)).sum() / words.lengths.sum()
    assert same(objective.mle_loss(generator, words)[0], plain, 1e-6)
    rewards = judge(words).sigmoid()
    both = -(rates * rewards * log_probs(generator, words)).sum() / words.lengths.sum()
    assert same(objective.teacher_loss(generator, judge, words)[0], both, 1e-6)


def test_a_text_without_words_stops_no_other_from_learning() -> None:
    texts = texts_of(ANSWERS, [(4,), (0, 1, 4), (1, 4)])
    rates = rates_by_tfidf(texts, inverse_frequencies(texts, ANSWERS.vocabulary), ANSWERS.eos)
    assert rates[0] == 0
    assert not rates_by_tfidf(texts[:1], torch.ones(5), ANSWERS.eos).any()
    assert (rates[1:] > 0.5).all()


# --- sources ---


def test_a_source_repeated_forks_as_so_many_sources_do() -> None:  # R7
    generator, judge = answering(), Pairs()
    objective = connected(generator, judge, variant="mc", rollouts=3)
    pair = replace(TEXTS[:2], condition=Condition(source=sources()))
    repeated = pair.repeat(4)
    apart = concatenate([pair[i : i + 1] for i in (0, 0, 0, 0, 1, 1, 1, 1)])
    results = []
    for real in (repeated, apart):
        torch.manual_seed(5)
        fake = objective.sample(generator, real, 0.0)
        loss, metrics, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
        results.append((fake.tokens, loss, gradient(loss, generator), *metrics.values()))
    assert all(map(torch.equal, *results))
    # and each answers its own source: with the others' the rewards are others
    torch.manual_seed(5)
    swapped = replace(fake, condition=fake.condition[torch.arange(8).flip(0)])
    assert objective.generator_loss(generator, judge, swapped, swapped, 0.0)[0] != results[0][1]


def test_the_usual_settings_are_the_papers() -> None:
    objective = REGS()
    assert (objective.variant, objective.rollouts, objective.teacher) == ("mc", 5, "always")
    schedule = {key.rpartition(".")[2]: value for key, value in REGS.defaults.items()}
    assert (schedule["d_steps"], schedule["g_steps"], schedule["k"]) == (5, 1, 1)
    assert (schedule["mle_steps"], schedule["mle_every"], schedule["fakes"]) == (1, 1, 1)


# --- runs ---

SMALL_RUN: dict[str, Any] = {
    "seed": 1,
    "data.share_vocabulary": True,
    "data.min_count": 1,
    "generator.embedding": 4,
    "generator.hidden": 6,
    "generator.attention": 4,
    "generator.dropout": 0.2,
    "discriminator.embedding": 4,
    "discriminator.hidden": 6,
    "objective.critic_hidden": 4,
    "objective.rollouts": 2,
    "schedule.batch_size": 8,
    "schedule.shards": 2,
    "schedule.mle_epochs": 1,
    "schedule.discriminator_turns": 2,
    "schedule.rounds": 2,
    "schedule.d_steps": 2,
    "evaluation.samples": 10,
    "evaluation.final_samples": 10,
    "evaluation.bootstrap": 100,
}


def pairs_of(folder: Path) -> dict[str, Any]:
    return {"data.pairs": str(tsv(folder, QUESTIONS))}


def labelled_pairs(folder: Path) -> dict[str, Any]:
    rows = [f"{a},{b},{'good' if i % 3 else 'bad'}" for i, (a, b) in enumerate(QUESTIONS)]
    path = written(folder, ["asked,said,mood", *rows], "moods.csv")
    fields = {"data.field": "said", "data.source_field": "asked", "data.label_field": "mood"}
    return {"data.file": str(path), **fields}


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (pairs_of, {}),
        (pairs_of, {"variant": "partial", "critic": "mean", "teacher": "better"}),
        (labelled_pairs, {"variant": "partial", "teacher": "better", "tfidf": True}),
        (labelled_pairs, {"variant": "reinforce", "critic": "encoder", "teacher": "better"}),
    ],
)
def test_a_run_that_is_stopped_after_every_step_goes_on_to_the_same_end(
    data: Callable[[Path], dict[str, Any]], settings: dict[str, Any], tmp_path: Path
) -> None:
    config = make_config(
        "regs", SMALL_RUN | data(tmp_path) | {f"objective.{k}": v for k, v in settings.items()}
    )
    whole, pieces = (create_run(config, tmp_path / name) for name in ("whole", "pieces"))
    done = train(whole)
    steps = int(done.stem)
    assert train(pieces, stops=range(steps)).read_bytes() == done.read_bytes()
    tensors, _ = load_checkpoint(done)
    critic = {name for name in tensors if name.startswith("networks.critic")}
    assert bool(critic) == (settings.get("critic") != "mean")
    assert all(f"optimiser.critic.{i}.exp_avg" in tensors for i in range(len(critic)))


def _trains(folder: Path, settings: dict[str, Any], rank: int, port: int) -> None:
    group = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in group.items()}
    torch.set_num_threads(1)
    textgan.train("regs", out=folder, quiet=True, plot=False, **settings)


def _resumes(folder: Path) -> None:
    torch.set_num_threads(1)
    textgan.resume(folder, quiet=True, plot=False)


def test_killed_or_shared_by_two_processes_it_is_the_same_run(tmp_path: Path) -> None:
    settings = SMALL_RUN | pairs_of(tmp_path) | {"checkpoint_seconds": 0, "schedule.rounds": 8}
    textgan.train("regs", out=tmp_path / "whole", quiet=True, plot=False, **settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["textgan.training.trainer", "torch.utils.tensorboard"])
    two = [
        context.Process(target=_trains, args=(tmp_path / "two", settings, rank, port))
        for rank in (0, 1)
    ]
    killed = tmp_path / "killed"
    create_run(make_config("regs", settings), killed)
    child = context.Process(target=_resumes, args=(killed,))
    for process in (*two, child):
        process.start()
    end = time.monotonic() + 60
    while not checkpoints(killed) or int(checkpoints(killed)[-1].stem) < 12:
        assert child.is_alive() and time.monotonic() < end
        time.sleep(0.01)
    child.kill()
    child.join()
    assert int(checkpoints(killed)[-1].stem) < int(checkpoints(tmp_path / "whole")[-1].stem)
    textgan.resume(killed, quiet=True, plot=False)
    for process in two:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in two] == [0, 0]
    assert everything(killed) == everything(tmp_path / "two") == everything(tmp_path / "whole")
