"""Standard output and signals: full, closed, broken, of another locale, a terminal."""

import io
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from parts import ONE, WritePart
from toys import Cli

from textgan.core.errors import UserError
from textgan.core.terminal import (
    Errors,
    Output,
    ReaderLeft,
    standard_streams,
    stop_signals,
    visible,
)


def textgan(shell: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A quick command and what a shell does with its output."""
    command = f"{sys.executable} -m textgan {shell}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("shell", "code", "message"),
    [
        ("data list > /dev/full", 2, "standard output cannot be written: No space left"),
        ("data list --json >&-", 2, "standard output cannot be written: it is closed"),
        ("--help > /dev/full", 2, "standard output cannot be written: No space left"),
        ("data list | head -1 > /dev/null", 0, ""),
        ("data list | true", 0, ""),
        ("data nonsense 2>&-", 2, ""),
        ("data list 2>&- > /dev/null", 0, ""),
        ("data nonsense > /dev/full 2>&1", 2, ""),
    ],
)
def test_a_stream_that_takes_no_more_is_one_line(shell: str, code: int, message: str) -> None:
    done = textgan(shell)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, lines
    assert len(lines) == bool(message) and message in "".join(lines)


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "gbk"},
    ],
)
def test_output_is_utf8_in_every_locale(locale: dict[str, str]) -> None:
    code = (
        "import sys; from textgan.core.terminal import standard_streams\n"
        "with standard_streams():\n"
        "    print('\\xe4\\u6625\\udcff'); print('\\u6625', file=sys.stderr)"
    )
    environment = {**os.environ, **locale}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment, check=True
    )
    assert done.stdout.decode() == "ä春\\udcff\n" and done.stderr.decode() == "春\n"


def test_descriptors_of_closed_streams_are_held() -> None:
    """Else the next file that is opened is standard output to every library."""
    code = (
        "import os; from textgan.core.terminal import standard_streams\n"
        "with standard_streams(): opened = os.open(os.devnull, os.O_RDONLY)\n"
        "raise SystemExit(opened)"
    )
    command = f"{sys.executable} -c '{code}' >&- 2>&- <&-"
    assert subprocess.run(["bash", "-c", command], check=False).returncode > 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


NASTY = "a\x1b[31mb\x07\r\x9b\u202ec\td\n春\x7f"


def test_a_terminal_gets_no_control_characters_and_a_file_gets_all() -> None:
    for stream, expected in (
        (Terminal(), "a\\x1b[31mb\\x07\\r\\x9b\\u202ec\td\n春\\x7f"),
        (io.StringIO(newline=""), NASTY),
    ):
        Output(stream).write(NASTY)
        assert stream.getvalue() == expected
    assert visible("plain\ttext\n") == "plain\ttext\n"


class Broken(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_standard_error_that_is_gone_stops_nothing() -> None:
    for error in (OSError(28, "full"), BrokenPipeError(32, "broken"), ValueError("closed")):
        news = Errors(Broken(error))
        news.write("first")
        news.write("second")
        news.flush()
    Errors(None).write("nothing")


def test_standard_output_that_is_gone_is_said() -> None:
    with pytest.raises(UserError, match="standard output cannot be written: full"):
        Output(Broken(OSError(28, "full"))).write("x")
    with pytest.raises(ReaderLeft):
        Output(Broken(BrokenPipeError(32, "broken"))).write("x")
    with pytest.raises(UserError, match="closed"):
        Output(None).write("x")
    Output(None).flush()


def test_streams_are_as_before_afterwards() -> None:
    before = sys.stdout, sys.stderr
    with standard_streams():
        assert isinstance(sys.stdout, Output)
    assert (sys.stdout, sys.stderr) == before


def test_sigterm_is_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stop_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


class Dies:
    def __del__(self) -> None:
        raise KeyboardInterrupt  # as when it comes in this moment


@pytest.mark.parametrize("sigint", [signal.default_int_handler, signal.SIG_IGN])
def test_ctrl_c_in_a_destructor_is_not_swallowed(sigint: Any) -> None:
    """In what a shell starts in the background neither, which ignores SIGINT."""

    def work() -> None:
        one = Dies()
        del one
        end = time.monotonic() + 5
        while time.monotonic() < end:
            pass
        pytest.fail("it went on")

    before = signal.signal(signal.SIGINT, sigint)
    try:
        with pytest.raises(KeyboardInterrupt), stop_signals():
            work()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_terminal_gets_no_control_characters_of_a_message(
    write_part: WritePart, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part("def sample(self, generator, real, progress): raise ValueError('\\x1b[2J')")
    monkeypatch.setattr("textgan.core.terminal.Errors.isatty", lambda self: True)
    code, _, err = cli("train", "mine.py:Mine", "--out", "run", *ONE)
    assert code == 1
    assert "\x1b[2J" not in err
    assert "ValueError: \\x1b[2J" in err
    assert "textgan called mine.py:Mine.sample" in err
