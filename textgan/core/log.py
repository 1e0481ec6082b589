"""The log of a run: TensorBoard, metrics.jsonl, progress bars, lines on the terminal.

The horizontal axis of all curves is the tick: MLE epochs, then turns of the discriminator, then
rounds. Which curves there are, and how they are shown, the caller says.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from textgan.core.errors import UserError
from textgan.core.files import (
    append_line,
    exists,
    is_file,
    parse_json,
    read_bytes,
    sync_folder,
    write_file,
    writing,
)
from textgan.core.progress import LINE_SECONDS, Bar, Durations, clock, say_filled
from textgan.core.terminal import visible

Layout = dict[str, dict[str, list[Any]]]  # TensorBoard's: charts by title, in groups by title

HEADING = 11  # characters before what a line says
_WITHOUT_POINTS = "restore it from a copy, or remove it to do without its points"


class Log:
    """Writes what it is given to the run's folder and to the terminal; decides nothing.

    layout: TensorBoard's, of the curves. headline: metrics by what a progress bar calls them; it
    shows the first that there is. digest: that `flush` gave at the checkpoint after `ticks_done`,
    if it is known.
    """

    def __init__(
        self,
        folder: Path,
        ticks_done: int,
        quiet: bool,
        layout: Layout,
        headline: Mapping[str, str],
        digest: str | None = None,
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self.quiet = quiet
        self._headline = headline
        self._records = folder / "metrics.jsonl"
        self.fault = _fault(folder, ticks_done, digest)  # what is wrong with the points so far
        self._sha = hashlib.sha256()
        self._forget_after(ticks_done)
        again = any(folder.glob("events.out.tfevents.*"))
        with _to_tensorboard(folder):
            self._writer = SummaryWriter(str(folder), purge_step=ticks_done + 1 if again else None)
            if not again:
                self._writer.add_custom_scalars(layout)
        self._bar: Bar | None = None
        self._durations = Durations({})
        self._figures: dict[str, Any] = {}
        self._phase: tuple[int, int] = (0, 0)  # steps of it that are done, and in all
        self._begun = self._drawn = 0.0
        self._line_at = self._stepped = time.monotonic()

    def plan(self, left: Mapping[Hashable, int]) -> None:
        """Plan how many steps of each kind are to be done, from which the time left is estimated.
        Kinds are tuples that begin with the phase."""
        self._durations = Durations(left)
        self._stepped = time.monotonic()

    def phase(self, name: str, steps: int, done: int) -> None:
        """Begin a phase of that many steps, some of them done before."""
        self.end_phase()
        self._figures, self._phase = {}, (done, steps)
        self._bar = Bar(steps, name, self.quiet, leave=True)
        self._begun = time.monotonic()
        if done:
            self._bar.show(done, "")

    def end_phase(self) -> None:
        """End the bar of the current phase, if there is one."""
        if self._bar is not None:
            done, steps = self._phase
            if not self._bar.disable and done:
                took = f"{clock(time.monotonic() - self._begun)} in all" if done == steps else ""
                self._bar.show(done, ", ".join(filter(None, [*self._figure(), took])))
            self._bar.close()
            self._bar = None

    def advance(self, name: str, figures: Mapping[str, Any], kind: Hashable = None) -> None:
        """One step of the current phase is done; a figure and the time left are shown a few times a
        second, or in a line every ten seconds where there is no terminal."""
        now = time.monotonic()
        self._durations.did(kind, now - self._stepped)
        self._stepped = now
        self._figures |= figures
        done, steps = self._phase = (self._phase[0] + 1, self._phase[1])
        if self._bar is None or self.quiet:
            return
        if self._bar.disable:
            if now - self._line_at > LINE_SECONDS:
                self._line_at = now
                self.say(f"{name}, step {done:,} of {steps:,}: {self._state(kind)}")
            return
        if now - self._drawn > 0.2:
            self._drawn = now
            self._bar.show(done, self._state(kind), name)

    def _state(self, kind: Hashable) -> str:
        """The most telling figure, and about how long the phase and the run still take."""
        return ", ".join([*self._figure(), *self._left(kind)])

    def _figure(self) -> list[str]:
        """The most telling figure of the phase so far, if there is any."""
        return [
            f"{called} {float(self._figures[name]):.3f}"
            for name, called in self._headline.items()
            if name in self._figures
        ][:1]

    def _left(self, kind: Hashable = None) -> list[str]:
        """About how long it still takes: the phase of a kind of step, and all that is left. A kind
        that was never timed makes it the least ("over") that it can be."""
        whole, all_known = self._durations.seconds()
        if not isinstance(kind, tuple):
            return [f"~{clock(whole)} left"] if whole else []
        own = [one for one in self._durations.left if isinstance(one, tuple) and one[0] == kind[0]]
        phase, known = self._durations.seconds(own)
        left = [f"{'~' if known else 'over '}{clock(phase)} left"]
        if any(count and one not in own for one, count in self._durations.left.items()):
            left.append(f"run {'~' if all_known else 'over '}{clock(whole)}")
        return left

    def tick(self, where: Mapping[str, Any], figures: Mapping[str, float], line: str) -> None:
        """Log one point of every curve. where: the epoch, turn or round."""
        with _to_tensorboard(self.folder):
            for tag, value in figures.items():
                self._writer.add_scalar(tag, value, where["tick"])
        # JSON has no word for what is not a number
        known = {tag: value for tag, value in figures.items() if math.isfinite(value)}
        line_of_file = json.dumps({**where, **known}, allow_nan=False)
        append_line(self._records, line_of_file)
        self._sha.update(line_of_file.encode() + b"\n")
        now = time.monotonic()
        if (self._bar is None or self._bar.disable) and now - self._line_at > LINE_SECONDS:
            self._line_at = now
            left = [f"run {part}" for part in self._left()]
            self.say("; ".join([line, *left]))

    def samples(self, tick: int, lines: Sequence[str]) -> None:
        """Log texts, a paragraph each."""
        quoted = "\n\n".join(line or "(empty)" for line in lines)
        with _to_tensorboard(self.folder):
            self._writer.add_text("samples", quoted, tick)

    def alarm(self, tick: int, message: str) -> None:
        """Log a warning, on the terminal and in TensorBoard."""
        self.say(f"warning: {message}")
        with _to_tensorboard(self.folder):
            self._writer.add_text("alarms", message, tick)

    def hyperparameters(
        self, settings: Mapping[str, Any], results: Mapping[str, float], later: Sequence[str] = ()
    ) -> None:
        """Log the run's settings and its final numbers, in the run's own folder.

        later: names of numbers that may be added by `show_numbers`.
        """
        flat = {
            key: value if isinstance(value, (bool, int, float, str)) else str(value)
            for key, value in settings.items()
        }
        from torch.utils.tensorboard.summary import hparams

        announced = dict(results) | dict.fromkeys(later, 0.0)
        with _to_tensorboard(self.folder):
            for summary in hparams(flat, announced):
                self._writer._get_file_writer().add_summary(summary)
            for tag, value in results.items():
                self._writer.add_scalar(tag, value, 0)

    def say(self, line: str) -> None:
        """Write one line on the terminal, above the bar."""
        if not self.quiet:
            say_filled(visible(line), HEADING)

    @property
    def digest(self) -> str:
        """The SHA-256 of all points so far."""
        return self._sha.hexdigest()

    def flush(self) -> str:
        """Put on disk what was logged, and say its digest; called before every checkpoint, so that
        no checkpoint knows of a point that a power cut can take."""
        with _to_tensorboard(self.folder):
            self._writer.flush()
        if is_file(self._records):
            with writing(self._records), self._records.open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(self.folder)
        return self.digest

    def close(self) -> None:
        """Flush and close everything."""
        self.end_phase()
        with suppress(OSError):  # who closes has flushed, or met something worse
            self._writer.close()

    def _forget_after(self, tick: int) -> None:
        """Drop the points of ticks that the resumed run will do again."""
        if is_file(self._records):
            kept = [r for r in read_records(self.folder) if r["tick"] <= tick]
            lines = "".join(json.dumps(record) + "\n" for record in kept)
            write_file(self._records, lines.encode())
            self._sha.update(lines.encode())


def show_numbers(folder: Path, figures: Mapping[str, float]) -> None:
    """Put numbers into TensorBoard at a run's last tick."""
    from torch.utils.tensorboard import SummaryWriter

    tick = max((record["tick"] for record in read_records(folder)), default=0)
    with _to_tensorboard(folder), SummaryWriter(str(folder)) as writer:
        for tag, value in figures.items():
            writer.add_scalar(tag, value, tick)


def _fault(folder: Path, ticks: int, digest: str | None) -> str:
    """Describe what is wrong with the points up to a tick, in one sentence; "" where all is well.

    digest: that they should have, if that is known.
    """
    if not ticks:
        return ""
    kept = [record for record in read_records(folder) if record["tick"] <= ticks]
    there = Counter(record["tick"] for record in kept)
    missing = [tick for tick in range(1, ticks + 1) if tick not in there]
    if missing:
        first = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        return (
            f"metrics.jsonl lacks {len(missing)} of the run's first {ticks} points (ticks {first}),"
            " so its curves have gaps"
        )
    lines = "".join(json.dumps(record) + "\n" for record in kept)
    changed = digest is not None and hashlib.sha256(lines.encode()).hexdigest() != digest
    if changed or max(there.values()) > 1:
        return (
            f"metrics.jsonl is not what this run wrote up to tick {ticks} (it was changed, or is "
            "another run's), so its curves are not to be trusted"
        )
    return ""


def curves_fault(folder: Path, digest: str | None) -> str:
    """Describe what is wrong with a run's points, in one sentence; "" where all is well.

    digest: that of all points of a finished run, if that is known.
    """
    if digest is not None and not exists(folder / "metrics.jsonl"):
        return "metrics.jsonl is missing, so there are no curves of training"
    if digest is not None and records_digest(folder) != digest:
        return (
            "metrics.jsonl is not what this run wrote (it was changed, or is another run's), "
            "so its curves are not to be trusted"
        )
    *whole, _ = _lines(folder) or [""]  # a kill may have cut the last
    bad = sum(_point(line) is None for line in whole)
    if bad:
        return f"metrics.jsonl is damaged ({bad} lines are no points), so its curves have gaps"
    return ""


def records_digest(folder: Path) -> str:
    """Compute the SHA-256 of a run's points, as `Log.digest` does."""
    lines = "".join(json.dumps(record) + "\n" for record in read_records(folder))
    return hashlib.sha256(lines.encode()).hexdigest()


@contextmanager
def _to_tensorboard(folder: Path) -> Iterator[None]:
    """UserError for what its writer cannot write."""
    with writing(folder, f"TensorBoard's file in {folder}"):
        yield


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Read the points of a run's curves, without lines that are none, such as one cut by a kill."""
    return [record for line in _lines(folder) if (record := _point(line)) is not None]


def require_points(folder: Path) -> None:
    """Raise UserError for a line that is no point, which would be lost when a finished run's file
    is written anew. A last line without its end is what a kill cut, unless it is all there is."""
    *whole, last = _lines(folder) or [""]
    for number, line in enumerate(whole or filter(None, [last]), 1):
        if _point(line) is None:
            raise UserError(
                f"{folder / 'metrics.jsonl'} is damaged (line {number} is no point of the curves); "
                f"{_WITHOUT_POINTS}"
            )


def _lines(folder: Path) -> list[str]:
    path = folder / "metrics.jsonl"
    try:
        return read_bytes(path).decode("utf-8", "replace").split("\n") if exists(path) else []
    except UserError as error:
        raise UserError(f"{error}; {_WITHOUT_POINTS}") from None


def _point(line: str) -> dict[str, Any] | None:
    """The point of the curves that a line holds, if it holds one."""
    try:
        record: dict[str, Any] = parse_json(line, "a line of metrics.jsonl")
        phase, *others = (record[key] for key in ("phase", *(record.keys() - {"phase"})))
        if isinstance(phase, str) and isinstance(record["tick"], int) and _are_numbers(others):
            return record
    except (UserError, KeyError, TypeError, AttributeError):
        pass
    return None


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)
