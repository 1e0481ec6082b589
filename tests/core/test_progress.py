"""Progress: what bars and lines say, and that the time left is of work."""

import io
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from toys import TOY

import textgan
from textgan.core import progress
from textgan.core.errors import UserError
from textgan.core.progress import Bar, Durations, WorkBar, bar, bar_width, clock, status


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def frames(self) -> list[str]:
        return [frame for frame in self.getvalue().replace("\n", "\r").split("\r") if frame.strip()]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    made = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=made))
    return made


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands at the sum of these."""
    passed = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: sum(passed))
    return passed


def test_a_clock() -> None:
    assert [clock(s) for s in (-3, 0.4, 7, 65, 3599.6, 3 * 3600 + 62)] == [
        "0:00", "0:00", "0:07", "1:05", "1:00:00", "3:01:02",
    ]  # fmt: skip


def test_durations_are_those_measured_or_of_the_same_work_elsewhere() -> None:
    kinds = {
        ("mle", "mle"): 10,
        ("discriminator", "turn"): 5,
        ("round", "turn"): 20,
        ("round", "g"): 4,
    }
    durations = Durations(kinds)
    assert durations.seconds() == (0.0, False)
    for _ in range(2):
        durations.did(("mle", "mle"), 3.0)
    assert durations.seconds([("mle", "mle")]) == (24.0, True)
    assert durations.seconds() == (24.0, False)
    durations.did(("discriminator", "turn"), 2.0)
    # the turns of the rounds take what the turns before them took; nobody knows of "g"
    assert durations.seconds() == (24.0 + 4 * 2.0 + 20 * 2.0, False)
    durations.did(("round", "g"), 7.0)
    assert durations.seconds() == (24.0 + 8.0 + 40.0 + 21.0, True)
    durations.did(("round", "turn"), 5.0)
    assert durations.seconds([("round", "turn")]) == (19 * 5.0, True)


def test_the_newest_durations_count_most() -> None:
    durations = Durations({"a": 1000})
    for _ in range(50):
        durations.did("a", 1.0)
    for _ in range(50):
        durations.did("a", 3.0)
    assert durations.of("a") == pytest.approx(3.0, abs=0.02)


def test_time_left_is_of_work_and_not_of_counts(terminal: Terminal, now: list[float]) -> None:
    """Nine short pieces of ten are done: nearly all of the work is left."""
    work = WorkBar([1.0] * 9 + [300.0], quiet=False)
    for _ in range(9):
        work.begin("short")
        now.append(1.0)
        work.end()
    assert work.left == pytest.approx(300.0)
    work.begin("long")
    assert "long: about 5:00 left   3%" in terminal.frames[-1]
    assert max(map(len, terminal.frames)) <= 80
    work.close()


def test_expected_durations_are_corrected_by_those_measured(now: list[float]) -> None:
    work = WorkBar([50.0, 50.0, 200.0], quiet=True)
    for _ in range(2):
        work.begin("slow")
        now.append(150.0)  # three times as long as expected
        work.end()
    assert work.left == pytest.approx(200 * 310 / 110)


def test_on_a_pipe_there_are_lines_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], now: list[float]
) -> None:
    now.extend(1.0 for _ in bar(range(100), "counting", quiet=False))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9
    assert lines[0] == "counting: 11 of 100, about 1:29 left"
    list(bar(range(3), "counting", quiet=True))
    assert capsys.readouterr().err == ""


def test_a_bar_comes_after_two_seconds_and_leaves_nothing(
    terminal: Terminal, now: list[float]
) -> None:
    assert list(bar(range(5), "quick", quiet=False)) == list(range(5))
    assert terminal.getvalue() == ""
    now.extend(3.0 for _ in bar(iter(range(5)), "slow", quiet=False))
    assert any("slow" in frame for frame in terminal.frames)
    assert terminal.getvalue().endswith("\r")
    progress.say("a line")
    assert terminal.getvalue().endswith("\ra line\n")  # not glued to a bar


def test_a_status_is_shown_and_cleared(terminal: Terminal) -> None:
    with status("reading"):
        assert terminal.getvalue().endswith("reading ...")
    assert terminal.getvalue().endswith("\r")
    before = terminal.getvalue()
    with status("reading", quiet=True):
        pass
    with pytest.raises(UserError), status("reading"):
        raise UserError("no")
    assert terminal.getvalue().endswith("\r") and len(terminal.getvalue()) > len(before)


def test_bars_are_as_wide_as_columns_says(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (40, 80, 133):
        monkeypatch.setenv("COLUMNS", str(width))
        assert bar_width() == width
        shown = Bar(10, "discriminator turn 10/10")
        shown.show(5, "D loss 0.123, over 1:02:03 left, run over 10:00:00")
        assert len(terminal.frames[-1]) <= width
        shown.close()


def test_training_shows_work_in_80_columns(terminal: Terminal, tmp_path: Path) -> None:
    settings = TOY | {"schedule.mle_epochs": 3, "evaluation.final_samples": 20}
    with pytest.MonkeyPatch.context() as patched:
        # draw every step, as if the machine were slow
        real, told_times = time.monotonic, [0.0]

        def slow() -> float:
            told_times[0] += 0.25
            return real() + told_times[0]

        patched.setattr("textgan.core.log.time.monotonic", slow)
        textgan.train("seqgan", out=tmp_path / "run", plot=False, **settings)
    frames = terminal.frames
    assert max(len(frame) for frame in frames if str(tmp_path.parent) not in frame) <= 80
    for message in ("preparing the run ...", "final measures, on 20 samples ..."):
        assert message in frames
    bars = [frame for frame in frames if "%|" in frame]
    assert any(frame.startswith("MLE epoch 2/3: loss ") for frame in bars)
    assert any("left, run over " in frame for frame in bars)  # nobody knows how long rounds take
    rounds = [frame for frame in bars if frame.startswith("round 2/2: reward ")]
    assert rounds and any("~" in frame for frame in rounds)
    assert all(frame.count("%|") <= 1 for frame in frames)
