"""Resampling by a logit against enumeration: the law of a pick, and both bounds of log Z."""

import math
from dataclasses import replace

import pytest
import torch
from tables import Judge, Speechless, random_generator
from torch import Tensor
from worlds import (
    VARIABLE,
    agree,
    counts_of,
    enumerate_texts,
    log_probs,
    probabilities,
    same,
    small_generator,
    texts_of,
    worlds,
)

from textgan.data.text import Condition, TextSpace
from textgan.models.resample import ResampledGenerator, log_partition

CLASSES = TextSpace(4, 3, eos=1, classes=2)
N = len(enumerate_texts(VARIABLE))


def noise(*shape: int, seed: int = 2) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def true_law(space: TextSpace) -> Tensor:
    """Some p that is not far from the generator's own law."""
    chances = probabilities(random_generator(space), enumerate_texts(space))
    return (chances.log() + 0.7 * noise(len(chances))).softmax(0)


def tuples(n: int) -> Tensor:
    """Which n texts may be drawn, (N^n, n)."""
    return torch.cartesian_prod(*[torch.arange(N)] * n).view(-1, n)


def law_of_a_pick(chances: Tensor, scores: Tensor, n: int) -> Tensor:
    """How probable each text is where one of n drawn ones is picked by the softmax of scores."""
    drawn = tuples(n)
    shares = chances[drawn].prod(1, keepdim=True) * scores[drawn].softmax(1)
    return torch.zeros(N).double().index_add(0, drawn.flatten(), shares.flatten())


def test_a_pick_among_ever_more_texts_has_the_true_law() -> None:
    generator, law = random_generator(VARIABLE), true_law(VARIABLE)
    own = probabilities(generator, enumerate_texts(VARIABLE))
    scores = (law / own).log()
    laws = [law_of_a_pick(own, scores, n) for n in (1, 2, 3, 4)]
    assert same(laws[0], own)
    far = [float((one - law).abs().sum()) for one in laws]
    assert far == sorted(far, reverse=True)
    assert far[3] < 0.4 * far[0]
    for n, one in zip((1, 3), (laws[0], laws[2]), strict=True):
        torch.manual_seed(n)
        picked = ResampledGenerator(generator, Judge(VARIABLE, scores), n).sample(5000)
        assert agree(counts_of(picked, VARIABLE), one)
        assert not agree(counts_of(picked, VARIABLE), law)
    torch.manual_seed(0)
    picked = ResampledGenerator(generator, Judge(VARIABLE, scores), 100).sample(3000)
    assert agree(counts_of(picked, VARIABLE), law)


def test_each_class_is_resampled_by_its_own_scores() -> None:
    texts, scores = enumerate_texts(VARIABLE), noise(2, N)
    resampled = ResampledGenerator(random_generator(CLASSES), Judge(CLASSES, scores), 2)
    torch.manual_seed(0)
    asked = Condition(torch.arange(2).repeat(4000))
    written = resampled.sample(8000, condition=asked)
    assert torch.equal(written.condition.require_labels(2), asked.require_labels(2))
    for label in (0, 1):
        labels = torch.full((N,), label)
        own = probabilities(resampled.generator, replace(texts, condition=Condition(labels)))  # type: ignore[arg-type]
        counts = counts_of(written[asked.labels == label], VARIABLE)  # type: ignore[index]
        assert agree(counts, law_of_a_pick(own, scores[label], 2))
        assert not agree(counts, law_of_a_pick(own, scores[1 - label], 2))


@pytest.mark.parametrize("constant", [0.0, 1.3])
def test_the_bounds_bracket_log_z_and_close_in(constant: float) -> None:
    own = probabilities(random_generator(VARIABLE), enumerate_texts(VARIABLE))
    scores = (true_law(VARIABLE) / own).log() + constant  # so that Z is exp of this
    gaps = []
    for n in (2, 3, 4):
        drawn = tuples(n)
        chances = own[drawn].prod(1)
        low, high = (float((chances * bound).sum()) for bound in log_partition(scores[drawn]))
        assert low < constant < high
        gaps.append(high - low)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[2] < 0.75 * gaps[0]


def test_the_bounds_are_the_mean_and_its_jackknife() -> None:
    scores = noise(3, 5)
    low, high = log_partition(scores)
    assert same(low, scores.exp().mean(1).log())
    left_out = [
        torch.cat([scores[:, :i], scores[:, i + 1 :]], 1).exp().mean(1).log() for i in range(5)
    ]
    assert same(high, 9 * low - 8 * torch.stack(left_out).mean(0))
    # scores beyond what exp can hold, and one that has all the weight
    low, high = log_partition(torch.tensor([1000.0, 1001.0, -1000.0]).double())
    assert float(low) == pytest.approx(1001 + math.log((1 + math.exp(-1)) / 3))
    assert high.isfinite()
    assert log_partition(torch.tensor([0.0, 1000.0]).double())[1].isfinite()


def test_likelihoods_of_what_is_resampled() -> None:
    generator, texts, scores = random_generator(VARIABLE), enumerate_texts(VARIABLE), noise(N)
    right = (log_probs(generator, texts).detach() + scores).log_softmax(0)
    torch.manual_seed(0)
    low, high = ResampledGenerator(generator, Judge(VARIABLE, scores), 8).log_prob_bounds(texts)
    assert (low < high).all()
    assert (high - low).max() < 1e-3
    assert (low - right).abs().max() < 0.03


def test_each_condition_has_a_partition_of_its_own() -> None:
    texts, scores = enumerate_texts(VARIABLE), noise(2, N) + torch.tensor([[0.0], [2.0]]).double()
    generator = random_generator(CLASSES)
    text = replace(texts.repeat(2), condition=Condition(torch.arange(2).repeat(N)))
    own = log_probs(generator, text).detach().view(N, 2)
    right = (own + scores.t()).log_softmax(0).flatten()
    torch.manual_seed(0)
    low, high = ResampledGenerator(generator, Judge(CLASSES, scores), 2000).log_prob_bounds(text)
    assert (low - right).abs().max() < 0.2
    assert (low - right).mean().abs() < 0.02
    assert (high >= low).all()


@worlds
def test_words_that_texts_begin_with_are_kept(space: TextSpace) -> None:
    generator = small_generator(space)
    scores = noise(len(enumerate_texts(space)))
    resampled = ResampledGenerator(generator, Judge(space, scores), 3)
    first = torch.tensor([[2], [space.vocabulary - 1]] * 2)
    written = resampled.sample(4, prefix=first)
    assert torch.equal(written.tokens[:, :1], first)


def test_a_generator_without_a_likelihood_has_none_when_resampled() -> None:
    resampled = ResampledGenerator(Speechless(VARIABLE), Judge(VARIABLE, noise(N)), 3)
    with pytest.raises(ValueError, match="without a likelihood has none when resampled"):
        resampled.log_prob_bounds(texts_of(VARIABLE, [(2, 1)]))
