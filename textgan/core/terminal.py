"""Standard output, standard error and signals, as a command has them.

Output is UTF-8 whatever the locale says. Who writes too much for the disk, or into a closed stream,
gets one line; who reads no further ends the command in silence. A terminal never gets the control
characters of a text; files and pipes get texts as they are.
"""

from __future__ import annotations

import _thread
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from textgan.core.errors import UserError

# what moves a terminal's cursor, changes its colours, or turns the order of letters round
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class ReaderLeft(Exception):
    """Whoever read standard output has seen enough."""


def visible(text: str) -> str:
    """Return a text in which control characters but tab and line feed are shown as escapes."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


class Output(io.TextIOBase):
    """Standard output: raises UserError where it cannot be written, ReaderLeft at a broken pipe."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return getattr(self.stream, "errors", None)

    def isatty(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        if self.stream is None:
            raise io.UnsupportedOperation("fileno")
        return self.stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # click asks in this way whether a stream takes bytes
            raise TypeError("write() argument must be str")
        if text:
            self._write(text)
        return len(text)

    def _write(self, text: str) -> None:
        if self.stream is None:
            raise UserError(self.failed("it is closed"))
        with self._met():
            self.stream.write(visible(text) if self.isatty() else text)

    def flush(self) -> None:
        if self.stream is not None:
            with self._met():
                self.stream.flush()

    @staticmethod
    def failed(why: str) -> str:
        return f"standard output cannot be written: {why}; what was saved before stands"

    @contextmanager
    def _met(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _discard(self.stream)
            self.stream = None
            if isinstance(error, BrokenPipeError):
                raise ReaderLeft from None
            raise UserError(self.failed(error.strerror or str(error))) from None
        except ValueError as error:  # it was closed meanwhile
            self.stream = None
            raise UserError(self.failed(str(error))) from None


class Errors(Output):
    """Standard error: news of a command, which goes on where nobody can read them."""

    def _write(self, text: str) -> None:
        if self.stream is not None:
            with self._met():
                self.stream.write(text)

    @contextmanager
    def _met(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):
            _discard(self.stream)
            self.stream = None


@contextmanager
def standard_streams() -> Iterator[None]:
    """Inside, `sys.stdout` and `sys.stderr` are UTF-8 and met as this module says."""
    _hold_descriptors()
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    output = Output(before[0])
    sys.stdout, sys.stderr = output, Errors(before[1])
    try:
        yield
        output.flush()
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def stop_signals() -> Iterator[None]:
    """Inside, SIGTERM (what schedulers send) is Ctrl-C, and Python swallows no Ctrl-C in a
    `__del__`."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    def unraisable(error: Any) -> None:
        if issubclass(error.exc_type, KeyboardInterrupt):
            # once more, a moment later: raised in here, it would be swallowed, too. As SIGTERM, for
            # SIGINT is ignored in what a shell or nohup starts in the background
            later = threading.Timer(0.01, _thread.interrupt_main, [signal.SIGTERM])
            later.daemon = True
            later.start()
        else:
            hook(error)

    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        sys.unraisablehook = hook


def _hold_descriptors() -> None:
    """Give closed standard streams a descriptor: the next file that is opened would take it, and
    whatever a library prints would go into that file."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)


def _discard(stream: TextIO | None) -> None:
    """Let what is still to be written go nowhere, or Python complains of it at exit."""
    with suppress(OSError, ValueError, AttributeError):
        assert stream is not None
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
