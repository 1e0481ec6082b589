"""The charts: quality against diversity, and what was measured while runs trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from markupsafe import Markup

from textgan.core.score import Scores
from textgan.core.statistics import Estimate
from textgan.evaluation.envelope import JOINT, MIXTURE
from textgan.evaluation.report.charts import PALETTE, Chart, Point, Series, svg, swatch
from textgan.evaluation.report.runs import (
    RunRecord,
    System,
    curve_real,
    curve_rows,
    mean_over_runs,
    rows_of,
)
from textgan.evaluation.temperature_sweep import envelopes
from textgan.evaluation.tradeoff import (
    PAIRS,
    Axis,
    Curve,
    Pair,
    compare_curves,
    describe,
    mean_curve,
    name_in_sentence,
)
from textgan.training.panels import NATS, OF_PAIRS, ORACLE_ENTROPY, OVERVIEW
from textgan.training.results import MLE_ROW

FEW = 3  # methods of which each is compared with each


def trade(systems: Sequence[System]) -> dict[str, Any]:
    """Draw quality against diversity, one line for each system along the temperatures."""
    real, *others = systems
    real_rows = rows_of(real, curve_real)
    drawn: dict[str, System] = {}
    charts: list[tuple[Pair, Chart]] = []
    for pair in PAIRS:
        lines = [(one, _lines_of(one, rows_of(one, curve_rows), pair)) for one in others]
        lines = [(one, series) for one, series in lines if series]
        if not lines:
            continue
        for mle in [one for one in others if one.role == "mle"]:
            along = [(one, _lines_of(one, rows, pair, False)) for one, rows in controls_of(mle)]
            lines += [(one, series) for one, series in along if series]
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
                "findings": [
                    *findings([one for one in others if one.name in drawn], pair),
                    *beside_controls(others, pair),
                ],
            }
            for pair, chart in charts
        ],
        "legend": legend + [(one.name, Markup(swatch(one.style))) for one in drawn.values()],
        "several": any(len(rows_of(one, curve_rows)) > 1 for one in drawn.values()),
    }


def findings(systems: Sequence[System], pair: Pair) -> list[str]:
    """Describe where one curve is better than another, over all seeds: every method against MLE,
    and against each other method where there are few."""
    curves = []
    for system in systems:
        of_seeds = [
            Curve.of(name_in_sentence(system.name), pair, steps)
            for steps in rows_of(system, curve_rows).values()
        ]
        whole = [curve for curve in of_seeds if len(curve.points) > 1]
        if whole and system.role in ("mle", "method"):
            curves.append((system, mean_curve(whole)))
    few = sum(system.role == "method" for system, _ in curves) <= FEW
    return [
        describe(compare_curves(a, b))
        for (first, a), (_, b) in combinations(curves, 2)
        if few or first.role == "mle"
    ]


def controls_of(mle: System) -> list[tuple[System, Mapping[str, Mapping[float, Scores]]]]:
    """Return the curves of MLE along the joint temperature and along mixtures, by run: systems of
    the colour of MLE."""
    made: list[tuple[System, Mapping[str, Mapping[float, Scores]]]] = []
    for number, way in enumerate((JOINT, MIXTURE), start=3):
        by_run = {
            run.name: run.curve.controls[way][MLE_ROW]
            for run in mle.runs
            if run.curve is not None and MLE_ROW in run.curve.controls.get(way, {})
        }
        if by_run and mle.style is not None:
            style = mle.style + number * len(PALETTE)
            made.append((replace(mle, name=f"{mle.name}: {way}", style=style), by_run))
    return made


def beside_controls(systems: Sequence[System], pair: Pair) -> list[str]:
    """Say where each method lies outside of all that MLE offers without training, over its seeds,
    or over the texts of its only one."""
    sentences = []
    for system in systems:
        if system.role != "method":
            continue
        seeds = {run.seed: run.curve for run in reversed(system.runs) if run.curve is not None}
        curves = [curve for curve in seeds.values() if curve.controls]
        some = envelopes(curves) if len(curves) > 1 else [x for c in curves for x in c.envelopes]
        for one in some:
            if (one.x, one.y) == (pair.x.title, pair.y.title):
                sentences += one.sentences()
    return sentences


def _lines_of(
    system: System,
    by_run: Mapping[str, Mapping[float, Scores]],
    pair: Pair,
    labelled: bool = True,
) -> list[Series]:
    """A system's line over the temperatures; of several seeds the mean, and each of them faint.

    labelled: whether temperatures are written beside it.
    """
    if system.style is None:
        return []
    heats = sorted({heat for steps in by_run.values() for heat in steps}, reverse=True)
    means: list[Point] = []
    for heat in heats:
        here = [steps[heat] for steps in by_run.values() if heat in steps]
        # every label would hide the lines where several run side by side
        ends = heats[0], 1.0, heats[-1]
        label = f"{round(heat, 2):g}" if labelled and heat in ends else ""
        means += _point(system, here, pair, label)
    if not means:
        return []
    lines = [Series(system.name, means, system.style)]
    if len(by_run) > 1:
        for steps in by_run.values():
            each = [_point(system, [steps[heat]], pair, "") for heat in heats if heat in steps]
            points = [point for some in each for point in some]
            lines.append(Series(system.name, points, system.style, faint=True))
    return lines


def _point(system: System, several: Sequence[Scores], pair: Pair, label: str) -> list[Point]:
    """Return a system's point by two metrics, over its runs; none if they lack one."""
    keys = pair.x.key, pair.y.key
    both = [scores for scores in several if all(key in scores for key in keys)]
    if not both:
        return []
    x, y = (mean_over_runs(system, [scores[key] for scores in both]) for key in keys)
    heat = f", temperature {label}" if label and system.role != "real" else ""
    about = f"{system.name}{heat}: {pair.x.title} {x}, {pair.y.title} {y}"
    return [Point(x, y, label, about)]


def _axis(axis: Axis, unit: str, lower: str, higher: str) -> str:
    title = f"{axis.title}, {unit}" if unit else axis.title
    return f"{title} ({lower if axis.better == 'lower' else higher})"


def training(methods: Sequence[System]) -> dict[str, Any]:
    """Draw what was measured while the runs trained, all of them in one chart for each measure."""
    figures = []
    measured = {tag for one in methods for run in one.runs for each in run.records for tag in each}
    for panel in (*OVERVIEW[:2], *OF_PAIRS, *OVERVIEW[2:]):
        tags = [tag for tag in panel.curves if tag in measured]
        for tag in tags if panel.each else tags[:1]:
            levels = [panel.level] if panel.level else []
            if panel.unit == NATS:
                entropies = {run.data.get("oracle_entropy") for one in methods for run in one.runs}
                levels = [(v, ORACLE_ENTROPY) for v in entropies if isinstance(v, float)]
            epochs = {_mle_epochs(run) for method in methods for run in method.runs}
            ends = [(float(n), "MLE ends") for n in sorted(epochs) if n]
            several = len(panel.curves) > 1
            title = f"{panel.title}, {panel.curves[tag]}" if several else panel.title
            chart = Chart(
                title,
                "MLE epochs, then rounds" if ends else "MLE epochs or rounds",
                panel.unit,
                [one for method in methods for one in _training_lines(method, tag)],
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


def _training_lines(method: System, tag: str) -> list[Series]:
    """A line for each run, the first of them named."""
    lines: list[Series] = []
    for run in method.runs:
        points = [
            Point(
                Estimate(float(place)),
                Estimate(float(record[tag])),
                about=_tooltip(run, record, tag),
            )
            for place, record in enumerate(run.records, start=1)
            if isinstance(record.get(tag), int | float)
        ]
        if points:
            short = "" if lines else method.short  # the first speaks for all
            lines.append(Series(run.name, points, method.style, marked=bool(short), short=short))
    return lines


def _tooltip(run: RunRecord, record: Mapping[str, Any], tag: str) -> str:
    step = "epoch" if record["phase"] == "mle" else "round"
    return f"{run.name}, {step} {record.get('number', 0) + 1}: {record[tag]:.3f}"


def _mle_epochs(run: RunRecord) -> int:
    """Count the MLE epochs; 0 where nothing came before their end or after it."""
    epochs = sum(record["phase"] == "mle" for record in run.records)
    return epochs if epochs < len(run.records) else 0
