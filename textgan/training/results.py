"""The end of a run: one table, one picture, some samples.

Every table has the rows that a reader needs to judge the last one: the oracle itself, uniformly
random tokens, and the best MLE epoch.
"""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import torch

from textgan.core.checks import SEEDS, TEMPERATURES, flag_from, number_from, text_from, whole_from
from textgan.core.errors import UserError
from textgan.core.files import exists, understood, write_file
from textgan.core.identity import identity_in, read_sealed, sealed
from textgan.core.log import Log, read_records
from textgan.core.progress import status
from textgan.core.seeds import fork_rng
from textgan.core.statistics import Estimate
from textgan.core.streams import Purpose, stream
from textgan.core.tables import Shown, Table
from textgan.core.tensors import read_facts
from textgan.data.checks import corpus_warnings
from textgan.data.text import Text
from textgan.models.draw import draw_texts, labels_like
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.likelihood import nll_per_token, uniform_nll
from textgan.models.sampling import Categorical, Sampler, greedy, without
from textgan.training.checkpoint import checkpoints
from textgan.training.monitor import measure, ngram_divergences, sample_warnings
from textgan.training.panels import NATS, ORACLE_ENTROPY, OVERVIEW, SORTED_BY, UPDATES
from textgan.training.run import MLE, Run, Weights, open_run
from textgan.training.schedule import PHASE_NAMES, plan

COLUMNS = {
    "nll_oracle": "NLL_oracle",
    "nll_test": "NLL_test",
    "nll_valid": "NLL_valid",
    "entropy": "entropy",
    "unique": "unique",
} | {f"jsd{n}": f"JSD-{n}" for n in range(1, 9)}
SAMPLES_WRITTEN = 100


@dataclass(frozen=True, repr=False)
class Results(Shown):
    """The final table: for each row its measures, and what a reader should be warned of."""

    folder: Path
    rows: dict[str, dict[str, Estimate]]
    warnings: list[str]
    samples: int
    alarms: tuple[str, ...] = ()  # that rang while the run trained
    likelihood: bool = True  # whether the trained generator has one
    records: str | None = None  # the digest that metrics.jsonl had at the end

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rows": {
                name: {key: estimate.to_dict() for key, estimate in row.items()}
                for name, row in self.rows.items()
            },
            "warnings": self.warnings,
            "alarms": list(self.alarms),
            "likelihood": self.likelihood,
            "samples": self.samples,
            "unit": "nats per token; entropy too. unique: share of different samples. jsd: bits",
        }

    def shown(self) -> list[Table | str]:
        columns = {
            key: title
            for key, title in COLUMNS.items()
            if any(key in row for row in self.rows.values())
        }
        body = [
            [name, *(str(row[key]) if key in row else "" for key in columns)]
            for name, row in self.rows.items()
        ]
        upright = [
            [title, *(str(row[key]) if key in row else "" for row in self.rows.values())]
            for key, title in columns.items()
        ]
        narrow = Table(["", *self.rows], upright)
        table = Table(["", *columns.values()], body, narrow=narrow)
        note = f"on {self.samples} samples"
        if any(key.startswith("nll") for key in columns):
            note = (
                f"nats per token {note} at temperature 1, "
                "[95 % bootstrap interval over sentences]; lower NLL is better"
            )
        if not self.likelihood:
            note += "; NLL_test and entropy need a likelihood, which this generator does not have"
        if "jsd1" in columns:
            note += "; JSD-n: bits between their n-grams and the training text's"
        return [table, note, *(f"warning: {text}" for text in self.warnings)]


def final_table(run: Run, *, samples: int, seed: int, temperature: float = 1.0) -> Results:
    """The table of a run as it stands: oracle, random, best MLE epoch, and the trained generator.

    Raises UserError where there is no checkpoint yet.
    """
    limits = run.config.evaluation
    generator = run.load_generator()
    rows: dict[str, dict[str, Estimate]] = {}
    if run.oracle is not None:
        rows["oracle"], _ = measure(
            run.oracle,
            run.corpus,
            run.oracle,
            samples=samples,
            seed=stream(Purpose.FINAL_ORACLE, seed),
            resamplings=limits.bootstrap,
            ngrams=limits.ngrams,
        )
    if limits.ngrams:
        test = run.corpus.test[:samples]
        rows["real, held out"] = ngram_divergences(test, run.corpus, limits.ngrams)
    random = _random_row(run, samples, seed)
    if run.oracle is None and not isinstance(generator, AutoregressiveGenerator):
        random = {key: level for key, level in random.items() if key.startswith("jsd")}
    if random:
        rows["random tokens"] = random

    def row(generator: Generator) -> dict[str, Estimate]:
        found, _ = measure(
            generator,
            run.corpus,
            run.oracle,
            samples=samples,
            seed=stream(Purpose.FINAL_TEXTS, seed),
            resamplings=limits.bootstrap,
            temperature=temperature,
            ngrams=limits.ngrams,
        )
        return found

    mle_entropy = None
    lack = run.mle_lack()
    if exists(run.folder / MLE):
        _, facts = run.load_mle()
        name = f"MLE, best epoch ({facts['epoch']} of {run.config.schedule.mle_epochs})"
        rows[name] = row(run.load_generator("mle"))
        mle_entropy = rows[name]["entropy"].value if "entropy" in rows[name] else None
    final = row(generator)
    if not all(math.isfinite(estimate.value) for estimate in final.values()):
        raise UserError(f"{run.folder}: the generator's weights are no longer numbers; it diverged")
    rows[f"{run.config.objective.name}, last"] = final
    found = sample_warnings(
        final,
        unique_alarm=limits.unique_alarm,
        entropy_alarm=limits.entropy_alarm,
        mle_entropy=mle_entropy,
        oracle=run.oracle_level,
    )
    found = [*([lack] if lack else []), *corpus_warnings(run.corpus), *found]
    likelihood = isinstance(generator, AutoregressiveGenerator)
    return Results(run.folder, rows, found, samples, likelihood=likelihood)


def finish(run: Run, alarms: Sequence[str], log: Log, *, plot: bool = True) -> Results:
    """Evaluate a run that has come to its end and leave results.json, curves.png, samples.txt.

    alarms: what the run was warned of while it trained. plot: whether to draw curves.png.
    """
    done = read_results(run.folder)
    if done is not None:
        log.say("finished before; nothing is left to do")
        return done
    limits = run.config.evaluation
    with status(f"final measures, on {limits.final_samples} samples", log.quiet):
        results = final_table(run, samples=limits.final_samples, seed=run.seed)
    results = replace(results, alarms=tuple(alarms))
    generator = run.load_generator()
    seed = stream(Purpose.FINAL_LINES, run.seed)
    lines = draw_lines(run, generator, SAMPLES_WRITTEN, seed, 1.0)
    write_file(run.folder / "samples.txt", "".join(line + "\n" for line in lines).encode())
    final = list(results.rows.values())[-1]
    settings = _flat(run.config.model_dump())
    # the settings that runs differ in, so that TensorBoard's table of them can be read
    dull = ("oracle." if run.config.data.file else "data.", "evaluation.", "checkpoint_", "device")
    log.hyperparameters(
        {key: value for key, value in settings.items() if not key.startswith(dull)},
        {f"result/{name}": estimate.value for name, estimate in final.items()},
        SORTED_BY,
    )
    if plot:
        with status("drawing curves.png", log.quiet):
            plotted = plot_curves(run)
    # last, for its presence says that the run is finished
    told = sealed(results.to_dict() | {"records": log.digest}, run.digest)
    content = json.dumps(told, indent=2) + "\n"
    write_file(run.folder / "results.json", content.encode())
    if plot and plotted:
        log.say(f"picture    {run.folder / 'curves.png'}")
    elif plot:
        log.say("picture    not drawn: matplotlib is missing (pip install 'textgan[plots]')")
    log.say(f"samples    {run.folder / 'samples.txt'}")
    return results


def read_results(folder: Path) -> Results | None:
    """The results of a finished run; None where it is not finished."""
    path = folder / "results.json"
    if not exists(path):
        return None
    remedy = "delete it to have it made again"
    content = read_sealed(path, identity_in(folder), remedy)
    with understood(path, remedy):
        rows = {
            name: {key: Estimate(**value) for key, value in row.items()}
            for name, row in content["rows"].items()
        }
        alarms, likelihood = tuple(content.get("alarms", ())), content.get("likelihood", True)
        found = Results(
            folder, rows, content["warnings"], content["samples"], alarms, likelihood,
            content.get("records"),
        )  # fmt: skip
        str(found)  # whatever is no number, or no text, is noticed here and not later
        return found


def stopped_at(run: Run) -> str | None:
    """Where a run stands that has not come to its end; None for a finished one."""
    saved = checkpoints(run.folder)
    if not saved:
        return None
    facts = read_facts(saved[-1])
    schedule, adversary = run.config.schedule, bool(run.config.discriminator.name)
    steps = plan(schedule, len(run.corpus.train), adversary)
    step = next(islice(steps, int(facts["done"]), None), None)
    if step is None:
        return None if exists(run.folder / "results.json") else "before its final measures"
    turns = {
        "mle": schedule.mle_epochs,
        "discriminator": schedule.discriminator_turns,
        "adversarial": schedule.rounds,
    }
    return f"in {PHASE_NAMES[step.phase]} {step.number + 1} of {turns[step.phase]}"


def sample(
    run: Run | str | Path,
    n: int = 10,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    weights: Weights = "final",
    allow_unknown: bool = False,
    label: str | None = None,
    device: str | None = None,
    trust_code: bool = False,
) -> list[str]:
    """Texts of a run's generator, as `textgan sample` writes them.

    weights: "final", or "mle" for the best MLE epoch. label: only texts of it. trust_code: run the
    code in files of its maker's own that a run's folder keeps. Raises UserError.
    """
    n = whole_from("n", n, (1, 10**8))
    temperature = number_from("temperature", temperature, TEMPERATURES)
    seed = whole_from("seed", seed, SEEDS)
    flag_from("trust_code", trust_code)
    if label is not None:
        text_from("label", label, "one of the run's labels")
    if weights not in get_args(Weights):
        raise UserError(f"weights = {weights!r}: give final or mle")
    opened = run if isinstance(run, Run) else open_run(run, device, trust_code=trust_code)
    only = None if label is None else opened.corpus.label(label)
    generator = opened.load_generator(weights)
    return draw_lines(
        opened, generator, n, seed, temperature, allow_unknown=allow_unknown, label=only
    )


def draw_lines(
    run: Run,
    generator: Generator,
    n: int,
    seed: int,
    temperature: float,
    *,
    allow_unknown: bool = False,
    label: int | None = None,
) -> list[str]:
    """n texts as lines. The unknown word is not written unless it is allowed.

    label: the only one to write; None: all, as often as they stand in the training text.
    """
    choose: Sampler = Categorical(temperature)
    if temperature == 1.0 and not isinstance(generator, AutoregressiveGenerator):
        choose = greedy  # its usual way
    unknown = run.corpus.tokenizer.unknown_id
    if unknown is not None and not allow_unknown:
        choose = without(unknown, choose)
    with fork_rng(stream(Purpose.SAMPLE, seed, run.seed), run.device):
        labels = labels_like(run.corpus.train, n)
        if label is not None:
            labels = torch.full((n,), label, device=run.device)
        return run.corpus.decode(draw_texts(generator, n, choose, labels))


def plot_curves(run: Run) -> bool:
    """Draw curves.png: quality, coverage, entropy and the discriminator over epochs and rounds, or
    what there is of a run that lacks some of these.

    Returns whether matplotlib was there to do it.
    """
    try:
        import matplotlib

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own deprecations are not the user's concern
            matplotlib.use("Agg")
            from matplotlib import pyplot
    except ImportError:
        return False
    records = [r for r in read_records(run.folder) if r["phase"] != "discriminator"]
    epochs = sum(record["phase"] == "mle" for record in records)
    places = list(range(1, len(records) + 1))  # pretraining of the discriminator changes no curve

    def curve(tag: str) -> tuple[list[int], list[float]]:
        found = [(x, r[tag]) for x, r in zip(places, records, strict=True) if tag in r]
        return [x for x, _ in found], [y for _, y in found]

    # the first four of which there is something to show
    shown = [p for p in (*OVERVIEW, *UPDATES) if any(curve(tag)[0] for tag in p.curves)][:4]
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), constrained_layout=True)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, shown, strict=False):
        for tag, label in panel.curves.items():
            if curve(tag)[0]:
                axis.plot(*curve(tag), label=label, linewidth=1.5)
        level = panel.level
        if run.oracle_entropy is not None and panel.unit == NATS:
            level = run.oracle_entropy, ORACLE_ENTROPY
        if level is not None:
            axis.axhline(level[0], color="grey", linestyle=":", label=level[1])
        axis.update_datalim([(1, value) for value in panel.reach])
        axis.autoscale_view()
        if 0 < epochs < len(records):
            axis.axvline(epochs + 0.5, color="black", linewidth=0.8)
            if axis is axes[0, 0]:
                axis.annotate(
                    "adversarial rounds",
                    (epochs + 0.5, 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(4, -12),
                    textcoords="offset points",
                    fontsize=8,
                )
        axis.set_xlim(0.5, max(len(records), 2) + 0.5)
        axis.set_title(panel.title, fontsize=10)
        phases = "MLE epochs, then rounds" if epochs < len(records) else "MLE epochs"
        axis.set_xlabel(phases if epochs else "rounds")
        axis.set_ylabel(panel.unit)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    config = run.config
    title = f"{config.objective.name} on {run.corpus.name}, seed {config.seed}"
    figure.suptitle(_drawable(title))
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, format="png")
    pyplot.close(figure)
    write_file(run.folder / "curves.png", drawn.getvalue())
    return True


def _drawable(text: str) -> str:
    """The text with `?` for what the picture's font does not have, of which it would complain on
    the terminal."""
    from matplotlib import font_manager

    known = font_manager.get_font(
        font_manager.findfont(font_manager.FontProperties())
    ).get_charmap()
    return "".join(one if ord(one) in known else "?" for one in text)


def _random_row(run: Run, samples: int, seed: int) -> dict[str, Estimate]:
    """Tokens drawn uniformly: what knowing nothing scores."""
    space = run.corpus.space
    limits = run.config.evaluation
    seed = stream(Purpose.FINAL_RANDOM, seed)
    level = Estimate(uniform_nll(space))
    row = {"nll_test": level, "nll_valid": level, "entropy": level}
    with fork_rng(stream(Purpose.MEASURED, seed), run.device):
        lowest, size = int(space.eos is not None), (samples, space.length)
        tokens = torch.randint(lowest, space.vocabulary, size, device=run.device)
    text = Text.ended(tokens, space)
    if run.oracle is not None:
        row = {"nll_oracle": nll_per_token(run.oracle, text, limits.bootstrap, seed), **row}
    return row | ngram_divergences(text, run.corpus, limits.ngrams)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
