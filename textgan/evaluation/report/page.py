"""The page about runs: one HTML file that needs nothing else, not even JavaScript.

It is made of what stands in the runs' folders: config.json and run.json, and where there are such
results.json, metrics.jsonl, evaluation.json and curve.json. Runs that differ in their seed alone
are one subject, whose numbers are means over the seeds. Only the folders' names are told, for the
page is meant to be given away.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from textgan.core.checks import flag_from, path_from
from textgan.core.errors import UserError
from textgan.core.files import is_folder, make_folder, require_writable, system_errors, write_file
from textgan.core.format import (
    basename,
    format_estimate,
    format_interval,
    format_number,
    format_value,
    strip_paths,
    without_paths,
)
from textgan.core.names import join_names, unique_names
from textgan.core.progress import status
from textgan.core.score import Better, Score, Scores, names_of
from textgan.core.settings import flatten
from textgan.core.statistics import Estimate, over_seeds
from textgan.core.tables import ARROWS
from textgan.core.version import __version__
from textgan.evaluation.report.charts import Chart, Point, Series, style_sheet, svg, swatch
from textgan.evaluation.report.runs import (
    RunRecord,
    Source,
    System,
    curve_real,
    curve_rows,
    examples_of,
    repeated,
    results_of,
    rows_of,
    scores_of,
    systems_of,
)
from textgan.evaluation.temperature_sweep import Unkept, complete
from textgan.evaluation.tradeoff import (
    PAIRS,
    Axis,
    Curve,
    Pair,
    compare_curves,
    describe,
    mean_curve,
    spoken,
)
from textgan.metrics.functional.nearest import longest_common
from textgan.training.panels import NATS, ORACLE_ENTROPY, OVERVIEW

SHOWN = 5  # examples of a row before one has to ask for more
LONGEST = 600  # letters of an example
FEW = 3  # methods of which each is compared with each
# what a reader wants to know first
HEADLINE = (
    "nll_oracle", "nll_test", "bleu4", "self_bleu4", "lm_score", "reverse_lm", "frechet", "mauve",
    "d_accuracy", "novelty",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One number of one subject: over its seeds, and each of them by the run it is of."""

    subject: System
    estimate: Estimate
    each: Mapping[str, Score]
    best: bool = False
    past: bool = False  # beyond real text

    @property
    def about(self) -> str:
        """Every run's number and its signature, for who points at the cell."""
        lines = [f"{run}: {one.estimate}" for run, one in self.each.items()]
        return "\n".join([*lines, *self.signatures])

    @property
    def signatures(self) -> list[str]:
        """The different ones; none where the numbers came without."""
        return [one for one in dict.fromkeys(s.signature for s in self.each.values()) if one]


@dataclass(frozen=True)
class Line:
    """One metric of a table: a cell for each column, None where it was not measured."""

    key: str
    title: str
    better: Better
    unit: str
    cells: Sequence[Cell | None]

    @property
    def signatures(self) -> dict[str, list[str]]:
        """Every signature with the names of the columns whose numbers carry it."""
        found: dict[str, list[str]] = {}
        for cell in filter(None, self.cells):
            for signature in cell.signatures:
                found.setdefault(signature, []).append(cell.subject.name)
        return found

    @property
    def comparable(self) -> bool:
        """Whether all models' numbers carry one signature."""
        return len({one for cell in _models(self.cells) for one in cell.signatures}) <= 1


@system_errors()
def report(
    *runs: str | Path,
    out: str | Path | None = None,
    measure: bool = True,
    quiet: bool = False,
    trust_code: bool = False,
) -> Path:
    """Write one page about runs, as `textgan report` does, and return where it is.

    out: the page; report.html in the first run's folder if not given. measure: whether to measure
    first what the runs lack. trust_code: run the code in files of their makers' own that runs'
    folders keep. Raises UserError.

    Example:
        >>> textgan.report("runs/mine", "runs/other", out="page.html")
    """
    folders = [path_from("run", run, "a run's folder") for run in runs]
    flag_from("trust_code", trust_code)
    if not folders:
        raise UserError("give the folder of at least one run")
    path = folders[0] / "report.html" if out is None else path_from("out", out, "a file")
    if out is not None:
        make_folder(path.parent, f"out = {str(out)!r}")
    if is_folder(path.parent):
        require_writable(path)  # asked before hours of measuring
    unkept = complete(folders, quiet=quiet, trust_code=trust_code) if measure else {}
    with status("writing the page", quiet):
        write_report(folders, path, unkept)
    return path


def write_report(
    folders: Sequence[Path], out: Path, unkept: Mapping[Path, Unkept] | None = None
) -> None:
    """Write the page about some runs, finished or not, as one file.

    unkept: what `sweep.complete` measured and the runs' folders could not keep. Raises UserError
    for a folder that is not a run, a damaged file, or an `out` that cannot be written.
    """
    page = make_page(folders, unkept)
    make_folder(out.parent, f"out = {str(out)!r}")
    write_file(out, page.encode("utf-8", "replace"))


def make_page(folders: Sequence[Path], unkept: Mapping[Path, Unkept] | None = None) -> str:
    """The page as HTML. Raises UserError for a folder that is not a run or is damaged."""
    found = list(dict.fromkeys(folder.resolve() for folder in folders))
    if not found:
        raise UserError("give the folder of at least one run")
    names = unique_names([folder.name for folder in found])
    chapters: dict[str, list[RunRecord]] = {}
    for folder, name in zip(found, names, strict=True):
        run = RunRecord.open(folder, name, (unkept or {}).get(folder))
        chapters.setdefault(run.language, []).append(run)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"estimate": format_estimate, "interval": format_interval}
    return environment.get_template("report.html.j2").render(
        chapters=[chapter(runs) for runs in chapters.values()],
        version=__version__,
        style_of_charts=Markup(style_sheet()),
        arrows=ARROWS,
        shown=SHOWN,
    )


def chapter(runs: Sequence[RunRecord]) -> dict[str, Any]:
    """All that the page says of the runs on one language."""
    systems = systems_of(runs)
    methods = [one for one in systems if one.role == "method"]
    return {
        "title": f"{join_names([one.short for one in methods], 4)} on {_language(runs[0])}",
        "told": _told(runs, methods),
        "unfinished": [run.name for run in runs if run.results is None],
        "warnings": _warnings(runs),
        "unevaluated": [run.name for run in runs if run.evaluation is None],
        "uncurved": [run.name for run in runs if run.curve is None],
        "repeated": repeated(methods),
        "unlikely": [run.name for run in runs if run.results and not run.results.likelihood],
        "runs": [run.name for run in runs],
        "commands": _commands,
        "tables": tables(runs, systems),
        "trade": trade(systems),
        "training": training(methods),
        "examples": examples(systems),
        "made": [_made(method) for method in methods],
        "data": {
            key: format_value(value) for key, value in flatten(without_paths(runs[0].data)).items()
        },
    }


# --- the table ------------------------------------------------------------------------------------


def over(subject: System, scores: Iterable[Score]) -> Estimate:
    """One number for several runs: the mean over seeds, the number itself where there is but one.

    Real text is no method: runs that judged the same real texts say one thing only.
    """
    estimates = [score.estimate for score in scores]
    if subject.role in ("real", "other"):
        estimates = list({one.value: one for one in estimates}.values())
    return estimates[0] if len(estimates) == 1 else over_seeds([one.value for one in estimates])


def tables(runs: Sequence[RunRecord], systems: Sequence[System]) -> list[dict[str, Any]]:
    """The table of evaluations; where a run lacks one, that of the end of training too."""
    sources: list[tuple[str, Source[Scores]]] = []
    if any(run.evaluation for run in runs):
        sources.append(("", scores_of))
    if any(run.results and not run.evaluation for run in runs):
        sources.append(("At the end of training", results_of))
    return [table(title, systems, source) for title, source in sources]


def table(title: str, systems: Sequence[System], source: Source[Scores]) -> dict[str, Any]:
    """A column for each subject of which there is a row, a line for each metric."""
    columns = [(one, rows) for one in systems if (rows := rows_of(one, source))]
    keys = names_of([row for _, rows in columns for row in rows.values()])
    lines = []
    for key in keys:
        cells: list[Cell | None] = []
        for subject, rows in columns:
            each = {run: row[key] for run, row in rows.items() if key in row}
            cells.append(Cell(subject, over(subject, each.values()), each) if each else None)
        first = next(score for cell in filter(None, cells) for score in cell.each.values())
        lines.append(marked(Line(key, first.title, first.better, first.unit, cells)))
    facts = [run.evaluation.facts for run in systems[0].runs if run.evaluation]
    lacking: dict[tuple[str, str], list[str]] = {}
    if source is scores_of:
        for run in systems[0].runs:
            for metric, why in (run.evaluation.unavailable if run.evaluation else {}).items():
                lacking.setdefault((metric, why), []).append(run.name)
    else:
        facts = [{"samples": run.results.samples} for run in systems[0].runs if run.results]
    several = any(len(rows) > 1 for one, rows in columns if one.role in ("mle", "method"))
    return {
        "title": title,
        "columns": [
            {"subject": one, "runs": list(rows), "about": _seeds(one, list(rows), source)}
            for one, rows in columns
        ],
        "lines": lines,
        "headline": [line for line in lines if line.key in HEADLINE],
        "several": several,
        "lacking": [(metric, why, names) for (metric, why), names in lacking.items()],
        "signed": any(line.signatures for line in lines),
        "how": _measured(facts),
    }


def marked(line: Line) -> Line:
    """The line with the best of the models marked, where that stands, and what is past real text.

    The best stands where its interval and that of every other model do not overlap. What is past
    real text is not better for it, and is not marked as the best.
    """
    real = next(
        (cell.estimate for cell in line.cells if cell and cell.subject.role == "real"), None
    )
    models = list(_models(line.cells))
    past = []
    if real is not None and line.better != "like real text":
        level = _loss(real, line.better, None)
        past = [cell for cell in models if _loss(cell.estimate, line.better, None)[1] < level[0]]
    best = None
    sure = all(cell.estimate.low is not None for cell in models)
    if len(models) > 1 and sure and line.comparable and (real or line.better != "like real text"):
        losses = [_loss(cell.estimate, line.better, real) for cell in models]
        first = min(range(len(models)), key=lambda i: losses[i][1])
        others = [low for i, (low, _) in enumerate(losses) if i != first]
        if losses[first][1] < min(others) and models[first] not in past:
            best = models[first]
    cells = [
        replace(cell, best=cell is best, past=any(cell is one for one in past)) if cell else None
        for cell in line.cells
    ]
    return replace(line, cells=cells)


def _loss(one: Estimate, better: Better, real: Estimate | None) -> tuple[float, float]:
    """An interval of how bad a number is: how far from real text, or from good."""
    low = one.value if one.low is None else one.low
    high = one.value if one.high is None else one.high
    if better == "lower":
        return low, high
    if better == "higher":
        return -high, -low
    assert real is not None
    bottom = real.value if real.low is None else real.low
    top = real.value if real.high is None else real.high
    return max(0.0, low - top, bottom - high), max(high - bottom, top - low)


def _models(cells: Iterable[Cell | None]) -> Iterable[Cell]:
    return (cell for cell in cells if cell and cell.subject.role in ("mle", "method"))


def _seeds(subject: System, names: Sequence[str], source: Source[Scores]) -> str:
    """Under a column's name: over how many seeds it is; of real text what it is."""
    if subject.role == "real":
        rows = dict.fromkeys(source(run)[1] for run in subject.runs if run.name in names)
        return join_names([row for row in rows if row != subject.name], 2)
    if subject.role == "other":
        return ""
    if len(names) > 1:
        return f"{len(names)} seeds"
    return f"seed {next(run.seed for run in subject.runs if run.name == names[0])}"


def _measured(facts: Sequence[Mapping[str, Any]]) -> str:
    """On what the numbers of a table were taken."""
    parts = []
    for key, told in (
        ("samples", "on {} samples"),
        ("temperature", "at temperature {}"),
        ("tokenizer", "tokeniser {}"),
    ):
        values = dict.fromkeys(one[key] for one in facts if key in one)
        if values:
            shown = [f"{v:,.9g}" if isinstance(v, int | float) else str(v) for v in values]
            parts.append(told.format(join_names(shown, 4)))
    return ", ".join(parts)


# --- curves ---------------------------------------------------------------------------------------


def trade(systems: Sequence[System]) -> dict[str, Any]:
    """Quality against diversity, one line for each subject along the temperatures."""
    real, *others = systems
    real_rows = rows_of(real, curve_real)
    drawn: dict[str, System] = {}
    charts: list[tuple[Pair, Chart]] = []
    for pair in PAIRS:
        lines = [(one, _along(one, rows_of(one, curve_rows), pair)) for one in others]
        lines = [(one, series) for one, series in lines if series]
        if not lines:
            continue
        drawn |= {one.name: one for one, _ in lines}
        points = _point(real, list(real_rows.values()), pair, real.name)
        series = [Series(real.name, points, None)] + [one for _, some in lines for one in some]
        units = {
            key: score.unit
            for one, _ in lines
            for steps in rows_of(one, curve_rows).values()
            for scores in steps.values()
            for key, score in scores.items()
        }
        x = _axis(pair.x, units[pair.x.key], "← better", "better →")
        y = _axis(pair.y, units[pair.y.key], "↓ better", "↑ better")
        charts.append((pair, Chart(f"{pair.y.title} against {pair.x.title}", x, y, series)))

    legend = [(real.name, Markup(swatch(None)))] if real_rows and charts else []
    return {
        "figures": [
            {
                "title": chart.title,
                "about": pair.meaning,
                "svg": Markup(svg(chart)),
                "findings": said_of([one for one in others if one.name in drawn], pair),
            }
            for pair, chart in charts
        ],
        "legend": legend + [(one.name, Markup(swatch(one.style))) for one in drawn.values()],
        "several": any(len(rows_of(one, curve_rows)) > 1 for one in drawn.values()),
    }


def said_of(systems: Sequence[System], pair: Pair) -> list[str]:
    """Where one curve is better than another, over all seeds: every method against MLE, and against
    each other method where there are few."""
    curves = []
    for subject in systems:
        of_seeds = [
            Curve.of(spoken(subject.name), pair, steps)
            for steps in rows_of(subject, curve_rows).values()
        ]
        whole = [curve for curve in of_seeds if len(curve.points) > 1]
        if whole and subject.role in ("mle", "method"):
            curves.append((subject, mean_curve(whole)))
    few = sum(subject.role == "method" for subject, _ in curves) <= FEW
    return [
        describe(compare_curves(a, b))
        for (first, a), (_, b) in combinations(curves, 2)
        if few or first.role == "mle"
    ]


def _along(
    subject: System, by_run: Mapping[str, Mapping[float, Scores]], pair: Pair
) -> list[Series]:
    """A subject's line over the temperatures; of several seeds the mean, and each of them faint."""
    if subject.style is None:
        return []
    heats = sorted({heat for steps in by_run.values() for heat in steps}, reverse=True)
    means: list[Point] = []
    for heat in heats:
        here = [steps[heat] for steps in by_run.values() if heat in steps]
        # every label would hide the lines where several run side by side
        label = f"{round(heat, 2):g}" if heat in (heats[0], 1.0, heats[-1]) else ""
        means += _point(subject, here, pair, label)
    if not means:
        return []
    lines = [Series(subject.name, means, subject.style)]
    if len(by_run) > 1:
        for steps in by_run.values():
            each = [_point(subject, [steps[heat]], pair, "") for heat in heats if heat in steps]
            points = [point for some in each for point in some]
            lines.append(Series(subject.name, points, subject.style, faint=True))
    return lines


def _point(subject: System, several: Sequence[Scores], pair: Pair, label: str) -> list[Point]:
    """Where a subject stands by two metrics, over its runs; nowhere if they lack one."""
    keys = pair.x.key, pair.y.key
    both = [scores for scores in several if all(key in scores for key in keys)]
    if not both:
        return []
    x, y = (over(subject, [scores[key] for scores in both]) for key in keys)
    heat = "" if subject.role == "real" else f", temperature {label}"
    about = f"{subject.name}{heat}: {pair.x.title} {x}, {pair.y.title} {y}"
    return [Point(x, y, label, about)]


def _axis(axis: Axis, unit: str, lower: str, higher: str) -> str:
    told = f"{axis.title}, {unit}" if unit else axis.title
    return f"{told} ({lower if axis.better == 'lower' else higher})"


def training(methods: Sequence[System]) -> dict[str, Any]:
    """What was watched while the runs trained, all of them in one chart for each measure."""
    figures = []
    measured = {tag for one in methods for run in one.runs for each in run.records for tag in each}
    for panel in OVERVIEW:
        tags = [tag for tag in panel.curves if tag in measured]
        for tag in tags if panel.each else tags[:1]:
            levels = [panel.level] if panel.level else []
            if panel.unit == NATS:
                found = {run.data.get("oracle_entropy") for one in methods for run in one.runs}
                levels = [(v, ORACLE_ENTROPY) for v in found if isinstance(v, float)]
            epochs = {_epochs(run) for method in methods for run in method.runs}
            ends = [(float(n), "MLE ends") for n in sorted(epochs) if n]
            several = len(panel.curves) > 1
            title = f"{panel.title}, {panel.curves[tag]}" if several else panel.title
            chart = Chart(
                title,
                "MLE epochs, then rounds" if ends else "MLE epochs or rounds",
                panel.unit,
                [one for method in methods for one in _course(method, tag)],
                levels,
                ends if len(ends) <= 2 else [],
                x_reach=[1.0],
                y_reach=list(panel.reach),
            )
            figures.append({"title": title, "about": "", "svg": Markup(svg(chart)), "findings": []})
    shown = [one for one in methods if any(run.records for run in one.runs)]
    return {
        "figures": figures,
        "legend": [(one.short, Markup(swatch(one.style))) for one in shown],
        "lacking": [run.name for one in methods for run in one.runs if not run.records],
        "several": any(len(one.runs) > 1 for one in shown),
    }


def _course(method: System, tag: str) -> list[Series]:
    """A line for each run, the first of them named."""
    lines: list[Series] = []
    for run in method.runs:
        points = [
            Point(
                Estimate(float(place)),
                Estimate(float(record[tag])),
                about=_moment(run, record, tag),
            )
            for place, record in enumerate(run.records, start=1)
            if isinstance(record.get(tag), int | float)
        ]
        if points:
            short = "" if lines else method.short  # the first speaks for all
            lines.append(Series(run.name, points, method.style, marked=bool(short), short=short))
    return lines


def _moment(run: RunRecord, record: Mapping[str, Any], tag: str) -> str:
    step = "epoch" if record["phase"] == "mle" else "round"
    return f"{run.name}, {step} {record.get('number', 0) + 1}: {record[tag]:.3f}"


def _epochs(run: RunRecord) -> int:
    """Where MLE ended; 0 where nothing came before it or after it."""
    epochs = sum(record["phase"] == "mle" for record in run.records)
    return epochs if epochs < len(run.records) else 0


# --- samples --------------------------------------------------------------------------------------


def examples(systems: Sequence[System]) -> list[dict[str, Any]]:
    """For each model its texts beside their nearest training sentences, run by run."""
    blocks = []
    for subject in systems:
        rows = {run: few for run, few in rows_of(subject, examples_of).items() if few}
        if rows and subject.role in ("mle", "method"):
            told = [(run, [_example(one) for one in few]) for run, few in rows.items()]
            blocks.append({"name": subject.name, "runs": told})
    return blocks


def _example(told: Mapping[str, Any]) -> dict[str, Any]:
    text, near, share = str(told["text"]), told.get("nearest"), told.get("share")
    if near is None or share is None:
        return {"text": [(_short(text), False)], "near": None, "share": None, "copied": False}
    near = str(near)
    spaced = " " in text.strip() or " " in near.strip()
    words, others = (_short(one).split() if spaced else list(_short(one)) for one in (text, near))
    glue = " " if spaced else ""
    return {
        "text": _pieces(words, others, glue),
        "near": _pieces(others, words, glue),
        "share": f"{math.floor(100 * share)} %",
        "copied": text.split() == near.split(),
    }


def _pieces(words: Sequence[str], others: Sequence[str], glue: str) -> list[tuple[str, bool]]:
    """The text in pieces, those that it shares with another marked."""
    pieces, done = [], 0
    for start, end in longest_common(words, others):
        pieces += [(glue.join(words[done:start]), False), (glue.join(words[start:end]), True)]
        done = end
    pieces = [piece for piece in [*pieces, (glue.join(words[done:]), False)] if piece[0]]
    return [one for piece in pieces for one in ((glue, False), piece)][1:]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


# --- what was run and how -------------------------------------------------------------------------


def _told(runs: Sequence[RunRecord], methods: Sequence[System]) -> list[str]:
    """What was run, in two lines."""
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for method in methods:
        seeds = tuple(sorted({run.seed for run in method.runs}))
        by_seeds.setdefault(seeds, []).append(method.short)
    who = [
        f"{join_names(names, 6)} with {'seed' if len(seeds) == 1 else 'seeds'} "
        f"{join_names(seeds, 6)}"
        for seeds, names in by_seeds.items()
    ]
    dates = sorted(str(run.facts["started"])[:10] for run in runs if "started" in run.facts)
    when = list(dict.fromkeys(dates[:1] + dates[-1:]))
    versions = dict.fromkeys(str(run.facts["textgan"]) for run in runs if "textgan" in run.facts)
    done = sum(run.results is not None for run in runs)
    parts = [f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: {'; '.join(who)}"]
    parts += [f"textgan {join_names(list(versions), 3)}"] if versions else []
    parts += [" to ".join(when)] if when else []
    parts += ["finished" if done == len(runs) else f"{done} finished"]
    return ["; ".join(parts), _text_told(runs[0].data)]


def _text_told(data: Mapping[str, Any]) -> str:
    """The data in one line."""
    parts = [f"Text: {without_paths(str(data.get('source', 'of unknown origin')))}"]
    for key, told in (("vocabulary", "{} different words"), ("length", "at most {} in a sentence")):
        if key in data:
            parts.append(told.format(format_number(data[key])))
    split = data.get("split")
    if isinstance(split, Mapping) and split:
        sizes = join_names([f"{format_number(size)} {part}" for part, size in split.items()], 4)
        parts.append(f"{sizes} sentences")
    return ", ".join(parts)


def _language(run: RunRecord) -> str:
    """The data's name."""
    data = run.data
    if not run.config.get("data", {}).get("file"):
        return "the synthetic oracle"
    return str(data.get("known_as") or without_paths(str(data.get("source", "unknown text"))))


def _warnings(runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """What the runs were warned of at the end, then while they trained; equal ones once."""
    found: dict[tuple[str, bool], list[str]] = {}
    for run in runs:
        at_end = [*(run.evaluation.warnings if run.evaluation else [])]
        at_end += run.results.warnings if run.results else []
        for warning in dict.fromkeys(at_end):
            found.setdefault((strip_paths(warning), False), []).append(run.name)
    for run in runs:
        for alarm in run.results.alarms if run.results else ():
            found.setdefault((strip_paths(alarm), True), []).append(run.name)
    return [
        {"text": text, "training": in_training, "runs": names}
        for (text, in_training), names in found.items()
    ]


def _made(method: System) -> dict[str, Any]:
    """How a method's runs were made."""
    return {
        "name": method.short,
        "settings": flatten(
            without_paths({k: v for k, v in method.runs[0].config.items() if k != "seed"})
        ),
        "runs": [_facts_of(run) for run in method.runs],
    }


def _facts_of(run: RunRecord) -> dict[str, Any]:
    facts = run.facts
    command = [basename(str(word)) for word in facts.get("command") or []]
    command[:1] = ["textgan" if word == "__main__.py" else word for word in command[:1]]
    told = {
        "seed": run.seed,
        "started": facts.get("started"),
        "textgan": facts.get("textgan"),
        "torch": facts.get("torch"),
        "python": facts.get("python"),
        "machine": facts.get("machine"),
        "GPU": facts.get("gpu"),
        "threads": facts.get("threads"),
    }
    seconds = {
        "evaluation": run.evaluation.facts.get("seconds") if run.evaluation else None,
        "curve": run.curve.facts.get("seconds") if run.curve else None,
    }
    told |= {f"{key} took": f"{value:.1f} s" for key, value in seconds.items() if value}
    return {
        "name": run.name,
        "state": "finished" if run.results else "unfinished",
        "facts": {key: str(value) for key, value in told.items() if value is not None},
        "command": shlex.join(command),
    }


def _commands(what: str, names: Sequence[str]) -> list[str]:
    """Commands that make what is missing of some runs, three at most."""
    quoted = [shlex.quote(name) for name in names]
    if what == "curve":  # which takes several
        return [f"textgan curve {' '.join(quoted if len(names) <= 9 else ['RUN...'])}"]
    return [f"textgan {what} {name}" for name in quoted[:3]]
