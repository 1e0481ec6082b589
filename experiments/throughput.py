"""How many runs an hour, by how many run side by side and with how many threads each.

    python experiments/throughput.py experiments/small/seqgan.toml --runs 4 schedule.rounds=5

Trains the same recipe with seeds 0, 1, ... in each way, all ways in turn and `--repeats` times, and
prints the median of each: one run after another with every core's thread, as many side by side as
there are cores with one thread each, and twice as many. The default of `compare.py --jobs` is the
one that wins where this was measured (experiments/results/bench/README.md). Further KEY=VALUE
settings go to every run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tabulate import tabulate


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", help="a method's name or a TOML file")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    args = parser.parse_intermixed_args()
    cores = os.cpu_count() or 1
    ways = [(1, cores), (1, 1), (cores, 1), (2 * cores, 1)]  # side by side, threads of each
    took: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
    for _ in range(args.repeats):
        for way in ways:
            took[way].append(seconds(args.recipe, args.runs, *way, args.settings))
    rows = [
        {
            "side by side": jobs,
            "threads each": threads,
            "seconds a run": median(took[jobs, threads]) / args.runs,
            "runs an hour": 3600 * args.runs / median(took[jobs, threads]),
        }
        for jobs, threads in ways
    ]
    print(tabulate(rows, headers="keys", floatfmt=".3g"))
    if args.json:
        numbers = {"recipe": args.recipe, "settings": args.settings, "runs": args.runs}
        args.json.write_text(json.dumps(numbers | {"ways": rows}, indent=2) + "\n")


def seconds(recipe: str, runs: int, jobs: int, threads: int, settings: Sequence[str]) -> float:
    """Train so many runs, `jobs` at a time with so many threads each; the seconds of all."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:

        def train(seed: int) -> None:
            out = str(Path(folder) / str(seed))
            command = [sys.executable, "-m", "textgan", "train", recipe]
            command += ["--seed", str(seed), "--out", out, *settings]
            environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
            subprocess.run(
                command,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )

        begun = time.monotonic()
        list(pool.map(train, range(runs)))
        return time.monotonic() - begun


if __name__ == "__main__":
    main()
