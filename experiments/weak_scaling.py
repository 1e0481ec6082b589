"""Weak scaling: the same work for each process, for one process and for two, in one run.

    python experiments/weak_scaling.py --batch 64 objective.rollouts=16

Starts torchrun for each number of processes, several times in turn, with as many shards as
processes and a batch and a pool of fakes that grow with them, and times each kind of step. Perfect
weak scaling takes as long for two processes as for one: a ratio of 1. The rest is what gradients
and fakes cost on their way, and what processes on one machine cost each other (memory, caches,
clock). Each has one thread. Further KEY=VALUE settings go to all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tabulate import tabulate

PARTS = {  # steps of the plan, and what they are
    "mle": "MLE update",
    "fakes": "fakes of a turn",
    "discriminator": "discriminator update",
    "generator": "generator update",
}
SMALL = {
    "oracle.positives": 2000,
    "oracle.held_out": 100,
    "objective.rollouts": 4,
    "discriminator.preset": "texygen_small",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=64, help="sentences of a process's shard")
    parser.add_argument("--fakes", type=int, default=500, help="of a turn, for each process")
    parser.add_argument("--steps", type=int, default=5, help="of each kind, timed each time")
    parser.add_argument("--repeats", type=int, default=3, help="starts of each number of processes")
    parser.add_argument("--objective", default="seqgan")
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    parser.add_argument(
        "--work", type=Path, help=argparse.SUPPRESS
    )  # this is a process of torchrun
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    args = parser.parse_intermixed_args()
    if args.work:
        work(args)
        return
    found: dict[int, list[dict[str, list[float]]]] = {number: [] for number in args.processes}
    for _ in range(args.repeats):
        for number in args.processes:
            found[number].append(start(number))
    seconds = {
        number: {
            part: median(t for one in each for t in one[part]) for part in PARTS if part in each[0]
        }
        for number, each in found.items()
    }
    print(table(seconds))
    if args.json:
        content = {"batch": args.batch, "fakes": args.fakes, "settings": args.settings}
        content |= {"processors": os.cpu_count(), "seconds": seconds}
        args.json.write_text(json.dumps(content, indent=2) + "\n")


def start(processes: int) -> dict[str, list[float]]:
    """The seconds of each step, timed in that many processes."""
    with TemporaryDirectory() as folder:
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        arguments = [__file__, *sys.argv[1:], "--work", folder]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, *torchrun, *arguments], env=environment, check=True)
        times: dict[str, list[float]] = json.loads((Path(folder) / "times.json").read_text())
    return times


def work(args: argparse.Namespace) -> None:
    """One process: its share of every step."""
    import torch

    from textgan.core.distributed import joined
    from textgan.core.log import Log
    from textgan.core.streams import Purpose, stream
    from textgan.training.config import make_config
    from textgan.training.run import create_run, open_run
    from textgan.training.schedule import Step
    from textgan.training.state import TrainingState
    from textgan.training.steps import take_step

    with joined() as group:
        settings: dict[str, Any] = SMALL if args.objective == "seqgan" else {}
        settings = settings | {
            "schedule.batch_size": args.batch * group.size,
            "schedule.fakes": args.fakes * group.size,
            "schedule.shards": group.size,
        }
        config = make_config(make_config(args.objective, settings).model_dump(), args.settings)
        run = group.lead(
            lambda: create_run(config, args.work / "run"),
            tell=lambda run: run.folder,
            follow=open_run,
        )
        torch.manual_seed(stream(Purpose.TRAINING, 0))
        state = TrainingState(run, group)
        log = Log(args.work / f"log-{group.rank}", 0, True, {}, {})
        times: dict[str, list[float]] = {}
        for number in range(args.steps + 1):
            for part in PARTS:
                if part in ("fakes", "discriminator") and not state.adversary:
                    continue
                group.any(False)  # all begin together
                began = time.perf_counter()
                take_step(state, Step(part, "adversarial", 1, 0), log)  # type: ignore[arg-type]
                group.any(False)  # and have all ended
                if run.device.type == "cuda":
                    torch.cuda.synchronize()
                if number:  # the first is a warm-up
                    times.setdefault(part, []).append(time.perf_counter() - began)
        log.close()
        if group.first:
            (args.work / "times.json").write_text(json.dumps(times))


def table(seconds: Mapping[int, Mapping[str, float]]) -> str:
    """Milliseconds of each part by the number of processes, and their ratio to the first."""
    numbers: Sequence[int] = list(seconds)
    rows = []
    for part in seconds[numbers[0]]:
        times = [seconds[number][part] for number in numbers]
        rows.append([PARTS[part], *(f"{1000 * t:.1f}" for t in times)])
        rows[-1] += [f"{t / times[0]:.2f}" for t in times[1:]]
    headers = ["milliseconds", *(f"{n} process{'es' * (n > 1)}" for n in numbers)]
    headers += [f"{n} : {numbers[0]}" for n in numbers[1:]]
    return tabulate(
        rows,
        headers=headers,
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(headers) - 1),
    )


if __name__ == "__main__":
    main()
