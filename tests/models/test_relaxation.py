"""Relaxed texts, from each kind of generator."""

from dataclasses import replace

import pytest
import torch
from networks import noise_generator
from worlds import FIXED, enumerate_texts, same, small_generator

from textgan.data.text import Condition, TextSpace
from textgan.models.relaxation import relaxed_texts
from textgan.models.sampling import gumbel, softmax

CLASSES = TextSpace(3, 3, classes=2)


@pytest.mark.parametrize("reads_words", [False, True])
def test_what_writes_word_by_word_is_random_by_gumbel_noise(reads_words: bool) -> None:
    generator, real = small_generator(FIXED), enumerate_texts(FIXED)
    torch.manual_seed(4)
    result = relaxed_texts(generator, real, 0.7, reads_words=reads_words)
    another = relaxed_texts(generator, real, 0.7, reads_words=reads_words)
    torch.manual_seed(4)
    right = generator.sample(len(real), choose=gumbel(0.7), reads_words=reads_words)
    assert result.soft_tokens is not None and right.soft_tokens is not None
    assert torch.equal(result.soft_tokens, right.soft_tokens)
    assert another.soft_tokens is not None
    assert not same(result.soft_tokens, another.soft_tokens, 1e-3)


def test_what_starts_from_noise_gives_its_own_chances_at_any_temperature() -> None:
    generator, real = noise_generator(FIXED, "convolutional"), enumerate_texts(FIXED)
    torch.manual_seed(4)
    right = generator.sample(len(real), choose=softmax)
    for temperature in (0.1, 5.0):
        torch.manual_seed(4)
        result = relaxed_texts(generator, real, temperature)
        assert result.soft_tokens is not None and right.soft_tokens is not None
        assert torch.equal(result.soft_tokens, right.soft_tokens)


@pytest.mark.parametrize("name", ["lstm", "convolutional"])
def test_they_answer_real_texts_and_have_gradients(name: str) -> None:
    made = small_generator if name == "lstm" else noise_generator
    generator = made(CLASSES, name)
    labels = torch.arange(27) % 2
    real = replace(enumerate_texts(FIXED), condition=Condition(labels))
    result = relaxed_texts(generator, real, 1.0)
    assert result.labels is not None and torch.equal(result.labels, labels)
    assert result.soft_tokens is not None
    sums = result.soft_tokens.sum(2)
    assert same(sums, torch.ones_like(sums))
    result.soft_tokens.square().sum().backward()
    assert generator.output.weight.grad is not None and generator.output.weight.grad.any()
