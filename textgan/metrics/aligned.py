"""Tasks in which each text has references of its own, such as translation: sacrebleu's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from textgan.core.errors import option
from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate, of_sources, percentiles, resamples
from textgan.data.sentences import Sentences
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.functional.nearest import places

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Scorer

LOWERCASE = "whether upper and lower case are the same"
BETWEEN_SPACES = ("word", "whitespace", "id")  # kinds of tokens that a line shows as they are


def aligned_or_none(inputs: MetricInputs) -> None:
    """Raise Unavailable where the texts have no references of their own."""
    if not inputs.aligned:
        raise Unavailable(
            f"needs aligned references: give {option('aligned', 'FILE')}, one reference for each "
            "text"
        )


def aligned_by_source(sources: Sentences, lines: Sequence[str]) -> list[list[str | None]]:
    """Return the references of B texts that answer these sources, in columns (., B): its own line
    first, then those of the same source; None where one has fewer of them."""
    of_source: dict[int, list[int]] = {}
    first = places(sources, sources).tolist()
    for row, source in enumerate(first):
        of_source.setdefault(source, []).append(row)
    rows = [
        [row, *(other for other in of_source[source] if other != row)]
        for row, source in enumerate(first)
    ]
    columns = zip_longest(*rows)
    return [[None if row is None else lines[row] for row in column] for column in columns]


def corpus_score(
    scorer: Scorer,
    inputs: MetricInputs,
    title: str,
    better: Better = "higher",
    at_once: int = 500,
) -> Score:
    """Compute a corpus score of sacrebleu with sacrebleu's signature and a bootstrap over
    sentences, or over sources with all that answers them.

    Such a score is one of sums over the sentences. Their terms are counted once and resampled here:
    sacrebleu's own bootstrap, which does the same, keeps its replicates to itself. Hence the two
    methods that have no public name.

    at_once: texts between two steps of the progress bar.
    """
    aligned_or_none(inputs)
    lines, aligned = inputs.lines, inputs.aligned
    if not lines:
        raise Unavailable("needs at least one text; there is none")
    for side in aligned:
        if len(side) != len(lines):
            raise Unavailable(
                f"needs one aligned reference for each text; there are {len(side)} references "
                f"and {len(lines)} texts"
            )
    counted: list[list[float]] = []
    for start in inputs.progress(range(0, len(lines), at_once), title):
        some = slice(start, start + at_once)
        references: Any = [side[some] for side in aligned]  # None is declared for whole files alone
        counted += scorer._extract_corpus_statistics(lines[some], references)
    terms = np.array(counted)
    whole = scorer._compute_score_from_stats(terms.sum(0).tolist())
    estimate, replicates = Estimate(whole.score), np.empty(0)
    if inputs.groups is not None:
        terms = np.stack([of_sources(term, inputs.groups.numpy()) for term in terms.T], 1)
    if inputs.resamplings and len(terms) > 1:
        replicates = np.array(
            [
                scorer._compute_score_from_stats(terms[chosen].sum(0).tolist()).score
                for chosen in resamples(len(terms), inputs.resamplings, inputs.seed)
            ]
        )
        estimate = percentiles(whole.score, replicates)
    several = {sum(line is not None for line in of_one) for of_one in zip(*aligned, strict=True)}
    scorer.num_refs = several.pop() if len(several) == 1 else -1  # of all, not of the last lines
    signature = f"{whole.name}|{scorer.get_signature()}"
    return Score(title, estimate, signature, better, "from 0 to 100", replicates)


@dataclass(kw_only=True)
class SacreBLEU(Metric, name="sacrebleu"):
    """Corpus BLEU of sacrebleu, from 0 to 100, each text against its own references.

    It is made for tasks with a right answer, higher is better, and it is what translation papers
    report. It is another number than bleu4, which takes every real text as a reference of every
    text and the mean over texts.

    Pitfalls: texts are taken as they were written and split by sacrebleu, which expects them
    detokenized; tokenized text gives another number, which does not compare with published ones.
    So where texts are words between spaces (a run's on a corpus of words, files with
    `--tokenizer whitespace`) they are not split again, and the signature says tok:none. Of a
    dialogue it says little: a good answer need share no word with the one that was given.
    """

    paper: ClassVar[str] = "Post 2018, arXiv 1804.08771"
    aligned: ClassVar[bool] = True

    tokenize: Annotated[
        Literal["auto", "13a", "intl", "zh", "char", "none"],
        Field(description="how sacrebleu splits lines; none: between spaces; auto: none or 13a"),
    ] = "auto"
    lowercase: Annotated[bool, Field(description=LOWERCASE)] = False

    def check(self, inputs: MetricInputs) -> None:
        aligned_or_none(inputs)

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        from sacrebleu.metrics.bleu import BLEU

        # force: it would warn of tokenized text, as the docstring does
        scorer = BLEU(tokenize=self.tokenizer(inputs), lowercase=self.lowercase, force=True)
        return {"sacrebleu": corpus_score(scorer, inputs, "sacreBLEU")}

    def tokenizer(self, inputs: MetricInputs) -> str:
        """Return the name of sacrebleu's tokenizer for these texts."""
        if self.tokenize != "auto":
            return self.tokenize
        return "none" if inputs.tokenizer.kind in BETWEEN_SPACES else "13a"


@dataclass(kw_only=True)
class ChrF(Metric, name="chrf"):
    """chrF of sacrebleu, from 0 to 100: F2 of the character n-grams of texts and their references.

    Higher is better. It needs no words, so it suits languages that are rich in forms or written
    without spaces. With words = 2 it is chrF++.

    Pitfalls: recall weighs twice as much as precision, so texts that are too long lose less than
    texts that are too short. Of several references only the closest one counts, for each text.
    """

    paper: ClassVar[str] = "Popović 2015, https://aclanthology.org/W15-3049"
    aligned: ClassVar[bool] = True

    words: Annotated[int, Field(ge=0, le=2, description="words of the longest word n-grams")] = 0
    lowercase: Annotated[bool, Field(description=LOWERCASE)] = False

    def check(self, inputs: MetricInputs) -> None:
        aligned_or_none(inputs)

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        from sacrebleu.metrics.chrf import CHRF

        scorer = CHRF(word_order=self.words, lowercase=self.lowercase)
        return {"chrf": corpus_score(scorer, inputs, f"chrF2{'+' * self.words}")}


@dataclass(kw_only=True)
class TER(Metric, name="ter"):
    """Translation edit rate of sacrebleu: edits to a reference, in percent of the words of it.

    An edit inserts, deletes or replaces a word, or moves some to another place. Lower is better: 0
    for a reference itself, and more than 100 is possible. Of several references the nearest one
    counts, and the mean of their lengths.

    Pitfalls: short texts are favoured, for what is left out costs no more than what is wrong. Words
    are what is between spaces, in lower case unless `case` is set. It takes a minute for tens of
    thousands of long texts.
    """

    paper: ClassVar[str] = "Snover et al. 2006, https://aclanthology.org/2006.amta-papers.25"
    aligned: ClassVar[bool] = True

    case: Annotated[bool, Field(description="whether upper and lower case differ")] = False
    normalized: Annotated[
        bool, Field(description="whether punctuation is split off, as tercom does it")
    ] = False

    def check(self, inputs: MetricInputs) -> None:
        aligned_or_none(inputs)

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        return {"": 1e-4 * len(inputs.predictions.words) * len(inputs.aligned)}

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        from sacrebleu.metrics.ter import TER as Scorer

        scorer = Scorer(normalized=self.normalized, case_sensitive=self.case)
        return {"ter": corpus_score(scorer, inputs, "TER", "lower")}
