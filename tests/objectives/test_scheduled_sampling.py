"""Scheduled sampling: what is read, and what is to be written after it."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from tables import nodes, random_generator
from worlds import (
    FIXED,
    VARIABLE,
    agree,
    counts_of,
    enumerate_texts,
    gradient,
    probabilities,
    same,
    small_generator,
    worlds,
)

from textgan.data.text import Condition, Text, TextSpace
from textgan.objectives.mle import MLE
from textgan.objectives.scheduled_sampling import ScheduledSampling, kept_share

ZERO = torch.zeros((), dtype=torch.float64)


def mixed(space: TextSpace, seed: int = 0) -> Text:
    """Real texts with arbitrary words in some places."""
    real = enumerate_texts(space)
    random = torch.Generator().manual_seed(seed)
    lowest = 0 if space.eos is None else 1
    words = torch.randint(lowest, space.vocabulary, real.tokens.shape, generator=random)
    own = torch.rand(real.tokens.shape, generator=random) < 0.5
    return Text(torch.where(own, words, real.tokens) * real.mask, real.lengths)


@worlds
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_reading_only_real_words_is_mle(space: TextSpace, name: str) -> None:
    generator, real = small_generator(space, name), enumerate_texts(space)
    objective = ScheduledSampling(final=0.0)
    for told, progress in ((objective, 0.0), (ScheduledSampling(final=1.0), 1.0)):
        fake = told.sample(generator, real, progress)
        assert torch.equal(fake.tokens, real.tokens)
        assert torch.equal(fake.lengths, real.lengths)
        loss, figures = told.generator_loss(generator, None, real, fake, progress)
        mle, _ = MLE().generator_loss(generator, None, real, real, progress)
        assert same(loss, mle)
        assert same(gradient(loss, generator), gradient(mle, generator))
        assert figures["replaced"] == 0


@worlds
def test_the_loss_is_that_of_real_words_after_what_was_read(space: TextSpace) -> None:
    generator, real = random_generator(space), enumerate_texts(space)
    fake = mixed(space)
    assert (fake.tokens != real.tokens)[real.mask].double().mean() > 0.2
    total = ZERO
    for sentence, size, read in zip(real.tokens, real.lengths, fake.tokens, strict=True):
        for position in range(int(size)):
            tokens = torch.cat([read[:position], sentence[position:]])
            one = Text(tokens.unsqueeze(0), torch.tensor([space.length]))
            total = total - generator.log_prob(one)[0, position]
    objective = ScheduledSampling(final=0.0)
    loss, figures = objective.generator_loss(generator, None, real, fake, 0.5)
    assert same(loss, total / real.lengths.sum())
    assert same(gradient(loss, generator), gradient(total / real.lengths.sum(), generator))
    differ = (fake.tokens != real.tokens)[real.mask].double().mean()
    assert same(figures["replaced"].double(), differ, 1e-6)


def test_at_the_end_it_reads_its_own_draws_alone() -> None:
    generator, objective = small_generator(FIXED), ScheduledSampling(final=0.0)
    for text in (enumerate_texts(FIXED)[:1], enumerate_texts(FIXED)[20:21]):
        fake = objective.sample(generator, text.repeat(20_000), 1.0)
        chances = probabilities(generator, enumerate_texts(FIXED))
        assert agree(counts_of(fake, FIXED), chances)
        assert not agree(counts_of(fake, FIXED), chances.roll(1))


def test_its_own_draws_follow_what_was_read() -> None:
    # with probability 1 / 2 a word is real, else drawn after the mixed prefix: the chance of what
    # is read is the product over positions of that mixture
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    real = texts[13:14]
    objective = ScheduledSampling(final=0.5)
    fake = objective.sample(generator, real.repeat(30_000), 1.0)
    steps = generator.log_prob(texts).detach().exp()
    chances = (0.5 * steps + 0.5 * (texts.tokens == real.tokens)).prod(1)
    assert abs(chances.sum() - 1) < 1e-12
    assert agree(counts_of(fake, FIXED), chances)
    assert not agree(counts_of(fake, FIXED), probabilities(generator, texts))


def test_it_reads_draws_where_real_texts_vary_in_length() -> None:
    generator, texts = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    real = texts[-1:]  # the longest
    fake = ScheduledSampling(final=0.0).sample(generator, real.repeat(20_000), 1.0)
    assert (fake.tokens > 0).all()  # padding is never drawn, and an end does not stop the rest
    first = torch.bincount(fake.tokens[:, 0], minlength=4)
    start = torch.zeros(1, dtype=torch.long)
    logits, _ = generator.step(start, generator.start(1))
    assert agree(first, logits.detach().softmax(1)[0])
    ended = fake.tokens[:, 0] == VARIABLE.eos
    assert len(torch.unique(fake.tokens[ended, 1])) == 3


@worlds
@pytest.mark.parametrize("progress", [0.3, 0.5, 0.99])
def test_padding_is_left_alone(space: TextSpace, progress: float) -> None:
    generator, real = small_generator(space), enumerate_texts(space).repeat(20)
    labels: Any = torch.arange(len(real))
    real = Text(real.tokens, real.lengths, condition=Condition(labels))
    objective = ScheduledSampling(final=0.0)
    fake = objective.sample(generator, real, progress)
    assert torch.equal(fake.lengths, real.lengths)
    assert not fake.tokens[~real.mask].any()
    assert (fake.tokens[real.mask] != 0).all() or space.eos is None
    assert fake.labels is labels
    assert torch.is_grad_enabled()
    loss, figures = objective.generator_loss(generator, None, real, fake, progress)
    assert loss.isfinite()
    assert gradient(loss, generator).isfinite().all()
    replaced = (fake.tokens != real.tokens)[real.mask].double().mean()
    assert same(figures["replaced"].double(), replaced, 1e-6)
    assert replaced < progress
    if space.eos is None:
        return
    wide, also = real.pad_to(5), fake.pad_to(5)
    padded, _ = objective.generator_loss(generator, None, wide, also, progress)
    assert same(loss.detach(), padded.detach())


def test_no_gradient_flows_through_what_was_drawn() -> None:
    generator, real = random_generator(FIXED), enumerate_texts(FIXED)
    fake = ScheduledSampling(final=0.0).sample(generator, real[:1], 1.0)
    assert not fake.tokens.is_floating_point()
    loss, _ = ScheduledSampling(final=0.0).generator_loss(generator, None, real[:1], fake, 1.0)
    result = gradient(loss, generator).view(-1, FIXED.vocabulary)
    # only the three prefixes that were read learn anything
    a, b = fake.tokens[0, :2].tolist()
    read = [0, a + 1, (a + 1) * 3 + b + 1]
    assert nodes(FIXED) == len(result)
    assert result.any(1).nonzero().flatten().tolist() == read


# --- how much is kept ---


@pytest.mark.parametrize("final", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("decay", ["linear", "inverse_sigmoid"])
def test_the_share_that_is_kept_falls_to_its_end(decay: Any, final: float) -> None:
    result = [kept_share(index / 50, decay, final, 10.0) for index in range(51)]
    assert all(before >= after for before, after in pairwise(result))
    if decay == "linear":
        assert result[0] == 1.0
        assert result[-1] == pytest.approx(final)
        assert result[25] == pytest.approx((1 + final) / 2)
    else:
        assert result[0] == pytest.approx(1.0, abs=0.01)
        assert result[-1] == pytest.approx(final, abs=0.01)
        assert result[25] == pytest.approx((1 + final) / 2)


def test_the_inverse_sigmoid_is_the_papers() -> None:
    # k / (k + exp(i / k)), which falls from k / (k + 1): the curve of the updates i up to 2 k log k
    k = 12.0
    last = 2 * k * math.log(k)
    for share in (0.0, 0.3, 0.5, 0.8, 1.0):
        right = k / (k + math.exp(share * last / k))
        assert kept_share(share, "inverse_sigmoid", 0.0, last / k) == pytest.approx(right)


@pytest.mark.parametrize("steepness", [1e-3, 700.0, 1e4])
def test_any_steepness_has_a_curve(steepness: float) -> None:
    result = [kept_share(index / 10, "inverse_sigmoid", 0.0, steepness) for index in range(11)]
    assert all(0 <= share <= 1 for share in result)
    assert result[5] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"decay": "exponential"}, "decay"),
        ({"final": 1.1}, "final"),
        ({"final": -0.1}, "final"),
        ({"steepness": 0}, "steepness"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], word: str) -> None:
    make: Callable[..., ScheduledSampling] = ScheduledSampling
    with pytest.raises(ValueError, match=word):
        make(**settings)
