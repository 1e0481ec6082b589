"""Running one command in a forked copy of this process, which has imported everything already.

A case then costs what the command does, not the seconds that importing torch takes, and may be
killed, starved or hang without harm to the campaign.
"""

from __future__ import annotations

import importlib
import io
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MEMORY = 8 * 2**30  # bytes of address space that a command may have
_USED = (
    "training.trainer",
    "evaluation.compare",
    "evaluation.evaluate",
    "evaluation.temperature_sweep",
    "evaluation.report.page",
    "classifiers.train",
    "encoders.train",
    "cli",
)


@dataclass(frozen=True)
class Finished:
    """How a command ended: its exit code (negative: the signal; None: the time ran out)."""

    code: int | None
    out: str
    err: str
    seconds: float


def preload() -> None:
    """Import what the commands import, and no more: a fork must not inherit threads."""
    import torch

    torch.set_num_threads(1)
    for name in _USED:
        importlib.import_module(f"textgan.{name}")
    for name in ("matplotlib.pyplot", "tensorboard.summary.writer.event_file_writer", "sacrebleu"):
        with suppress(ImportError):
            importlib.import_module(name)
    from textgan.core import registry

    for kind in ("objective", "metric", "perturbation", "contrast"):
        registry.names(kind)


def run_command(
    arguments: Sequence[object],
    cwd: Path,
    *,
    limit: float = 30,
    before: Callable[[], None] | None = None,
    kill_after: float | None = None,
) -> Finished:
    """Run `textgan ARGUMENTS` in a fork.

    limit: seconds until it counts as hanging. before: called in the fork first, to sabotage it.
    kill_after: seconds until it is killed on purpose, code -9.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            _be_the_command([str(argument) for argument in arguments], cwd, out, err, before)
        code = _wait(child, begun, limit, kill_after)
        seconds = time.monotonic() - begun
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "backslashreplace"))
        return Finished(code, texts[0], texts[1], seconds)


def _wait(child: int, begun: float, limit: float, kill_after: float | None) -> int | None:
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        spent = time.monotonic() - begun
        if (kill_after is not None and spent >= kill_after) or spent >= limit:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None if spent >= limit else -signal.SIGKILL
        time.sleep(0.005)


def _be_the_command(
    arguments: list[str],
    cwd: Path,
    out: io.BufferedRandom | object,
    err: io.BufferedRandom | object,
    before: Callable[[], None] | None,
) -> None:
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out.fileno(), 1), (err.fileno(), 2)):  # type: ignore[attr-defined]
            os.dup2(source, target)
        sys.stdin = os.fdopen(0, "r")
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), "utf-8", write_through=True)
        sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb"), "utf-8", write_through=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == 2 else signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(cwd)
        sys.argv = ["textgan", *arguments]
        from textgan.cli.app import main

        if before is not None:
            before()
        main()
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def die_at(operation: int, folder: Path) -> Callable[[], None]:
    """What kills the process just before its n-th change of a file in a folder.

    Openings for writing, renames, removals and new folders count, as Python's audit events report
    them; between two of them nothing that a reader could see changes.
    """

    def arm() -> None:
        left = operation
        inside = str(folder.resolve())

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
                return
            if event == "open" and not (
                isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            ):
                return
            path = arguments[0]
            if not isinstance(path, str | os.PathLike):
                return
            if not os.path.abspath(os.fspath(path)).startswith(inside):
                return
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    return arm
