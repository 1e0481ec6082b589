"""What a study of classifiers reports: differences, their significance, the table."""

from typing import Any

import pytest

from textgan.classifiers.config import ClassifierConfig
from textgan.classifiers.results import Classification, TrainedClassifier, significant
from textgan.core.settings import make_settings
from textgan.core.statistics import Estimate


def run(name: str, seed: int, clean: float, seconds: float = 1.0) -> TrainedClassifier:
    return TrainedClassifier(
        name, seed, {"clean": clean, "drop 0.1": clean / 2}, 0.5, 1, 2, seconds, 1.0
    )


FACTS: dict[str, Any] = {
    "settings": make_settings(ClassifierConfig, {}).model_dump(),
    "data": {"split": {"test": 200}},
    "seeds": 3,
    "majority": 0.5,
    "clock": "seconds",
}


def test_differences_are_taken_seed_by_seed() -> None:
    """A gain of 0.1 with every seed stands, however far the seeds are apart; one of 0.1 on average
    does not."""
    base = [0.5, 0.7, 0.9]
    runs = [run("none", seed, share) for seed, share in enumerate(base)]
    runs += [run("a", seed, share + 0.1 + 0.01 * (seed - 1)) for seed, share in enumerate(base)]
    runs += [run("b", seed, share) for seed, share in enumerate([1.0, 0.8, 0.6])]
    made = Classification(FACTS, (*runs[:3], *reversed(runs[3:])))  # in whatever order
    a, b = (made.differences()[name]["clean"] for name in "ab")
    half = 4.30265273 * 0.01 / 3**0.5  # Student's t
    assert (a.value, a.low, a.high) == pytest.approx((0.1, 0.1 - half, 0.1 + half), rel=1e-4)
    assert b.value == pytest.approx(0.1)
    assert significant(a)
    assert not significant(b)
    assert "none" not in made.differences()
    assert made.accuracies()["none"]["clean"].value == pytest.approx(0.7)


def test_times_are_of_none_with_the_same_seed() -> None:
    runs = [run("none", 0, 0.5, 10.0), run("a", 0, 0.5, 20.0)]
    runs += [run("none", 1, 0.5, 30.0), run("a", 1, 0.5, 90.0)]
    times = Classification(FACTS, tuple(runs)).times()
    assert times["none"] == Estimate(1.0, 1.0, 1.0)
    assert times["a"].value == 2.5


def test_what_is_significant() -> None:
    assert significant(Estimate(0.1, 0.05, 0.15))
    assert significant(Estimate(-0.1, -0.15, -0.05))
    assert not significant(Estimate(0.1, -0.05, 0.25))
    assert not significant(Estimate(0.1, 0.0, 0.2))
    assert not significant(Estimate(0.1))
    assert not significant(Estimate(0.0, 0.0, 0.0))


def test_the_table() -> None:
    runs = [run("none", seed, 0.7 + seed / 100) for seed in range(3)]
    runs += [run("fgm", seed, 0.75 + seed / 100, 2.0) for seed in range(3)]
    lines = Classification(FACTS, tuple(runs)).text(100).splitlines()
    assert lines[:5] == [
        "accuracy  clean      drop       time",
        "                     0.1",
        "--------  ---------  ---------  ----------",
        "none      71.0 ±2.5  35.5 ±1.2  1.00 ±0.00",
        "fgm       76.0 ±2.5  38.0 ±1.2  2.00 ±0.00",
    ]
    assert lines[6].startswith("less none's  clean")
    assert lines[9].startswith("fgm          +5.0 ±0.0*")
    assert "of 2 differences, 0.1 would by chance alone" in lines[-1]
    assert max(map(len, lines)) <= 100
    single = str(Classification(FACTS | {"seeds": 1}, (runs[0], runs[3])))
    assert "one seed: nothing says what is chance" in single
    assert "±" not in single
    assert "*" not in single


def test_settings_stand_below_the_table() -> None:
    names = ["none", "fgm(epsilon=0.5)", "pgd", "pgd(steps=2)"]
    message = str(Classification(FACTS | {"seeds": 1}, tuple(run(name, 0, 0.7) for name in names)))
    assert [line.split("  ")[0] for line in message.splitlines()[3:7]] == [
        "none",
        "fgm",
        *names[2:],
    ]
    assert "\nfgm: fgm(epsilon=0.5)" in message
    assert "pgd:" not in message


def test_who_learnt_nothing_is_named() -> None:
    """Always the same label cannot be misled, which is no robustness."""
    runs = [run("none", 0, 0.7), run("pgd", 0, 0.51)]
    message = str(Classification(FACTS | {"seeds": 1}, tuple(runs)))
    assert "warning: pgd does no better than the majority label" in message
    assert "warning: none" not in message
