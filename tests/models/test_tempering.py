"""Mixtures of temperatures and joint temperatures, against enumeration."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from answers import answering, both
from enumerated import by_hand
from tables import random_generator
from torch import Tensor
from worlds import (
    FIXED,
    VARIABLE,
    agree,
    counts_of,
    enumerate_texts,
    probabilities,
    small_generator,
    worlds,
)

from textgan.core.errors import UserError
from textgan.data.text import UNCONDITIONAL, Condition, Text, TextSpace
from textgan.models.draw import answers, draw_jointly, draw_like
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.likelihood import log_probs, nll_per_token
from textgan.models.tempering import (
    PROPOSALS,
    JointTemperature,
    Mixture,
    asked_for,
    label,
    mixture_from,
    resample_jointly,
    tempered,
)

HOT_AND_COLD = Mixture((1.0, 0.5), (0.3, 0.7))


def mixed(generator: AutoregressiveGenerator, texts: Text) -> Tensor:
    """P of every text under HOT_AND_COLD, from its definition."""
    return 0.3 * by_hand(generator, texts).exp() + 0.7 * by_hand(generator, texts, 0.5).exp()


# --- mixtures ---


@worlds
def test_the_likelihood_of_a_mixture_is_exact(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    log_p = tempered(HOT_AND_COLD, partial(log_probs, generator, texts))
    right = mixed(generator, texts)
    assert torch.allclose(log_p.exp(), right, rtol=1e-12, atol=0)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-12)
    nll = nll_per_token(generator, texts, temperature=HOT_AND_COLD)
    assert nll.value == pytest.approx(float(-right.log().sum() / texts.lengths.sum()), rel=1e-12)


@worlds
def test_texts_of_a_mixture_are_drawn_whole_at_one_temperature(space: TextSpace) -> None:
    generator = random_generator(space)
    drawn = draw_like(generator, UNCONDITIONAL, 5000, seed=1, temperature=HOT_AND_COLD)
    texts = enumerate_texts(space)
    assert agree(counts_of(drawn, space), mixed(generator, texts))
    # and not each token at one of them
    assert not agree(counts_of(drawn, space), probabilities(generator, texts))
    again = draw_like(generator, UNCONDITIONAL, 5000, seed=1, temperature=HOT_AND_COLD)
    assert torch.equal(again.tokens, drawn.tokens)
    forbidden = draw_like(generator, UNCONDITIONAL, 500, seed=1, temperature=HOT_AND_COLD, forbid=2)
    assert not (forbidden.tokens == 2).any()


def test_texts_of_a_mixture_stay_beside_their_sources() -> None:
    generator = answering()
    text = answers(generator, both(), 300, seed=5, temperature=HOT_AND_COLD)
    assert text.source is not None
    assert torch.equal(text.source.tokens, both().repeat(300).require_source().tokens)
    cold = Mixture((1e-4, 2e-4), (0.5, 0.5))  # the likeliest answer of each source
    assert torch.equal(
        answers(generator, both(), 20, seed=5, temperature=cold).tokens,
        answers(generator, both(), seed=1, temperature=1e-4).repeat(20).tokens,
    )


@pytest.mark.parametrize(
    "value",
    ["1:0.3,0.5:0.7", " 1:0.3 , 0.5:0.7 ", {1: 0.3, 0.5: 0.7}, [(1, 0.3), (0.5, 0.7)]],
)
def test_ways_to_write_a_mixture(value: object) -> None:
    assert mixture_from("mixture", value) == HOT_AND_COLD
    assert mixture_from("mixture", str(HOT_AND_COLD)) == HOT_AND_COLD
    assert label(HOT_AND_COLD) == "1:0.3,0.5:0.7"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "give temperature:weight pairs"),
        ("1", "give temperature:weight pairs"),
        ("1:2:3", "give temperature:weight pairs"),
        (3, "give temperature:weight pairs"),
        ([1.0, 0.5], "give temperature:weight pairs"),
        ("1:half,0.5:half", "'half' is not a number"),
        ("1:0.3,0.5:0.6", "add up to 1, not 0.9"),
        ("1:1,0.5:0", "must be above 0"),
        ("1:1.5,0.5:-0.5", "give a number from 0 to 1"),
        ("0:0.5,1:0.5", "give a number from 0.0001"),
        ("nan:1", "give a number from 0.0001"),
        ("1:nan", "give a number from 0 to 1"),
        ("1:0.5,1:0.5", "each temperature once"),
        ([("1", None)], "give a number from 0 to 1"),
    ],
)
def test_what_is_no_mixture_is_refused_in_one_line(value: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        mixture_from("mixture", value)
    assert "\n" not in str(error.value) and "mixture" in str(error.value)


def test_texts_are_drawn_in_one_way() -> None:
    assert asked_for(1.0, None, 1.0) == 1.0
    assert asked_for(0.8, None, 1.0) == 0.8
    assert asked_for(1.0, str(HOT_AND_COLD), 1.0) == HOT_AND_COLD
    assert asked_for(1.0, None, 0.8) == JointTemperature(0.8)
    with pytest.raises(UserError, match="by temperature or by mixture; leave one of them out"):
        asked_for(0.8, "1:1", 1.0)


# --- joint temperatures ---


def joint(generator: AutoregressiveGenerator, temperature: float) -> tuple[Tensor, float]:
    """P of every text, and log Z, from their definition."""
    powers = by_hand(generator, enumerate_texts(generator.space)) / temperature
    return powers.softmax(0), float(powers.logsumexp(0))


@worlds
@pytest.mark.parametrize("temperature", [0.5, 1.5])
def test_a_joint_temperature_is_that_of_whole_texts(space: TextSpace, temperature: float) -> None:
    generator, n = random_generator(space), 2000
    right, log_z = joint(generator, temperature)
    [drawn] = draw_jointly(generator, n, JointTemperature(temperature), seed=3)
    fitted = drawn.temperature
    assert agree(counts_of(drawn.text, space), right)
    if temperature < 1:  # hotter, both are near to uniform
        tokenwise = by_hand(generator, enumerate_texts(space), temperature).exp()
        assert not agree(counts_of(drawn.text, space), tokenwise)
    assert abs(fitted.log_z - log_z) < 4 * fitted.error
    texts = enumerate_texts(space)
    log_p = tempered(fitted, partial(log_probs, generator, texts))
    assert torch.allclose(log_p, right.log() + log_z - fitted.log_z, atol=1e-10)
    # copies of a proposal are the same text, and no other has its number
    assert len(drawn.text) == n and fitted.proposals == PROPOSALS * n
    assert len(drawn.proposal.unique()) > n / 2


def test_the_error_of_log_z_is_that_of_its_estimates() -> None:
    generator = random_generator(FIXED)
    texts, right = enumerate_texts(FIXED), joint(generator, 0.4)[1]
    own, proposed = by_hand(generator, texts), by_hand(generator, texts, 0.4)
    random = torch.Generator().manual_seed(0)
    drawn = proposed.exp().expand(150, -1).multinomial(200, replacement=True, generator=random)
    fitted = [resample_jointly(own[rows], proposed[rows], 0.4, 10, 0)[1] for rows in drawn]
    errors = torch.tensor([one.log_z - right for one in fitted])
    said = sum(one.error for one in fitted) / len(fitted)
    assert said > 0.01
    assert float(errors.std()) == pytest.approx(said, rel=0.2)
    assert abs(float(errors.mean())) < 4 * said / math.sqrt(len(fitted))


def test_a_token_that_is_not_written_is_in_none_of_the_texts() -> None:
    generator, texts = random_generator(VARIABLE), enumerate_texts(VARIABLE)
    as_drawn, without = draw_jointly(
        generator, 1000, JointTemperature(0.7), seed=0, forbids=(None, 2)
    )
    assert (as_drawn.text.tokens == 2).any() and not (without.text.tokens == 2).any()
    right = joint(generator, 0.7)[0] * ~(texts.tokens == 2).any(1)
    assert agree(counts_of(without.text, VARIABLE), right / right.sum())


def test_too_few_effective_texts_are_refused() -> None:
    log_p = torch.cat([torch.zeros(1), torch.full((9999,), -50.0)])
    with pytest.raises(UserError, match=r"10,000 texts .* are worth 1 of the joint one"):
        resample_jointly(log_p, torch.zeros(10_000), 0.9, 100, 0)
    with pytest.raises(UserError, match="are worth nan"):
        resample_jointly(torch.full((9,), -math.inf), torch.zeros(9), 0.9, 100, 0)


def test_proposals_of_one_weight_are_worth_all_of_them() -> None:
    rows, fitted = resample_jointly(torch.zeros(800), torch.zeros(800), 1.0, 800, 0)
    assert fitted.log_z == pytest.approx(0, abs=1e-12) and fitted.error < 1e-8
    assert fitted.effective == pytest.approx(800)
    assert torch.equal(rows.sort().values, torch.arange(800))  # each once, in any order
    assert not torch.equal(rows, torch.arange(800))


def test_labels_and_sources_have_a_normaliser_of_their_own() -> None:
    labelled: Callable[[], AutoregressiveGenerator] = lambda: small_generator(  # noqa: E731
        TextSpace(3, 3, classes=2)
    )
    for generator in (labelled(), answering()):
        with pytest.raises(ValueError, match="normaliser of its own"):
            draw_jointly(generator, 100, JointTemperature(0.7), seed=0)
    text = draw_like(labelled(), Condition(torch.tensor([1])), 50, seed=0, temperature=HOT_AND_COLD)
    assert text.labels is not None and bool((text.labels == 1).all())
