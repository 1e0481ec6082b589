"""SeqGAN on the small oracle, its discriminator trained plainly and through perturbations.

    python experiments/perturbed_discriminator.py runs/perturbed --seeds 0 1 2 3 4 --jobs 2

Trains experiments/small/seqgan.toml with each perturbation and each seed, on one thread each, and
writes table.md, table.json and curves.png into the folder. Runs that are finished are not done
again, and interrupted ones go on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

RECIPE = Path(__file__).parent / "small/seqgan.toml"
PERTURBATIONS = {
    "none": "",
    "fgm-0.1": "fgm(epsilon=0.1)",
    "fgm-1": "fgm(epsilon=1.0)",
    "freelb-0.1": "freelb(alpha=0.05,epsilon=0.1)",
}
LATE = 10  # rounds whose mean is taken: NLL_oracle moves by 0.1 from one round to the next
MEASURES = {
    "eval/nll_oracle": "NLL_oracle",
    "eval/nll_test": "NLL_test",
    "generator/entropy": "entropy",
    "generator/reward_deviation": "spread of rewards",
    "discriminator/accuracy": "D on training text",
    "discriminator/accuracy_held_out": "D on new text",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--table", action="store_true", help="only write the table of what is done")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    args = parser.parse_intermixed_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    runs = [(name, seed) for seed in args.seeds for name in PERTURBATIONS]
    if not args.table:
        with ThreadPoolExecutor(args.jobs) as pool, tqdm(total=len(runs), unit="run") as bar:
            for name, error in pool.map(lambda run: train(args.folder, *run, args.settings), runs):
                bar.update()
                if error:
                    bar.write(f"{name}: {error}", file=sys.stderr)
    curves = {
        name: {
            seed: rounds(args.folder / f"{name}-{seed}")
            for seed in args.seeds
            if (args.folder / f"{name}-{seed}/results.json").is_file()
        }
        for name in PERTURBATIONS
    }
    curves = {name: of_seed for name, of_seed in curves.items() if of_seed}
    if "none" not in curves:
        sys.exit("no run without a perturbation has finished")
    write(args.folder, curves)


def train(folder: Path, name: str, seed: int, settings: list[str]) -> tuple[str, str]:
    """Train one run unless that is done; its name, and what went wrong, or nothing."""
    run = folder / f"{name}-{seed}"
    if (run / "results.json").is_file():
        return run.name, ""
    command = [sys.executable, "-m", "textgan"]
    if (run / "config.json").is_file():
        command += ["resume", str(run)]
    else:
        command += ["train", str(RECIPE), "--seed", str(seed), "--out", str(run)]
        command += [f"discriminator.perturb={PERTURBATIONS[name]}", *settings]
    log = folder / f"{run.name}.log"
    with log.open("w") as said:
        alone = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=alone, stdout=said, stderr=said, check=False)
    lines = log.read_text().strip().splitlines()
    return run.name, (lines or ["failed"])[-1] if done.returncode else ""


def rounds(run: Path) -> list[dict[str, float]]:
    """What was measured in each adversarial round."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record.get("phase") == "adversarial"]


def write(folder: Path, curves: dict[str, dict[int, list[dict[str, float]]]]) -> None:
    """table.md, table.json and curves.png; the table is printed too."""
    from textgan.core.statistics import over_seeds

    late: dict[str, dict[str, dict[int, float]]] = {
        name: {
            measure: {seed: mean(r[measure] for r in run[-LATE:]) for seed, run in of_seed.items()}
            for measure in MEASURES
        }
        for name, of_seed in curves.items()
    }
    body: list[list[Any]] = []
    for name, measures in late.items():
        row = [name, len(curves[name])]
        for measure, of_seed in measures.items():
            row.append(shown(over_seeds(list(of_seed.values()))))
            plain = late["none"][measure]
            both = [of_seed[seed] - plain[seed] for seed in of_seed if seed in plain]
            if measure in ("eval/nll_oracle", "eval/nll_test"):
                row.append("" if name == "none" else shown(over_seeds(both), "+"))
        body.append(row)
    titles = list(MEASURES.values())
    header = [
        "discriminator",
        "seeds",
        titles[0],
        "minus none",
        titles[1],
        "minus none",
        *titles[2:],
    ]
    table = tabulate(body, header, tablefmt="github")
    print(table)
    (folder / "table.md").write_text(table + "\n")
    (folder / "table.json").write_text(json.dumps(late, indent=2) + "\n")
    draw(folder / "curves.png", curves)


def shown(found: Any, sign: str = "") -> str:
    if found.high is None:
        return f"{found.value:{sign}.3f}"
    return f"{found.value:{sign}.3f} ± {found.high - found.value:.3f}"


def draw(path: Path, curves: dict[str, dict[int, list[dict[str, float]]]]) -> None:
    """NLL_oracle and the discriminator's accuracy over the rounds: each seed, and their mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    panels = ["eval/nll_oracle", "eval/nll_test", "discriminator/accuracy_held_out"]
    for number, (name, of_seed) in enumerate(curves.items()):
        for axis, measure in zip(axes, panels, strict=True):
            runs = [[record[measure] for record in run] for run in of_seed.values()]
            for run in runs:
                axis.plot(range(1, len(run) + 1), run, color=f"C{number}", alpha=0.2, lw=0.8)
            middle = [mean(values) for values in zip(*runs, strict=False)]
            axis.plot(range(1, len(middle) + 1), middle, color=f"C{number}", lw=2, label=name)
            axis.set(title=MEASURES[measure], xlabel="round")
            axis.grid(alpha=0.3)
    axes[0].set_ylabel("nats per token")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
