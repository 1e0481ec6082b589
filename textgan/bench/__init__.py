"""The paper's work beside a textbook implementation of it, timed in one run.

Measured are the parts of a round of SeqGAN (arXiv 1609.05473) and the epochs before it, in the
paper's setting: `PAPER`.

How to read the report: seconds depend on the machine and on what else it does, so they compare only
within one run. The two sides of a part are measured one right after the other, in alternating
order, and the ratio (textbook seconds / seconds) is the number to keep. Where other work takes a
core, threads wait for the one that lost it and everything is many times slower: the report warns of
it by the cores that others had, by the machine's fastest product beside each part, and by how far
repeats differ; OMP_NUM_THREADS=1 is the remedy. Counts of operators and bytes depend on none of
that. Without a source only fixed-length text is measured. Four parts answer sources: a translator
of Multi30k's size, with a generator step of BR-CSGAN (arXiv 1703.04887) and of REGS (1701.06547).

    setting, machine       what is timed, and on what
    textbook, parts        the two sides of each part; textbook_pairs, pairs: with a source
    work                   what both sides do once
    arithmetic             what a part cannot do without, in closed form
    timing                 the table: seconds, ratios, memory
    projection             the paper's round and whole run, put together from the parts
    scaling                how time and memory grow
    counting, profiling    what a part does, exactly; where its time goes
    report, against        what came of it; what a change made worse
"""

from textgan.bench.against import (
    Baseline,
    BenchComparison,
    check_comparable,
    check_tolerance,
    compare,
    find_baseline,
    read_baseline,
)
from textgan.bench.report import BenchReport, PartReport
from textgan.bench.setting import PAPER, PAPER_AXES, Axes, BenchSetting
from textgan.bench.timing import run_bench

__all__ = [
    "PAPER",
    "PAPER_AXES",
    "Axes",
    "Baseline",
    "BenchComparison",
    "BenchReport",
    "BenchSetting",
    "PartReport",
    "check_comparable",
    "check_tolerance",
    "compare",
    "find_baseline",
    "read_baseline",
    "run_bench",
]
