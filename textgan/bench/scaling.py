"""The growth of time and memory of our side with the length, the vocabulary, the rollouts and the
sources.

An exponent e means that something grows as x^e: the slope of a straight line through the
logarithms, by least squares. Beside it are the exponent of the arithmetic, fitted to the
closed-form count at the same points, and the most that the part's nature explains. What hardly
grows (the overhead of a call, another layer of the network) pulls an exponent down at these small
sizes; what no longer fits into a cache pulls it up a little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from statistics import fmean, median
from typing import Any

import torch

from textgan.bench.machine import peak_memory, seconds
from textgan.bench.parts import PARTS, Sides
from textgan.bench.setting import Axes, BenchSetting
from textgan.core.precision import Precision

REPEATS, ENOUGH = 3, 1.0  # the median of so many is taken, or of as many as take a second
SURPRISE = 0.25  # that an exponent may exceed what it ought to be, being measured


@dataclass(frozen=True)
class ExpectedScaling:
    """The largest exponents of time and memory that a part's nature explains, and the reason."""

    time: float
    memory: float
    why: str


COMPLETIONS = "T - 1 completions of T tokens, written and judged"
ALONE = "completions have nothing to do with each other"
LOGITS = "V logits a token"
EACH = "each source is read and answered by itself"

# (axis, part): what is measured, and what it ought to be
EXPECTED = {
    ("length", "sampling"): ExpectedScaling(1, 1, "T tokens a sentence"),
    ("length", "rollouts"): ExpectedScaling(2, 2, "T (T - 1) / 2 tokens a sentence and rollout"),
    ("length", "generator_step"): ExpectedScaling(2, 2, COMPLETIONS),
    ("length", "mle_epoch"): ExpectedScaling(1, 1, "T tokens a sentence"),
    ("length", "discriminator_epoch"): ExpectedScaling(
        1, 1.25, "T - k + 1 windows under filters of size k"
    ),
    ("vocabulary", "sampling"): ExpectedScaling(1, 1, LOGITS),
    ("vocabulary", "rollouts"): ExpectedScaling(1, 1, LOGITS),
    ("vocabulary", "generator_step"): ExpectedScaling(1, 1, LOGITS),
    ("vocabulary", "mle_epoch"): ExpectedScaling(1, 1, f"{LOGITS}, V rows to update"),
    ("vocabulary", "discriminator_epoch"): ExpectedScaling(
        1, 1, "V rows of the embedding to update"
    ),
    ("rollouts", "rollouts"): ExpectedScaling(1, 1, ALONE),
    ("rollouts", "generator_step"): ExpectedScaling(1, 1, ALONE),
    ("sources", "br_csgan_step"): ExpectedScaling(1, 1, EACH),
    ("sources", "regs_step"): ExpectedScaling(1, 1, EACH),
}


@dataclass(frozen=True)
class Growth:
    """The costs of a part at each value of an axis, and how they grow.

    memory: bytes at its peak, None where it cannot be known. flop: the arithmetic that it cannot do
    without. Exponents are None where there is nothing to fit. time_ought, memory_ought: at most.
    """

    axis: str
    part: str
    values: tuple[int, ...]
    seconds: tuple[float, ...]
    memory: tuple[int | None, ...]
    flop: tuple[int | None, ...]
    time_exponent: float | None
    memory_exponent: float | None
    flop_exponent: float | None
    time_ought: float
    memory_ought: float
    why: str

    @property
    def too_fast(self) -> bool:
        """Whether it grows faster than its nature explains."""
        pairs = (self.time_exponent, self.time_ought), (self.memory_exponent, self.memory_ought)
        return any(fitted is not None and fitted > most + SURPRISE for fitted, most in pairs)


def exponent(xs: Sequence[float], ys: Sequence[float | None]) -> float | None:
    """Fit the e of y = c x^e by least squares in the logarithms.

    None where there are fewer than two different x, or any y is not known or not positive.
    """
    known = [y for y in ys if y is not None and y > 0]
    if len(set(xs)) < 2 or len(known) < len(ys):
        return None
    a, b = [math.log(x) for x in xs], [math.log(y) for y in known]
    middle, level = fmean(a), fmean(b)
    above = sum((x - middle) * (y - level) for x, y in zip(a, b, strict=True))
    return above / sum((x - middle) ** 2 for x in a)


def measure_growth(
    axes: Axes,
    device: torch.device,
    name: Precision = "float32",
    parts: Sequence[str] = PARTS,
    done: Callable[[str], object] = lambda what: None,
) -> list[Growth]:
    """Measure time and memory of these parts along each axis, all else as in the base.

    done: called with the name of each measurement. The random state changes.
    """
    growths = []
    for axis, values in _values(axes).items():
        chosen = [part for on, part in EXPECTED if on == axis and part in parts]
        took: dict[str, list[float]] = {part: [] for part in chosen}
        memory: dict[str, list[int | None]] = {part: [] for part in chosen}
        flop: dict[str, list[int | None]] = {part: [] for part in chosen}
        for value in values:
            setting = _at(axes.base, axis, value)
            sides = Sides.make(setting, device, name)
            for work in sides.work(setting.sentences, setting.rollouts, chosen):
                work.ours()  # optimisers make their state, which stays
                flop[work.name].append(work.flop)
                work.rest()
                memory[work.name].append(peak_memory(work.ours, device))
                took[work.name].append(_typical(work.ours, device))
                done(f"{work.name}, {axis} {value:,}")
        for part in chosen:
            expected, arithmetic = EXPECTED[axis, part], exponent(values, flop[part])
            growths.append(
                Growth(
                    axis,
                    part,
                    values,
                    tuple(took[part]),
                    tuple(memory[part]),
                    tuple(flop[part]),
                    exponent(values, took[part]),
                    exponent(values, memory[part]),
                    arithmetic,
                    # windows are fewer than tokens, so at small lengths they grow faster
                    max(expected.time, arithmetic or 0.0),
                    expected.memory,
                    expected.why,
                )
            )
    return growths


def _typical(do: Callable[[], object], device: torch.device) -> float:
    """The median of the seconds that it takes several times."""
    took: list[float] = []
    while len(took) < REPEATS and sum(took) < ENOUGH:
        took.append(seconds(do, device))
    return median(took)


def measurements(axes: Axes, parts: Sequence[str] = PARTS) -> int:
    """Count the measurements that `measure_growth` takes."""
    values = _values(axes)
    return sum(len(values.get(axis, ())) for axis, part in EXPECTED if part in parts)


def _values(axes: Axes) -> dict[str, tuple[int, ...]]:
    """The axes along which there is something to measure."""
    return {axis.name: values for axis in fields(axes)[1:] if (values := getattr(axes, axis.name))}


def _at(base: BenchSetting, axis: str, value: int) -> BenchSetting:
    if axis == "sources":
        return replace(base, answering=replace(base.answering, batch=value))
    changed: dict[str, Any] = {axis: value}
    return replace(base, **changed)
