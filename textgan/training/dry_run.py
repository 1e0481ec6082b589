"""A dry run of one step of a run, on a few of its own texts, before anything is trained or written.

The networks are the run's own, untrained; each function that the run will call is called once, as
`train_step` calls it, and what comes back is checked. Nothing is trained, no random number of the
run is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from typing import Any

import torch

from textgan.core.contract import (
    BEFORE,
    FEW,
    called,
    checked_loss,
    checked_reduction,
    checked_state,
    is_own,
    name_of,
    undisturbed,
)
from textgan.core.errors import UserError, described
from textgan.core.names import title
from textgan.core.optim import Loss
from textgan.core.registry import refuse_call
from textgan.data.contract import checked_text, unchanged
from textgan.data.text import Text
from textgan.models.contract import check_discriminator, check_generator, dropout_off
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import Objective, refuse_changes, without_state
from textgan.perturb.base import Perturbation
from textgan.perturb.contract import check_perturbation
from textgan.training.schedule import Schedule


def dry_run(
    objective: Objective,
    generator: Generator,
    discriminator: Any,
    train: Text,
    schedule: Schedule,
    perturbations: Mapping[str, Perturbation] | None = None,
    *,
    seed: int = 0,
) -> None:
    """Call once what a run of this schedule calls, on a few texts of `train`, and check it all.

    The objective is connected; the networks are not needed afterwards, and on the processor, as the
    texts are. Raises UserError that names the function and what was expected of it; what a part's
    own code raises is noted to be that.
    """
    few = copy(objective)
    few.state = dict(objective.state)
    if isinstance(getattr(few, "rollouts", None), int):
        few.rollouts = 1  # type: ignore[attr-defined]
    try:
        with undisturbed(seed):
            _dry_run(few, generator, discriminator, train[:FEW], schedule, perturbations)
    except Exception:
        # a method may need more texts than a few; then a batch as the run has it decides
        whole = train[: schedule.batch_size // schedule.shards]
        with undisturbed(seed):
            _dry_run(objective, generator, discriminator, whole, schedule, perturbations)


def _dry_run(
    objective: Objective,
    generator: Generator,
    discriminator: Any,
    real: Text,
    schedule: Schedule,
    perturbations: Mapping[str, Perturbation] | None,
) -> None:
    rounds, changed = schedule.rounds, perturbations or {}
    with dropout_off(generator, discriminator):
        # textgan's own networks need no check of their own, and some are slow
        if is_own(generator):
            check_generator(
                generator, real, likelihood=bool(schedule.mle_epochs or schedule.mle_steps)
            )
        if schedule.mle_epochs or (rounds and schedule.mle_steps):
            mle_step(objective, generator, real)
        if rounds and schedule.mle_steps:
            teacher_step(objective, generator, discriminator, real)
        if "mle" in changed:
            check_perturbation(changed["mle"], generator, *_likelihood(objective, generator, real))
        if is_own(discriminator) and isinstance(discriminator, Generator):
            check_generator(discriminator, real, likelihood=True)
        elif is_own(discriminator):
            check_discriminator(discriminator, real)
        if discriminator is not None and (
            schedule.discriminator_turns or (rounds and schedule.d_steps)
        ):
            fake = discriminator_step(objective, generator, discriminator, real)
            if "discriminator" in changed:
                closures = _judging(objective, discriminator, real, fake)
                check_perturbation(changed["discriminator"], discriminator, *closures)
        if rounds and schedule.g_steps:
            generator_step(objective, generator, discriminator, real)


def check_objective(objective: Objective) -> None:
    """Raise UserError for what a method lacks, or for a signature that textgan cannot call.

    Before it is connected: nothing of it is called.
    """
    kind, who = type(objective), title(type(objective))
    if kind.discriminator is not None and kind.discriminator_loss is Objective.discriminator_loss:
        raise UserError(
            f"{who} has no discriminator_loss, but a discriminator ({kind.discriminator}); define "
            "discriminator_loss(self, discriminator, real, fake), or set discriminator = None"
        )
    calls: dict[str, Sequence[str]] = {
        "sample": ("generator", "real", "progress"),
        "discriminator_sample": ("generator", "real", "progress"),
        "mle_loss": ("generator", "real"),
        "teacher_loss": ("generator", "discriminator", "real"),
        "discriminator_loss": ("discriminator", "real", "fake"),
        "generator_loss": ("generator", "discriminator", "real", "fake", "progress"),
        "connect": ("generator", "discriminator", "train"),
        "setup": ("generator", "discriminator", "train"),
        "build_networks": ("generator", "discriminator"),
        "on_fakes": ("fake",),
        "after_discriminator_step": ("discriminator",),
    }
    for method, given in calls.items():
        function = getattr(objective, method)
        if not callable(function):
            raise UserError(f"{who}.{method} is {described(function)}; expected a method")
        refuse_call(function, f"{who}.{method}", *given)
    checked_reduction(objective.reduction, f"{who}.reduction")
    group = objective.group
    if isinstance(group, bool) or not isinstance(group, int) or group < 1:
        raise UserError(f"{who}.group = {group!r}: expected how many fakes answer a real text")
    checked_state(objective.state, f"{who}.state")


def discriminator_step(
    objective: Objective, generator: Generator, discriminator: Any, real: Text, progress: float = 0
) -> Text:
    """Try an update of the discriminator, without changing it; return the fakes."""
    when = BEFORE.format("a discriminator update")
    draws = "discriminator_sample"
    if type(objective).discriminator_sample is Objective.discriminator_sample:
        draws = "sample"
    with torch.no_grad():
        fake = called(objective, draws, generator, real, progress, when=when)
    fake = checked_text(fake, name_of(objective, draws), real, generator.space)
    who = name_of(objective, "discriminator_loss")
    networks, texts = {"discriminator": discriminator}, {"real": real, "fake": fake}
    with unchanged(who, networks, texts) if is_own(objective) else nullcontext():
        loss = called(objective, "discriminator_loss", discriminator, real, fake, when=when)
    checked_loss(loss, who, discriminator, "discriminator")
    called(objective, "after_discriminator_step", discriminator, when=when)
    return fake


def generator_step(
    objective: Objective, generator: Generator, discriminator: Any, real: Text, progress: float = 0
) -> Loss:
    """Try an update of the generator, without changing it; return the loss."""
    when = BEFORE.format("a generator update")
    if objective.group > 1:
        real = real.repeat(objective.group)
    fake = called(objective, "sample", generator, real, progress, when=when)
    fake = checked_text(fake, name_of(objective, "sample"), real, generator.space)
    called(objective, "on_fakes", replace(fake, soft_tokens=None), when=when)
    given = (generator, discriminator, real, fake, progress)
    who = name_of(objective, "generator_loss")
    networks = {"generator": generator, "discriminator": discriminator, **objective.networks}
    texts = {"real": real, "fake": fake}
    before = dict(objective.state)
    with unchanged(who, networks, texts) if is_own(objective) else nullcontext():
        returned = called(objective, "generator_loss", *given, when=when)
    loss, kept = without_state(returned)
    checked_state(kept, f"the third value of {who}")
    refuse_changes(objective, before)
    checked_state(objective.state, f"{title(type(objective))}.state")
    return checked_loss(loss, who, generator, "generator")


def mle_step(objective: Objective, generator: Generator, real: Text) -> None:
    """Try an MLE update, without changing the generator, of a method that has a loss of its own for
    it."""
    if type(objective).mle_loss is Objective.mle_loss:
        return
    when = BEFORE.format("an MLE update")
    who = name_of(objective, "mle_loss")
    with unchanged(who, {"generator": generator}, {"real": real}):
        loss = called(objective, "mle_loss", generator, real, when=when)
    checked_loss(loss, who, generator, "generator")


def teacher_step(
    objective: Objective, generator: Generator, discriminator: Any, real: Text
) -> None:
    """Try an MLE update among the rounds, without changing anything, of a method that has a loss of
    its own for it."""
    if type(objective).teacher_loss is Objective.teacher_loss:
        return
    when = BEFORE.format("an MLE update among the rounds")
    who = name_of(objective, "teacher_loss")
    networks = {"generator": generator, "discriminator": discriminator}
    with unchanged(who, networks, {"real": real}):
        loss = called(objective, "teacher_loss", generator, discriminator, real, when=when)
    checked_loss(loss, who, generator, "generator")


def _likelihood(objective: Objective, generator: Generator, real: Text) -> Any:
    assert isinstance(generator, AutoregressiveGenerator)  # the config refuses others

    def loss() -> Loss:
        return objective.mle_loss(generator, real)

    return loss, lambda: generator(real)[real.mask]


def _judging(objective: Objective, discriminator: Any, real: Text, fake: Text) -> Any:
    def loss() -> Loss:
        value: Loss = objective.discriminator_loss(discriminator, real, fake)
        return value

    def outputs() -> torch.Tensor:
        if isinstance(discriminator, Discriminator):
            both = [discriminator.logits(text).flatten(0, 1) for text in (real, fake)]
        else:
            both = [discriminator(text)[text.mask] for text in (real, fake)]
        return torch.cat(both)

    return loss, outputs
