"""The numbers of sacrebleu are those of sacrebleu."""

import logging
import random
from typing import Any

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from tokenized import sentences_of

from textgan.core.score import Score
from textgan.core.streams import Purpose, stream
from textgan.metrics.aligned import ChrF, SacreBLEU, corpus_score
from textgan.metrics.base import Metric, MetricInputs, Unavailable

Lines = list[str]
METRICS: list[Metric] = [SacreBLEU(), ChrF()]
each = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def material(lines: Lines, references: list[Lines], **options: Any) -> MetricInputs:
    tokenizer, (texts,) = sentences_of(lines)
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


def score(metric: Metric, lines: Lines, references: list[Lines], **options: Any) -> Score:
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
    assert result.unit == "of 100" and result.better == "higher"
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
    assert score(metric, lines, [lines]).estimate.value == pytest.approx(100)
    assert score(metric, lines, [some_lines(1, 2), lines]).estimate.value == pytest.approx(100)
    assert score(metric, ["x y z"] * 2, [lines]).estimate.value < 5
    for empty in (["", ""], [" ", "\t"]):
        assert score(metric, empty, [lines], resamplings=9).estimate.to_dict() == {
            "value": 0.0,
            "low": 0.0,
            "high": 0.0,
        }
        assert score(metric, lines, [empty], resamplings=9).estimate.value == 0
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
