"""The numbers of sacrebleu are those of sacrebleu."""

import logging
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest
from tokenized import sentences_of

from textgan.core.score import Score
from textgan.core.streams import Purpose, stream
from textgan.data.pre_tokenizer import LineTokens
from textgan.evaluation.comparison import compare_scores
from textgan.metrics.aligned import TER, ChrF, SacreBLEU, corpus_score
from textgan.metrics.base import Metric, MetricInputs, Unavailable

Lines = list[str]
METRICS: list[Metric] = [SacreBLEU(), ChrF(), TER()]
each = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def material(
    lines: Lines,
    references: Sequence[Sequence[str | None]],
    sources: Lines | None = None,
    tokens: LineTokens = "nltk",
    **options: Any,
) -> MetricInputs:
    tokenizer, (texts,) = sentences_of(lines, tokens=tokens)
    if sources is not None:
        options["source_tokenizer"], (options["sources"],) = sentences_of(sources)
    return MetricInputs(
        tokenizer=tokenizer,
        predictions=texts,
        lines=lines,
        references=texts,
        sample=texts,
        paired_sample=texts,
        paired_references=texts,
        aligned=references,
        **{"resamplings": 0} | options,
    )


def score(
    metric: Metric, lines: Lines, references: Sequence[Sequence[str | None]], **options: Any
) -> Score:
    (result,) = metric.measure(material(lines, references, **options)).values()
    return result


def some_lines(seed: int, n: int) -> Lines:
    dice = random.Random(seed)
    words = ["the", "cat", "The", "sat,", "on", "mats.", "猫", "it's"]
    return [" ".join(dice.choices(words, k=dice.randint(0, 9))) for _ in range(n)]


line = st.text(st.sampled_from("aab. A,'猫é"), max_size=12)


@given(st.lists(st.tuples(line, line, line), min_size=1, max_size=5), st.integers(1, 2))
@settings(max_examples=40)
def test_values_and_signatures_are_those_of_the_library(
    rows: list[tuple[str, str, str]], sides: int
) -> None:
    lines, *references = (list(column) for column in zip(*rows, strict=True))
    references = references[:sides]
    bleu, chrf = sacrebleu.BLEU(), sacrebleu.CHRF()
    right = bleu.corpus_score(lines, references)
    result = score(SacreBLEU(), lines, references)
    assert result.estimate.value == right.score  # to the last bit
    assert result.signature == f"BLEU|{bleu.get_signature()}"
    right = chrf.corpus_score(lines, references)
    result = score(ChrF(), lines, references)
    assert result.estimate.value == right.score
    assert result.signature == f"chrF2|{chrf.get_signature()}"
    ter = sacrebleu.TER()
    right = ter.corpus_score(lines, references)
    result = score(TER(), lines, references)
    assert result.estimate.value == right.score
    assert result.signature == f"TER|{ter.get_signature()}"


@pytest.mark.parametrize("n", [1, 4, 5, 6, 23])
def test_any_number_of_texts_and_references(n: int) -> None:
    lines, one, two = (some_lines(seed, n) for seed in (0, 1, 2))
    for references in ([one], [one, two]):
        row, bleu = material(lines, references), BLEU(force=True)
        assert (
            corpus_score(bleu, row, "", at_once=5).estimate == corpus_score(bleu, row, "").estimate
        )
        result = score(SacreBLEU(), lines, references)
        assert result.estimate.value == sacrebleu.corpus_bleu(lines, references).score
        assert f"nrefs:{len(references)}|" in result.signature
        assert f"version:{sacrebleu.__version__}" in result.signature
        right = sacrebleu.corpus_chrf(lines, references).score
        assert score(ChrF(), lines, references).estimate.value == right
        right = sacrebleu.corpus_ter(lines, references).score
        assert score(TER(), lines, references).estimate.value == right


@pytest.mark.parametrize("tokenize", ["13a", "intl", "zh", "char", "none"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_settings(tokenize: Any, lowercase: bool) -> None:
    lines, references = some_lines(3, 40), [some_lines(4, 40)]
    right = sacrebleu.corpus_bleu(lines, references, tokenize=tokenize, lowercase=lowercase)
    result = score(SacreBLEU(tokenize=tokenize, lowercase=lowercase), lines, references)
    assert result.estimate.value == right.score > 0
    assert f"tok:{tokenize}|" in result.signature
    assert f"case:{'lc' if lowercase else 'mixed'}|" in result.signature
    plus = sacrebleu.CHRF(word_order=2, lowercase=lowercase).corpus_score(lines, references)
    result = score(ChrF(words=2, lowercase=lowercase), lines, references)
    assert result.estimate.value == plus.score
    assert result.title == "chrF2++" and result.signature.startswith("chrF2++|nrefs:1|")
    rate = sacrebleu.TER(normalized=lowercase, case_sensitive=not lowercase)
    result = score(TER(normalized=lowercase, case=not lowercase), lines, references)
    assert result.estimate.value == rate.corpus_score(lines, references).score
    assert f"|case:{'lc' if lowercase else 'mixed'}|" in result.signature


def test_words_between_spaces_are_not_split_again() -> None:
    lines, references = ["a b,c d e ."] * 3, [["a b , c d e ."] * 3]
    result = score(SacreBLEU(), lines, references, tokens="whitespace")
    right = sacrebleu.corpus_bleu(lines, references, tokenize="none", force=True).score
    assert result.estimate.value == pytest.approx(right) and "|tok:none|" in result.signature
    result = score(SacreBLEU(), lines, references)
    assert result.estimate.value == pytest.approx(100) and "|tok:13a|" in result.signature


@each
def test_texts_may_have_references_in_unlike_number(metric: Metric) -> None:
    lines, one, two = (some_lines(seed, 700) for seed in (0, 1, 2))
    few = [line if i < 20 else None for i, line in enumerate(two)]  # the last 500 have one each
    result = score(metric, lines, [one, few])
    of = {"sacrebleu": sacrebleu.BLEU(force=True), "chrf": sacrebleu.CHRF(), "ter": sacrebleu.TER()}
    right = of[metric.name].corpus_score(lines, [one, few])
    assert result.estimate.value == pytest.approx(right.score, rel=1e-12)
    assert f"|{of[metric.name].get_signature()}" in result.signature
    assert "|nrefs:var|" in result.signature


@each
def test_texts_of_one_source_are_resampled_together(metric: Metric) -> None:
    lines, references = some_lines(3, 6), some_lines(4, 6)
    sources = ["x", "y", "x", "z", "y", "x"]
    result = score(metric, lines, [references], sources=sources, resamplings=20, seed=5)
    dice = np.random.default_rng(stream(Purpose.BOOTSTRAP, 5, 0))
    of_source = [[0, 2, 5], [1, 4], [3]]
    for replicate in result.replicates:
        rows = [i for source in dice.integers(3, size=3) for i in of_source[source]]
        picked = [[side[i] for i in rows] for side in (lines, references)]
        right = score(metric, picked[0], [picked[1]]).estimate.value
        assert replicate == pytest.approx(right, rel=1e-12)


@each
def test_differences_are_those_of_the_paired_bootstrap_of_the_library(
    metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the same resamples: the same means, and the p-value of the difference but for this, that
    theirs counts the resamples beyond it on one side and ours takes their spread on both."""
    n, resamplings = 300, 1000
    one, references, other = some_lines(8, n), some_lines(9, n), some_lines(10, n)
    other = [
        right if i % 70 == 0 else line
        for i, (line, right) in enumerate(zip(other, references, strict=True))
    ]
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    monkeypatch.setattr(
        "textgan.metrics.aligned.resamples",
        lambda n, size, seed: np.random.default_rng(7).choice(n, (size, n), replace=True),
    )
    of = {"sacrebleu": sacrebleu.BLEU(force=True), "chrf": sacrebleu.CHRF(), "ter": sacrebleu.TER()}
    systems = [("one", one), ("other", other)]
    _, test = PairedTest(systems, {"m": of[metric.name]}, [references], "bs", resamplings)()
    *_, (base, theirs) = test.values()
    a, b = (score(metric, lines, [references], resamplings=resamplings) for lines in (one, other))
    for ours, right in ((a, base), (b, theirs)):
        assert ours.value == pytest.approx(right.score)
        assert ours.replicates.mean() == pytest.approx(right.mean, rel=1e-5)
    (difference,) = compare_scores({"m": a}, {"m": b}).differences
    assert difference.p is not None
    assert difference.p / 2 == pytest.approx(theirs.p_value, abs=0.01)
    assert 0.004 < theirs.p_value < 0.1, "at the ends this says nothing"


@each
def test_the_interval_is_that_of_corpora_of_resampled_lines(metric: Metric) -> None:
    lines, references = some_lines(5, 30), [some_lines(6, 30), some_lines(7, 30)]
    result = score(metric, lines, references, resamplings=20, seed=3)
    dice = np.random.default_rng(stream(Purpose.BOOTSTRAP, 3, 0))
    for replicate in result.replicates:
        chosen = dice.integers(30, size=30)
        picked = [[side[i] for i in chosen] for side in (lines, *references)]
        assert score(metric, picked[0], picked[1:]).estimate.value == replicate
    low, high = np.quantile(result.replicates, [0.025, 0.975])
    assert (result.estimate.low, result.estimate.high) == (low, high)
    assert low < result.estimate.value < high
    assert result.unit == "from 0 to 100"
    assert result.better == ("lower" if metric.name == "ter" else "higher")
    alone = score(metric, lines[:1], [references[0][:1]], resamplings=20)
    assert alone.estimate.low is None and not len(alone.replicates)


def test_the_interval_is_the_one_that_sacrebleu_gives() -> None:
    lines, references = some_lines(8, 300), [some_lines(9, 300)]
    result = score(SacreBLEU(), lines, references, resamplings=1000).estimate
    theirs = sacrebleu.BLEU().corpus_score(lines, references, n_bootstrap=1000)
    assert result.low is not None and result.high is not None
    assert (result.high - result.low) / 2 == pytest.approx(theirs._ci, rel=0.1)


@each
def test_limits(metric: Metric) -> None:
    lines = ["a cat sat on the mat .", "it's two of them , isn't it ?"]
    best, worst = (0, 100) if metric.name == "ter" else (100, 0)
    assert score(metric, lines, [lines]).estimate.value == pytest.approx(best)
    assert score(metric, lines, [some_lines(1, 2), lines]).estimate.value == pytest.approx(best)
    assert abs(score(metric, ["x y z"] * 2, [lines]).estimate.value - worst) < 5
    for empty in (["", ""], [" ", "\t"]):
        assert score(metric, empty, [lines], resamplings=9).estimate.to_dict() == {
            "value": worst,
            "low": worst,
            "high": worst,
        }
        assert score(metric, lines, [empty], resamplings=9).estimate.value == worst
        assert score(metric, empty, [empty]).estimate.value == 0


@each
def test_what_is_missing_is_said(metric: Metric) -> None:
    with pytest.raises(Unavailable, match="give aligned=FILE, one reference for each text"):
        score(metric, ["a"], [])
    with pytest.raises(Unavailable, match="there are 3 references and 2 texts"):
        score(metric, ["a", "b"], [["a", "b"], ["a", "b", "c"]])
    with pytest.raises(Unavailable, match="at least one text; there is none"):
        score(metric, [], [[]])


@each
def test_nothing_is_said_of_tokenized_text(metric: Metric, caplog: Any) -> None:
    lines = ["the cat sat ."] * 200
    with caplog.at_level(logging.DEBUG):
        score(metric, lines, [lines])
    assert not caplog.records
