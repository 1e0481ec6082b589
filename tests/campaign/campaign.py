"""The cases of a campaign, one after the other, and the counts of what became of them."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from .base import Kind, Result, Runs
from .damage import Damage
from .inputs import Configs, Corpora, Foreign, Oracles, Samples
from .kills import Kills, Repeats
from .outcomes import FAILURES, Outcome

KINDS: tuple[type[Kind], ...] = (
    Kills, Repeats, Damage, Corpora, Samples, Configs, Oracles, Foreign,
)  # fmt: skip


@dataclass
class Counts:
    """How many cases of each kind ended in each way, and those that failed."""

    outcomes: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    failures: list[tuple[str, Result]] = field(default_factory=list)

    def add(self, label: str, result: Result) -> None:
        """Count a case; its label is `kind:number`."""
        self.outcomes[label.partition(":")[0], result.outcome] += 1
        if result.outcome in FAILURES:
            self.failures.append((label, result))

    def table(self) -> list[list[object]]:
        """One row an outcome that occurred, one column a kind."""
        names = list(dict.fromkeys(name for name, _ in self.outcomes))
        rows: list[list[object]] = [["", *names, "all"]]
        for outcome in Outcome:
            counts = [self.outcomes[name, outcome] for name in names]
            if any(counts):
                mark = "FAILED: " if outcome in FAILURES else ""
                rows.append([mark + outcome.value, *counts, sum(counts)])
        sums = [sum(n for (kind, _), n in self.outcomes.items() if kind == name) for name in names]
        return [*rows, ["cases", *sums, sum(sums)]]

    def to_dict(self) -> dict[str, object]:
        """As JSON: counts by kind and outcome, and every failure."""
        counts: dict[str, dict[str, int]] = {}
        for (name, outcome), count in sorted(self.outcomes.items(), key=str):
            counts.setdefault(name, {})[outcome.name.lower()] = count
        failures = [
            {
                "case": label,
                "what": r.description,
                "outcome": r.outcome.name.lower(),
                "detail": r.detail,
            }
            for label, r in self.failures
        ]
        return {"counts": counts, "failures": failures}


@contextmanager
def campaign(kinds: Sequence[type[Kind]] = KINDS) -> Iterator[dict[str, Kind]]:
    """The kinds by name, ready, with little runs of their own in a folder that goes again."""
    with tempfile.TemporaryDirectory(prefix="campaign-") as place:
        runs = Runs(Path(place) / "runs")
        yield {kind.name: kind(runs) for kind in kinds}


def labels(kinds: Sequence[type[Kind]], number: int) -> list[str]:
    """What the cases of a campaign are called, `kind:number`, as the shares of the kinds say."""
    total = sum(kind.share for kind in kinds)
    return [
        f"{kind.name}:{i}"
        for kind in kinds
        for i in range(max(1, round(number * kind.share / total)))
    ]


def run_case(kind: Kind, label: str, seed: int) -> Result:
    """Do the case of that name; the same name and seed are the same case."""
    folder = Path(tempfile.mkdtemp(prefix="case-", dir=kind.runs.folder.parent))
    try:
        return kind.case(Random(f"{seed}/{label}"), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
