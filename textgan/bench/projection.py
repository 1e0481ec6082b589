"""The time of the whole experiment, put together from its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textgan.training.schedule import Schedule, plan

OF_A_ROUND = ("sampling", "generator_step", "discriminator_epoch")
OF_A_RUN = (*OF_A_ROUND, "mle_epoch", "evaluation")


@dataclass(frozen=True)
class Projection:
    """Seconds of one adversarial round, evaluation left out, and of the run as a whole.

    None: some part of it was not timed.
    """

    round: float | None
    run: float | None


def project(seconds: Mapping[str, float], schedule: Schedule, sentences: int) -> Projection:
    """Compute the seconds of a round and of a run from those of each part at its full size.

    A turn of the discriminator is the drawing of its fakes and k epochs over them. sentences: of
    the training text, as many as the fakes of a turn.
    """
    if not set(OF_A_ROUND) <= set(seconds):
        return Projection(None, None)
    turn = seconds["sampling"] + schedule.k * seconds["discriminator_epoch"]
    one_round = schedule.g_steps * seconds["generator_step"] + schedule.d_steps * turn
    if not set(OF_A_RUN) <= set(seconds):
        return Projection(one_round, None)
    # the generator is not measured while only the discriminator learns
    evaluations = sum(
        step.evaluate and step.phase != "discriminator"
        for step in plan(schedule, sentences, adversary=False)
    )
    run = (
        schedule.mle_epochs * seconds["mle_epoch"]
        + schedule.discriminator_turns * turn
        + schedule.rounds * one_round
        + evaluations * seconds["evaluation"]
    )
    return Projection(one_round, run)
