"""Locks on a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from textgan.core.errors import UserError
from textgan.core.files import unwritable, writing

LOCK, KEEPING_LOCK = "run.lock", "evaluation.lock"


KEEPING = 60.0  # seconds; writing numbers takes some hundredths of one


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else trains this run meanwhile; UserError if somebody does."""
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"{folder} is being trained by another process; wait for it") from None
    except OSError as error:
        raise UserError(unwritable(str(folder / LOCK), error)) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def keeping(folder: Path, patience: float = KEEPING) -> Iterator[None]:
    """Keep others from writing numbers into a run's folder meanwhile: reading what is there, adding
    to it and writing it is done by one at a time.

    Raises UserError where somebody else has been at it for `patience` seconds, or nothing can be
    written.
    """
    lock = filelock.FileLock(folder / KEEPING_LOCK)
    with writing(folder / KEEPING_LOCK):
        try:
            lock.acquire(timeout=patience)
        except filelock.Timeout:
            raise UserError(
                f"{folder}: another command has been writing its numbers for {patience:g} seconds; "
                "end it, or try again later"
            ) from None
    try:
        yield
    finally:
        lock.release()
