"""RankGAN against its definitions, and its generator against the expected log rank."""

from math import log
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers
from tables import Seer, exact_rollouts, weights_of
from torch import Tensor
from worlds import (
    WORLDS,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.data.text import Text, TextSpace, concatenate
from textgan.losses import leave_one_out
from textgan.objectives import rankgan
from textgan.objectives.rankgan import RankGAN, Seen
from textgan.objectives.rankgan import log_rank as log_rank_of

ZERO = torch.zeros((), dtype=torch.float64)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rankgan, "rollout_values", exact_rollouts)


def random_features(n: int, size: int = 4, seed: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, size, generator=random, dtype=torch.float64)


def log_rank(texts: Tensor, references: Tensor, others: Tensor, gamma: float) -> Tensor:
    """Of unit vectors, all of one class."""
    return log_rank_of(*(Seen(part, None) for part in (texts, references, others)), gamma)


def seer(space: TextSpace) -> Seer:
    return Seer(space, random_features(len(enumerate_texts(space))))


def rank(text: Tensor, references: Tensor, others: Tensor, gamma: float) -> Tensor:
    """R(s | U, C) of one text's features, a reference at a time."""
    total = ZERO
    for reference in references:

        def relevance(features: Tensor, reference: Tensor = reference) -> Tensor:
            cosine = features @ reference / features.norm() / reference.norm()
            return (gamma * cosine).exp()

        compared = relevance(text) + sum(relevance(other) for other in others)
        total = total + relevance(text) / compared
    return total / len(references)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 7.0])
def test_log_rank_is_the_definition(gamma: float) -> None:
    texts, references, others = (random_features(n, seed=n) for n in (5, 3, 4))
    right = torch.stack([rank(text, references, others, gamma) for text in texts]).log()
    scaled = [torch.nn.functional.normalize(part) for part in (texts, references, others)]
    assert same(log_rank(*scaled, gamma), right)


def test_ranks_of_texts_that_compete_sum_to_one() -> None:
    texts, references = (torch.nn.functional.normalize(random_features(n, seed=n)) for n in (5, 3))
    total = ZERO
    for i in range(5):
        others = texts[torch.arange(5) != i]
        total = total + log_rank(texts[i : i + 1], references, others, 2.0).exp()
    assert same(total.reshape(()), 1 + ZERO)


def test_equal_texts_share_a_rank() -> None:
    alike = torch.nn.functional.normalize(torch.ones(9, 4).double())
    result = log_rank(alike[:2], alike[:3], alike[:6], 5.0)
    assert same(result, torch.full((2,), -log(7), dtype=torch.float64))
    one = torch.nn.functional.normalize(random_features(1))
    assert same(log_rank(one, one, one, 3.0), torch.tensor([-log(2)], dtype=torch.float64))
    # a text opposite to the reference against one equal to it: a logistic of twice gamma
    assert same(log_rank(one, one, -one, 3.0).exp(), torch.tensor([6.0]).double().sigmoid())
    assert same(log_rank(-one, one, one, 3.0).exp(), torch.tensor([-6.0]).double().sigmoid())


@pytest.mark.parametrize("gamma", [1e4, 1e-4])
def test_no_sharpness_overflows(gamma: float) -> None:
    texts, references, others = (
        torch.nn.functional.normalize(random_features(n, seed=n)) for n in (5, 3, 4)
    )
    result = log_rank(texts, references, others, gamma)
    assert result.isfinite().all()
    assert (result <= 0).all()
    if gamma < 1:
        assert torch.allclose(result.exp(), torch.tensor(1 / 5).double(), rtol=1e-3)


@worlds
def test_the_scale_of_features_is_no_matter(space: TextSpace, exact: None) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    features = random_features(len(texts))
    scales = torch.linspace(0.1, 9, len(texts), dtype=torch.float64).unsqueeze(1)
    plain, scaled = Seer(space, features), Seer(space, features * scales)
    objective = RankGAN(gamma=3.0)
    real, fake = texts[:6], texts[6:12]
    for first, second in zip(
        objective.discriminator_loss(plain, real, fake),
        objective.discriminator_loss(scaled, real, fake),
        strict=True,
    ):
        if isinstance(first, Tensor) and isinstance(second, Tensor):
            assert same(first, second)
        else:
            assert all(same(first[key], second[key]) for key in first)
    left, _ = objective.generator_loss(generator, plain, real, fake, 0.0)
    right, _ = objective.generator_loss(generator, scaled, real, fake, 0.0)
    assert same(left, right)
    assert same(Seen.of(plain, texts).directions.norm(dim=1), torch.ones(len(texts)).double())


@worlds
def test_the_discriminators_loss_by_hand(space: TextSpace) -> None:
    judge, texts = seer(space), enumerate_texts(space)
    f = judge.features(texts)
    real, fake = texts[:6], texts[6:11]
    loss, figures = RankGAN(gamma=2.0).discriminator_loss(judge, real, fake)
    # three real texts are references, the other three are ranked among the fakes
    of_real = torch.stack([rank(f[i], f[:3], f[6:11], 2.0) for i in range(3, 6)])
    of_fake = torch.stack([rank(f[i], f[:3], f[3:6], 2.0) for i in range(6, 11)])
    right = -of_real.log().mean() - (1 - of_fake).log().mean()
    assert same(loss, right)
    assert same(figures["rank_real"], of_real.mean().detach())
    assert same(figures["rank_fake"], of_fake.mean().detach())
    result = gradient(loss, judge)
    assert same(result, gradient(right, judge))
    # descending it moves the two ranks apart
    with torch.no_grad():
        judge.table -= 0.01 * result.view_as(judge.table)
    _, after = RankGAN(gamma=2.0).discriminator_loss(judge, real, fake)
    gap = figures["rank_real"] - figures["rank_fake"]
    assert after["rank_real"] - after["rank_fake"] > gap


@worlds
@pytest.mark.parametrize("n", [2, 5, 6])
def test_no_text_is_compared_with_itself(space: TextSpace, n: int) -> None:
    judge, texts = seer(space), enumerate_texts(space)
    references, others = (half.directions for half in rankgan.halves(Seen.of(judge, texts[:n])))
    assert len(references) == len(others) == n // 2
    assert not any(torch.equal(one, other) for one in references for other in others)


@worlds
def test_a_single_real_text_is_refused(space: TextSpace) -> None:
    judge, texts = seer(space), enumerate_texts(space)
    with pytest.raises(ValueError, match="give two or more"):
        RankGAN().discriminator_loss(judge, texts[:1], texts[1:2])


@worlds
@pytest.mark.parametrize("gamma", [1.0, 6.0])
def test_the_generator_climbs_the_expected_log_rank(
    space: TextSpace, gamma: float, exact: None
) -> None:
    generator, judge, texts = small_generator(space), seer(space), enumerate_texts(space)
    objective, real, f = RankGAN(gamma=gamma), texts[:4], judge.features(texts).detach()
    ranks = torch.stack([rank(one, f[:2], f[2:4], gamma) for one in f]).log()
    chances, total = probabilities(generator, texts), ZERO
    for i in range(len(texts)):
        one = texts[i : i + 1]
        loss, figures = objective.generator_loss(generator, judge, real, one, 0.0)
        assert same(figures["reward"], ranks[i])
        total = total + chances[i] * loss
    right = gradient((log_probs(generator, texts).exp() * ranks).sum(), generator)
    assert right.abs().max() > 1e-3
    assert same(-gradient(total, generator), right)


@worlds
def test_the_baseline_is_the_others_mean(space: TextSpace, exact: None) -> None:
    generator, judge, texts = small_generator(space), seer(space), enumerate_texts(space)
    f = judge.features(texts).detach()
    ranks = torch.stack([rank(one, f[:2], f[2:4], 1.0) for one in f]).log()
    values = exact_rollouts(generator, texts, lambda *_: ranks, 1)
    for baseline, weights in (
        ("none", values),
        ("batch", values - leave_one_out(values, texts.mask)),
    ):
        right = -(generator.log_prob(texts) * weights)[texts.mask].sum()
        for reduction, count in (("sum", 1), ("mean_sentence", len(texts))):
            objective = RankGAN(baseline=baseline, reduction=reduction)
            loss, figures = objective.generator_loss(generator, judge, texts[:4], texts, 0.0)
            assert same(loss, right / count)
            assert same(figures["value"], values[texts.mask].mean())
            assert same(figures["reward"], ranks.mean())


@worlds
def test_real_rollouts_and_networks(space: TextSpace) -> None:
    generator, judge, texts = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = RankGAN(rollouts=2)
    fake = objective.sample(generator, texts, 0.0)
    loss, _ = objective.generator_loss(generator, judge, texts, fake, 0.0)
    loss.backward()
    assert all(parameter.grad is None for parameter in judge.parameters())
    result = weights_of(objective, generator, judge, texts, fake)
    assert (result[fake.mask] < 0).all()  # logs of probabilities
    assert not result[~fake.mask].any()


@pytest.mark.parametrize("gamma", [1.0, 1e4])
def test_a_rank_of_one_has_a_loss(gamma: float) -> None:
    # the fake is the reference itself, and the text it is ranked against is its opposite
    space = WORLDS[0]
    texts = enumerate_texts(space)
    features = torch.ones(len(texts), 2).double()
    features[1] = -1
    told: Any = Text(texts.tokens[:2], texts.lengths[:2])
    loss, figures = RankGAN(gamma=gamma).discriminator_loss(Seer(space, features), told, texts[2:4])
    assert loss.isfinite()
    assert figures["rank_fake"] > 0.85


# --- sources ---


def test_a_text_is_not_ranked_by_the_real_answer_to_its_own_source() -> None:
    """A reference of one's own source counts the same whatever is written."""
    unit = torch.nn.functional.normalize(random_features(7))
    texts, references, others = unit[:3], unit[3:5], unit[5:]
    sources = [torch.tensor(rows) for rows in ([10, 12, 12], [10, 11], [12, 13])]
    asked = [
        Seen(part, None, of) for part, of in zip((texts, references, others), sources, strict=True)
    ]
    result = log_rank_of(*asked, 2.0).exp()
    cosines = 2 * texts @ references.t()
    cosines[0, 0] = 0.0
    rest = (2 * others @ references.t()).exp().sum(0)
    right = cosines.exp() / (cosines.exp() + rest)
    assert same(result, right.mean(1))
    apart = [Seen(part, None) for part in (texts, references, others)]
    assert same(result[1:], log_rank_of(*apart, 2.0).exp()[1:])


def test_pairs_are_seen_with_their_sources() -> None:
    judge = small_discriminator(ANSWERS, "pair_cnn")
    texts = concatenate([all_answers(0)[3:5], all_answers(1)[3:5]])
    seen = Seen.of(judge, texts)
    assert seen.sources is not None
    assert seen.sources[0] == seen.sources[1] != seen.sources[2] == seen.sources[3]
    assert not same(seen.directions[0], seen.directions[2])
    first, second = rankgan.halves(seen)
    assert first.sources is not None and torch.equal(first.sources, seen.sources[:2])
    assert second.sources is not None and torch.equal(second.sources, seen.sources[2:])
