"""Profiles of each part: a trace to look at, and the operators that take most of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from textgan.bench.work import Work
from textgan.core.errors import UserError

SHOWN = 6  # operators of each part
BATCHES = 8  # of an epoch that is traced: all are alike, and traces of more are large


@dataclass(frozen=True)
class HotSpot:
    """An operator that takes long: its own seconds in all calls, and their share of the part's."""

    part: str
    operator: str
    seconds: float
    share: float
    calls: int


def open_folder(folder: Path) -> Path:
    """Return the folder for the traces, made where there is none.

    Raises UserError where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"profile = {str(folder)!r} cannot be a folder: {error.strerror}; give another"
        ) from None
    return folder


def trace_parts(works: Sequence[Work], folder: Path, device: torch.device) -> list[HotSpot]:
    """Write <part>.json of our side of each into the folder (Chrome's format, which Perfetto
    opens), and say what takes most time. Raises UserError where it cannot be written."""
    hottest = []
    for work in works:
        work.ours()  # the first time is never fair
        activities = [ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        with profile(activities=activities, acc_events=True) as traced:
            work.ours()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        path = folder / f"{work.name}.json"
        try:
            path.unlink(missing_ok=True)
            traced.export_chrome_trace(str(path))
        except (OSError, RuntimeError) as error:
            raise UserError(f"profile: {str(path)!r} cannot be written: {error}") from None
        hottest += _hottest(work.name, traced, device)
    return hottest


def _hottest(part: str, traced: profile, device: torch.device) -> list[HotSpot]:
    on_gpu = device.type == "cuda"
    times = [
        (
            (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6,
            event.key,
            event.count,
        )
        for event in traced.key_averages()
    ]
    total = sum(seconds for seconds, _, _ in times) or 1.0
    times.sort(reverse=True)
    return [HotSpot(part, key, took, took / total, calls) for took, key, calls in times[:SHOWN]]
