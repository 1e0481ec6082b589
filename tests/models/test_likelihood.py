"""Likelihoods per token, against closed forms and enumeration."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from answers import all_answers, answering
from worlds import (
    FIXED,
    enumerate_texts,
    log_probs,
    probabilities,
)

from textgan.core.seeds import fork_rng
from textgan.data.text import Text, TextSpace
from textgan.models.draw import draw_texts
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.likelihood import nll_per_token, uniform_nll
from textgan.models.oracle import make_oracle


def test_nll_is_per_token_and_leaves_padding_out() -> None:
    space = TextSpace(5, 4, eos=1)
    model = LSTMGenerator(space).double()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)  # uniform over the four tokens that may be written
    text = Text(torch.tensor([[2, 1, 0, 0], [2, 3, 4, 1]]), torch.tensor([2, 4]))
    assert nll_per_token(model, text).value == pytest.approx(math.log(4), abs=1e-12)
    assert nll_per_token(model, text.pad_to(9)).value == pytest.approx(math.log(4), abs=1e-12)
    assert uniform_nll(space) == pytest.approx(math.log(4))
    assert uniform_nll(TextSpace(5, 4)) == pytest.approx(math.log(5))


def test_entropy_of_a_generator_is_that_of_its_distribution() -> None:
    generator = make_oracle(4, 3, 4, 4, seed=0).double()
    tokens = torch.cartesian_prod(*[torch.arange(4)] * 3)
    log_prob = generator.score(Text.full(tokens))
    exact = -(log_prob.exp() * log_prob).sum().item() / 3
    with fork_rng(0, torch.device("cpu")):
        result = nll_per_token(generator, draw_texts(generator, 4000), 500)
    assert result.low is not None
    assert result.high is not None
    assert result.low < exact < result.high


def test_nll_under_an_oracle_is_what_enumeration_says() -> None:
    oracle, texts = make_oracle(3, 3, 4, 5, 2).double(), enumerate_texts(FIXED)
    chances = probabilities(oracle, texts)
    assert abs(chances.sum().item() - 1) < 1e-12
    entropy = -(chances * chances.log()).sum().item() / 3
    uniform = -chances.log().mean().item() / 3
    # Gibbs: no text is more surprising on average than under its own law, uniform ones more so
    assert entropy < np.log(3) < uniform
    assert abs(nll_per_token(oracle, texts).value - uniform) < 1e-12

    n = 20_000
    sample = draw_texts(oracle, n)
    variance = (chances * (chances.log() / 3 + entropy) ** 2).sum().item()
    assert abs(nll_per_token(oracle, sample).value - entropy) < 4 * (variance / n) ** 0.5
    random = Text.full(torch.randint(3, (n, 3)))
    spread = (chances.log() / 3).std().item()
    assert abs(nll_per_token(oracle, random).value - uniform) < 4 * spread / n**0.5


def test_likelihoods_are_given_the_source() -> None:
    generator, texts = answering(), all_answers(0)
    other = replace(texts, condition=all_answers(1).condition)
    expected = float(-log_probs(generator, texts).detach().sum() / texts.lengths.sum())
    assert nll_per_token(generator, texts).value == pytest.approx(expected, rel=1e-12)
    assert nll_per_token(generator, other).value != pytest.approx(expected, rel=1e-3)
