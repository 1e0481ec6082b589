"""ScratchGAN: a reward for every token."""

from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import assert_resumes
from networks import stepwise
from torch import Tensor
from toys import TOY, TOY_TEXT, learn, toy_text
from worlds import (
    FIXED,
    VARIABLE,
    assert_padding_changes_no_loss,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.stepwise import StepwiseDiscriminator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.scratchgan import ScratchGAN, discounted


class Constant(StepwiseDiscriminator):
    """The same score for every token."""

    def __init__(self, space: TextSpace, score: float) -> None:
        super().__init__(space, embedding=1, hidden=1)
        self.double()
        self.score = score

    def steps(self, text: Text) -> Tensor:
        return torch.where(text.mask, self.score, 0.0).double()


def rewards_by_hand(judge: StepwiseDiscriminator, texts: Text) -> Tensor:
    """2 D - 1 of every token, from each sentence without its padding."""
    rewards = torch.zeros(texts.tokens.shape, dtype=torch.float64)
    for row, size in enumerate(texts.lengths.tolist()):
        states, _ = judge.rnn(judge.embedding(texts.tokens[row : row + 1, :size]))
        scores = states[0] @ judge.output.weight[0] + judge.output.bias
        rewards[row, :size] = 2 / (1 + (-scores).exp()) - 1
    return rewards.detach()


def returns_by_hand(rewards: Tensor, gamma: float) -> Tensor:
    returns = torch.zeros_like(rewards)
    for row in range(rewards.shape[0]):
        for t in range(rewards.shape[1]):
            for s in range(t, rewards.shape[1]):
                returns[row, t] += gamma ** (s - t) * rewards[row, s]
    return returns


def expected(
    objective: ScratchGAN,
    generator: AutoregressiveGenerator,
    judge: StepwiseDiscriminator,
    baseline: float = 0.0,
) -> Tensor:
    """The mean of the loss of one text, its baseline the same constant for each."""
    texts = enumerate_texts(generator.space)
    chances = probabilities(generator, texts)
    total = torch.zeros((), dtype=torch.float64)
    for i, chance in enumerate(chances):
        objective.state = {"baseline": torch.tensor(baseline, dtype=torch.float64)}
        text = texts[i : i + 1]
        total = total + chance * learn(objective, generator, judge, text, text, 0.0)[0]
    return total


# --- its rewards ---


@pytest.mark.parametrize("gamma", [0.0, 0.23, 1.0])
def test_returns_are_the_double_loops(gamma: float) -> None:
    rewards = torch.randn(5, 7, dtype=torch.float64)
    assert same(discounted(rewards, gamma), returns_by_hand(rewards, gamma))


@worlds
@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_without_discount_it_climbs_the_expected_sum_of_rewards(
    space: TextSpace, baseline: float
) -> None:
    generator, judge, texts = small_generator(space), stepwise(space), enumerate_texts(space)
    objective = ScratchGAN(gamma=1.0, reduction="sum")
    loss = expected(objective, generator, judge, baseline)
    totals = rewards_by_hand(judge, texts).sum(1)
    climbed = gradient((log_probs(generator, texts).exp() * totals).sum(), generator)
    assert climbed.abs().max() > 1e-3
    assert same(-gradient(loss, generator), climbed)


@worlds
def test_with_gamma_zero_each_token_climbs_its_own_reward(space: TextSpace) -> None:
    generator, judge, texts = small_generator(space), stepwise(space), enumerate_texts(space)
    loss = expected(ScratchGAN(gamma=0.0, reduction="sum"), generator, judge, 0.3)
    # sum over t of E[r_t] in which only the choice of y_t moves: the prefix's chance is a constant
    rewards, tokens = rewards_by_hand(judge, texts), generator.log_prob(texts)
    before = (tokens * texts.mask).detach().cumsum(1) - (tokens * texts.mask).detach()
    after = log_probs(generator, texts).detach().unsqueeze(1) - before - tokens.detach()
    chance = torch.where(texts.mask, (before + tokens + after).exp(), 0.0)
    assert same(-gradient(loss, generator), gradient((chance * rewards).sum(), generator))


@worlds
@pytest.mark.parametrize("gamma", [0.23, 1.0])
def test_each_token_is_weighted_by_its_return(space: TextSpace, gamma: float) -> None:
    generator, judge, texts = small_generator(space), stepwise(space), enumerate_texts(space)
    weights = returns_by_hand(rewards_by_hand(judge, texts), gamma) - 0.4
    counts = {"sum": 1, "mean_sentence": len(texts), "mean_token": int(texts.lengths.sum())}
    for reduction, count in counts.items():
        right = -(generator.log_prob(texts) * weights)[texts.mask].sum()
        objective = ScratchGAN(gamma=gamma, reduction=reduction)
        objective.state = {"baseline": torch.tensor(0.4, dtype=torch.float64)}
        loss, _ = learn(objective, generator, judge, texts, texts, 0.0)
        assert same(loss, right / count)
        assert same(gradient(loss, generator), gradient(right / count, generator))


@worlds
def test_what_a_constant_discriminator_teaches(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    unsure, _ = learn(ScratchGAN(), generator, Constant(space, 0.0), texts, texts, 0.0)
    assert unsure == 0  # D = 1/2 is a reward of zero
    for gamma in (0.23, 1.0):
        loss = expected(ScratchGAN(gamma=gamma, reduction="sum"), generator, Constant(space, 1.3))
        slope = gradient(loss, generator).abs().max()
        # where texts vary in length, those that go on longer earn more
        assert slope < 1e-12 if space.eos is None else slope > 1e-3


@worlds
def test_the_baseline_is_a_running_mean_of_returns(space: TextSpace) -> None:
    generator, judge, texts = small_generator(space), stepwise(space), enumerate_texts(space)
    objective = ScratchGAN(decay=0.3, gamma=0.5)
    right = torch.zeros((), dtype=torch.float64)
    for part in (texts[:4], texts[4:7], texts[7:15]):
        _, metrics = learn(objective, generator, judge, part, part, 0.0)
        assert same(metrics["baseline"], right)  # what the batch was compared with
        mean = returns_by_hand(rewards_by_hand(judge, part), 0.5)[part.mask].mean()
        assert same(metrics["return"], mean)
        right = 0.3 * right + 0.7 * mean
        assert objective.state.keys() == {"baseline"}
        assert same(objective.state["baseline"], right)


# --- its losses ---


@worlds
def test_the_discriminator_minimises_cross_entropy_of_tokens(space: TextSpace) -> None:
    judge, texts = stepwise(space), enumerate_texts(space)
    real, fake = texts[:4], texts[4:12]
    loss, metrics = ScratchGAN(l2=0).discriminator_loss(judge, real, fake)
    d_real, d_fake = (1 + rewards_by_hand(judge, real)) / 2, (1 + rewards_by_hand(judge, fake)) / 2
    of_real, of_fake = -d_real[real.mask].log().sum() / 4, -(1 - d_fake)[fake.mask].log().sum() / 8
    assert same(loss, (of_real + of_fake) / 2 / space.length)
    assert metrics == {}
    penalised, _ = ScratchGAN(l2=0.1).discriminator_loss(judge, real, fake)
    squares = sum(weight.square().sum() for weight in judge.parameters())
    assert same(penalised - loss, 0.1 * squares / 2)


def test_padding_changes_no_loss() -> None:
    objectives = [ScratchGAN(reduction=name) for name in ("sum", "mean_sentence", "mean_token")]
    assert_padding_changes_no_loss(objectives, small_generator(VARIABLE), stepwise(VARIABLE))


@worlds
def test_each_loss_reaches_its_own_network_alone(space: TextSpace) -> None:
    generator, judge, texts = small_generator(space), stepwise(space), enumerate_texts(space)
    objective = ScratchGAN(l2=0)
    loss, metrics = learn(objective, generator, judge, texts, texts, 0.0)
    loss.backward()
    assert not any(value.requires_grad for value in (*metrics.values(), *objective.state.values()))
    assert all(part.grad is None for part in judge.parameters())
    trained = [part for part in generator.parameters() if part.requires_grad]
    assert all(part.grad is not None and part.grad.any() for part in trained)
    generator.zero_grad()
    objective.discriminator_loss(judge, texts[:5], texts[5:])[0].backward()
    assert all(part.grad is not None and part.grad.any() for part in judge.parameters())
    assert all(part.grad is None for part in generator.parameters())


@worlds
def test_samples_are_words_that_answer(space: TextSpace) -> None:
    real = enumerate_texts(space)
    real = Text(real.tokens, real.lengths, condition=Condition(torch.arange(len(real))))
    fake = ScratchGAN().sample(small_generator(space), real, 0.0)
    assert len(fake) == len(real)
    assert fake.soft_tokens is None
    assert fake.labels is real.labels


def test_other_discriminators_are_refused() -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    objective = ScratchGAN()
    objective.connect(generator, stepwise(FIXED), texts)
    with pytest.raises(ValueError, match=r"scratchgan needs a discriminator$"):
        objective.connect(generator, None, texts)
    words = r"scratchgan needs .* every token, such as stepwise; got CNNDiscriminator"
    with pytest.raises(ValueError, match=words):
        objective.connect(generator, small_discriminator(FIXED), texts)


def test_the_defaults_are_the_papers() -> None:
    objective = ScratchGAN()
    assert (objective.gamma, objective.decay, objective.l2) == (0.23, 0.08, 1e-6)
    assert objective.reduction == "mean_token"
    rates = {name: ScratchGAN.defaults[f"optimisers.{name}"] for name in ("beta1", "generator_lr")}
    assert rates == {"beta1": 0.5, "generator_lr": 9.59e-5}
    assert ScratchGAN.defaults["optimisers.discriminator_lr"] == 9.38e-3
    assert ScratchGAN.defaults["schedule.batch_size"] == 512
    assert ScratchGAN.defaults["schedule.mle_epochs"] == 0


# --- together ---


def test_the_pair_learns_from_scratch() -> None:
    """All real texts begin with 2; the generator, which seldom did, comes to begin so as well."""
    generator, judge = small_generator(VARIABLE), stepwise(VARIABLE, hidden=8)
    texts = enumerate_texts(VARIABLE)
    twos = texts.tokens[:, 0] == 2
    objective, real = ScratchGAN(), texts[twos].repeat(6)
    with torch.no_grad():
        generator.output.bias[2] -= 2
    of_generator, of_judge = (
        torch.optim.Adam([part for part in network.parameters() if part.requires_grad], 0.03)
        for network in (generator, judge)
    )
    assert probabilities(generator, texts)[twos].sum() < 0.3
    for _ in range(80):
        with torch.no_grad():
            fake = objective.sample(generator, real, 0.0)
        of_judge.zero_grad()
        objective.discriminator_loss(judge, real, fake)[0].backward()
        of_judge.step()
        of_generator.zero_grad()
        learn(objective, generator, judge, real, fake, 0.0)[0].backward()
        of_generator.step()
    assert probabilities(generator, texts)[twos].sum() > 0.8


def told(settings: dict[str, Any]) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in settings.items()
        if not key.startswith(("discriminator.", "objective."))
    }
    return kept | {"discriminator.hidden": 4, "schedule.fakes": 1, "schedule.g_steps": 2}


@pytest.mark.parametrize("words", [False, True], ids=["oracle", "text"])
def test_stopped_and_resumed_is_bit_identical(
    words: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = told(TOY_TEXT | {"data.file": str(toy_text(tmp_path))}) if words else told(TOY)
    settings |= {"schedule.mle_epochs": 0, "schedule.rounds": 5}
    assert_resumes("scratchgan", tmp_path, monkeypatch, before_end=6, **settings)
