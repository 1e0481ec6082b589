"""N-gram metrics against counting, in closed form, and their intervals against repetition."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED_DATA
from tokenized import sentences_of

from textgan.core.streams import Purpose, stream
from textgan.data.sentences import Sentences
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.ngrams import Distinct, JensenShannon, MSJaccard

Lines = list[str]
COCO = SHARED_DATA / "coco"


def material(judged: Lines, real: Lines, **options: Any) -> MetricInputs:
    tokenizer, (texts, others) = sentences_of(judged, real)
    return MetricInputs(
        tokenizer=tokenizer,
        predictions=texts,
        lines=judged,
        references=others,
        sample=texts,
        paired_sample=texts,
        paired_references=others,
        **{"subsets": 0, "resamplings": 0} | options,
    )


def values(metric: Metric, judged: Lines, real: Sequence[str] = ()) -> dict[str, float]:
    result = metric.measure(material(judged, list(real)))
    return {name: score.estimate.value for name, score in result.items()}


def windows(lines: Iterable[str], n: int) -> Counter[tuple[str, ...]]:
    """All n-grams, from the definition."""
    cut = [line.split() for line in lines]
    return Counter(tuple(words[i : i + n]) for words in cut for i in range(len(words) - n + 1))


def counted_jsd(a: Lines, b: Lines, n: int) -> float:
    shares = []
    for lines in (a, b):
        result = windows(lines, n)
        shares.append({gram: count / result.total() for gram, count in result.items()})
    return sum(
        share[gram] / 2 * math.log2(share[gram] / sum(s.get(gram, 0) / 2 for s in shares))
        for share in shares
        for gram in share
    )


def counted_jaccard(a: Lines, b: Lines, largest: int) -> float:
    product = 1.0
    for n in range(1, largest + 1):
        first, second = windows(a, n), windows(b, n)
        sides = [(first[g] / len(a), second[g] / len(b)) for g in first | second]
        product *= sum(map(min, sides)) / sum(map(max, sides))
    return product ** (1 / largest)


texts = st.lists(st.lists(st.sampled_from("abc"), max_size=6).map(" ".join), min_size=1, max_size=7)


@given(texts, texts)
def test_divergences_are_what_counting_gives(judged: Lines, real: Lines) -> None:
    orders = [n for n in range(1, 5) if windows(judged, n) and windows(real, n)]
    right = {f"jsd{n}": counted_jsd(judged, real, n) for n in orders}
    if right:
        assert values(JensenShannon(), judged, real) == pytest.approx(right, abs=1e-12)
    else:
        with pytest.raises(Unavailable, match="at least one word on each side"):
            values(JensenShannon(), judged, real)


@given(texts, texts)
def test_ms_jaccard_is_what_counting_gives(judged: Lines, real: Lines) -> None:
    orders = [n for n in range(2, 6) if windows(judged + real, n)]
    right = {f"ms_jaccard{n}": counted_jaccard(judged, real, n) for n in orders}
    if right:
        assert values(MSJaccard(), judged, real) == pytest.approx(right, abs=1e-12)
    else:
        with pytest.raises(Unavailable, match="at least 2 words"):
            values(MSJaccard(), judged, real)


@given(texts)
def test_distinct_is_what_counting_gives(judged: Lines) -> None:
    result = {n: windows(judged, n) for n in range(1, 4)}
    right = {f"distinct{n}": len(c) / c.total() for n, c in result.items() if c}
    if right:
        assert values(Distinct(), judged) == right
    else:
        with pytest.raises(Unavailable, match="at least one word"):
            values(Distinct(), judged)


@given(texts, texts, st.integers(0, 9))
@settings(max_examples=30)
def test_what_is_left_of_a_set_is_as_if_counted_anew(judged: Lines, real: Lines, seed: int) -> None:
    """Replicates come of masks; here they come of the remaining lines."""
    options: dict[str, Any] = {"subsets": 3, "seed": seed}
    for metric, able, counted in (
        (JensenShannon(largest=2), 2, lambda some: counted_jsd(some, real, 2)),
        (Distinct(largest=2), 2, lambda some: len(windows(some, 2)) / windows(some, 2).total()),
        (MSJaccard(largest=2), 0, lambda some: counted_jaccard(some, real, 2)),
    ):
        lines = [line for line in judged if len(line.split()) >= able]
        if len(lines) < 4 or not windows(real, 2):
            continue
        score = list(metric.measure(material(judged, real, **options)).values())[-1]
        generator = np.random.default_rng(stream(Purpose.SUBSETS, seed))
        kept = len(lines) - 1
        anew = []
        for _ in range(3):
            chosen = generator.permutation(len(lines))[:kept]
            anew.append(counted([lines[i] for i in chosen]))
        moved = score.estimate.value + math.sqrt(kept) * (np.array(anew) - np.mean(anew))
        assert score.replicates == pytest.approx(moved, abs=1e-9)


def test_by_hand() -> None:
    result = values(JensenShannon(), ["a b"], ["a a"])
    right = 1.5 - 0.75 * math.log2(3)  # H(3/4, 1/4) less half of H(1/2, 1/2)
    assert result == pytest.approx({"jsd1": right, "jsd2": 1.0}, abs=1e-15)
    assert right == pytest.approx(0.3113, abs=1e-4)
    # in a text of each side: a 1 and 2/3, b 1/2 and 2/3, c and d 0 and 1/3;
    # a b 1/2 and 1/3, b c and d a 0 and 1/3
    result = values(MSJaccard(largest=2), ["a b", "a"], ["a b c", "d a", "b"])
    one = (2 / 3 + 1 / 2) / (1 + 2 / 3 + 1 / 3 + 1 / 3)
    two = (1 / 3) / (1 / 2 + 1 / 3 + 1 / 3)
    assert result == pytest.approx({"ms_jaccard2": math.sqrt(one * two)}, abs=1e-15)
    result = values(Distinct(), ["a b a b", "", "c", "a b"])
    assert result == {"distinct1": 3 / 7, "distinct2": 2 / 4, "distinct3": 1.0}


@pytest.mark.parametrize("times", [1, 3])
def test_the_same_sets_and_sets_with_nothing_in_common(times: int) -> None:
    lines = ["a b c d e f", "b a", "c c c c c c", ""]
    others = [line.upper() for line in lines]
    same, apart = (
        values(JensenShannon(), lines, lines * times),
        values(JensenShannon(), lines, others),
    )
    assert same == dict.fromkeys(["jsd1", "jsd2", "jsd3", "jsd4"], 0.0)
    assert apart == pytest.approx(dict.fromkeys(same, 1.0), abs=1e-12)
    same, apart = (values(MSJaccard(), lines, side) for side in (lines * times, others))
    assert same == pytest.approx({f"ms_jaccard{n}": 1.0 for n in (2, 3, 4, 5)}, abs=1e-12)
    assert apart == dict.fromkeys(same, 0.0)
    assert values(Distinct(), lines * times)["distinct1"] == 6 / 14 / times


def test_no_ngram_crosses_from_one_text_to_the_next() -> None:
    assert values(JensenShannon(), ["a b", "c d"], ["c d", "a b"])["jsd2"] == 0
    assert "jsd3" not in values(JensenShannon(), ["a b", "c d"], ["a b c d"])
    assert values(Distinct(), ["a b", "c d"]) == {"distinct1": 1.0, "distinct2": 1.0}


def test_orders_that_are_not_there() -> None:
    short, long = ["a b", "b"], ["a b a b a b"]
    assert list(values(JensenShannon(), short, long)) == ["jsd1", "jsd2"]
    result = values(MSJaccard(), short, long)
    assert result["ms_jaccard2"] > 0
    assert [result[f"ms_jaccard{n}"] for n in (3, 4, 5)] == [0, 0, 0]
    assert list(values(MSJaccard(), short, short)) == ["ms_jaccard2"]
    # the only long text is left out of some subsets; what has no 4-gram has no part in jsd4
    lines = ["a b c d", "a b c e", "b c d e", "c d e a", *["a"] * 60]
    for metric in (JensenShannon(), MSJaccard(), Distinct(largest=4)):
        for score in metric.measure(material(lines, lines[:9], subsets=40)).values():
            assert np.isfinite(score.replicates).all() and len(score.replicates) == 40
    with pytest.raises(Unavailable, match="one side has none"):
        values(JensenShannon(), ["a"], [""])
    with pytest.raises(Unavailable, match="at least one word; there is none"):
        values(Distinct(), ["", ""])
    with pytest.raises(Unavailable, match="none has as many"):
        values(MSJaccard(), ["a", ""], ["b"])


def test_scores_say_what_they_are() -> None:
    given = material(["a b c d e"] * 9, ["a b c d f"] * 8, subsets=40)
    before = torch.get_rng_state()
    result = JensenShannon().measure(given) | MSJaccard().measure(given) | Distinct().measure(given)
    assert torch.equal(torch.get_rng_state(), before)
    assert [score.signature.rpartition("|")[0] for score in result.values()] == [
        *[f"jsd|n:{n}|refs:8|hyps:9|tok:whitespace" for n in (1, 2, 3, 4)],
        *[f"ms_jaccard|n:{n}|cum|refs:8|hyps:9|tok:whitespace" for n in (2, 3, 4, 5)],
        *[f"distinct|n:{n}|hyps:9|tok:whitespace" for n in (1, 2, 3)],
    ]
    assert [score.better for score in result.values()] == [
        *["lower"] * 4, *["higher"] * 4, *["like real text"] * 3
    ]  # fmt: skip
    again = JensenShannon().measure(given)
    assert (again["jsd2"].replicates == result["jsd2"].replicates).all()
    assert all(score.estimate.low == score.estimate.high for score in again.values())  # all alike


def test_each_number_is_taken_on_its_own_texts() -> None:
    _, (paired, real, alone) = sentences_of(["a b"], ["a a"], ["a a b"])
    row = replace(
        material(["z"], ["z"]), paired_sample=paired, paired_references=real, sample=alone
    )
    assert JensenShannon().measure(row)["jsd1"].estimate.value == pytest.approx(0.3113, abs=1e-4)
    jaccard = MSJaccard().measure(replace(row, paired_references=paired))["ms_jaccard2"]
    assert jaccard.estimate.value == pytest.approx(1)
    assert Distinct().measure(row)["distinct1"].estimate.value == 2 / 3


def zipf(n: int, vocabulary: int, random: np.random.Generator) -> Sentences:
    """Texts of 3 to 12 words, drawn alone with weights 1, 1/2, 1/3, ..."""
    share = 1 / np.arange(1, vocabulary + 1)
    sizes = random.integers(3, 13, size=n)
    words = random.choice(vocabulary, p=share / share.sum(), size=sizes.sum())
    return Sentences(torch.from_numpy(words), torch.from_numpy(sizes))


def test_intervals_are_as_wide_as_numbers_spread_over_sets() -> None:
    """Beside the same real texts, independent sets: how much their numbers differ, and how much
    each set says they do. Of pairs and longer n-grams it is right, of words it says too much where
    nearly all have been seen. Intervals of random halves would be 0.6 to 0.9 as wide."""
    random = np.random.default_rng(0)
    real, given = zipf(150, 1000, random), material([], [])
    result: dict[str, list[float]] = {}
    message: dict[str, list[float]] = {}
    for seed in range(100):
        drawn = zipf(150, 1000, random)
        row = replace(
            given, paired_sample=drawn, sample=drawn, paired_references=real, subsets=8, seed=seed
        )
        scores = JensenShannon(largest=3).measure(row) | Distinct().measure(row)
        for name, score in (scores | MSJaccard(largest=3).measure(row)).items():
            result.setdefault(name, []).append(score.estimate.value)
            message.setdefault(name, []).append(score.replicates.var(ddof=1))
    ratios = {
        name: math.sqrt(np.mean(message[name]) / np.var(result[name], ddof=1)) for name in result
    }
    assert len(ratios) == 8
    for name, ratio in ratios.items():
        assert 0.85 < ratio < (1.3 if name.endswith("1") else 1.15), (name, ratio)


@pytest.mark.shared_data
@pytest.mark.skipif(not COCO.exists(), reason="the captions are not here")
def test_real_captions_are_nearer_to_real_ones_than_what_is_made_of_them() -> None:
    lines = (COCO / "test.txt").read_text().splitlines()
    judged, real = lines[:2000], lines[2000:4000]
    backwards = [" ".join(reversed(line.split())) for line in judged]
    for row in (backwards, ["a man riding a wave on a surfboard ."] * 2000):
        for metric, sign in ((JensenShannon(), 1), (MSJaccard(), -1)):
            good, bad = values(metric, judged, real), values(metric, row, real)
            for name in list(good)[1:]:
                assert sign * (bad[name] - good[name]) > 0.05, name
    assert values(JensenShannon(), judged, real)["jsd4"] > 0.8  # the floor is no floor of zero
