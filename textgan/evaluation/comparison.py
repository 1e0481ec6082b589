"""Significance tests of the differences between two systems.

Of one run of each: a number's replicates in both were made by the same resampling, so the standard
deviation of their differences is that of the difference, and it is the smaller the more the two
have in common (held-out text, say): a paired bootstrap. Of several seeds: Student's t, of the
differences where both have the same seeds, else by Welch's degrees of freedom.

Of twenty metrics one is expected to differ by chance. So p-values are corrected for their number as
Holm (1979) does, which holds whatever the metrics have to do with each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, variance
from typing import Any, Literal

from textgan.core.score import Score
from textgan.core.statistics import (
    DEGENERATE,
    Estimate,
    decimals,
    holm,
    over_seeds,
    p_value,
    spread,
    student_95,
)
from textgan.core.tables import Shown, Table

Side = Literal["a", "b"]
Over = Literal["texts", "seeds", "files"]
Scores = Mapping[str, Score]
LEVEL = 0.05  # of p, below which a difference is significant
LONG_NAME = 14  # characters above which a narrow table calls a system A or B
EQUAL = 1e-9  # numbers that differ by less than this share of themselves differ by rounding


@dataclass(frozen=True)
class Difference:
    """One metric of two systems.

    a, b: what each has. estimate: b - a. p: of so large a difference by chance alone, None where
    there is nothing to tell from; corrected: the same by Holm over all metrics compared.
    better: the side that the metric favours, None where it favours neither. Where real text is the
    aim, that is the side clearly nearer to it. note: why this was not compared.
    """

    name: str
    title: str
    a: Estimate
    b: Estimate
    estimate: Estimate | None = None
    p: float | None = None
    corrected: float | None = None
    better: Side | None = None
    note: str = ""

    @property
    def significant(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.p is not None and self.p < LEVEL

    @property
    def significant_corrected(self) -> bool:
        """Whether it is significant among all metrics that were compared."""
        return self.corrected is not None and self.corrected < LEVEL

    @property
    def winner(self) -> Side | None:
        """The better side, only where the difference is significant after correction."""
        return self.better if self.significant_corrected else None

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "title": self.title,
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "difference": None if self.estimate is None else self.estimate.to_dict(),
            "p": self.p,
            "p_holm": self.corrected,
            "significant": self.significant,
            "significant_corrected": self.significant_corrected,
            "better": self.better,
            "winner": self.winner,
            "note": self.note,
        }


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Two systems, metric by metric.

    over: what was resampled. Texts speak of two trained generators; of methods only seeds do.
    among: how many differences p-values are corrected for; 0: those of this table alone.
    warnings: of the texts and the runs. decoding: of texts of runs; "" where there are none.
    """

    a: str
    b: str
    differences: tuple[Difference, ...]
    over: Over = "texts"
    among: int = 0
    warnings: tuple[str, ...] = ()
    decoding: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "a": self.a,
            "b": self.b,
            "over": self.over,
            "decode": self.decoding,
            "differences": {
                difference.name: difference.to_dict() for difference in self.differences
            },
            "summary": self.sentences(),
            "warnings": list(self.warnings),
        }

    def sentences(self) -> list[str]:
        """Return sentences: which differences are significant, which are not, and what was not
        compared."""
        tested = [difference for difference in self.differences if difference.p is not None]
        many = f"{self.among} comparisons" if self.among else f"{len(tested)} metrics"
        groups = {
            f"Significant differences, also among {many} (Holm)": [
                difference for difference in tested if difference.significant_corrected
            ],
            "Significant alone, but not among so many": [
                difference
                for difference in tested
                if difference.significant and not difference.significant_corrected
            ],
            "Not significant": [difference for difference in tested if not difference.significant],
        }
        sentences = [
            f"{what}: {', '.join(map(self._named, one))}." for what, one in groups.items() if one
        ]
        for note in dict.fromkeys(
            difference.note for difference in self.differences if difference.note
        ):
            titles = [
                difference.title for difference in self.differences if difference.note == note
            ]
            sentences.append(f"{', '.join(titles)}: {note}.")
        return sentences or ["There is no metric that both have."]

    def _named(self, difference: Difference) -> str:
        if not difference.significant_corrected:
            return difference.title
        if difference.better is None:
            return f"{difference.title} (which is nearer to real text is open)"
        return f"{difference.title} ({self.a if difference.better == 'a' else self.b} is better)"

    def shown(self) -> list[Table | str]:
        names = {"a": self.a, "b": self.b, None: ""}
        body = [
            [
                difference.title,
                difference.a.flagged,
                difference.b.flagged,
                "" if difference.estimate is None else difference.estimate.flagged,
                _format_p(difference.p),
                _format_p(difference.corrected),
                names[difference.winner],
            ]
            for difference in self.differences
        ]
        headers = ["", self.a, self.b, "difference", "p", "p (Holm)", "better"]
        estimates = [part for one in self.differences for part in (one.a, one.b, one.estimate)]
        table = Table(headers, body, footnote=_flag(estimates), narrow=self._narrow())
        of = {
            "texts": "over texts]: of these two generators as they are; of methods only several "
            "seeds can tell",
            "seeds": "over seeds]",
            "files": "over texts]: of these texts as they are; of what wrote them only more of it "
            "can tell",
        }
        warned = [f"warning: {text}" for text in self.warnings]
        notes = [f"decoding: {self.decoding}"] if self.decoding else []
        interval = f"[95 % interval {of[self.over]}"
        return [table, interval, *notes, *self.sentences(), *warned]

    def _narrow(self) -> Table:
        """Of each system the number alone, for what counts is the interval of the difference."""
        long = max(len(self.a), len(self.b)) > LONG_NAME
        a, b = ("A", "B") if long else (self.a, self.b)
        names = {"a": a, "b": b, None: ""}
        body = [
            [
                difference.title,
                decimals(difference.a.value),
                decimals(difference.b.value),
                "" if difference.estimate is None else difference.estimate.flagged,
                _format_p(difference.corrected),
                names[difference.winner],
            ]
            for difference in self.differences
        ]
        title = f"A: {self.a}; B: {self.b}" if long else ""
        headers = ["", a, b, "difference", "p (Holm)", "better"]
        flag = _flag([one.estimate for one in self.differences])
        return Table(headers, body, title=title, footnote=flag)


@dataclass(frozen=True, repr=False)
class Comparisons(Shown):
    """Several systems, each compared with the first; p-values are corrected over all tables."""

    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "baseline": self.comparisons[0].a,
            "comparisons": [made.to_dict() for made in self.comparisons],
            "warnings": list(self.warnings),
        }

    def shown(self) -> list[Table | str]:
        shown: list[Table | str] = []
        for made in self.comparisons:
            shown += [f"{made.b} against {made.a}", *made.shown(), ""]
        return [*shown[:-1], *(f"warning: {text}" for text in self.warnings)]


def among_all(made: Sequence[Comparison]) -> Comparison | Comparisons:
    """Comparisons with one baseline as one result: Holm over all of their differences.

    Raises ValueError for none.
    """
    if not made:
        raise ValueError("there is nothing to compare")
    if len(made) == 1:
        return made[0]
    tested = [
        difference.p for one in made for difference in one.differences if difference.p is not None
    ]
    corrected = iter(holm(tested))
    return Comparisons(
        tuple(
            replace(
                one,
                among=len(tested),
                differences=tuple(
                    difference
                    if difference.p is None
                    else replace(difference, corrected=next(corrected))
                    for difference in one.differences
                ),
            )
            for one in made
        )
    )


def compare_scores(
    a: Scores, b: Scores, *, names: tuple[str, str] = ("a", "b"), real: Scores | None = None
) -> Comparison:
    """Compare every metric that two systems have, from one evaluation of each.

    real: the row of real text, for the metrics of which it is the aim.
    """
    return _compare([a], [b], names, real or {}, _by_replicates)


def compare_seeds(
    a: Mapping[int, Scores],
    b: Mapping[int, Scores],
    *,
    names: tuple[str, str] = ("a", "b"),
    real: Scores | None = None,
) -> Comparison:
    """Compare every metric that two systems have with every seed; paired where the seeds are the
    same."""
    paired = a.keys() == b.keys()
    of_a, of_b = ([side[seed] for seed in sorted(side)] for side in (a, b))
    made = _compare(of_a, of_b, names, real or {}, _by_seeds if paired else _by_unlike_seeds)
    return replace(made, over="seeds")


Test = Callable[[Sequence[Score], Sequence[Score]], tuple[Estimate, float | None]]
"""What b has more than a, and p; None where there is nothing to tell from."""


def _compare(
    a: Sequence[Scores], b: Sequence[Scores], names: tuple[str, str], real: Scores, test: Test
) -> Comparison:
    if not a or not b:
        raise ValueError("there are no scores to compare")
    common = [name for name in a[0] if all(name in scores for scores in (*a, *b))]
    differences = [
        _difference(name, [of[name] for of in a], [of[name] for of in b], real.get(name), test)
        for name in common
    ]
    corrected = iter(holm([one.p for one in differences if one.p is not None]))
    return Comparison(
        *names,
        tuple(
            one if one.p is None else replace(one, corrected=next(corrected)) for one in differences
        ),
    )


def _difference(
    name: str, a: Sequence[Score], b: Sequence[Score], real: Score | None, test: Test
) -> Difference:
    of_a, of_b = (
        side[0].estimate if len(side) == 1 else over_seeds([one.estimate.value for one in side])
        for side in (a, b)
    )
    title, aim = a[0].title, a[0].better
    unlike = differing([one.signature for one in (*a, *b)])
    if unlike:
        note = f"do not compare: signatures differ in {', '.join(unlike)}"
        return Difference(name, title, of_a, of_b, note=note)
    change, p = test(a, b)
    better: Side | None = None
    if aim != "like real text" and change.value:
        better = "b" if (change.value > 0) == (aim == "higher") else "a"
    elif aim == "like real text" and real is not None:
        further, chance = test(*([_from_real(one, real) for one in side] for side in (a, b)))
        if chance is not None and chance < LEVEL:
            better = "a" if further.value > 0 else "b"
    note = "no interval, so nothing says what is chance" if p is None else ""
    return Difference(name, title, of_a, of_b, change, p, better=better, note=note)


def differing(signatures: Sequence[str]) -> list[str]:
    """Return the facts in which signatures differ, in their order; `metric` is the metric
    itself."""
    facts = [_facts(signature) for signature in signatures]
    keys = dict.fromkeys(key for each in facts for key in each)
    return [key for key in keys if len({each.get(key) for each in facts}) > 1]


def _facts(signature: str) -> dict[str, str]:
    parts = (part.partition(":") for part in f"metric:{signature}".split("|"))
    return {key: value for key, _, value in parts}


def _from_real(score: Score, real: Score) -> Score:
    """Return the distance of a number from that of real text.

    Of a replicate, on the side on which the number itself is: near 0 the size of a difference would
    spread less than the difference does.
    """
    level = score.estimate.value - real.estimate.value
    sign = -1.0 if level < 0 else 1.0
    same = len(real.replicates) == len(score.replicates)
    replicates = score.replicates - (real.replicates if same else real.estimate.value)
    return replace(score, estimate=Estimate(sign * level), replicates=sign * replicates)


def _by_replicates(a: Sequence[Score], b: Sequence[Score]) -> tuple[Estimate, float | None]:
    """One of each: the spread of the differences of their replicates."""
    ours, theirs = a[0], b[0]
    values = ours.estimate.value, theirs.estimate.value
    change = values[1] - values[0]
    if "exact" in _facts(ours.signature):
        return Estimate(change), p_value(_beyond_rounding(values), 0.0)
    if len(ours.replicates) != len(theirs.replicates) or len(ours.replicates) < 2:
        return Estimate(change), None
    replicates = theirs.replicates - ours.replicates
    error = float(replicates.std(ddof=1))
    return spread(change, replicates), p_value(_beyond_rounding(values), error)


def _by_seeds(a: Sequence[Score], b: Sequence[Score]) -> tuple[Estimate, float | None]:
    """The same seeds of each: Student's t of their differences."""
    pairs = [(x.estimate.value, y.estimate.value) for x, y in zip(a, b, strict=True)]
    changes = [y - x for x, y in pairs]
    if len(changes) < 2:
        return Estimate(changes[0]), None
    change = _beyond_rounding((mean(x for x, _ in pairs), mean(y for _, y in pairs)))
    error = math.sqrt(variance(changes) / len(changes))
    return over_seeds(changes), p_value(change, error, len(changes) - 1)


def _by_unlike_seeds(a: Sequence[Score], b: Sequence[Score]) -> tuple[Estimate, float | None]:
    """Other seeds of each: Welch's t, its degrees of freedom rounded down."""
    sides = [[one.estimate.value for one in side] for side in (a, b)]
    values = mean(sides[0]), mean(sides[1])
    change = values[1] - values[0]
    if min(map(len, sides)) < 2:
        return Estimate(change), None
    parts = [variance(side) / len(side) for side in sides]
    error = math.sqrt(sum(parts))
    freedom = sum(part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True))
    degrees = max(1, math.floor(sum(parts) ** 2 / freedom)) if freedom else sum(map(len, sides)) - 2
    half = student_95(degrees) * error
    return Estimate(change, change - half, change + half), p_value(
        _beyond_rounding(values), error, degrees
    )


def _beyond_rounding(values: tuple[float, float]) -> float:
    """The difference of two numbers, 0 where it is rounding."""
    return 0.0 if math.isclose(*values, rel_tol=EQUAL) else values[1] - values[0]


def _flag(estimates: Sequence[Estimate | None]) -> str:
    """Say what the * of these estimates in a table is; "" where none has one."""
    return DEGENERATE if any(one.degenerate for one in estimates if one) else ""


def _format_p(p: float | None) -> str:
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"
