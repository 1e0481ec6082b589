"""The mathematics of the benchmark: arithmetic, exponents, projections."""

import math
import tomllib

import pytest
import torch
from places import ROOT
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from textgan.bench.arithmetic import Arithmetic
from textgan.bench.parts import PARTS, Sides
from textgan.bench.projection import OF_A_RUN, Projection, project
from textgan.bench.scaling import EXPECTED, Growth, exponent, measure_growth, measurements
from textgan.bench.setting import PAPER_SCHEDULE, Axes, BenchSetting
from textgan.data.text import Text
from textgan.losses import logistic
from textgan.models.discriminators.cnn import PRESETS
from textgan.training.schedule import Schedule

CPU = torch.device("cpu")
TINY = BenchSetting(
    vocabulary=12, length=5, embedding=3, hidden=4, batch=4, rollouts=2, sentences=8,
    sizes=(1, 3), counts=(3, 2),
)  # fmt: skip
TEXTS = Text.full(torch.randint(12, (7, 5)))


def counted(network: nn.Module, backward: bool = False) -> int:
    """FLOP as torch counts them, in float64: there an LSTM is made of matrix products."""
    with FlopCounterMode(display=False) as counter:
        if backward:
            score = network.double()(TEXTS)
            logistic(score[:3], score[3:]).backward()
        else:
            network.double()(TEXTS)
    return int(counter.get_total_flops())


def test_arithmetic_is_what_torch_counts() -> None:
    sides = Sides.make(TINY, CPU, "float32")
    count, judge = sides.arithmetic, sides.textbook.discriminator
    assert count.filters == ((1, 3), (3, 2))
    assert counted(sides.textbook.generator) == count.sampling(7)
    assert counted(judge) == 7 * count.score
    assert counted(judge, backward=True) == 3 * 7 * count.score


def test_arithmetic_of_rollouts_is_one_token_after_another() -> None:
    count = Sides.make(TINY, CPU, "float32").arithmetic
    total = texts = 0
    for _ in range(4):  # sentences
        for kept in range(1, 5):
            total += count.read  # the last token of the prefix is read once for all rollouts
            for _ in range(3):  # rollouts
                texts += 1
                for _ in range(kept, 5):
                    total += count.token
    assert count.rollouts(3) == total
    assert count.scoring(3) == texts * count.score
    step = count.sampling(4) + total + (texts + 4) * count.score + 3 * count.sampling(4)
    assert count.generator_step(3) == step


def test_arithmetic_of_the_paper() -> None:
    count = Arithmetic(BenchSetting(), 64, tuple(PRESETS["seqgan20"].items()))
    assert count.completions * 16 == 19_456
    # issue-sized numbers: 0.2 TFLOP for an MLE epoch, 1.6 for a discriminator epoch
    assert count.mle_epoch(10_000) == 3 * 200_000 * (2 * 128 * 64 + 2 * 32 * 5000)
    assert count.discriminator_epoch(10_000) == 3 * 20_000 * 2 * (118_600 * 64 + 1720 * 3440 + 1720)


def test_exponents() -> None:
    xs = (20, 40, 80)
    for e in (-1.0, 0.0, 0.5, 2.0):
        assert exponent(xs, [3 * x**e for x in xs]) == pytest.approx(e, abs=1e-12)
    # least squares in the logarithms: 1, 2, 8 at 1, 2, 4 has the slope between the ends
    assert exponent((1, 2, 4), (1, 2, 8)) == pytest.approx(1.5)
    assert exponent((1, 2, 4, 16), (1, 2, 4, 4)) == pytest.approx(
        (0 * -1.75 + 1 * -0.75 + 2 * 0.25 + 2 * 2.25) / (1.75**2 + 0.75**2 + 0.25**2 + 2.25**2)
    )
    assert exponent((3,), (1,)) is None
    assert exponent((3, 3), (1, 2)) is None
    assert exponent((1, 2), (0, 2)) is None
    assert exponent((1, 2), (None, 2)) is None


def test_growth_is_measured_for_each_part_and_axis() -> None:
    axes = Axes(TINY, length=(5, 7), vocabulary=(12, 20, 30), rollouts=(1, 2))
    told: list[str] = []
    growths = measure_growth(axes, CPU, done=told.append)
    assert [(growth.axis, growth.part) for growth in growths] == list(EXPECTED)
    assert len(told) == measurements(axes) == 5 * 2 + 5 * 3 + 2 * 2
    values = {"length": (5, 7), "vocabulary": (12, 20, 30), "rollouts": (1, 2)}
    for growth in growths:
        assert growth.values == values[growth.axis]
        assert len(growth.seconds) == len(growth.memory) == len(growth.flop) == len(growth.values)
        assert growth.time_exponent == exponent(growth.values, growth.seconds)
        assert growth.memory_exponent == exponent(growth.values, growth.memory)
        assert growth.flop_exponent == exponent(growth.values, growth.flop)
        assert growth.time_ought >= (growth.flop_exponent or 0)
        assert growth.part in PARTS and growth.why
    by = {(growth.axis, growth.part): growth for growth in growths}
    assert by["length", "sampling"].flop_exponent == pytest.approx(1)
    assert by["vocabulary", "discriminator_epoch"].flop_exponent == 0
    assert by["rollouts", "rollouts"].flop[1] == by["length", "rollouts"].flop[0]
    (only,) = measure_growth(Axes(TINY, (5, 7), (), ()), CPU, parts=["mle_epoch"])
    assert only.part == "mle_epoch"


def test_what_grows_too_fast_is_named() -> None:
    def growth(time: float | None, memory: float | None) -> Growth:
        return Growth(
            "length", "sampling", (1, 2), (1, 2), (1, 2), (1, 2), time, memory, 1, 1, 1, ""
        )

    assert not growth(1.2, 1.2).too_fast and not growth(None, None).too_fast
    assert growth(1.3, 1.0).too_fast and growth(0.5, 1.3).too_fast


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
