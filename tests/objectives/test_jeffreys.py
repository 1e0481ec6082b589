"""Jeffreys against enumeration: with the best logit it descends both divergences, weighted."""

from pathlib import Path
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers, answering
from family import toy
from pairs import PairTable, random_scores, references
from pairs import expected as expected_of_pairs
from rewards import mean_of_one, mean_of_pairs
from tables import (
    Judge,
    TableGenerator,
    dyadic_generator,
    exact_rollouts,
    random_generator,
    weights_of,
    whole,
)
from torch import Tensor
from toys import TOY_TEXT, small_parts, toy_text
from worlds import VARIABLE, enumerate_texts, exact_values, gradient, log_probs, same, worlds

import textgan
from textgan.core.errors import UserError
from textgan.core.log import read_records
from textgan.data.text import Text, TextSpace
from textgan.losses import leave_one_out
from textgan.models.rollout import Reward
from textgan.objectives import jeffreys
from textgan.objectives.jeffreys import Jeffreys
from textgan.training.config import make_config
from textgan.training.run import create_run

exact_or_none = pytest.mark.parametrize("rollouts", [0, 4])


@pytest.fixture(autouse=True)
def exact(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rollouts give exact values, but where a test is of drawn ones."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(jeffreys, "rollout_values", exact_rollouts)


@pytest.fixture
def drawn() -> None:
    """Rollouts are drawn."""


def language(space: TextSpace) -> TableGenerator:
    """p, whose texts are a batch of 64."""
    return dyadic_generator(space, seed=3)


def ratio(space: TextSpace, generator: TableGenerator) -> Tensor:
    """log p / G of every text: the best logit."""
    texts = enumerate_texts(space)
    return (log_probs(language(space), texts) - log_probs(generator, texts)).detach()


def reverse(space: TextSpace, generator: TableGenerator) -> Tensor:
    """The gradient of KL(G || p)."""
    texts = enumerate_texts(space)
    own, true = log_probs(generator, texts), log_probs(language(space), texts).detach()
    return gradient((own.exp() * (own - true)).sum(), generator)


def forward(space: TextSpace, generator: TableGenerator) -> Tensor:
    """The gradient of KL(p || G)."""
    texts = enumerate_texts(space)
    true = log_probs(language(space), texts).detach()
    return gradient((true.exp() * (true - log_probs(generator, texts))).sum(), generator)


def expected(objective: Jeffreys, generator: TableGenerator, judge: Any) -> Tensor:
    """The expected gradient of one fake beside real texts that are distributed as p is."""
    space, total = generator.space, torch.zeros((), dtype=torch.float64)
    texts, real = enumerate_texts(space), whole(language(space))
    for i, chance in enumerate(log_probs(generator, texts).detach().exp()):
        loss, _ = objective.generator_loss(generator, judge, real, texts[i : i + 1], 0.0)
        total = total + chance * loss
    return gradient(total, generator)


@worlds
@exact_or_none
def test_the_best_logit_descends_the_reverse_divergence(space: TextSpace, rollouts: int) -> None:
    generator = random_generator(space)
    judge, right = Judge(space, ratio(space, generator)), reverse(space, generator)
    objective = Jeffreys(mle_share=0, clamp=0, rollouts=rollouts)
    assert same(mean_of_one(objective, generator, judge), right)
    assert right.abs().max() > 0.1
    # SeqGAN's reward would not
    sigmoid = Judge(space, ratio(space, generator).sigmoid())
    other = mean_of_one(objective, generator, sigmoid)
    assert torch.cosine_similarity(other, right, 0) < 0.999


@worlds
@exact_or_none
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_it_descends_both_divergences_weighted(
    space: TextSpace, rollouts: int, share: float
) -> None:
    generator = random_generator(space)
    objective = Jeffreys(mle_share=share, clamp=0, rollouts=rollouts)
    result = expected(objective, generator, Judge(space, ratio(space, generator)))
    right = share * forward(space, generator) + (1 - share) * reverse(space, generator)
    assert same(result, right)


@worlds
@exact_or_none
def test_the_truth_is_stationary(space: TextSpace, rollouts: int) -> None:
    generator = language(space)
    objective = Jeffreys(rollouts=rollouts)
    result = expected(objective, generator, Judge(space, ratio(space, generator)))
    assert result.abs().max() < 1e-12
    elsewhere = random_generator(space)
    result = expected(objective, elsewhere, Judge(space, ratio(space, elsewhere)))
    assert result.abs().max() > 1e-2


@exact_or_none
def test_the_baseline_leaves_what_is_descended(rollouts: int) -> None:
    generator = random_generator(VARIABLE)
    judge = Judge(VARIABLE, ratio(VARIABLE, generator))
    for baseline in ("none", "batch"):
        objective = Jeffreys(mle_share=0, clamp=0, rollouts=rollouts, baseline=baseline)
        assert same(mean_of_pairs(objective, generator, judge), reverse(VARIABLE, generator))


@worlds
def test_words_are_weighted_by_their_value_above_the_others(
    space: TextSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, texts = random_generator(space), enumerate_texts(space)

    def values_of(_: Any, fake: Text, reward: Reward, n: int, chunk: int) -> Tensor:
        rewards = reward(texts, torch.arange(len(texts))).detach()
        return exact_values(random_generator(space), fake, rewards)  # its log G is not replaced

    monkeypatch.setattr(jeffreys, "rollout_values", values_of)
    scores = 4 * ratio(space, generator)
    assert scores.abs().max() > 5
    judge = Judge(space, scores)
    for clamp in (0.0, 5.0, 0.5):
        kept = scores.clamp(-clamp, clamp) if clamp else scores
        values = {
            0: kept.unsqueeze(1) * texts.mask,
            4: exact_values(generator, texts, kept),
        }
        for rollouts, worth in values.items():
            objective = Jeffreys(mle_share=0.25, clamp=clamp, rollouts=rollouts)
            # log G of real texts has a weight, too, but here it is the same leaf
            result = weights_of(objective, generator, judge, texts, texts) * len(texts)
            above = (worth - leave_one_out(worth, texts.mask)) * texts.mask
            assert same(result, 0.75 * above + 0.25 * texts.mask)


def test_a_clamp_that_nothing_reaches_changes_nothing() -> None:
    generator, texts = random_generator(VARIABLE), enumerate_texts(VARIABLE)
    scores = ratio(VARIABLE, generator)
    judge, largest = Judge(VARIABLE, scores), float(scores.abs().max())
    plain, just, tight = (
        Jeffreys(clamp=clamp).generator_loss(generator, judge, texts, texts, 0.0)[0]
        for clamp in (0.0, largest, 0.9 * largest)
    )
    assert torch.equal(plain, just)
    assert not torch.equal(plain, tight)


@pytest.mark.usefixtures("drawn")
def test_drawn_fakes_and_rollouts_descend_the_reverse_divergence() -> None:
    generator = random_generator(VARIABLE)
    judge = Judge(VARIABLE, ratio(VARIABLE, generator))
    objective = Jeffreys(mle_share=0, rollouts=2)
    torch.manual_seed(0)
    fake = objective.sample(generator, enumerate_texts(VARIABLE).repeat(600), 0.0)
    loss, metrics = objective.generator_loss(generator, judge, fake, fake, 0.0)
    result, right = gradient(loss, generator), reverse(VARIABLE, generator)
    assert torch.cosine_similarity(result, right, 0) > 0.98
    assert abs(float(result.norm() / right.norm()) - 1) < 0.1
    own = log_probs(generator, enumerate_texts(VARIABLE)).detach()
    divergence = -(own.exp() * ratio(VARIABLE, generator)).sum()
    assert float(metrics["reward"]) == pytest.approx(-float(divergence), abs=0.05)


@worlds
@exact_or_none
def test_the_oracles_reward_is_the_best_logit(space: TextSpace, rollouts: int) -> None:
    generator, texts = random_generator(space), enumerate_texts(space)
    bound = Jeffreys(reward="oracle", rollouts=rollouts, clamp=0.1)  # of D's logit alone
    bound.oracle = language(space)
    fooled = Judge(space, torch.full((len(texts),), torch.nan, dtype=torch.float64))
    learnt = Jeffreys(rollouts=rollouts, clamp=0)
    judge = Judge(space, ratio(space, generator))
    result, right = (
        objective.generator_loss(generator, one, texts, texts, 0.0)
        for objective, one in ((bound, fooled), (learnt, judge))
    )
    assert same(result[0], right[0])
    assert same(gradient(result[0], generator), gradient(right[0], generator))
    assert all(same(result[1][name], right[1][name]) for name in right[1])


def test_the_oracles_reward_is_refused_without_an_oracle(tmp_path: Path) -> None:
    settings = TOY_TEXT | small_parts("jeffreys") | {"objective.reward": "oracle"}
    settings["data.file"] = str(toy_text(tmp_path))
    with pytest.raises(UserError, match=r"objective.reward = 'oracle' needs the true .*data\.\*"):
        create_run(make_config("jeffreys", settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("drawn")
def test_a_run_learns_from_its_oracle_without_a_discriminator(tmp_path: Path) -> None:
    settings = toy("jeffreys", has_source=True)
    settings |= {"objective.reward": "oracle", "oracle.source_length": 4}
    settings |= {"schedule.discriminator_turns": 0, "schedule.d_steps": 0}
    textgan.train("jeffreys", out=tmp_path / "run", quiet=True, plot=False, **settings)
    rounds = [r for r in read_records(tmp_path / "run") if r["phase"] == "adversarial"]
    assert all(r["generator/reward"] < 0 for r in rounds)  # about -KL(G || p)
    assert not any("discriminator/loss" in r for r in rounds)


def test_it_descends_the_divergence_given_each_source() -> None:
    generator, human = answering(), random_scores(7).log_softmax(1)
    own = [log_probs(generator, all_answers(source)) for source in (0, 1)]
    scores = human - torch.stack(own).detach()
    right = gradient(
        sum((q.exp() * (q - p)).sum() for q, p in zip(own, human, strict=True)), generator
    )
    objective = Jeffreys(mle_share=0, clamp=0, rollouts=0)
    assert same(expected_of_pairs(objective, generator, PairTable(scores)), right)
    taught = Jeffreys(mle_share=1, rollouts=0)
    real = references()
    loss, _ = taught.generator_loss(generator, PairTable(scores), real, real, 0.0)
    assert same(gradient(loss, generator), gradient(-log_probs(generator, real).mean(), generator))
    assert ANSWERS.source is not None


def test_the_reward_has_no_gradient() -> None:
    generator, texts = random_generator(VARIABLE), enumerate_texts(VARIABLE)
    judge = Judge(VARIABLE, ratio(VARIABLE, generator))
    for rollouts in (0, 2):
        loss, metrics = Jeffreys(rollouts=rollouts).generator_loss(
            generator, judge, texts, texts, 0.0
        )
        loss.backward()
        assert judge.table.grad is None
        assert not any(figure.requires_grad for figure in metrics.values())
