"""`python -m tests.campaign --cases N --seed S`: count what becomes of N hostile cases.

Exit code 1 if any case ended in a traceback, a hang, or another result without a word.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import torch
from tabulate import tabulate
from tqdm import tqdm

from .campaign import KINDS, Counts, campaign, labels, run_case
from .outcomes import FAILURES
from .process import preload


def main() -> int:
    """Run a campaign, or one of its cases."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    known = ", ".join(kind.name for kind in KINDS)
    parser.add_argument("--kinds", default="", help=f"only these of {known}, separated by commas")
    parser.add_argument("--only", default="", help="one case again, such as damage:17")
    parser.add_argument("--part", default="1/1", help="such as 2/3: the second third of the cases")
    parser.add_argument("--verbose", action="store_true", help="a line for every case")
    parser.add_argument("--out", type=Path, help="a file for the counts and failures, as JSON")
    options = parser.parse_args()
    wanted = options.only.partition(":")[0] or options.kinds
    kinds = [kind for kind in KINDS if not wanted or kind.name in wanted.split(",")]
    if not kinds:
        parser.error(f"no kind is called {wanted!r}; known: {known}")
    preload()
    counts, begun = Counts(), time.monotonic()
    part, parts = map(int, options.part.split("/"))
    with campaign(kinds) as ready:
        todo = [options.only] if options.only else labels(kinds, options.cases)[part - 1 :: parts]
        for label in tqdm(todo, unit="case", disable=None):
            result = run_case(ready[label.partition(":")[0]], label, options.seed)
            counts.add(label, result)
            if options.only or options.verbose or result.outcome in FAILURES:
                tqdm.write(f"{label}: {result.outcome.value}: {result.description}")
            if options.only:
                print(result.detail)
    print(tabulate(counts.table(), headers="firstrow"))
    for label, result in counts.failures:
        print(f"failed: --seed {options.seed} --only {label}: {result.outcome.value}")
    if options.out is not None:
        content = {
            "cases": len(todo),
            "seed": options.seed,
            "part": options.part,
            "seconds": round(time.monotonic() - begun),
            "python": platform.python_version(),
            "torch": torch.__version__,
            **counts.to_dict(),
        }
        options.out.write_text(json.dumps(content, indent=2, ensure_ascii=True) + "\n", "utf-8")
    return 1 if counts.failures else 0


if __name__ == "__main__":
    sys.exit(main())
