"""Before and after: which parts became slower beside the textbook, or do more than they did.

Ratios are compared and not seconds, which belong to one machine at one time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textgan.bench.machine import identify
from textgan.bench.pairs import PAIR_PARTS
from textgan.bench.parts import choose_parts
from textgan.bench.report import BenchReport, number, processor_name
from textgan.bench.setting import PAPER, BenchSetting
from textgan.core.arguments import checked_arguments
from textgan.core.checks import SCALES, names_from
from textgan.core.device import choose_device
from textgan.core.errors import UserError, option
from textgan.core.files import read_bytes
from textgan.core.names import short_repr
from textgan.core.precision import Precision
from textgan.core.tables import Shown, Table

LONGEST = 40  # letters of a value in a message
LARGEST = 2**24  # bytes of a file that may be a report
COUNTED = ("operators", "flop", "bytes")


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class _Timed(_Read):
    name: str
    ratio: float = Field(gt=0)


class _Counted(_Read):
    name: str
    operators: int = Field(ge=0)
    flop: int = Field(ge=0)
    bytes: int = Field(ge=0)


class Baseline(_Read):
    """The part of a kept report (`textgan bench --json`) that a comparison reads."""

    machine: dict[str, Any]
    setting: dict[str, Any]
    scale: float
    precision: str = "float32"
    parts: list[_Timed]
    counts: list[_Counted] = []
    warnings: list[str] = []
    source: str = ""  # the file that was chosen from a folder

    @property
    def date(self) -> str:
        """When it was measured, in ISO 8601; "" for one of before dates were kept."""
        return str(self.machine.get("date", ""))


@dataclass(frozen=True)
class Change:
    """One figure before and now; worse where it moved the wrong way by more than was allowed."""

    part: str
    figure: str
    before: float
    now: float
    worse: bool


@dataclass(frozen=True, repr=False)
class BenchComparison(Shown):
    """All changes, and what makes them less comparable."""

    changes: list[Change]
    tolerance: float
    remarks: list[str]

    @property
    def worse(self) -> bool:
        """Whether anything is."""
        return any(change.worse for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return asdict(self) | {"worse": self.worse}

    def shown(self) -> list[Table | str]:
        times = [change for change in self.changes if change.figure == "ratio"]
        counts = [change for change in self.changes if change.figure != "ratio"]
        moved = [change for change in counts if change.before != change.now]
        rows = [
            (
                change.part,
                "times faster" if change.figure == "ratio" else change.figure,
                number(change.before) if change.figure == "ratio" else f"{change.before:,}",
                number(change.now) if change.figure == "ratio" else f"{change.now:,}",
                f"{change.now / change.before - 1:+.0%}" if change.before else "",
                "WORSE" if change.worse else "",
            )
            for change in times + moved
        ]
        lines: list[Table | str] = [*self.remarks]
        if rows:
            headers = ["part", "figure", "before", "now", "change", ""]
            lines.append(Table(headers, rows, texts=2))
        if counts:
            same = len(counts) - len(moved)
            lines.append(f"{same} of {len(counts)} counts (operators, FLOP, bytes) are the same")
        verdict = "something is" if self.worse else "nothing is"
        lines.append(f"{verdict} worse by more than {self.tolerance:.0%}")
        return lines


def read_baseline(path: Path) -> Baseline:
    """Return the report in a file.

    Raises UserError, in one line, for what is no report.
    """
    name = f"against = {str(path)!r}"
    content = read_bytes(path, name, LARGEST)
    try:
        return Baseline.model_validate_json(content).model_copy(update={"source": ""})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{name} is not a report of textgan bench --json: "
            + (f"{where}: " if where else "")
            + first["msg"]
        ) from None


@checked_arguments
def find_baseline(
    path: Annotated[str | Path, "a report or a folder of them"],
    scale: Annotated[float, SCALES] = 1.0,
    setting: BenchSetting = PAPER,
    *,
    precision: Precision = "float32",
    parts: Annotated[str | Sequence[str] | None, "at least one name"] = None,
    timed: bool = True,
) -> Baseline:
    """Return the report in a file or, of those in a folder, the newest of the same processor and
    work.

    All but path: as in `run_bench`. Raises UserError, in one line, where there is none.
    """
    path = Path(path)
    if not path.is_dir():
        return read_baseline(path)
    wanted = choose_parts(() if parts is None else names_from("parts", parts, "at least one name"))
    here, fitting = identify(choose_device("auto")), []
    for file in path.glob("*.json"):
        with suppress(UserError):  # other files and reports of other work may lie there, too
            before = read_baseline(file)
            check_comparable(before, setting, scale, precision, wanted, timed)
            if _same_processor(before.machine, here):
                fitting.append((before.date, file.name, before))
    if not fitting:
        raise UserError(
            f"against = {str(path)!r}: no report there is of this processor "
            f"({here['gpu'] or processor_name(here)}), setting, scale and precision; keep one "
            "there with textgan bench --json"
        )
    _, name, before = max(fitting, key=lambda found: found[:2])
    return before.model_copy(update={"source": name})


def _same_processor(before: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether both have the same processor and GPU; reports of before have no model of it."""
    same = all(before.get(key) == here[key] for key in ("processor", "gpu"))
    return same and before.get("processor_model") in (None, here["processor_model"])


def check_comparable(
    before: Baseline,
    setting: BenchSetting,
    scale: float,
    precision: str,
    parts: Sequence[str],
    timed: bool,
) -> None:
    """Raise UserError, which names what differs, where the report is of other work.

    timed: whether these parts will be timed, or only counted.
    """
    here = json.loads(json.dumps(asdict(setting)))
    keys = here.keys() | before.setting.keys()
    if "answering" not in before.setting or set(PAIR_PARTS).isdisjoint(parts):
        keys -= {"answering"}  # reports of before have no parts with a source
    for key in sorted(keys):
        if here.get(key) != before.setting.get(key):
            raise UserError(
                f"against: a report of another setting: {_brief(key)} was "
                f"{_brief(before.setting.get(key))} and is {_brief(here.get(key))}"
            )
    if timed and before.scale != scale:
        raise UserError(
            f"against: a report at another scale; give {option('scale', before.scale)}, it is "
            f"{scale:g}"
        )
    if before.precision != precision:
        raise UserError(
            f"against: a report in another precision; it was {_brief(before.precision)} and is "
            f"{precision}"
        )
    kept = {part.name for part in before.parts} if timed else {c.name for c in before.counts}
    if not kept & set(parts):
        what = "times" if timed else "counts"
        raise UserError(f"against: a report without {what} of {', '.join(parts)}")


def check_tolerance(tolerance: float) -> None:
    """Raise UserError unless the tolerance is a share, from 0 to less than 1."""
    if not 0 <= tolerance < 1:
        raise UserError(f"tolerance = {tolerance}: give a share from 0 to less than 1")


def compare(before: Baseline, report: BenchReport, tolerance: float = 0.25) -> BenchComparison:
    """Compare each ratio and each count that both reports have.

    tolerance: the share by which a ratio may fall, or a count grow, and not be worse.
    Raises UserError where it is none.
    """
    check_tolerance(tolerance)
    ratios = {part.name: part.ratio for part in before.parts}
    counted = {count.name: count for count in before.counts}
    changes = [
        Change(
            part.name,
            "ratio",
            ratios[part.name],
            part.ratio,
            part.ratio < ratios[part.name] * (1 - tolerance),
        )
        for part in report.parts
        if part.name in ratios
    ]
    for count in report.counts:
        if count.name not in counted:
            continue
        old, new = counted[count.name].model_dump(), asdict(count)
        changes += [
            Change(count.name, key, old[key], new[key], new[key] > old[key] * (1 + tolerance))
            for key in COUNTED
        ]
    remarks = (
        [f"before is {_brief(before.source)} of {_brief(before.date)}"] if before.source else []
    )
    remarks += [
        f"another {what}: {_brief(before.machine[key])} before, "
        f"{_brief(report.machine.get(key))} now; {consequence}"
        for key, what, consequence in (
            ("processor", "processor", "ratios compare only roughly"),
            ("processor_model", "model of processor", "ratios compare only roughly"),
            ("device", "device", "ratios compare only roughly"),
            ("threads", "number of threads", "ratios compare only roughly"),
            ("matmul", "library of products", "ratios compare only roughly"),
            ("torch", "torch", "counts may differ for that"),
        )
        # reports of before have neither model nor library
        if key in before.machine and before.machine[key] != report.machine.get(key)
    ]
    for which, warned in (("before", before.warnings), ("now", report.warnings)):
        if warned:
            remarks.append(f"other work moved the numbers {which}: measure again when it is quiet")
    measured = {part.name for part in report.parts}
    missing = [name for name in ratios if report.parts and name not in measured]
    if missing:
        remarks.append(f"not measured now: {', '.join(map(_brief, missing))}")
    return BenchComparison(changes, tolerance, remarks)


def _brief(value: object) -> str:
    plain = isinstance(value, str) and value.isprintable() and len(value) <= LONGEST
    return str(value) if plain else short_repr(value, LONGEST)
