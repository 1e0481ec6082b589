"""Methods that answer a source, each from the same MLE: one command, one table.

    python experiments/from_one_mle.py runs/multi30k experiments/small/multi30k.toml \\
        --methods experiments/small/{br_csgan,adversarial_nmt,mrt}.toml pg_bleu constant_reward \\
        --source multi30k/test_2016_flickr.de --references multi30k/test_2016_flickr.en \\
        --seeds 1 2 3 --jobs 2 --set schedule.rounds=100
    python experiments/from_one_mle.py runs/chitchat experiments/small/chitchat.toml \\
        --methods experiments/small/regs.toml \\
        partial=experiments/small/regs.toml,objective.variant=partial --set schedule.rounds=100

Trains the recipe with each seed and, from there (`init`), each method and MLE itself
(`mle_continued`). `--set` is what all of these share: rounds, batch size, rates, teacher forcing. A
round of MLE has the updates of the others' generator, all on real text. A method is a recipe, a
registry name, or NAME=RECIPE,KEY=VALUE,... with settings of its own. Then everything answers the
test part by `--decode` and is measured: with `--source` and `--references`, files of a translation
as people wrote it, by sacrebleu on the lines themselves; without, by evaluators of dialogue.
Answers are kept beside the runs. What is done is not done again: the command may be stopped and
repeated. Writes table.md and table.json, with the differences to mle_continued of the same seed,
and half their 95 % t interval over seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from compare import summary, train
from tabulate import tabulate
from tqdm import tqdm

CONTROL = "mle_continued"
DIALOGUE = ["adversuc", "machine_vs_random", "distinct", "commonest", "length", "peakiness"]
# fewer updates of evaluators than usual, for two cores; what they are worth is said by `ere`, which
# hardly depends on the machine, so that it is of MLE alone
EVALUATORS = {"reads": 10_000}
JUDGED = ("adversuc", "machine_vs_random", "ere")
PAIRS = 4000  # of the test part, that are answered
TRANSLATION = ["likelihood", "peakiness"]
BEAM = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("recipe", help="of MLE on pairs")
    parser.add_argument("--methods", nargs="+", default=[], help="recipes, names, NAME=RECIPE,...")
    parser.add_argument("--references", type=Path, help="of a translation: the test part's targets")
    parser.add_argument("--source", type=Path, help="and its sources")
    parser.add_argument("--decode", nargs="+", default=["sample", "greedy", "beam"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--table", action="store_true", help="only of what is measured")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of all methods")
    args = parser.parse_args()
    if (args.references is None) != (args.source is None):
        parser.error("give --references and --source, or neither")
    args.folder.mkdir(parents=True, exist_ok=True)
    methods = dict(method(words) for words in args.methods)
    # what starts from an MLE waits for it
    stages = [{"mle": [args.recipe]}, {CONTROL: ["mle"], **methods}]

    def do(task: tuple[str, list[str], int]) -> str:
        name, words, seed = task
        if name != "mle":
            first, *own = words
            keys = [word.partition("=")[0] for word in own]
            shared = [word for word in args.set if word.partition("=")[0] not in keys]
            words = [first, f"init={args.folder / f'mle-{seed}'}", *shared, *own]
        label, error = train(args.folder, name, words, seed, [])
        if not error:
            for decode in args.decode:
                measure(args.folder / label, decode, args.source, args.references)
        return f"{label}: {error}" if error else ""

    if not args.table:
        with tqdm(total=len(args.seeds) * sum(map(len, stages)), unit="run") as bar:
            for stage in stages:
                tasks = [(*one, seed) for seed in args.seeds for one in stage.items()]
                with ThreadPoolExecutor(args.jobs) as pool:
                    for error in pool.map(do, tasks):
                        bar.update()
                        if error:
                            bar.write(error, file=sys.stderr)
    write(args.folder, [name for stage in stages for name in stage], args.decode, args.seeds)


def method(words: str) -> tuple[str, list[str]]:
    """The name of a method and the words of its command: of RECIPE, of a registry name, or of
    NAME=RECIPE,KEY=VALUE,..."""
    first, *settings = words.split(",")
    name, named, recipe = first.partition("=")
    return (name, [recipe, *settings]) if named else (Path(first).stem, [first, *settings])


def measure(run: Path, decode: str, source: Path | None, references: Path | None) -> None:
    """Write what a run's answers are like into RUN.DECODE.json, unless it is there."""
    out = run.with_name(f"{run.name}.{decode}.json")
    if out.is_file():
        return
    found = (
        dialogue(run, decode)
        if source is None or references is None
        else translation(run, decode, source, references)
    )
    out.write_text(json.dumps(found, indent=1) + "\n")


def translation(run: Path, decode: str, source: Path, references: Path) -> dict[str, Any]:
    """BLEU and chrF of a run's lines against the lines of a file, by sacrebleu itself."""
    import sacrebleu

    import textgan

    lines, people = (path.read_text().splitlines() for path in (source, references))
    translator = textgan.load_translator(run)
    if decode == "sample":
        said = [best.text for [best] in translator.answer(lines, quiet=True)]
    else:
        said = translator(lines, beam=BEAM if decode == "beam" else 1, quiet=True)
    run.with_name(f"{run.name}.{decode}.txt").write_text("".join(f"{line}\n" for line in said))
    bleu = sacrebleu.metrics.BLEU(tokenize="none", force=True)
    chrf = sacrebleu.metrics.CHRF()
    score = bleu.corpus_score(said, [people])
    values = {
        "bleu": score.score,
        "brevity": score.bp,
        "chrf": chrf.corpus_score(said, [people]).score,
        "length": sum(len(line.split()) for line in said) / len(said),
    }
    if decode == "sample":  # these are of the model, however it writes
        values |= of_evaluation(run, decode, TRANSLATION)[0]
    return {
        "values": values,
        "signatures": {"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())},
    }


def dialogue(run: Path, decode: str) -> dict[str, Any]:
    """What evaluators say of a run's answers, and the first ten of them."""
    import textgan

    metrics = DIALOGUE + (["ere"] if run.name.startswith("mle-") and decode == "sample" else [])
    judged = {name: EVALUATORS for name in metrics if name in JUDGED}
    values, signatures = of_evaluation(run, decode, metrics, samples=PAIRS, **judged)
    how = {"sample": {}, "greedy": {"greedy": True}, "beam": {"beam": BEAM}}[decode]
    lines = textgan.sample(run, n=10, **how)
    run.with_name(f"{run.name}.{decode}.txt").write_text("".join(f"{line}\n" for line in lines))
    return {"values": values, "signatures": signatures}


def of_evaluation(
    run: Path, decode: str, metrics: list[str], **settings: Any
) -> tuple[dict[str, float], dict[str, str]]:
    """The values and signatures of a run's last state, by `textgan.evaluate`."""
    import textgan
    from textgan.training.results import MLE_ROW

    evaluation = textgan.evaluate(
        run, decode=decode, metrics=metrics, resamplings=0, quiet=True, **settings
    )
    [*_, row] = [
        row for name, row in evaluation.rows.items() if name not in (evaluation.real, MLE_ROW)
    ]
    values = {name: score.value for name, score in row.items()}
    return values, {name: score.signature for name, score in row.items()}


def write(folder: Path, names: list[str], decodings: list[str], seeds: list[int]) -> None:
    """table.json of every number, and table.md: mean over seeds, and differences to the control."""
    rows: list[dict[str, Any]] = []
    signatures: dict[str, str] = {}
    for name in names:
        for decode in decodings:
            of_seed: dict[int, dict[str, float]] = {}
            for seed in seeds:
                path = folder / f"{name}-{seed}.{decode}.json"
                if path.is_file():
                    content = json.loads(path.read_text())
                    of_seed[seed] = content["values"]
                    signatures |= content["signatures"]
            if of_seed:
                rows.append({"method": name, "decode": decode, "seeds": of_seed})
    if not rows:
        sys.exit("nothing is measured")
    controls = {row["decode"]: row["seeds"] for row in rows if row["method"] == CONTROL}
    measures = list(
        dict.fromkeys(key for row in rows for one in row["seeds"].values() for key in one)
    )
    body = []
    for row in rows:
        cells = []
        for key in measures:
            values = [one[key] for one in row["seeds"].values() if key in one]
            control = controls.get(row["decode"], {})
            pairs = [
                one[key] - control[seed][key]
                for seed, one in row["seeds"].items()
                if seed in control and key in one and row["method"] != CONTROL
            ]
            cells.append(summary(values) + (f" ({summary(pairs)})" if pairs else ""))
        body.append([row["method"], row["decode"], len(row["seeds"]), *cells])
    table = tabulate(
        body,
        headers=["method", "decoding", "seeds", *measures],
        tablefmt="github",
        disable_numparse=True,
    )
    (folder / "table.md").write_text(table + "\n")
    (folder / "table.json").write_text(
        json.dumps({"signatures": signatures, "rows": rows}, indent=1) + "\n"
    )
    print(table)


if __name__ == "__main__":
    main()
