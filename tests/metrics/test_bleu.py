"""BLEU and Self-BLEU as metrics: values, signatures, intervals, published numbers."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from places import SHARED_DATA
from tokenized import joined_words, sentences_of
from torch import Tensor

import textgan
from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.score import Score
from textgan.core.statistics import over_subsets, resampled_ratio
from textgan.data.pre_tokenizer import LineTokens, PreTokenizer
from textgan.data.sentences import Sentences
from textgan.metrics import bleu
from textgan.metrics.base import MetricInputs, Unavailable
from textgan.metrics.bleu import BLEU, SelfBLEU
from textgan.metrics.functional.bleu import LeaveOneOut, References

COCO = SHARED_DATA / "coco"
METHOD = SmoothingFunction().method1
Rows = list[list[str]]


def material(predictions: Rows, references: Rows, **settings: Any) -> MetricInputs:
    lines = joined_words(predictions)
    tokenizer, (known, judged) = sentences_of(joined_words(references), lines)
    tokenizer = replace(tokenizer, pre_tokenizer=PreTokenizer("nltk", unknown=""))
    return MetricInputs(
        tokenizer=tokenizer, predictions=judged, lines=lines, references=known,
        sample=judged, paired_sample=judged, paired_references=known, **settings,
    )  # fmt: skip


def nltk_bleu(references: Any, text: Any, n: int) -> float:
    result: Any = sentence_bleu(references, text, (1 / n,) * n, smoothing_function=METHOD)
    return float(result)


def self_bleu(rows: Rows, n: int) -> float:
    return float(
        np.mean([nltk_bleu(rows[:i] + rows[i + 1 :], row, n) for i, row in enumerate(rows)])
    )


def values(scores: dict[str, Score]) -> list[float]:
    return [score.estimate.value for score in scores.values()]


def some_rows(seed: int, n: int) -> Rows:
    dice = random.Random(seed)
    rows = [dice.choices("abcde", k=dice.randint(0, 9)) for _ in range(n - 3)]
    return [*rows, [], rows[0], ["z"] * 5]


# published by the authors of fast-bleu (arXiv 1904.03971), in its README
FIRST = "It is a guide to action that ensures that the military will forever heed Party commands"
SECOND = (
    "It is the guiding principle which guarantees the military forces always being under the "
    "command of the Party"
)
THIRD = "It is the practical guide for the army always to heed the directions of the party"
GOOD = (
    "It is a guide to action which ensures that the military always obeys the commands of the party"
)
BAD = "he read the book because he was interested in world history"


def test_the_numbers_of_fast_bleu() -> None:
    _, (known, judged) = sentences_of((FIRST, SECOND, THIRD), (GOOD, BAD))
    result = References(known, 3).score(judged)
    alone = LeaveOneOut(known, 3).score()
    pairs = [0.7453559924999299, 0.0191380231127159]
    pairs_alone = [0.25819888974716115, 0.3615507630310936, 0.37080992435478316]
    assert result[:, 1].tolist() == pytest.approx(pairs, abs=1e-15)
    assert alone[:, 1].tolist() == pytest.approx(pairs_alone, abs=1e-15)
    triples = [0.6240726901657495, 0.013720869575946234]
    triples_alone = [0.07808966062765045, 0.20140620205719248, 0.21415334758254043]
    # its weights are in single precision, which has no third
    weights = (float(np.float32(1 / 3)),) * 3
    references = [FIRST.split(), SECOND.split(), THIRD.split()]
    for text, right in zip((GOOD, BAD), triples, strict=True):
        single = sentence_bleu(references, text.split(), weights, METHOD)
        assert single == pytest.approx(right, abs=1e-15)
    assert result[:, 2].tolist() == pytest.approx(triples, rel=2e-7)
    assert alone[:, 2].tolist() == pytest.approx(triples_alone, rel=2e-7)


def test_bleu_is_the_mean_of_nltks_over_all_texts() -> None:
    texts, references = some_rows(0, 40), some_rows(1, 30)
    result = BLEU().measure(material(texts, references))
    assert list(result) == ["bleu2", "bleu3", "bleu4", "bleu5"]
    right = [np.mean([nltk_bleu(references, text, n) for text in texts]) for n in (2, 3, 4, 5)]
    assert values(result) == pytest.approx(right, abs=1e-12)
    # empty texts score 0 and count
    more = BLEU().measure(material([*texts, *[[]] * 40], references))
    assert values(more) == pytest.approx([value / 2 for value in right], abs=1e-12)
    assert "hyps:80" in more["bleu2"].signature


def test_real_texts_are_compared_with_the_other_references() -> None:
    references = some_rows(2, 30)
    own = [3, 29, 0, 27, 12, 28]
    result = BLEU(largest=4).measure(
        material([references[i] for i in own], references, reference_index=torch.tensor(own))
    )
    for n in (2, 3, 4):
        each = [nltk_bleu(references[:i] + references[i + 1 :], references[i], n) for i in own]
        assert result[f"bleu{n}"].estimate.value == pytest.approx(np.mean(each), abs=1e-12)
    assert result["bleu4"].signature == (
        f"bleu|n:4|cum|refs:30|own:out|hyps:6|tok:nltk|smooth:m1|v:{textgan.__version__}"
    )


def test_self_bleu_leaves_each_text_out_of_its_references() -> None:
    texts = some_rows(3, 50)
    result = SelfBLEU().measure(material(texts, [["a"]]))
    assert list(result) == ["self_bleu2", "self_bleu3", "self_bleu4", "self_bleu5"]
    assert values(result) == pytest.approx([self_bleu(texts, n) for n in (2, 3, 4, 5)], abs=1e-12)
    backwards = SelfBLEU().measure(material(texts[::-1], [["a"]]))
    assert values(backwards) == pytest.approx(values(result), abs=1e-12)


def test_limits_of_self_bleu() -> None:
    repeated = SelfBLEU().measure(material([list("abcdef")] * 9, [["a"]]))
    for score in repeated.values():
        assert (score.estimate.value, score.estimate.low, score.estimate.high) == (1, 1, 1)
    different = SelfBLEU().measure(material([[str(i)] * 6 for i in range(9)], [["a"]]))
    for score in different.values():
        assert (score.estimate.value, score.estimate.low, score.estimate.high) == (0, 0, 0)


def test_signatures_say_what_would_change_a_number() -> None:
    inputs = material(some_rows(4, 12), some_rows(5, 10))
    bleu2 = BLEU(largest=2).measure(inputs)
    self3 = SelfBLEU(largest=3).measure(inputs)
    version = textgan.__version__
    assert [score.signature for score in bleu2.values()] == [
        f"bleu|n:2|cum|refs:10|hyps:12|tok:nltk|smooth:m1|v:{version}"
    ]
    assert self3["self_bleu3"].signature == (
        f"self_bleu|n:3|cum|loo|hyps:12|tok:nltk|smooth:m1|v:{version}"
    )
    assert (bleu2["bleu2"].title, bleu2["bleu2"].better) == ("BLEU-2", "higher")
    assert (self3["self_bleu3"].title, self3["self_bleu3"].better) == (
        "Self-BLEU-3",
        "like real text",
    )


def test_the_interval_of_bleu_resamples_texts() -> None:
    texts, references = some_rows(6, 40), some_rows(7, 30)
    result = BLEU().measure(material(texts, references, seed=5, resamplings=200))
    for n in (2, 5):
        each = np.array([nltk_bleu(references, text, n) for text in texts])
        right = resampled_ratio(each, np.ones(len(each)), 200, 5)
        score = result[f"bleu{n}"]
        assert score.replicates == pytest.approx(right, abs=1e-12)
        assert score.estimate.low == pytest.approx(np.quantile(right, 0.025), abs=1e-12)


def test_the_interval_of_self_bleu_compares_within_subsets() -> None:
    texts = some_rows(8, 21)
    result = SelfBLEU().measure(material(texts, [["a"]], seed=3, subsets=6))

    def statistic(some: Tensor) -> list[float]:
        rows = [texts[i] for i in some.tolist()]
        return [self_bleu(rows, n) for n in (2, 3, 4, 5)]

    right = over_subsets(values(result), statistic, 21, 6, 3)
    for score, replicates in zip(result.values(), right.T, strict=True):
        assert score.replicates == pytest.approx(replicates, abs=1e-12)
        assert score.estimate.low is not None and score.estimate.low < score.estimate.value


def test_no_interval_where_none_is_asked_for_or_can_be_had() -> None:
    rows = some_rows(9, 12)
    off = material(rows, rows, subsets=0, resamplings=0)
    few = material(rows[:3], rows)
    for result in (BLEU().measure(off), SelfBLEU().measure(off), SelfBLEU().measure(few)):
        for score in result.values():
            assert score.estimate.low is None and not len(score.replicates)


@pytest.mark.parametrize(
    ("metric", "texts", "references", "own", "message"),
    [
        (BLEU(), 0, 3, None, "needs texts and references, at least 1 and 1; there are 0 and 3"),
        (BLEU(), 3, 0, None, "needs texts and references, at least 1 and 1; there are 3 and 0"),
        (BLEU(), 1, 1, 0, "needs texts and references, at least 1 and 2; there are 1 and 1"),
        (SelfBLEU(), 1, 3, None, "needs at least 2 texts; there are 1"),
        (SelfBLEU(), 0, 3, None, "needs at least 2 texts; there are 0"),
    ],
)
def test_what_is_lacking_is_said(
    metric: BLEU | SelfBLEU, texts: int, references: int, own: int | None, message: str
) -> None:
    settings = {} if own is None else {"reference_index": torch.tensor([own])}
    with pytest.raises(Unavailable) as lack:
        metric.measure(material([["a"]] * texts, [["a"]] * references, **settings))
    assert str(lack.value) == message


@pytest.mark.parametrize("texts", [[[], []], [[], ["a"]], [["a"]], [[]], [["\ud800"], ["a" * 9]]])
def test_odd_texts_give_numbers(texts: Rows) -> None:
    choices: list[Rows] = [[["a", "b"]], [[]], [[], []]]
    for references in choices:
        inputs = material(texts, references)
        result = BLEU().measure(inputs) | (SelfBLEU().measure(inputs) if len(texts) > 1 else {})
        assert all(0 <= value <= 1 for value in values(result))


def test_references_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    def count(sentences: Sentences, order: int) -> References:
        counted.append(order)
        return References(sentences, order)

    monkeypatch.setattr(bleu, "References", count)
    inputs = material(some_rows(10, 12), some_rows(11, 10))
    first, second = BLEU().measure(inputs), BLEU().measure(inputs)
    assert values(first) == values(second) and counted == [5]
    BLEU(largest=3).measure(inputs)
    assert counted == [5, 3]


@pytest.mark.parametrize("metric", [BLEU(), SelfBLEU()])
def test_measuring_is_repeatable_and_draws_nothing(metric: BLEU | SelfBLEU) -> None:
    before, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    rows = some_rows(12, 20)
    first, second = (metric.measure(material(rows, rows[:9], seed=1)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numbers)  # type: ignore[index]
    for name, score in first.items():
        assert score.to_dict() == second[name].to_dict()


def test_settings_are_known_by_name() -> None:
    assert isinstance(registry.build("metric", "bleu", {"largest": 3}), BLEU)
    assert isinstance(registry.build("metric", "self_bleu", {"largest": 3}), SelfBLEU)
    with pytest.raises(UserError, match=r"metric\.largest = 1: "):
        registry.build("metric", "bleu", {"largest": 1})


# real text


@pytest.fixture(scope="module")
def captions() -> Callable[..., list[Sentences]]:
    """The first 2,000 training captions, all test captions, and others, as a tokenizer has
    them."""
    if not COCO.is_dir():
        pytest.skip("the captions are not there")
    lines = [(COCO / f"{name}.txt").read_text("utf-8").splitlines() for name in ("train", "test")]

    def cut(name: LineTokens, *others: list[str]) -> list[Sentences]:
        return sentences_of(lines[0][:2000], lines[1], *others, tokens=name)[1]

    return cut


def to_three(scores: Tensor) -> list[float]:
    """The means of BLEU-2 .. BLEU-5."""
    return [round(value, 3) for value in scores.mean(0).tolist()[1:]]


# references, and what was published of them, split at white space
REAL_ROWS = {
    10_000: [0.704, 0.478, 0.301, 0.195],
    5_000: [0.661, 0.428, 0.258, 0.164],
    1_000: [0.520, 0.297, 0.167, 0.108],
    500: [0.468, 0.253, 0.144, 0.094],
}


@pytest.mark.shared_data
def test_real_captions_have_the_known_bleu(captions: Any) -> None:
    train, test, canned = captions("whitespace", ["a man riding a wave on a surfboard ."])
    assert (len(train), len(test)) == (2_000, 10_000)
    for n, right in REAL_ROWS.items():
        assert to_three(References(test[:n], 5).score(train)) == pytest.approx(right, abs=0.002)
    result = to_three(References(test, 5).score(canned))
    assert result == pytest.approx([0.745, 0.620, 0.446, 0.240], abs=0.002)


@pytest.mark.shared_data
def test_another_tokenizer_has_another_bleu(captions: Any) -> None:
    train, test = captions("nltk")
    result = to_three(References(test, 5).score(train))
    assert result == pytest.approx([0.736, 0.513, 0.329, 0.211], abs=0.001)


@pytest.mark.shared_data
def test_real_captions_have_the_known_self_bleu(captions: Any) -> None:
    _, test = captions("whitespace")
    known = {
        500: [0.679, 0.451, 0.286, 0.189],
        1_000: [0.740, 0.511, 0.334, 0.220],
        10_000: [0.886, 0.745, 0.572, 0.420],
    }
    for n, right in known.items():
        result = LeaveOneOut(test[:n], 5).score()
        assert to_three(result) == pytest.approx(right, abs=0.002)
    rows = test.tolist()
    of_one = nltk_bleu(rows[:123] + rows[124:], rows[123], 4)
    assert float(result[123, 3]) == pytest.approx(of_one, abs=1e-12)
