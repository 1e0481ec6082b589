"""Sentence encoders side by side: masked words, then SimCSE, USCAL and PromptBERT from there.

    python experiments/encoders.py TRAIN.txt TEST.txt runs/encoders --seeds 0 1 2

Trains a small transformer on masked words of TRAIN with each seed, from it each contrastive method,
and SimCSE without it; measures all of them and an untrained network on lines of TEST as textgan
similarity does, and writes table.md and table.json into the folder. What is finished is not done
again. One thread; run it twice with other seeds to use two cores, then once for the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

START = "mlm"
# the method, and its settings; all begin with START's weights but where `scratch` says so
ENCODERS: dict[str, tuple[str, list[str]]] = {
    START: ("mlm", ["epochs=20", "lr=0.002"]),
    "untrained": ("simcse", ["epochs=1", "lr=1e-12", "network.layers=2"]),
    "simcse-scratch": ("simcse", ["epochs=5", "lr=0.0005"]),
    "simcse": ("simcse", ["epochs=5", "lr=0.0005"]),
    "uscal-0.1": ("uscal", ["epochs=5", "lr=0.0005", "contrast.epsilon=0.1"]),
    "uscal-0.3": ("uscal", ["epochs=5", "lr=0.0005", "contrast.epsilon=0.3"]),
    "uscal-1": ("uscal", ["epochs=5", "lr=0.0005", "contrast.epsilon=1.0"]),
    "promptbert": ("promptbert", ["epochs=5", "lr=0.0005"]),
}
SCRATCH = ("untrained", "simcse-scratch")
NOISE = "drop,swap,replace"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=int, default=2000, help="lines that are measured")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[int, dict[str, float]]] = {}
    for seed in args.seeds:
        places = [args.folder / f"{name}-{seed}" for name in ENCODERS]
        for name, place in zip(tqdm(ENCODERS, desc=f"seed {seed}"), places, strict=True):
            if not (place / "results.json").is_file():
                method, settings = ENCODERS[name]
                begin = (
                    []
                    if name in (START, *SCRATCH)
                    else ["--start", args.folder / f"{START}-{seed}"]
                )
                command = ["--data", args.train, "--out", place, "--seed", seed, *begin]
                run("encode", method, *settings, *command)
        kept = args.folder / f"similarity-{seed}.json"
        if not kept.is_file():
            measured = ["--data", args.test, "--noise", NOISE, "--limit", args.limit, "--json"]
            kept.write_text(run("similarity", *places, *measured))
        rows = json.loads(kept.read_text())["rows"].values()
        for name, scores in zip(["bag of words", *ENCODERS], rows, strict=True):
            numbers = {key: score["value"] for key, score in scores.items()}
            found.setdefault(name, {})[seed] = numbers
    write(args.folder, found)


def run(*words: Any) -> str:
    """What a textgan command prints; ends where it fails."""
    command = [sys.executable, "-m", "textgan", *map(str, words)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=alone, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def write(folder: Path, found: dict[str, dict[int, dict[str, float]]]) -> None:
    """table.md and table.json: the mean over seeds and half its 95 % interval."""
    from textgan.core.statistics import over_seeds

    keys = list(next(iter(found["simcse"].values())))
    body = []
    for name, of_seed in found.items():
        row = [name]
        for key in keys:
            values = [numbers[key] for numbers in of_seed.values() if key in numbers]
            estimate = over_seeds(values) if values else None
            half = "" if not estimate or estimate.high is None else estimate.high - estimate.value
            row.append("" if not estimate else f"{estimate.value:.3f}")
            row[-1] += f" ± {half:.3f}" if half != "" else ""
        body.append(row)
    table = tabulate(body, ["encoder", *keys], tablefmt="github", disable_numparse=True)
    print(table)
    (folder / "table.md").write_text(table + "\n")
    (folder / "table.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
