"""What every objective keeps, and which pairs it refuses."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers, answering, sources
from family import ANY_TEXT
from rewards import unchanged, weights_of
from torch import Tensor
from toys import learn
from worlds import (
    FIXED,
    enumerate_texts,
    gradient,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.core import registry
from textgan.core.optim import Loss
from textgan.data.text import Condition, Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import Sampler
from textgan.objectives.base import Objective
from textgan.objectives.reinforce import Reinforce

TRAIN = enumerate_texts(FIXED)[:5]
# objectives that train generators without a likelihood too
RELAXED = ("wgan", "wgan_gp", "bgan_continuous", "textgan_mmd", "relgan", "gsgan")
objectives = pytest.mark.parametrize("name", ANY_TEXT)


class Speechless(Generator):
    """A generator without a likelihood."""

    def sample(
        self,
        n: int,
        *,
        choose: Sampler | None = None,
        prefix: Tensor | None = None,
        source: Text | None = None,
        labels: Tensor | None = None,
    ) -> Text:
        raise NotImplementedError


# --- what can be told ---


@objectives
def test_a_pair_that_does_not_fit_is_refused(name: str) -> None:
    objective, generator, judge = usual(name, FIXED)
    if isinstance(generator, AutoregressiveGenerator) and name not in RELAXED:
        with pytest.raises(ValueError, match=rf"{name} needs .*Speechless"):
            objective.connect(Speechless(FIXED), judge, TRAIN)
    if judge is not None:
        with pytest.raises(ValueError, match=f"{name} needs a discriminator"):
            objective.connect(generator, None, TRAIN)


def test_a_method_of_pairs_is_refused_where_there_are_none() -> None:
    class Pairs(Reinforce):
        needs_source = True

    generator, judge = small_generator(FIXED), small_discriminator(FIXED)
    with pytest.raises(ValueError, match="Pairs needs texts that answer a source"):
        Pairs().connect(generator, judge, TRAIN)
    Pairs().connect(answering(), small_discriminator(ANSWERS), all_answers(0))


# --- every objective ---


def usual(name: str, space: TextSpace) -> tuple[Objective, Any, Any]:
    """An objective connected to its usual pair."""
    part = registry.find("objective", name)
    generator = small_generator(space, part.generator)
    judge: Any = None
    if part.discriminator and part.discriminator_kind == "generator":
        judge = small_generator(space, part.discriminator, seed=1)
    elif part.discriminator:
        judge = small_discriminator(space, part.discriminator)
    # without smoothing hardly a text of these worlds has a BLEU that is not 0
    settings = {"smoothing": "method1"} if name == "pg_bleu" else {}
    objective: Objective = registry.build("objective", name, settings)
    objective.connect(generator, judge, TRAIN)
    return objective, generator, judge


def answered(objective: Objective, space: TextSpace) -> Text:
    """The real texts of a generator update."""
    return enumerate_texts(space).repeat(objective.group)


def all_equal(a: Loss, b: Loss) -> bool:
    return torch.equal(a[0], b[0]) and a[1].keys() == b[1].keys()


@worlds
@objectives
@pytest.mark.parametrize("progress", [0.0, 0.99])
def test_losses_are_finite_and_reach_the_network_they_train(
    space: TextSpace, name: str, progress: float
) -> None:
    objective, generator, judge = usual(name, space)
    real = answered(objective, space)
    fake = objective.sample(generator, real, progress)
    assert len(fake) == len(real)
    before = weights_of(generator)
    loss, metrics = learn(objective, generator, judge, real, fake, progress)
    assert loss.shape == ()
    assert loss.isfinite()
    assert all(value.isfinite() and not value.requires_grad for value in metrics.values())
    loss.backward()
    for parameter in generator.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
        assert parameter.grad is None or parameter.grad.any()
    assert unchanged(generator, before)

    if judge is not None:
        with torch.no_grad():
            fake = objective.sample(generator, real, progress)
        loss, metrics = objective.discriminator_loss(judge, real, fake)
        assert loss.shape == ()
        assert loss.isfinite()
        judge.zero_grad()
        loss.backward()
        # the output layer may be left out: RankGAN has no use for it, and its bias cancels where
        # only differences of scores count
        assert all(
            part.grad is not None and part.grad.any()
            for key, part in judge.named_parameters()
            if not key.startswith("output") and part.requires_grad
        )


@worlds
@objectives
def test_a_loss_changes_neither_network(space: TextSpace, name: str) -> None:
    objective, generator, judge = usual(name, space)
    real = answered(objective, space)
    fake = objective.sample(generator, real, 0.5)
    networks = [network for network in (generator, judge) if network is not None]
    before = [weights_of(network) for network in networks]
    learn(objective, generator, judge, real, fake, 0.5)[0].backward()
    assert all(map(unchanged, networks, before))
    if judge is not None:
        of_generator = [parameter.grad for parameter in generator.parameters()]
        with torch.no_grad():
            fake = objective.sample(generator, real, 0.5)
        objective.discriminator_loss(judge, real, fake)[0].backward()
        assert all(map(unchanged, networks, before))
        # the discriminator's loss says nothing to the generator
        assert all(
            parameter.grad is grad
            for parameter, grad in zip(generator.parameters(), of_generator, strict=True)
        )


@worlds
@objectives
def test_the_discriminators_loss_is_pure(space: TextSpace, name: str) -> None:
    objective, generator, judge = usual(name, space)
    if judge is None:
        assert type(objective).discriminator is None
        return
    real = enumerate_texts(space)
    with torch.no_grad():
        fake = objective.sample(generator, real, 0.5)
    state = torch.get_rng_state()
    first = objective.discriminator_loss(judge, real, fake)
    assert all_equal(objective.discriminator_loss(judge, real, fake), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_objectives_answer_the_sources_of_real_texts() -> None:
    generator, judge = answering(), small_discriminator(ANSWERS)
    real = replace(enumerate_texts(ANSWERS)[:2], condition=Condition(source=sources()))
    objective = Reinforce()
    objective.connect(generator, judge, real)
    fake = objective.sample(generator, real, 0.5)
    assert fake.condition is real.condition
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.5)
    assert gradient(loss, generator).any()
