"""What the whole experiment takes, from its parts."""

import math
import tomllib

from places import ROOT

from textgan.bench.projection import OF_A_RUN, Projection, project
from textgan.bench.setting import PAPER_SCHEDULE
from textgan.training.schedule import Schedule


def test_projection_is_the_sum_of_the_plan() -> None:
    seconds = dict(zip(OF_A_RUN, (1.0, 10.0, 100.0, 1000.0, 1e4), strict=True))
    schedule = Schedule(
        mle_epochs=3, discriminator_turns=2, rounds=5, g_steps=2, d_steps=4, k=3, evaluate_every=2
    )
    turn = 1 + 3 * 100
    one = 2 * 10 + 4 * turn
    # evaluated: epochs 1 and 3; rounds 1, 3 and 5
    assert project(seconds, schedule, 64) == Projection(
        one, 3 * 1000 + 2 * turn + 5 * one + 5 * 1e4
    )
    del seconds["evaluation"]
    assert project(seconds, schedule, 64) == Projection(one, None)
    del seconds["sampling"]
    assert project(seconds, schedule, 64) == Projection(None, None)


def test_the_projected_schedule_is_the_papers() -> None:
    recipe = ROOT / "experiments/paper/seqgan.toml"
    assert Schedule(**tomllib.loads(recipe.read_text())["schedule"]) == PAPER_SCHEDULE
    whole = project(dict.fromkeys(OF_A_RUN, 1.0), PAPER_SCHEDULE, 10_000)
    assert whole.round == 1 + 5 * (1 + 3)
    assert whole.run == 120 + 50 * 4 + 200 * 21 + (25 + 41)
    assert math.isfinite(whole.run)
