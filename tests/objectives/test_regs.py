"""REGS given a source: values, baselines, what an update weighs; by enumeration."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from answer_rewards import (
    PLAIN,
    TEXTS,
    Pairs,
    both_answers,
    climbed,
    connected,
    expected,
    learn_prefixes,
    moved_critic,
    rewards_of,
    values_of,
)
from answers import ANSWERS, all_answers, answering, sources
from torch import Tensor, nn
from toys import learn
from worlds import gradient, log_probs, probabilities, same, texts_of

from textgan.data.text import Condition, Text, concatenate
from textgan.objectives import regs
from textgan.objectives.regs import REGS


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Callable[[Pairs], None]:
    """Called with the discriminator: rollouts give exact values from then on."""

    def patch(judge: Pairs) -> None:
        def values(generator: Any, fake: Text, reward: Any, n: int, chunk: int) -> Tensor:
            return values_of(generator, judge, fake).detach()

        monkeypatch.setattr(regs, "rollout_values", values)

    return patch


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
