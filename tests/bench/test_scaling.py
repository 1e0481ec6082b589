"""How time and memory grow with the setting."""

import pytest
from bench import CPU, TINY

from textgan.bench.parts import PARTS
from textgan.bench.scaling import EXPECTED, Growth, exponent, measure_growth, measurements
from textgan.bench.setting import Axes


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
    axes = Axes(TINY, length=(5, 7), vocabulary=(12, 20, 30), rollouts=(1, 2), sources=(4, 8))
    told: list[str] = []
    growths = measure_growth(axes, CPU, done=told.append)
    assert [(growth.axis, growth.part) for growth in growths] == list(EXPECTED)
    assert len(told) == measurements(axes) == 5 * 2 + 5 * 3 + 2 * 2 + 2 * 2
    values = {"length": (5, 7), "vocabulary": (12, 20, 30), "rollouts": (1, 2), "sources": (4, 8)}
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
    (only,) = measure_growth(Axes(TINY, (5, 7), (), (), ()), CPU, parts=["mle_epoch"])
    assert only.part == "mle_epoch"


def test_what_grows_too_fast_is_named() -> None:
    def growth(time: float | None, memory: float | None) -> Growth:
        return Growth(
            "length", "sampling", (1, 2), (1, 2), (1, 2), (1, 2), time, memory, 1, 1, 1, ""
        )

    assert not growth(1.2, 1.2).too_fast and not growth(None, None).too_fast
    assert growth(1.3, 1.0).too_fast and growth(0.5, 1.3).too_fast
