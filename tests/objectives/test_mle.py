"""Maximum likelihood."""

import pytest
import torch
from rewards import descend
from worlds import (
    FIXED,
    Uniform,
    enumerate_texts,
    log_probs,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.data.text import TextSpace
from textgan.losses import nll
from textgan.objectives.mle import MLE


@worlds
def test_mle_is_the_nll_of_real_text(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    fake = texts[:2]
    loss, metrics = MLE().generator_loss(generator, None, texts, fake, 0.0)
    right = -log_probs(generator, texts).sum() / texts.lengths.sum()
    assert same(loss, right)
    assert metrics == {}
    assert MLE().sample(generator, texts, 0.5) is texts
    uniform, _ = MLE().generator_loss(Uniform(space), None, texts, texts, 0.0)
    assert same(uniform, torch.tensor(3.0, dtype=torch.float64).log())


def test_mle_has_no_discriminator() -> None:
    assert MLE.discriminator is None
    texts = enumerate_texts(FIXED)
    with pytest.raises(TypeError, match="mle has no discriminator"):
        MLE().discriminator_loss(small_discriminator(FIXED), texts, texts)


@worlds
def test_mle_learns_to_write_what_is_real(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    real = texts[-3:]
    before = nll(generator.log_prob(real), real.mask).item()
    descend(MLE(), generator, None, real)
    assert nll(generator.log_prob(real), real.mask).item() < 0.7 * before
