"""Every method on the small oracle: one command, one table.

    python experiments/compare.py runs/compare --seeds 0 1 2 --jobs 2

Trains each recipe of experiments/small with each seed, `--jobs` runs at a time on one thread each,
and writes table.md, table.json and methods.png into the folder. Runs that are finished are not done
again and interrupted ones go on, so the command may be stopped and repeated. Further KEY=VALUE
settings go to every run. `--keep table.json --mark COMMIT` adds the rows that an earlier table has
of methods which were not run now, under that mark and against the MLE of their own table.
`--on RECIPE` trains on the texts of one recipe instead, which answer a source, MLE and the methods
of `ANSWERING`, each with the recipe's networks and budget. The
table's time is that of the processor: a run has one thread, so on an idle core it is the wall's
too, and other work on the machine does not change it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

RECIPES = Path(__file__).parent / "small"
# methods that are compared on texts that answer a source, with what they need there
ANSWERING = {
    "mle": [],
    "seqgan": ["objective.baseline=batch"],
    "br_csgan": [],
    "regs": [],
    "pg_bleu": ["objective.smoothing=add_one", "objective.baseline=batch"],
    "constant_reward": [],
}
TEMPERATURES = [1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6]
ENTROPY = 2.428  # of the small oracle, seed 0, which every run prints


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--only", nargs="+", default=[], help="recipes or methods, by name")
    parser.add_argument("--on", type=Path, help="a recipe whose texts answer a source")
    parser.add_argument("--table", action="store_true", help="only write the table of what is done")
    parser.add_argument("--keep", type=Path, help="an earlier table.json, for methods not run now")
    parser.add_argument("--mark", default="kept", help="what its rows are called by: a commit")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    args = parser.parse_intermixed_args()
    if args.on:
        known = {name: [str(args.on), f"objective={name}", *own] for name, own in ANSWERING.items()}
    else:
        paths = sorted(RECIPES.glob("*.toml"))
        known = {path.stem: [str(path)] for path in paths if on_the_small_oracle(path)}
    unknown = set(args.only) - known.keys()
    if unknown:
        parser.error(f"no {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    names = [name for name in known if not args.only or name in args.only]
    args.folder.mkdir(parents=True, exist_ok=True)
    runs = [(name, known[name], seed) for seed in args.seeds for name in names]
    if not args.table:
        with ThreadPoolExecutor(args.jobs) as pool, tqdm(total=len(runs), unit="run") as bar:
            for name, error in pool.map(lambda run: train(args.folder, *run, args.settings), runs):
                bar.update()
                if error:
                    bar.write(f"{name}: {error}", file=sys.stderr)
    rows = collect(args.folder, names, args.seeds)
    if not rows:
        sys.exit("no run has finished")
    if args.keep:
        rows += kept(json.loads(args.keep.read_text())["methods"], rows, args.mark)
    write(args.folder, rows, cooled(args.folder, args.seeds), zoom=not args.on)


def on_the_small_oracle(recipe: Path) -> bool:
    """Whether a recipe has neither data of its own nor a source to answer."""
    from textgan.core import registry

    content = tomllib.loads(recipe.read_text())
    answers = registry.find("objective", content["objective"]["name"]).needs_source
    return not (answers or "data" in content or content.get("oracle", {}).get("source_length"))


def train(
    folder: Path, method: str, words: list[str], seed: int, settings: list[str]
) -> tuple[str, str]:
    """Train one method, by the words of a command, with one seed unless that is done; what went
    wrong, or nothing."""
    name = f"{method}-{seed}"
    run = folder / name
    if (run / "results.json").is_file():
        return name, ""
    command = [sys.executable, "-m", "textgan"]
    if (run / "config.json").is_file():
        command += ["resume", str(run)]
    else:
        command += ["train", *words, "--seed", str(seed), "--out", str(run), *settings]
    begun = time.monotonic()
    said = folder / f"{name}.log"
    with said.open("w") as log:
        started = subprocess.Popen(
            command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=log, stderr=log
        )
        _, status, used = os.wait4(started.pid, 0)
    spent = {"wall": time.monotonic() - begun, "cpu": used.ru_utime + used.ru_stime}
    if status:
        return name, (said.read_text().strip().splitlines() or ["failed"])[-1]
    clock = run / "seconds.json"
    before = json.loads(clock.read_text()) if clock.is_file() else {}
    clock.write_text(json.dumps({key: before.get(key, 0) + spent[key] for key in spent}))
    return name, ""


def collect(folder: Path, names: list[str], seeds: list[int]) -> list[dict[str, Any]]:
    """One row for each method: its scores with every seed, beside those of its MLE start."""
    from textgan.core.score import scores_to_dict
    from textgan.training.results import MLE_ROW, read_results

    rows = []
    for name in names:
        found = []
        for seed in seeds:
            run = folder / f"{name}-{seed}"
            results = read_results(run) if run.is_dir() else None
            if results is None:
                continue
            starts = [row for title, row in results.rows.items() if title.startswith(MLE_ROW)]
            clock = run / "seconds.json"
            found.append(
                {
                    "seed": seed,
                    "measures": scores_to_dict(results.last),
                    "mle": scores_to_dict(starts[0]) if starts else None,
                    "warnings": results.warnings,
                    "alarms": list(results.alarms),
                    "seconds": json.loads(clock.read_text()) if clock.is_file() else None,
                }
            )
        if found:
            rows.append({"method": name, "seeds": found})
    return rows


def kept(
    earlier: list[dict[str, Any]], rows: list[dict[str, Any]], mark: str
) -> list[dict[str, Any]]:
    """The rows of an earlier table whose methods have none now, and its MLE, marked."""
    run = {row["method"] for row in rows} - {"mle"}
    return [row | {"mark": mark} for row in earlier if row["method"] not in run]


def named(row: dict[str, Any]) -> str:
    """What a row is called: by its method, and where it comes from if not from these runs."""
    return f"{row['method']} ({row['mark']})" if "mark" in row else str(row["method"])


def cooled(folder: Path, seeds: list[int]) -> list[dict[str, Any]]:
    """What maximum likelihood reaches by sampling at lower temperatures, with no adversary.

    NLL_oracle of texts drawn at a temperature, and NLL_test under that same colder distribution:
    the line that a method has to be below to have learnt more than to be careful.
    """
    from textgan.core.seeds import fork_rng
    from textgan.core.streams import Purpose, stream
    from textgan.models.draw import draw_texts
    from textgan.models.likelihood import nll_per_token
    from textgan.models.sampling import Categorical
    from textgan.training.run import open_run

    points = []
    for seed in seeds:
        if not (folder / f"mle-{seed}" / "results.json").is_file():
            continue
        run = open_run(folder / f"mle-{seed}", "cpu")
        generator, test = run.load_generator(), run.corpus.test
        for temperature in TEMPERATURES:
            with fork_rng(stream(Purpose.COOLED, seed), run.device):
                asked = run.corpus.conditions.draw(10_000)
                texts = draw_texts(generator, 10_000, Categorical(temperature), asked)
            points.append(
                {
                    "seed": seed,
                    "temperature": temperature,
                    "nll_oracle": nll_per_token(run.oracle, texts).value,
                    "nll_test": nll_per_token(generator, test, temperature=temperature).value,
                }
            )
    return points


def summary(values: list[float]) -> str:
    """Mean and half the 95 % interval of the mean over seeds."""
    from textgan.core.statistics import over_seeds

    if len(values) < 2:
        return f"{values[0]:.3f}" if values else ""
    found = over_seeds(values)
    assert found.high is not None  # of two values or more there is an interval
    return f"{found.value:.3f} ± {found.high - found.value:.3f}"


def values_of(row: dict[str, Any], measure: str) -> list[float]:
    return [s["measures"][measure]["value"] for s in row["seeds"] if measure in s["measures"]]


def against(row: dict[str, Any], mle: dict[str, Any] | None, measure: str) -> str:
    """The least and the largest difference from further MLE of the same seed, which began alike."""
    if mle is None:
        return ""
    base = {s["seed"]: s["measures"][measure]["value"] for s in mle["seeds"]}
    found = [
        s["measures"][measure]["value"] - base[s["seed"]]
        for s in row["seeds"]
        if s["seed"] in base and measure in s["measures"]
    ]
    return f"{min(found):+.2f} to {max(found):+.2f}" if found and row is not mle else ""


def write(
    folder: Path, rows: list[dict[str, Any]], cold: list[dict[str, Any]], zoom: bool = True
) -> None:
    """table.md, table.json and methods.png; the table is printed too."""
    rows = sorted(rows, key=lambda row: mean(values_of(row, "nll_oracle")))
    body: list[list[Any]] = []
    bases = {row.get("mark"): row for row in rows if row["method"] == "mle"}
    for row in rows:
        mle = bases.get(row.get("mark"))  # that of the same runs: seeds are other numbers in others
        seeds = row["seeds"]
        entropy = values_of(row, "entropy")
        alarms = {alarm.split(": ")[1].split()[0] for s in seeds for alarm in s["alarms"]}
        rang = sum(bool(s["alarms"]) for s in seeds)
        clocks = [s["seconds"]["cpu"] for s in seeds if s["seconds"]]
        body.append(
            [
                named(row),
                summary(values_of(row, "nll_oracle")),
                summary(values_of(row, "nll_test")),
                against(row, mle, "nll_oracle"),
                against(row, mle, "nll_test"),
                f"{mean(entropy):.3f}" if entropy else "",
                f"{mean(values_of(row, 'unique')):.3f}",
                f"{mean(clocks):.0f} s" if clocks else "",
                f"{rang} of {len(seeds)} ({', '.join(sorted(alarms))})" if rang else "no",
                len(seeds),
            ]
        )
    for temperature in TEMPERATURES[1:]:
        at = [point for point in cold if point["temperature"] == temperature]
        if at:
            nlls = [summary([point[key] for point in at]) for key in ("nll_oracle", "nll_test")]
            body.append([f"mle, sampled at temperature {temperature}", *nlls, *[""] * 6, len(at)])
    headers = ["method", "NLL_oracle", "NLL_test", "to mle: oracle", "to mle: test"]
    headers += ["entropy", "unique", "time", "alarm", "seeds"]
    table = tabulate(body, headers=headers, tablefmt="github", disable_numparse=True)
    (folder / "table.md").write_text(table + "\n")
    content = {"methods": rows, "cooled": cold}
    (folder / "table.json").write_text(json.dumps(content, indent=1) + "\n")
    print(table)
    draw(folder / "methods.png", rows, cold, zoom)


def draw(
    path: Path, rows: list[dict[str, Any]], cold: list[dict[str, Any]], zoom: bool = True
) -> None:
    """Quality against coverage, one point for each seed of each method, and cooled MLE's line.

    zoom: to where most methods on the small oracle are, beside the entropy of that.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (14, 7.5) if zoom else (7, 7.5)
    figure, grid = pyplot.subplots(
        1, 2 if zoom else 1, figsize=size, constrained_layout=True, squeeze=False
    )
    panels = grid[0]
    colours = pyplot.get_cmap("tab20")
    markers = "osD^vP*X"
    shown = [row for row in rows if values_of(row, "nll_test")]
    for axis in panels:
        for i, row in enumerate(shown):
            axis.plot(
                values_of(row, "nll_oracle"),
                values_of(row, "nll_test"),
                markers[i % len(markers)],
                color=colours(i % 20),
                label=named(row),
                markersize=7,
            )
        for i, seed in enumerate(sorted({point["seed"] for point in cold})):
            line = [point for point in cold if point["seed"] == seed]
            axis.plot(
                [point["nll_oracle"] for point in line],
                [point["nll_test"] for point in line],
                color="black",
                linewidth=0.8,
                label="mle, sampled ever colder" if i == 0 else None,
            )
        if zoom:
            axis.axvline(ENTROPY, color="grey", linestyle=":", label="entropy of the oracle")
        axis.set_xlabel("NLL_oracle (nats per token; lower: likelier under the oracle)")
        axis.grid(alpha=0.3)
    panels[0].set_ylabel("NLL_test (nats per token; lower: held-out text is covered better)")
    oracle = "the small oracle" if zoom else "one oracle with sources"
    panels[0].set_title(f"Every method on {oracle}, one point a seed", fontsize=11)
    if zoom:
        panels[1].set_title("The same, where most of them are", fontsize=11)
        panels[1].set_xlim(3.3, 4.6)
        panels[1].set_ylim(3.18, 3.4)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, ncols=7, loc="outside lower center")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
