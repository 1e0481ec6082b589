"""Profile one update of each kind in a run's own setting: tables, traces, waits for the device.

    python experiments/profile_updates.py experiments/paper/seqgan.toml profile/ device=cuda

Writes KIND.txt (operators by their own time) and KIND.json.gz (a trace for Perfetto) of a turn of
fakes, an MLE update, a discriminator update and a generator update, and updates.json: the median
seconds of each, and how often the host waited for the GPU in one. Further KEY=VALUE settings are
the run's.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from textgan.core.memory import reuse_memory
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.schedule import Step
from textgan.training.state import TrainingState
from textgan.training.steps import train_step

STEPS = {
    "fakes": Step("fakes", "adversarial", 0, 0),
    "mle": Step("mle", "mle", 0, 0),
    "discriminator": Step("discriminator", "adversarial", 0, 0),
    "generator": Step("generator", "adversarial", 0, 0),
}
WARM_UP = 2  # updates that make handles, moments, memory
ENOUGH = 4.0  # seconds of timed updates of a kind
SHOWN = 40  # rows of a table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", help="a method's name or a TOML file")
    parser.add_argument("out", type=Path, help="a folder")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=20, help="updates of each kind, timed")
    args = parser.parse_intermixed_args()
    args.out.mkdir(parents=True, exist_ok=True)
    reuse_memory()
    measured: dict[str, Any] = {}
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        run = create_run(make_config(args.config, args.settings), Path(scratch) / "run")
        stack.enter_context(run.products())
        state = TrainingState(run)
        print(f"{run.device}, {torch.get_num_threads()} threads, {run.config.precision} products")
        for kind, step in STEPS.items():
            measured[kind] = measure(state, step, args.repeats)
            show(state, step, args.out / kind)
            print(f"{kind:14} {measured[kind]['seconds'] * 1e3:9.2f} ms", measured[kind]["waits"])
    (args.out / "updates.json").write_text(json.dumps(measured, indent=2) + "\n")


def take(state: TrainingState, step: Step) -> None:
    state.add(train_step(state, step))


def measure(state: TrainingState, step: Step, repeats: int) -> dict[str, Any]:
    """The median seconds of an update, and where the host waited for a GPU in one."""
    seconds: list[float] = []
    for number in range(WARM_UP + repeats):
        if sum(seconds) > ENOUGH:
            break
        finish(state.run.device)
        start = time.perf_counter()
        take(state, step)
        finish(state.run.device)
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    waits: list[str] = []
    if state.run.device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            take(state, step)
        torch.cuda.set_sync_debug_mode("default")
        waits = [f"{Path(one.filename).name}:{one.lineno}" for one in caught]
    return {"seconds": median(seconds), "waits": waits}


def show(state: TrainingState, step: Step, path: Path) -> None:
    """Write the table and the trace of one update."""
    on_gpu = state.run.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities, acc_events=True) as traced:
        take(state, step)
        finish(state.run.device)
    by = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    table = traced.key_averages().table(sort_by=by, row_limit=SHOWN)
    path.with_suffix(".txt").write_text(table + "\n")
    traced.export_chrome_trace(f"{path}.json.gz")


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
