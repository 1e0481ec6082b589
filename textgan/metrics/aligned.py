"""Tasks in which each text has references of its own, such as translation: sacrebleu's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from textgan.core.errors import option
from textgan.core.score import Score
from textgan.core.statistics import Estimate, percentiles, resamples
from textgan.metrics.base import Metric, MetricInputs, Unavailable

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Scorer

LOWERCASE = "whether upper and lower case are the same"


def aligned_or_none(inputs: MetricInputs) -> None:
    """Raise Unavailable where the texts have no references of their own."""
    if not inputs.aligned:
        raise Unavailable(
            f"needs aligned references: give {option('aligned', 'FILE')}, one reference for each "
            "text"
        )


def corpus_score(scorer: Scorer, inputs: MetricInputs, title: str, at_once: int = 500) -> Score:
    """Compute a corpus score of sacrebleu with sacrebleu's signature and a bootstrap over
    sentences.

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
    counted: list[list[int]] = []
    for start in inputs.progress(range(0, len(lines), at_once), title):
        some = slice(start, start + at_once)
        counted += scorer._extract_corpus_statistics(lines[some], [side[some] for side in aligned])
    terms = np.array(counted)
    whole = scorer._compute_score_from_stats(terms.sum(0).tolist())
    estimate, replicates = Estimate(whole.score), np.empty(0)
    if inputs.resamplings and len(lines) > 1:
        replicates = np.array(
            [
                scorer._compute_score_from_stats(terms[chosen].sum(0).tolist()).score
                for chosen in resamples(len(lines), inputs.resamplings, inputs.seed)
            ]
        )
        estimate = percentiles(whole.score, replicates)
    signature = f"{whole.name}|{scorer.get_signature()}"
    return Score(title, estimate, signature, "higher", "of 100", replicates)


@dataclass(kw_only=True)
class SacreBLEU(Metric, name="sacrebleu"):
    """Corpus BLEU of sacrebleu, from 0 to 100, each text against its own references.

    It is made for tasks with a right answer, higher is better, and it is what translation papers
    report. It is another number than bleu4, which takes every real text as a reference of every
    text and the mean over texts.

    Pitfalls: texts are taken as they were written and split by sacrebleu, which expects them
    detokenized; tokenized text gives another number, which does not compare with published ones.
    """

    paper: ClassVar[str] = "Post 2018, arXiv 1804.08771"
    aligned: ClassVar[bool] = True

    tokenize: Annotated[
        Literal["13a", "intl", "zh", "char", "none"],
        Field(description="how sacrebleu splits lines; none: between spaces"),
    ] = "13a"
    lowercase: Annotated[bool, Field(description=LOWERCASE)] = False

    def check(self, inputs: MetricInputs) -> None:
        aligned_or_none(inputs)

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        from sacrebleu.metrics.bleu import BLEU

        # force: it would warn of tokenized text, as the docstring does
        scorer = BLEU(tokenize=self.tokenize, lowercase=self.lowercase, force=True)
        return {"sacrebleu": corpus_score(scorer, inputs, "sacreBLEU")}


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
