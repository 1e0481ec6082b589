"""Copies, repetition and length: what texts show without knowledge of their language."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from textgan.core.errors import option
from textgan.core.score import Better, Score
from textgan.core.statistics import POSITIVE, SHARE
from textgan.data.sentences import Sentences
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.functional.nearest import places
from textgan.metrics.functional.ngrams import grams

LIKE_REAL: Better = "like real text"


def recurring(texts: Sentences, n: int) -> Tensor:
    """Compute 1 - different n-grams / n-grams of each text, (B,) float64; nan where it has none."""
    (of,) = deque(grams(texts, n), maxlen=1)
    kinds = max(of.kinds, 1)
    different = torch.unique(of.row * kinds + of.kind) // kinds  # the text of each
    known, windows = (torch.bincount(rows, minlength=len(texts)) for rows in (different, of.row))
    return 1 - known.double() / windows


def stuttering(texts: Sentences) -> Tensor:
    """Compute the share of words, from the second on, that equal the one before, (B,) float64; nan
    where there is no second word."""
    rows = texts.rows
    again = (texts.words[1:] == texts.words[:-1]) & (rows[1:] == rows[:-1])
    repeated = torch.bincount(rows[1:][again], minlength=len(texts))
    return repeated.double() / (texts.sizes - 1).clamp(min=0)


def wasserstein(a: Tensor, b: Tensor) -> float:
    """Compute the Wasserstein-1 distance of two sets of numbers, (A,) and (B,), at least one each:
    the area between their distribution functions."""
    values, place = torch.unique(torch.cat([a, b]), return_inverse=True)
    first, second = (
        torch.bincount(side, minlength=len(values)).double().cumsum(0) / len(side)
        for side in (place[: len(a)], place[len(a) :])
    )
    return float(((first - second).abs()[:-1] * values.diff()).sum())


def averaged(
    inputs: MetricInputs,
    name: str,
    title: str,
    values: Tensor,
    better: Better = LIKE_REAL,
    unit: str = "",
    **facts: object,
) -> Score:
    """Make the score of the mean of one value (B,) a text."""
    if not len(values):
        raise Unavailable("needs at least one text; there is none")
    of_all = len(values) == len(inputs.predictions)  # else some are left out
    estimate, replicates = inputs.mean(values, sources=inputs.groups if of_all else None)
    # not len(values): how many texts are long enough for a number is a finding, no condition
    hyps = len(inputs.predictions)
    signature = inputs.sign(name, **facts, hyps=hyps, tok=inputs.token_kind)
    return Score(title, estimate, signature, better, unit, replicates)


@dataclass(kw_only=True)
class Unique(Metric, name="unique"):
    """The share of different texts.

    1 where no text comes twice; good texts repeat each other as seldom as real ones.

    Pitfalls: it falls with the number of texts, for short ones recur in any language. It sees only
    whole copies: a generator that changes one word each time has 1.
    """

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        texts = inputs.sample
        if not len(texts):
            raise Unavailable("needs at least one text; there is none")
        first = places(texts, texts)

        def share(some: Tensor) -> float:
            return len(torch.unique(first[some])) / len(some)

        estimate, replicates = inputs.of_set(
            share(torch.arange(len(texts))), share, len(texts), SHARE
        )
        signature = inputs.sign("unique", hyps=len(texts), tok=inputs.token_kind)
        return {"unique": Score("Unique", estimate, signature, LIKE_REAL, replicates=replicates)}


@dataclass(kw_only=True)
class Novelty(Metric, name="novelty"):
    """The share of texts that are not, word for word, in what the generator was trained on.

    0 where every text is recited, 1 where none is. Real text that was held out is not all new
    either: a generator below its row has memorized, one above it is no better for that.

    Pitfalls: it sees only whole copies, so one changed word makes a text new; look at the nearest
    training sentences of the samples too. Random words and empty texts are new.
    """

    def check(self, inputs: MetricInputs) -> None:
        if inputs.generator_train is None:
            raise Unavailable(
                f"needs the training text: give {option('train')}, the text the generator was "
                "trained on"
            )

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        texts, known = inputs.predictions, inputs.generator_train
        assert known is not None  # it was checked
        new = places(texts, known) < 0
        return {"novelty": averaged(inputs, "novelty", "Novelty", new, train=len(known))}


@dataclass(kw_only=True)
class Repetition(Metric, name="repetition"):
    """The repetition within each text, on average over texts; real text has a little.

    seq_rep4 is seq-rep-n of the paper: the share of a text's n-grams that it has had before. It
    finds the loops in which long texts end. repeated_words is the paper's rep/1 taken on the texts
    themselves: the share of words that equal the word before. It finds stutter ("a a man"), which
    spoils texts that are too short for a loop. Texts with no n-gram, or no second word, are left
    out.

    Pitfalls: longer texts repeat more by themselves. What texts repeat of one another is not seen
    here; that is unique, distinct and self_bleu.
    """

    paper: ClassVar[str] = "Welleck et al. 2019, arXiv 1908.04319"

    n: Annotated[int, Field(ge=1, le=9, description="words of the n-grams of seq-rep-n")] = 4

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        texts, n = inputs.predictions, self.n
        again, loops = (
            shares[~shares.isnan()] for shares in (stuttering(texts), recurring(texts, n))
        )
        scores = {}
        if len(loops):
            scores[f"seq_rep{n}"] = averaged(inputs, "seq_rep", f"seq-rep-{n}", loops, n=n)
        if len(again):
            scores["repeated_words"] = averaged(inputs, "repeated_words", "Repeated words", again)
        if not scores:
            raise Unavailable("needs a text of at least 2 words; there is none")
        return scores


@dataclass(kw_only=True)
class Length(Metric, name="length"):
    """The number of tokens of the texts, and its distance from that of real ones.

    length is the mean. length_distance is the Wasserstein-1 distance to the lengths of real texts:
    by how many tokens texts would have to be lengthened or shortened, on average, to have them all;
    0 is best, and the interval is that of the texts beside the same real ones. empty is the
    share of texts without a token, which have length 0; lower is better.

    Pitfalls: by chance, the length_distance of real text is above 0 too; see its row. A token is
    what the tokenizer makes of the line, so lengths compare under one tokenizer only.
    """

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        sizes, sample, references = (
            texts.sizes
            for texts in (inputs.predictions, inputs.paired_sample, inputs.paired_references)
        )
        scores = {"length": averaged(inputs, "length", "Length", sizes, unit="tokens")}
        if len(sample) and len(references):
            estimate, replicates = inputs.of_set(
                wasserstein(sample, references),
                lambda some: wasserstein(sample[some], references),
                len(sample),
                POSITIVE,
            )
            signature = inputs.sign(
                "length_distance",
                refs=len(references),
                hyps=len(sample),
                tok=inputs.token_kind,
            )
            scores["length_distance"] = Score(
                "Length distance", estimate, signature, "lower", "tokens", replicates
            )
        scores["empty"] = averaged(inputs, "empty", "Empty", sizes == 0, "lower")
        return scores
