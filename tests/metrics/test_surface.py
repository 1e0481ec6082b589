"""Copies, repetition and length: by hand, and against counting."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenized import sentences_of

from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.surface import (
    Length,
    Novelty,
    Repetition,
    Unique,
    recurring,
    stuttering,
    wasserstein,
)

Lines = list[str]
METRICS: list[Metric] = [Unique(), Novelty(), Repetition(), Length()]
lines = st.lists(st.sampled_from("abc"), max_size=7).map(" ".join)
texts = st.lists(lines, min_size=1, max_size=7)


def material(
    judged: Lines, real: Lines | None = None, known: Lines | None = None, **settings: Any
) -> MetricInputs:
    tokenizer, (texts, others, train) = sentences_of(judged, real or [], known or [])
    return MetricInputs(
        tokenizer=tokenizer,
        predictions=texts,
        lines=judged,
        references=others,
        sample=texts,
        paired_sample=texts,
        paired_references=others,
        generator_train=None if known is None else train,
        **{"subsets": 0, "resamplings": 0} | settings,
    )


def values(metric: Metric, given: MetricInputs) -> dict[str, float]:
    return {name: score.estimate.value for name, score in metric.measure(given).items()}


def test_unique_by_hand() -> None:
    assert values(Unique(), material(["a b", "b a", "a b", "", ""])) == {"unique": 3 / 5}
    assert values(Unique(), material(["a b", "a", "b"])) == {"unique": 1.0}
    assert values(Unique(), material(["a"])) == {"unique": 1.0}
    # words may be cut in another place: "ab" is not "a b"
    assert values(Unique(), material(["ab", "a b"])) == {"unique": 1.0}


def test_novelty_by_hand() -> None:
    judged = ["a b", "a b", "b a", "", "a b c", "a"]
    known = ["c d", "a b", "a b", "x a b", "", "d"]
    assert values(Novelty(), material(judged, known=known)) == {"novelty": 3 / 6}
    assert values(Novelty(), material(judged, known=["c d"])) == {"novelty": 1.0}
    assert values(Novelty(), material(judged, known=[])) == {"novelty": 1.0}
    assert values(Novelty(), material(judged, known=judged)) == {"novelty": 0.0}
    with pytest.raises(Unavailable, match="give train, the text the generator was trained on"):
        values(Novelty(), material(judged))


def test_repetition_by_hand() -> None:
    # pairs: ab ba ab: 1 of 3 again; aa aa: 1 of 2; ab: none; "a" has none, nor has the empty text
    given = material(["a b a b", "a a a", "a b", "a", ""])
    result = values(Repetition(n=2), given)
    assert result == {"seq_rep2": pytest.approx((1 / 3 + 1 / 2) / 3), "repeated_words": 1 / 3}
    # only repeated_words: nothing has four words
    assert values(Repetition(), given) == {
        "seq_rep4": 0.0,
        "repeated_words": 1 / 3,
    }
    assert values(Repetition(), material(["a a a", "b"])) == {"repeated_words": 1.0}
    # the last word of a text and the first of the next are no neighbours
    assert values(Repetition(), material(["a b", "b c"])) == {"repeated_words": 0.0}
    loop = " ".join("abcd" * 25)  # 97 4-grams, 4 different
    assert values(Repetition(), material([loop]))["seq_rep4"] == pytest.approx(1 - 4 / 97)
    with pytest.raises(Unavailable, match="at least 2 words"):
        values(Repetition(), material(["a", "", "b"]))


@given(texts, st.integers(1, 4))
def test_repetition_is_what_counting_gives(judged: Lines, n: int) -> None:
    again, stutter = [], []
    for line in judged:
        words = line.split()
        result = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        again.append(1 - len(result) / result.total() if result else float("nan"))
        pairs = [words[i] == words[i - 1] for i in range(1, len(words))]
        stutter.append(np.mean(pairs) if pairs else float("nan"))
    _, (sentences,) = sentences_of(judged)
    assert recurring(sentences, n).tolist() == pytest.approx(again, nan_ok=True)
    assert stuttering(sentences).tolist() == pytest.approx(stutter, nan_ok=True)


def test_length_by_hand() -> None:
    given = material(["a b c", "", "a"], ["a", "b b", "c c"])
    # 0, 1, 3 against 1, 2, 2: in order, 1 + 1 + 1 a third
    result = values(Length(), given)
    assert result == pytest.approx({"length": 4 / 3, "length_distance": 1.0, "empty": 1 / 3})
    assert list(result) == ["length", "length_distance", "empty"]
    assert list(values(Length(), material(["a b"]))) == ["length", "empty"]
    one_long = material([" ".join("ab" * 10**6), "a"], ["a"])
    assert values(Length(), one_long)["length_distance"] == (2 * 10**6 - 1) / 2


sizes = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@given(sizes, sizes, st.integers(0, 9))
def test_the_distance_of_lengths(a: list[int], b: list[int], shift: int) -> None:
    first, second = torch.tensor(a), torch.tensor(b)
    # as many of each, sorted, moved one by one
    right = np.abs(np.sort(np.repeat(a, len(b))) - np.sort(np.repeat(b, len(a)))).mean()
    assert wasserstein(first, second) == pytest.approx(right)
    assert wasserstein(second, first) == pytest.approx(right)
    assert wasserstein(first, first + shift) == pytest.approx(shift)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_text_is_said_so(metric: Metric) -> None:
    with pytest.raises(Unavailable, match="there is none"):
        metric.measure(material([], ["a"], ["a"], subsets=40, resamplings=100))


@given(texts, texts)
def test_every_number_is_finite_and_has_its_interval(judged: Lines, real: Lines) -> None:
    given = material(judged, real, real, subsets=8, resamplings=50)
    for metric in METRICS:
        try:
            result = metric.measure(given)
        except Unavailable:
            assert metric.name == "repetition" and max(len(line) for line in judged) < 3
            continue
        for score in result.values():
            told = [score.estimate.value, score.estimate.low, score.estimate.high]
            assert None in told or np.isfinite(np.array(told, dtype=float)).all()
            assert np.isfinite(score.replicates).all()
            if score.estimate.low is not None and score.estimate.high is not None:
                assert score.estimate.low <= score.estimate.high


def test_each_number_is_taken_on_its_own_texts() -> None:
    given = material(["a", "b", "c c", ""], known=["b"])
    _, (twice, short, long) = sentences_of(["a", "a"], ["a"], ["a b c d"])
    row = replace(
        given, sample=twice, paired_sample=short, paired_references=long, references=twice
    )
    result: dict[str, float] = {}
    for metric in METRICS:
        result |= values(metric, row)
    assert result == {
        "unique": 1 / 2,
        "novelty": 3 / 4,
        "repeated_words": 1.0,
        "length": 1.0,
        "length_distance": 3.0,
        "empty": 1 / 4,
    }


def test_scores_say_what_they_are() -> None:
    judged = ["a b c d e", "a b c d e", "a", "b b", ""]
    given = material(judged, ["a", "b"], ["a", "b", "c"], subsets=40, resamplings=100)
    result = {}
    for metric in METRICS:
        result |= metric.measure(given)
    assert {name: score.signature.rpartition("|")[0] for name, score in result.items()} == {
        "unique": "unique|hyps:5|tok:whitespace",
        "novelty": "novelty|train:3|hyps:5|tok:whitespace",
        "seq_rep4": "seq_rep|n:4|hyps:5|tok:whitespace",  # of all texts
        "repeated_words": "repeated_words|hyps:5|tok:whitespace",
        "length": "length|hyps:5|tok:whitespace",
        "length_distance": "length_distance|refs:2|hyps:5|tok:whitespace",
        "empty": "empty|hyps:5|tok:whitespace",
    }
    assert [len(score.replicates) for score in result.values()] == [40, 100, 100, 100, 100, 40, 100]
    better = {name: score.better for name, score in result.items() if score.better == "lower"}
    assert list(better) == ["length_distance", "empty"]
    assert {name for name, score in result.items() if score.unit} == {"length", "length_distance"}
