"""The picture of the README, docs/methods.svg, from experiments/results/methods/table.json.

    python experiments/picture.py

Each point is the mean of a method's three seeds, with 95 % intervals (Student's t); the line is
maximum likelihood sampled at ever lower temperatures, which a method must pass to be worth it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from textgan.core.statistics import over_seeds
from textgan.evaluation.report.charts import Chart, Point, Series, style_sheet, svg

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "experiments/results/methods/table.json"
PICTURE = ROOT / "docs/methods.svg"
SHOWN = ["seqgan", "leakgan", "coldgan", "textgan_mmd", "cot"]
COLDEST = 0.8
THEMES = (
    ":root{--paper:#fff;--ink:#1b1f23}svg{color:var(--ink);font-family:sans-serif}"
    "@media(prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e6e8ea}}"
)


def main() -> None:
    PICTURE.write_text(picture(json.loads(TABLE.read_text("utf-8"))), "utf-8")


def picture(table: dict[str, Any]) -> str:
    """The SVG, which follows its reader's light or dark theme."""
    cooled = [row for row in table["cooled"] if row["temperature"] >= COLDEST]
    temperatures = sorted({row["temperature"] for row in cooled}, reverse=True)
    labels = {1.0: "MLE", COLDEST: f"T = {COLDEST}"}
    mle = [
        point([row for row in cooled if row["temperature"] == t], labels.get(t, ""))
        for t in temperatures
    ]
    seeds = {row["method"]: [seed["measures"] for seed in row["seeds"]] for row in table["methods"]}
    series = [Series("MLE, sampled colder", mle, 0)] + [
        Series(name, [point(seeds[name], name)], 1 + i) for i, name in enumerate(SHOWN)
    ]
    chart = Chart(
        "Quality and coverage of methods on the synthetic oracle",
        "NLL_oracle, nats per token (← better texts)",
        "NLL_test, nats per token (↓ better coverage)",
        series,
    )
    drawn = svg(chart)
    opened, body = drawn.split(">", 1)
    return (
        f'{opened} xmlns="http://www.w3.org/2000/svg"><style>{THEMES}{style_sheet()}</style>'
        f'<rect width="100%" height="100%" fill="var(--paper)"/>{body}\n'
    )


def point(seeds: list[dict[str, Any]], label: str) -> Point:
    x, y = (
        over_seeds([value_of(seed[measure]) for seed in seeds])
        for measure in ("nll_oracle", "nll_test")
    )
    return Point(x, y, label)


def value_of(measure: dict[str, float] | float) -> float:
    return measure["value"] if isinstance(measure, dict) else measure


if __name__ == "__main__":
    main()
