"""The results of a benchmark: for a reader, and for JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from textgan.bench.counting import COUNTED, Count
from textgan.bench.pairs import PAIR_PARTS
from textgan.bench.parts import PLAIN
from textgan.bench.profiling import HotSpot
from textgan.bench.projection import Projection, project
from textgan.bench.scaling import Growth
from textgan.bench.setting import PAPER_SCHEDULE, BenchSetting, PairSetting
from textgan.core.tables import Shown, Table

MOVED = 0.15  # the share by which other work may move the figures before the report warns of it


@dataclass(frozen=True)
class PartReport:
    """The seconds of one kind of work, here and in the textbook, for `amount` of `unit`.

    flop: the arithmetic that it cannot do without, None where that is not counted (see `Work`).
    memory: the most bytes in use while our side runs, above what was in use before; None where it
    cannot be known. whole: the amount at scale 1. textbook_amount: how much the textbook did where
    that is less; its seconds are scaled to all. spread: the longest time less the shortest, as a
    share of the median, of the side where that is more; None where it was measured once.
    machine_speed: of the machine's fastest product beside this part (the slower of right before and
    right after), as a share of its best in this run.
    """

    name: str
    unit: str
    amount: int
    seconds: float
    textbook_seconds: float
    flop: int | None = None
    memory: int | None = None
    whole: int | None = None
    textbook_amount: int | None = None
    spread: float | None = None
    machine_speed: float | None = None

    @property
    def ratio(self) -> float:
        """The textbook's seconds over ours."""
        return self.textbook_seconds / self.seconds

    @property
    def per_second(self) -> float:
        """The amount of `unit` that is done in a second."""
        return self.amount / self.seconds

    @property
    def gflops(self) -> float | None:
        """GFLOP/s of the arithmetic that it cannot do without."""
        return None if self.flop is None else self.flop / self.seconds / 1e9

    def to_dict(self, peak: float) -> dict[str, Any]:
        """Return a dictionary for JSON. peak: GFLOP/s of the fastest matrix product here."""
        share = None if self.gflops is None else self.gflops / peak
        derived = {"ratio": self.ratio, "per_second": self.per_second, "gflops": self.gflops}
        return asdict(self) | derived | {"share_of_peak": share}


@dataclass(frozen=True, repr=False)
class BenchReport(Shown):
    """The results of all parts (medians over the repeats), the machine and how much was asked for.

    What was not asked for is empty. counts: always there, and the same on every run.
    """

    parts: list[PartReport]
    machine: dict[str, Any]
    setting: BenchSetting
    scale: float
    repeats: int
    precision: str = "float32"
    counts: Sequence[Count] = ()
    growths: Sequence[Growth] = ()
    hottest: Sequence[HotSpot] = ()

    @property
    def peak(self) -> float:
        """GFLOP/s of the fastest matrix product here, by any library in this precision: measured
        alone, or in a part that does no less than the plain arithmetic."""
        reached = [part.gflops or 0.0 for part in self.parts if part.name in PLAIN]
        return max(float(self.machine["gflops"]), *reached, 0.0)

    @property
    def warnings(self) -> list[str]:
        """A sentence for each way in which other work moved the figures by more than `MOVED`."""
        if not self.parts:
            return []
        warnings, machine = [], self.machine
        others = machine.get("others")
        taken = machine["load"] if others is None else others
        waiting = (taken or 0.0) + machine["threads"] - (machine["cores"] or machine["threads"])
        if waiting / machine["threads"] > MOVED:
            warnings.append(f"other work took {taken:.1f} of {machine['cores']} cores")
        slow = {
            part.name: part.machine_speed
            for part in self.parts
            if part.machine_speed is not None and part.machine_speed < 1 - MOVED
        }
        if slow:
            warnings.append(
                f"around {', '.join(slow)} the fastest matrix product ran at no more than "
                f"{min(slow.values()):.0%} of its best"
            )
        apart = {
            part.name: part.spread
            for part in self.parts
            if part.spread is not None and part.spread > MOVED
        }
        if apart:
            warnings.append(
                f"repeats of {', '.join(apart)} differ by up to {max(apart.values()):.0%}"
            )
        return warnings

    @property
    def projections(self) -> tuple[Projection, Projection]:
        """The paper's round and whole run on our side, and on the textbook's."""
        grown = [(part, (part.whole or part.amount) / part.amount) for part in self.parts]
        ours = {part.name: times * part.seconds for part, times in grown}
        textbook = {part.name: times * part.textbook_seconds for part, times in grown}
        sentences = self.setting.sentences
        return (
            project(ours, PAPER_SCHEDULE, sentences),
            project(textbook, PAPER_SCHEDULE, sentences),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        ours, textbook = self.projections
        return asdict(self) | {
            "parts": [part.to_dict(self.peak) for part in self.parts],
            "warnings": self.warnings,
            "projections": {"ours": asdict(ours), "textbook": asdict(textbook)},
        }

    def shown(self) -> list[Table | str]:
        lines: list[Table | str] = [*_machine(self.machine, self.precision)]
        if self.parts:
            lines += [f"setting    {_describe(self.setting)}"]
            if any(part.name in PAIR_PARTS for part in self.parts):
                lines.append(f"           with sources: {_describe_pairs(self.setting.answering)}")
            lines.append(self._measured())
            lines += [f"WARNING    {what}" for what in self.warnings]
            lines += ["", self._table()]
            lines += [*self._notes(), *self._projected()]
        if self.growths:
            lines += ["", *_growths(self.growths)]
        if self.hottest:
            lines += ["", *_hottest(self.hottest)]
        if not self.parts and self.counts:
            lines += ["", *_counts(self.counts)]
        return lines

    def _measured(self) -> str:
        load, others = self.machine["load"], self.machine.get("others")
        return (
            ("measured   once" if self.repeats == 1 else f"measured   median of {self.repeats}")
            + (f"; load {load:.1f} before it began" if load is not None else "")
            + (f", {others:.1f} cores taken by others in it" if others is not None else "")
            + (f"; at scale {self.scale:g}: only for a quick look" if self.scale < 1 else "")
        )

    def _table(self) -> Table:
        peak = self.peak
        rows = [
            (
                part.name,
                f"{part.amount:,} {part.unit}",
                number(part.seconds),
                number(part.textbook_seconds),
                number(part.ratio),
                number(part.per_second),
                number(part.gflops),
                "" if part.gflops is None else f"{part.gflops / peak:.0%}",
                megabytes(part.memory),
            )
            for part in self.parts
        ]
        headers = ["part", "work", "seconds", "textbook", "faster", "per s", "GFLOP/s", "peak"]
        return Table([*headers, "MB"], rows, texts=2)

    def _notes(self) -> list[str]:
        notes = [
            "faster: textbook seconds / seconds, the number to keep. MB: the most our side takes.",
            "GFLOP/s: of the plain matrix products, however they are done; peak: their share of "
            "the fastest by any library. Tables and sparse gradients do less: it may exceed 100 %.",
        ]
        notes += [
            f"{part.name}: the textbook did {part.textbook_amount:,} of {part.amount:,}, one by "
            "one; its seconds are scaled to all."
            for part in self.parts
            if part.textbook_amount is not None
        ]
        return notes

    def _projected(self) -> list[str]:
        ours, textbook = self.projections
        schedule, lines = PAPER_SCHEDULE, []
        if ours.round is not None and textbook.round is not None:
            lines.append(
                f"one round  {duration(ours.round)}, textbook {duration(textbook.round)}: "
                f"{schedule.g_steps} generator step, {schedule.d_steps} turns of "
                f"{schedule.k} epochs"
            )
        if ours.run is not None and textbook.run is not None:
            lines.append(
                f"whole run  {duration(ours.run)}, textbook {duration(textbook.run)}: "
                f"{schedule.mle_epochs} MLE epochs, {schedule.discriminator_turns} turns, "
                f"{schedule.rounds} rounds"
            )
        return ["", *lines] if lines else []


def number(value: float | None) -> str:
    """Format a number to three digits, but with all of those before the point; "" for None."""
    if value is None:
        return ""
    if value >= 1e6:
        return f"{value / 1e6:,.3g} M" if value < 1e9 else f"{value / 1e9:,.3g} G"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def megabytes(size: int | None) -> str:
    """Format bytes as megabytes; "" for None."""
    return "" if size is None else number(round(size / 1e6, 1))


def duration(seconds: float) -> str:
    """Format seconds in the unit that is shortest to read."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.1f} days"


def processor_name(machine: Mapping[str, Any]) -> str:
    """Return the name of a report's processor, with its model where the name has no number."""
    name, model = str(machine["processor"]), machine.get("processor_model")
    return f"{name} ({model})" if model and not re.search(r"\d", name) else name


def _describe(setting: BenchSetting) -> str:
    return (
        f"vocabulary {setting.vocabulary:,}, {setting.length} tokens, batch {setting.batch}, "
        f"{setting.rollouts} rollouts, {setting.sentences:,} sentences"
    )


def _describe_pairs(setting: PairSetting) -> str:
    return (
        f"{setting.source_vocabulary:,} words to {setting.vocabulary:,}, {setting.mean} of "
        f"{setting.length} tokens, batch {setting.batch}, {setting.rollouts} rollouts"
    )


def _machine(machine: dict[str, Any], precision: str) -> list[str]:
    sets = " ".join(machine.get("instructions") or ())
    by_library = machine.get("gflops_by_library") or {}
    speeds = ", ".join(f"{key} {number(max(of.values()))}" for key, of in by_library.items())
    lines = [
        f"machine    {processor_name(machine)}, {machine['cores']} cores; "
        f"torch {machine['torch']}, threads {machine['threads']}",
        f"device     {machine['gpu'] or machine['device']}, {precision}: "
        f"{number(machine['gflops'])} GFLOP/s in its fastest matrix product"
        + (f" ({speeds})" if len(by_library) > 1 else ""),
    ]
    if machine.get("capability"):
        lines.insert(1, f"           torch's kernels {machine['capability']}; {sets}")
    if machine.get("matmul"):
        lines.append(f"products   of float32 by {machine['matmul']}")
    return lines


def _growths(growths: Sequence[Growth]) -> list[Table | str]:
    """A table for each axis: of each part time and memory, a line each."""
    lines: list[Table | str] = []
    for axis, group in groupby(growths, lambda growth: growth.axis):
        rows, several = [], list(group)
        for growth in several:
            exponents = growth.time_exponent, growth.flop_exponent, growth.time_ought
            times = [number(value) for value in growth.seconds]
            rows.append((growth.part, "seconds", *times, *map(_exponent, exponents)))
            sizes = [megabytes(value) for value in growth.memory]
            exponents = growth.memory_exponent, None, growth.memory_ought
            rows.append(("", "MB", *sizes, *map(_exponent, exponents)))
        values = [f"{value:,}" for value in several[0].values]
        headers = [axis, "", *values, "exponent", "arithmetic", "at most"]
        lines += [Table(headers, rows, keys=2, texts=2), ""]
        for growth in several:
            lines.append(f"{growth.part}: {growth.why}")
        lines += [
            f"{growth.part} GROWS FASTER THAN IT MUST" for growth in several if growth.too_fast
        ]
        lines.append("")
    return lines[:-1]


def _exponent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _hottest(hottest: Sequence[HotSpot]) -> list[Table | str]:
    rows = []
    for part, group in groupby(hottest, lambda hot: hot.part):
        for i, hot in enumerate(group):
            name = hot.operator if len(hot.operator) <= 45 else hot.operator[:42] + "..."
            seconds, share = f"{hot.seconds:.4f}", f"{hot.share:.0%}"
            rows.append((part if i == 0 else "", name, seconds, share, f"{hot.calls:,}"))
    headers = ["part", "operator", "own seconds", "share", "calls"]
    return [Table(headers, rows, texts=2)]


def _counts(counts: Sequence[Count]) -> list[Table | str]:
    rows = [
        (count.name, f"{count.operators:,}", f"{count.flop:,}", f"{count.bytes:,}")
        for count in counts
    ]
    return [
        Table(["part", "operators", "FLOP", "bytes made"], rows, texts=1),
        f"counted once at {_describe(COUNTED)};",
        "the same on every run with this version of torch on this kind of device",
    ]
