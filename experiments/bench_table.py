"""The tables of benchmark reports in the pages that show them, made from their JSON.

    python experiments/bench_table.py

In each of PAGES, what is between `<!-- bench: PATTERN ... -->` or `<!-- goals: PATTERN ... -->` and
`<!-- end -->` is written anew. A pattern names files in experiments/results/bench; of those that it
matches, the newest report at full scale of each precision is shown. A pattern that matches none
shows nothing, so a page may name a machine before it was measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from textgan.bench.report import duration, number, processor_name

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "experiments" / "results" / "bench"
PAGES = (ROOT / "docs" / "speed.md", REPORTS / "README.md")
BLOCK = re.compile(r"(<!-- (bench|goals): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)

# the share of the textbook's seconds in the same run that a part is to take, by maker of processors
GOALS = {
    ("mle_epoch", "float32"): {"AMD": "0.50", "Intel": "0.40"},
    ("sampling", "float32"): {"AMD": "0.040", "Intel": "0.030"},
    ("generator_step", "float32"): {"AMD": "0.065", "Intel": "0.055"},
    ("discriminator_epoch", "float32"): {
        "AMD": "0.35 with the extra `fast`, 0.50 without",
        "Intel": "0.40 with the extra `fast`, 0.48 without",
    },
    ("discriminator_epoch", "bf16"): {"AMD": "0.28", "Intel": "0.33"},
}

Report = dict[str, Any]


def main() -> None:
    for page in PAGES:
        page.write_text(written(page.read_text("utf-8")), "utf-8")


def written(text: str, folder: Path = REPORTS) -> str:
    """A page with its tables made anew."""

    def block(match: re.Match[str]) -> str:
        reports = newest(match[3].split(), folder)
        rows = goals(reports) if match[2] == "goals" else table(reports)
        return match[1] + "".join(f"| {' | '.join(row)} |\n" for row in rows) + match[4]

    return BLOCK.sub(block, text)


def newest(patterns: Iterable[str], folder: Path) -> list[Report]:
    """Of the files of each pattern the newest report of each precision."""
    chosen = []
    for pattern in patterns:
        by_precision: dict[str, Report] = {}
        reports = [
            (json.loads(path.read_text("utf-8")), path.name) for path in folder.glob(pattern)
        ]
        whole = [(made, name) for made, name in reports if made.get("parts") and made["scale"] == 1]
        for made, _ in sorted(whole, key=lambda one: (one[0]["machine"].get("date", ""), one[1])):
            by_precision[precision_of(made)] = made
        chosen += by_precision.values()
    return sorted(chosen, key=precision_of, reverse=True)


def table(reports: Sequence[Report]) -> list[list[str]]:
    """A column for each report: the machine, its parts, what is projected from them."""
    machines = [made["machine"] for made in reports]
    columns = [
        f"{processor_name(machine)}, {machine['threads']} threads, {precision_of(made)}"
        for made, machine in zip(reports, machines, strict=True)
    ]
    rows = [["", *columns], ["---"] * (1 + len(reports))]
    rows.append(["measured", *map(measured, reports)])
    rows.append(["torch", *(machine["torch"] for machine in machines)])
    rows.append(["fastest product, GFLOP/s", *map(speeds, machines)])
    names = dict.fromkeys(part["name"] for made in reports for part in made["parts"])
    rows += [[name, *(cell(part_of(made, name)) for made in reports)] for name in names]
    for span in ("round", "run"):
        rows.append([f"one {span}", *(projected(made, span) for made in reports)])
    return rows


def goals(reports: Sequence[Report]) -> list[list[str]]:
    """Goals, and what the reports of each maker's processors have of them."""
    makers = list(dict.fromkeys(maker for goal in GOALS.values() for maker in goal))
    rows = [["part", *(text for maker in makers for text in (f"goal, {maker}", "measured"))]]
    rows.append(["---"] * len(rows[0]))
    for (name, precision), goal in GOALS.items():
        row = [f"{name}, {precision}"]
        for maker in makers:
            parts = [
                part_of(made, name)
                for made in reports
                if maker in made["machine"]["processor"] and precision_of(made) == precision
            ]
            row += [goal[maker], ", ".join(share(part) for part in parts if part)]
        rows.append(row)
    return rows


def precision_of(made: Report) -> str:
    return str(made.get("precision", "float32"))


def measured(made: Report) -> str:
    times = "once" if made["repeats"] == 1 else f"median of {made['repeats']}"
    day = made["machine"].get("date", "")[:10]
    return "; ".join(
        filter(None, [day, times, *map("WARNING: {}".format, made.get("warnings", ()))])
    )


def speeds(machine: dict[str, Any]) -> str:
    by_library = machine.get("gflops_by_library") or {"": {"": machine["gflops"]}}
    return ", ".join(f"{key} {number(max(of.values()))}".strip() for key, of in by_library.items())


def part_of(made: Report, name: str) -> dict[str, Any] | None:
    return next((part for part in made["parts"] if part["name"] == name), None)


def share(part: dict[str, Any]) -> str:
    """Our seconds as a share of the textbook's, to two digits."""
    return f"{part['seconds'] / part['textbook_seconds']:#.2g}"


def cell(part: dict[str, Any] | None) -> str:
    if part is None:
        return ""
    peak = part.get("share_of_peak")
    return f"{number(part['seconds'])} s; {share(part)}" + (f"; {peak:.0%}" if peak else "")


def projected(made: Report, span: str) -> str:
    ours, textbook = (made.get("projections", {}).get(side, {}) for side in ("ours", "textbook"))
    if not ours.get(span):
        return ""
    return f"{duration(ours[span])}; {ours[span] / textbook[span]:#.2g}"


if __name__ == "__main__":
    main()
