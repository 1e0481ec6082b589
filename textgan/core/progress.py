"""Progress on standard error: bars of work on a terminal, a line now and then where there is none.

Time left is of work, not of counts: each kind of work is as long as it was measured to be, or was
expected to be as long as nothing of it is measured. It is an estimate and says so.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias, TypeVar

from tqdm import tqdm

from textgan.core.tables import filled

Step = TypeVar("Step")
Tqdm: TypeAlias = "tqdm[NoReturn]"

LINE_SECONDS = 10.0  # between lines of progress where there is no terminal to draw bars on
BAR_SECONDS = 2.0  # that something may take without a bar
DRAWN_SECONDS = 0.1  # between two drawings of it
NEWEST = 0.1  # weight of the newest of many durations of one kind of work


class Bar:
    """A bar as narrow as the terminal, with a few words before it.

    leave: whether it stays on the screen when it is closed.
    """

    def __init__(
        self, total: float | None, what: str = "", quiet: bool = False, leave: bool = False
    ) -> None:
        self.what = what
        self._bar = _tqdm(
            quiet,
            total=total,
            desc=what,
            leave=leave,
            bar_format="{desc} {percentage:3.0f}%|{bar}|" if total else "{desc} {n}",
            ncols=bar_width(),
        )
        self.disable: bool = self._bar.disable

    def show(self, done: float, note: str, what: str = "") -> None:
        """Draw it anew: how much is done, what it is, if that is another thing now, and a few words
        about it."""
        self.what = what or self.what
        self._bar.n, self._bar.ncols = done, bar_width()
        self._bar.set_description_str(f"{self.what}: {note}" if note else self.what)

    def close(self) -> None:
        """Clear it."""
        self._bar.close()


def counting_bar(total: int, *, done: int = 0, unit: str = "it", quiet: bool = False) -> Tqdm:
    """Make a bar over so many steps of which some are done, with their rate and the time left."""
    return _tqdm(quiet, total=total, initial=done, unit=unit, smoothing=0, dynamic_ncols=True)


def _tqdm(quiet: bool, **options: Any) -> Tqdm:
    """The one place where bars are made: on standard error, only on a terminal."""
    return tqdm(file=sys.stderr, disable=True if quiet else None, **options)


def say(line: str) -> None:
    """Write one line on standard error, above whatever bars are drawn there."""
    tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()


def say_filled(line: str, indent: int = 2) -> None:
    """Write a line that is wrapped at the terminal's width, with later lines indented; elsewhere it
    stays one."""
    if sys.stderr.isatty():
        line = filled(line, bar_width(), indent)
    say(line)


def bar_width() -> int:
    """Return the width of a bar in characters: $COLUMNS, else the terminal's, else 80."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80


def clock(seconds: float) -> str:
    """Format seconds as a clock shows them: 0:07, 12:05, 3:00:00."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def status(what: str, quiet: bool = False) -> Iterator[None]:
    """On a terminal, a line that says what is going on for as long as it goes on."""
    line = _tqdm(quiet, desc=f"{what} ...", bar_format="{desc}", leave=False, ncols=bar_width())
    try:
        yield
    finally:
        line.close()


def bar(steps: Iterable[Step], what: str, quiet: bool) -> Iterator[Step]:
    """Yield the same steps: after two seconds with a progress bar, or, where there is no terminal,
    with a line every ten seconds."""
    if quiet:
        yield from steps
        return
    began = time.monotonic()
    total = len(steps) if isinstance(steps, Sized) else None
    shown: Bar | None = None
    terminal = sys.stderr.isatty()
    due = began + (BAR_SECONDS if terminal else LINE_SECONDS)
    try:
        for done, step in enumerate(steps):
            if (now := time.monotonic()) > due:
                due = now + (DRAWN_SECONDS if terminal else LINE_SECONDS)
                left = ""
                if total and done:
                    left = f"about {clock((now - began) / done * (total - done))} left"
                if terminal:
                    shown = shown or Bar(total, what)
                    shown.show(done, left)
                else:
                    of = f" of {total}" if total else ""
                    say(f"{what}: {done}{of}{', ' if left else ''}{left}")
            yield step
    finally:
        if shown is not None:
            shown.close()


class Durations:
    """The durations of steps of several kinds, and an estimate of those that are left.

    left: how many steps of each kind are still to do.
    """

    def __init__(self, left: Mapping[Hashable, int]) -> None:
        self.left = dict(left)
        self._mean: dict[Hashable, float] = {}
        self._times: dict[Hashable, int] = {}

    def did(self, kind: Hashable, seconds: float) -> None:
        """Record that one step of a kind is done and took that long."""
        times = self._times[kind] = self._times.get(kind, 0) + 1
        mean = self._mean.get(kind, 0.0)
        self._mean[kind] = mean + max(1 / times, NEWEST) * (seconds - mean)
        self.left[kind] = max(0, self.left.get(kind, 0) - 1)

    def of(self, kind: Hashable) -> float | None:
        """Return the mean seconds of a step of a kind, else of one with the same last part of its
        name; None where nothing like it was measured."""
        if kind in self._mean:
            return self._mean[kind]
        if isinstance(kind, tuple):
            for other, mean in self._mean.items():
                if isinstance(other, tuple) and other[1:] == kind[1:]:
                    return mean
        return None

    def seconds(self, kinds: Iterable[Hashable] | None = None) -> tuple[float, bool]:
        """Estimate the seconds of the steps left (of these kinds, or of all), and return whether
        that is all: False where some kind was never measured, so that it is a lower bound."""
        total, known = 0.0, True
        for kind in self.left if kinds is None else kinds:
            if not self.left.get(kind):
                continue
            each = self.of(kind)
            if each is None:
                known = False
            else:
                total += self.left[kind] * each
        return total, known


class WorkBar:
    """A bar over pieces of work of which each has an expected duration.

    expected: seconds of each piece, in the order in which they are done. Their sum is corrected by
    how long the pieces done so far took.
    """

    def __init__(self, expected: Sequence[float], quiet: bool) -> None:
        self.expected = list(expected)
        self.done = 0
        self.took = 0.0
        self.quiet = quiet
        self._began = self._line_at = time.monotonic()
        self._started = self._began
        self._bar: Bar | None = None

    @property
    def left(self) -> float:
        """Seconds that the pieces not yet done take, about."""
        before = sum(self.expected[: self.done])
        # ten seconds on both sides: short pieces say little about how fast this machine is
        pace = (10.0 + self.took) / (10.0 + before)
        return pace * sum(self.expected[self.done :])

    def begin(self, what: str) -> None:
        """Begin the next piece."""
        self._started = time.monotonic()
        if self.quiet:
            return
        left = f"about {clock(self.left)} left"
        if not sys.stderr.isatty():
            soon = self._started - self._line_at > LINE_SECONDS
            if soon or (self.expected[self.done] > LINE_SECONDS and self.left > LINE_SECONDS):
                self._line_at = self._started
                say(f"{what}; {left}")
            return
        if self._bar is None:
            self._bar = Bar(max(sum(self.expected), 1e-9), what)
        self._bar.show(sum(self.expected[: self.done]), left, what)

    def end(self) -> None:
        """End the piece that began."""
        self.took += time.monotonic() - self._started
        self.done += 1

    def close(self) -> None:
        """Clear the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
