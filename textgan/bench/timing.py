"""The benchmark itself: every part on both sides, interleaved, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

import torch

from textgan.bench.against import Baseline, check_comparable
from textgan.bench.counting import count_parts
from textgan.bench.machine import Products, describe, others_seconds, peak_memory, seconds
from textgan.bench.parts import Sides, choose_parts
from textgan.bench.profiling import BATCHES, HotSpot, open_folder, trace_parts
from textgan.bench.report import BenchReport, PartReport
from textgan.bench.scaling import Growth, measure_growth, measurements
from textgan.bench.setting import PAPER, Axes, BenchSetting
from textgan.bench.work import Work
from textgan.core.arguments import checked_arguments
from textgan.core.checks import REPEATS, SCALES, names_from
from textgan.core.device import choose_device
from textgan.core.errors import UserError
from textgan.core.matmul import library_now, matmul_by
from textgan.core.memory import reuse_memory
from textgan.core.precision import Precision, supported
from textgan.core.progress import counting_bar, status
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream


@checked_arguments
def run_bench(
    repeats: Annotated[int, REPEATS] = 1,
    scale: Annotated[float, SCALES] = 1.0,
    setting: BenchSetting = PAPER,
    *,
    precision: Precision = "float32",
    matmul: Literal["auto", "blas", "onednn"] = "auto",
    parts: Annotated[str | Sequence[str] | None, "at least one name"] = None,
    timed: bool = True,
    axes: Axes | None = None,
    profile: Annotated[str | Path | None, "a folder"] = None,
    before: Baseline | None = None,
) -> BenchReport:
    """Time parts on both sides, interleaved, on the GPU where there is one.

    scale: the share of the sentences and of the rollouts that is done, one batch and one rollout
    at least. precision: of our side. matmul: the library of our float32 products on a processor,
    auto means as in `textgan.core.matmul`; the textbook's are torch's own. parts: their names; None
    means all. timed: False only counts.
    axes: also measure how our side grows along them. profile: also write a trace of each part of
    our side into this folder. before: a report that this one is to be compared with. The random
    state is afterwards what it was before.

    Raises UserError for a part, a precision, a library or a folder that cannot be had, and for a
    report of other work, before anything is measured.

    Example:
        >>> textgan.bench.run_bench(scale=0.1, parts="sampling,rollouts")
    """
    wanted = () if parts is None else names_from("parts", parts, "at least one name")
    chosen, device = choose_parts(wanted), choose_device("auto")
    supported(precision, device)
    if before is not None:
        check_comparable(before, setting, scale, precision, chosen, timed)
    folder = None if profile is None else open_folder(Path(profile))
    sentences = max(setting.batch, round(setting.sentences * scale))
    rollouts = max(1, round(setting.rollouts * scale))
    reuse_memory()  # as in training
    library = None if matmul == "auto" else matmul
    with fork_rng(stream(Purpose.BENCH, 0), device), matmul_by(library):
        if library not in (None, library_now()):
            raise UserError(f"matmul = {library!r}: this torch has no such product; use blas")
        machine = describe(device)
        with status("multiplying matrices"):
            products = Products(device, precision)
        with status("counting operators"):
            counts = count_parts(device, precision, chosen)
        measured: list[PartReport] = []
        hottest: list[HotSpot] = []
        growths: list[Growth] = []
        if timed:
            sides = Sides.make(setting, device, precision)
            with status("warming up"):
                for work in sides.work(setting.batch, 1, chosen):  # the first time is never fair
                    work.ours()
                    work.textbook()
            works = sides.work(sentences, rollouts, chosen)
            whole = sides.amounts(setting.sentences, setting.rollouts)
            began, taken = time.perf_counter(), others_seconds()
            measured = time_parts(works, whole, repeats, device, products.again)
            machine["others"] = _share(taken, others_seconds(), time.perf_counter() - began)
        machine |= products.facts()
        if folder is not None:
            sides = Sides.make(setting, device, precision)
            few = min(sentences, BATCHES * setting.batch)
            hottest = trace_parts(sides.work(few, rollouts, chosen), folder, device)
        if axes is not None:
            with counting_bar(measurements(axes, chosen)) as bar:

                def done(what: str) -> None:
                    bar.set_description(what)
                    bar.update()

                growths = measure_growth(axes, device, precision, chosen, done)
    return BenchReport(
        measured, machine, setting, scale, repeats, precision, counts, growths, hottest
    )


def _share(before: float | None, after: float | None, elapsed: float) -> float | None:
    """The cores that others had all the time."""
    return None if before is None or after is None else max(0.0, after - before) / elapsed


def time_parts(
    works: Sequence[Work],
    whole: Mapping[str, int],
    repeats: int,
    device: torch.device,
    speed: Callable[[], float] = lambda: 1.0,
) -> list[PartReport]:
    """Time both sides of each work, one right after the other in alternating order; report medians.

    whole: the amounts at scale 1. speed: measures how fast the machine is, right before and after
    each work.
    """
    times: dict[str, tuple[list[float], list[float]]] = {work.name: ([], []) for work in works}
    speeds: dict[str, list[float]] = {work.name: [] for work in works}
    memory: dict[str, int | None] = {}
    with counting_bar((1 + 2 * repeats) * len(works)) as bar:
        for work in works:  # apart from the times, for which fresh memory would be unfair
            bar.set_description(f"{work.name}, memory")
            work.rest()
            memory[work.name] = peak_memory(work.ours, device)
            bar.update()
        best = before = speed()
        for repeat in range(repeats):
            for work in works:
                ours, textbook = times[work.name]
                sides = [("ours", work.ours, ours), ("textbook", work.textbook, textbook)]
                for side, do, took in sides if repeat % 2 == 0 else reversed(sides):
                    bar.set_description(f"{work.name}, {side}")
                    took.append(seconds(do, device))
                    bar.update()
                after = speed()
                speeds[work.name].append(min(before, after))
                best, before = max(best, after), after
    return [
        _part(
            work,
            *times[work.name],
            memory[work.name],
            whole[work.name],
            median(speeds[work.name]) / best,
        )
        for work in works
    ]


def _part(
    work: Work,
    ours: list[float],
    textbook: list[float],
    memory: int | None,
    whole: int,
    speed: float,
) -> PartReport:
    """One line of the report; where the textbook did less, its seconds are scaled to all."""
    scale = work.amount / (work.textbook_amount or work.amount)
    spread = max((max(took) - min(took)) / median(took) for took in (ours, textbook))
    return PartReport(
        work.name,
        work.unit,
        work.amount,
        median(ours),
        median(textbook) * scale,
        work.flop,
        memory,
        whole,
        work.textbook_amount,
        spread if len(ours) > 1 else None,
        speed,
    )
