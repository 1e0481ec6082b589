"""SPIN against enumeration: its first step, where it is stationary, and its frozen copy."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pairs import assert_resumes_after_every_step
from tables import TableGenerator, dyadic_generator, random_generator, whole
from torch import Tensor
from torch.nn import functional as F
from toys import learn
from worlds import (
    VARIABLE,
    counts_of,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_generator,
    worlds,
)

from textgan.data.text import TextSpace
from textgan.objectives.spin import SPIN, UPDATES


def weights_of(generator: Any) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in generator.named_parameters()}


def against(copy: Any, **settings: Any) -> SPIN:
    """A method whose copy has been made one update ago."""
    objective = SPIN(**settings)
    objective.state = weights_of(copy) | {UPDATES: torch.tensor(1)}
    return objective


def expected(
    objective: SPIN, generator: TableGenerator, real: Any, writer: TableGenerator
) -> Tensor:
    """The expected gradient where each of these real texts meets every text of a writer."""
    texts, total = enumerate_texts(generator.space), torch.zeros((), dtype=torch.float64)
    for i, chance in enumerate(probabilities(writer, texts)):
        fake = texts[torch.full((len(real),), i)]
        total = total + chance * objective.generator_loss(generator, None, real, fake, 0.0)[0]  # type: ignore[arg-type]
    return gradient(total, generator)


@worlds
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_the_first_step_is_a_share_of_maximum_likelihoods(space: TextSpace, beta: float) -> None:
    generator, texts = random_generator(space), enumerate_texts(space)
    real, fake = texts[1:8], texts[4:11]
    loss, _, _ = SPIN(beta=beta).generator_loss(generator, None, real, fake, 0.0)  # type: ignore[arg-type]
    assert float(loss.detach()) == pytest.approx(math.log(2))
    contrast = (log_probs(generator, real) - log_probs(generator, fake)).mean()
    assert same(gradient(loss, generator), -beta / 2 * gradient(contrast, generator))
    # the fakes' part of it is zero on average
    right = -beta / 2 * gradient(log_probs(generator, real).mean(), generator)
    assert same(expected(SPIN(beta=beta), generator, real, generator), right)


@worlds
def test_the_truth_is_stationary_against_itself(space: TextSpace) -> None:
    generator = dyadic_generator(space)
    assert expected(SPIN(), generator, whole(generator), generator).abs().max() < 1e-12
    other = random_generator(space)
    assert expected(SPIN(), other, whole(generator), other).abs().max() > 1e-3


@worlds
def test_with_b_of_one_the_truth_is_stationary_against_any_copy(space: TextSpace) -> None:
    generator, copy = dyadic_generator(space), random_generator(space)
    real = whole(generator)
    assert expected(against(copy, beta=1.0), generator, real, copy).abs().max() < 1e-12
    # with a smaller one it would go on beyond
    assert expected(against(copy, beta=0.5), generator, real, copy).abs().max() > 1e-3


@worlds
def test_the_loss_is_of_both_ratios_to_the_copy(space: TextSpace) -> None:
    generator, copy = small_generator(space), small_generator(space, seed=1)
    texts = enumerate_texts(space)
    real, fake = texts[:6], texts[6:12]
    before = weights_of(generator)
    loss, metrics, kept = against(copy, beta=0.7).generator_loss(generator, None, real, fake, 0.0)  # type: ignore[arg-type]
    ratios = [0.7 * (log_probs(generator, t) - log_probs(copy, t).detach()) for t in (real, fake)]
    margin = ratios[0] - ratios[1]
    right = -F.logsigmoid(margin).mean()
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))
    assert same(metrics["margin"], margin.mean().detach())
    assert same(metrics["right"], (margin > 0).double().mean())
    assert kept.keys() == {UPDATES}
    assert all(torch.equal(before[name], one) for name, one in generator.named_parameters())


@pytest.mark.parametrize("refresh", [1, 3])
def test_the_copy_is_renewed_every_so_many_updates(refresh: int) -> None:
    objective, generator = SPIN(refresh=refresh), small_generator(VARIABLE)
    texts, copy = enumerate_texts(VARIABLE), {}
    for update in range(7):
        if update % refresh == 0:
            copy = weights_of(generator)
        loss, _ = learn(objective, generator, None, texts[:7], texts[7:14], 0.0)  # type: ignore[arg-type]
        assert (abs(float(loss.detach()) - math.log(2)) < 1e-12) == (update % refresh == 0)
        for name, weight in copy.items():
            assert torch.equal(objective.state[name], weight)
        for parameter in generator.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)


def test_fakes_are_written_by_the_copy() -> None:
    generator, copy = random_generator(VARIABLE), dyadic_generator(VARIABLE)
    objective, real = against(copy), enumerate_texts(VARIABLE).repeat(200)
    before = weights_of(generator)
    torch.manual_seed(0)
    counts = counts_of(objective.sample(generator, real, 0.0), VARIABLE)
    chances = [probabilities(one, enumerate_texts(VARIABLE)) for one in (copy, generator)]
    near, far = ((counts / len(real) - chance).abs().sum() for chance in chances)
    assert near < 0.1 < far
    assert all(torch.equal(before[name], one) for name, one in generator.named_parameters())
    # of a copy that is due the generator itself writes
    objective.state[UPDATES] = torch.tensor(objective.refresh)
    counts = counts_of(objective.sample(generator, real, 0.0), VARIABLE)
    assert (counts / len(real) - chances[1]).abs().sum() < 0.1


def test_pairs_resume_bit_for_bit_after_every_step(tmp_path: Path) -> None:
    settings = {"objective.refresh": 2, "schedule.g_steps": 3}
    assert_resumes_after_every_step("spin", tmp_path, **settings)
