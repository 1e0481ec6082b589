"""DPGAN: what surprises a language model of generated text is rewarded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import assert_resumes
from torch import Tensor
from toys import TOY, TOY_TEXT, toy_text
from worlds import (
    FIXED,
    VARIABLE,
    Uniform,
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

from textgan.data.text import Text, TextSpace
from textgan.losses import leave_one_out
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.dpgan import DPGAN

rewards = pytest.mark.parametrize("reward", ["word", "sentence", "both"])


def pair(space: TextSpace) -> tuple[AutoregressiveGenerator, AutoregressiveGenerator]:
    return small_generator(space), small_generator(space, seed=7)


def words_by_hand(judge: AutoregressiveGenerator, texts: Text, bound: float = 12.0) -> Tensor:
    """min(-log D, bound) of every token, read one after another."""
    words = torch.zeros(texts.tokens.shape, dtype=torch.float64)
    for row, size in enumerate(texts.lengths.tolist()):
        state, symbol = judge.start(1), torch.zeros(1, dtype=torch.long)
        for t in range(size):
            logits, state = judge.step(symbol, state)
            symbol = texts.tokens[row, t : t + 1]
            chance = logits[0].detach().softmax(0)[symbol]
            words[row, t] = min(-chance.log().item(), bound)
    return words


def values_by_hand(words: Tensor, texts: Text, reward: str) -> Tensor:
    values = torch.zeros_like(words)
    for row, size in enumerate(texts.lengths.tolist()):
        mean = words[row, :size].sum() / size
        for t in range(size):
            to_come = words[row, t:size].sum()
            values[row, t] = {"word": to_come, "sentence": mean, "both": mean * to_come}[reward]
    return values


def expected(
    objective: DPGAN, generator: AutoregressiveGenerator, judge: AutoregressiveGenerator
) -> Tensor:
    """The mean of the loss of one text."""
    texts = enumerate_texts(generator.space)
    total = torch.zeros((), dtype=torch.float64)
    for i, chance in enumerate(probabilities(generator, texts)):
        text = texts[i : i + 1]
        total = total + chance * objective.generator_loss(generator, judge, text, text, 0.0)[0]
    return total


# --- the generator ---


@worlds
@pytest.mark.parametrize("bound", [12.0, 1.1])
def test_words_climb_their_expected_sum_and_sentences_their_expected_mean(
    space: TextSpace, bound: float
) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    words = words_by_hand(judge, texts, bound)
    assert (words == bound).any() == (bound < 12)
    for reward, earned in (("word", words.sum(1)), ("sentence", words.sum(1) / texts.lengths)):
        loss = expected(DPGAN(reward=reward, bound=bound), generator, judge)
        right = gradient((log_probs(generator, texts).exp() * earned).sum(), generator)
        assert right.abs().max() > 1e-3
        assert same(-gradient(loss, generator), right)


@worlds
@rewards
@pytest.mark.parametrize("baseline", ["none", "batch"])
def test_each_token_is_weighted_by_its_value(space: TextSpace, reward: Any, baseline: Any) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    values = values_by_hand(words_by_hand(judge, texts), texts, reward)
    if baseline == "batch":
        values = values - leave_one_out(values, texts.mask)
    counts = {"sum": 1, "mean_sentence": len(texts), "mean_token": int(texts.lengths.sum())}
    for reduction, count in counts.items():
        right = -(generator.log_prob(texts) * values)[texts.mask].sum() / count
        objective = DPGAN(reward=reward, reduction=reduction, baseline=baseline)
        loss, _ = objective.generator_loss(generator, judge, texts, texts, 0.0)
        assert same(loss, right)
        assert same(gradient(loss, generator), gradient(right, generator))


@worlds
@rewards
def test_the_batch_baseline_leaves_what_is_climbed(space: TextSpace, reward: Any) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    chances = probabilities(generator, texts)
    objective = DPGAN(reward=reward, baseline="batch")
    total = torch.zeros((), dtype=torch.float64)
    for first in range(len(texts)):
        for second in range(first, len(texts)):
            two = texts[torch.tensor([first, second])]
            ways = 1 if first == second else 2
            loss, _ = objective.generator_loss(generator, judge, two, two, 0.0)
            total = total + ways * chances[first] * chances[second] * loss
    plain = expected(DPGAN(reward=reward), generator, judge)
    assert same(gradient(total, generator), gradient(plain, generator))


@worlds
@rewards
def test_what_a_constant_discriminator_teaches(space: TextSpace, reward: Any) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    result = -gradient(expected(DPGAN(reward=reward), generator, Uniform(space)), generator)
    # every word earns log 3; where texts vary in length, those that go on longer earn more
    lengths = gradient((log_probs(generator, texts).exp() * texts.lengths).sum(), generator)
    each = torch.tensor(3.0, dtype=torch.float64).log()
    right = {"word": each, "sentence": 0 * each, "both": each**2}[reward] * lengths
    assert same(result, right)
    assert lengths.abs().max() < 1e-12 if space.eos is None else lengths.abs().max() > 1e-3


@worlds
def test_what_is_logged_of_the_rewards(space: TextSpace) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    _, metrics = DPGAN().generator_loss(generator, judge, texts, texts, 0.0)
    means = words_by_hand(judge, texts).sum(1) / texts.lengths
    assert metrics.keys() == {"reward", "reward_deviation"}
    assert same(metrics["reward"], means.mean())
    assert same(metrics["reward_deviation"], (means - means.mean()).square().mean().sqrt())


# --- the discriminator ---


@worlds
@pytest.mark.parametrize(("bound", "real_weight"), [(12.0, 1.0), (1.1, 0.3)])
def test_real_text_shall_surprise_and_generated_text_shall_not(
    space: TextSpace, bound: float, real_weight: float
) -> None:
    (_, judge), texts = pair(space), enumerate_texts(space)
    real, fake = texts[:9], texts[9:15]
    objective = DPGAN(bound=bound, real_weight=real_weight)
    loss, metrics = objective.discriminator_loss(judge, real, fake)
    of_real = (words_by_hand(judge, real, bound).sum(1) / real.lengths).mean()
    of_fake = (words_by_hand(judge, fake, bound).sum(1) / fake.lengths).mean()
    assert same(loss, of_fake - real_weight * of_real)
    assert same(metrics["reward_real"], of_real)
    assert same(metrics["reward_fake"], of_fake)


@worlds
def test_the_bound_keeps_the_discriminator_from_diverging(space: TextSpace) -> None:
    texts = enumerate_texts(space)
    real, fake = texts[texts.tokens[:, 0] == 2], texts[texts.tokens[:, 0] != 2]
    lowest = {}
    for bound in (3.0, 1e9):
        judge, objective = small_generator(space, seed=7), DPGAN(bound=bound, real_weight=1.0)
        trained = [part for part in judge.parameters() if part.requires_grad]
        optimiser = torch.optim.Adam(trained, lr=0.1)
        for _ in range(100):
            optimiser.zero_grad()
            loss, metrics = objective.discriminator_loss(judge, real, fake)
            loss.backward()
            optimiser.step()
        lowest[bound] = loss.item()
        assert metrics["reward_real"] > metrics["reward_fake"] + 0.3  # it has learnt to tell
    assert lowest[3.0] >= -3
    assert lowest[1e9] < -5


def test_padding_changes_no_loss() -> None:
    settings = ({}, {"reward": "word", "baseline": "batch"}, {"reduction": "mean_token"})
    assert_padding_changes_no_loss([DPGAN(**given) for given in settings], *pair(VARIABLE))


@worlds
@rewards
def test_each_loss_reaches_its_own_network_alone(space: TextSpace, reward: Any) -> None:
    (generator, judge), texts = pair(space), enumerate_texts(space)
    objective = DPGAN(reward=reward)
    for network, other, (loss, metrics) in (
        (generator, judge, objective.generator_loss(generator, judge, texts, texts, 0.0)),
        (judge, generator, objective.discriminator_loss(judge, texts[:5], texts[5:])),
    ):
        network.zero_grad()
        other.zero_grad()
        loss.backward()
        assert not any(value.requires_grad for value in metrics.values())
        assert all(part.grad is None for part in other.parameters())
        trained = [part for part in network.parameters() if part.requires_grad]
        assert all(part.grad is not None and part.grad.any() for part in trained)
    assert objective.state == {}


def test_pairs_that_do_not_fit_are_refused() -> None:
    (generator, judge), texts = pair(FIXED), enumerate_texts(FIXED)
    DPGAN().connect(generator, judge, texts)
    with pytest.raises(ValueError, match=r"dpgan needs a discriminator$"):
        DPGAN().connect(generator, None, texts)
    with pytest.raises(ValueError, match=r"dpgan needs .* language model.*; got CNNDisc"):
        DPGAN().connect(generator, small_discriminator(FIXED), texts)
    for settings in ({"bound": 0.0}, {"real_weight": 1.1}, {"reward": "text"}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            DPGAN(**settings)


# --- together ---


@pytest.mark.parametrize("words", [False, True], ids=["oracle", "text"])
def test_stopped_and_resumed_is_bit_identical(
    words: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = TOY_TEXT | {"data.file": str(toy_text(tmp_path))} if words else TOY
    settings = {
        key: value
        for key, value in toy.items()
        if not key.startswith(("objective.", "discriminator."))
    }
    settings |= {"discriminator.hidden": 6, "schedule.fakes": 16}
    assert_resumes("dpgan", tmp_path, monkeypatch, before_end=8, **settings)
