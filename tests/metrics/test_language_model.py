import math
from dataclasses import replace

import pytest
import torch
from languages import TINY, TINY_MODEL, material, numbered, spelt, written
from tokenized import sentences_of

from textgan.core import registry
from textgan.core.settings import settings_of
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.language_model import LMScore, ReverseLM, costs_of
from textgan.metrics.networks import costs, read, train_language_model, train_tokenizer

CHAIN = torch.tensor([[0.05, 0.8, 0.05, 0.1], [0.1, 0.1, 0.6, 0.2], [0.5, 0.1, 0.1, 0.3]])
FIRST = torch.tensor([0.7, 0.2, 0.05, 0.05])

TRAIN, REAL, SAMPLES = (written(CHAIN, FIRST, 600, seed) for seed in (0, 1, 2))
BETWEEN = torch.tensor([[0.05, 0.4, 0.35, 0.2], [0.2, 0.2, 0.3, 0.3], [0.3, 0.2, 0.2, 0.3]])
SALAD = written(BETWEEN, FIRST, 600, 3)  # the same words, less orderly
ONE = REAL[torch.zeros(600, dtype=torch.long)]


def number(metric: Metric, row: MetricInputs, name: str) -> float:
    return metric.measure(row)[name].estimate.value


def test_reverse_and_forward_cost_are_the_same_for_texts_of_one_language() -> None:
    row = material(SAMPLES, REAL, TRAIN)
    forward = number(LMScore(**TINY, reads=6000), replace(row, predictions=REAL), "lm_score")
    backward = number(ReverseLM(**TINY, reads=6000), row, "reverse_lm")
    assert forward == pytest.approx(backward, abs=0.03)


def test_disorder_is_dear_both_ways_and_repetition_only_backward() -> None:
    memory: dict[object, object] = {}
    lm, reverse = LMScore(**TINY, reads=3000), ReverseLM(**TINY, reads=3000)
    rows = [material(texts, REAL, TRAIN, memory=memory) for texts in (SAMPLES, SALAD, ONE)]
    good, salad, one = (number(lm, row, "lm_score") for row in rows)
    assert one < good < salad - 0.05
    good, salad, one = (number(reverse, row, "reverse_lm") for row in rows)
    assert good < salad - 0.02
    assert salad < one - 0.3


def test_an_unknown_word_costs_its_share_of_all_unknown_words() -> None:
    taught = numbered([[1, 2, 1], [2, 1]] * 30 + [[3], [4], [5], [6]])
    known = train_tokenizer(spelt(taught), 9, 9)
    assert known[1] == 4
    settings = replace(TINY_MODEL, longest=9, reads=64)
    model = train_language_model(spelt(taught), known, settings)
    sentences = spelt(numbered([[3], [99, 1, 98], [1, 2], []]))
    result = costs_of(model, sentences)
    assert result.unknown.tolist() == [1, 2, 0, 0]
    assert result.tokens.tolist() == [2, 4, 3, 1]
    extra = result.nats - costs(model.network, read(known[0], sentences))
    torch.testing.assert_close(extra, result.unknown * math.log(4))


def test_all_sentences_together_have_probability_one() -> None:
    taught = numbered([[1, 2], [2], [], [1]] * 20 + [[3], [4]])
    known = train_tokenizer(spelt(taught), 9, 3)  # sentences are cut at three tokens
    settings = replace(TINY_MODEL, longest=3, reads=82)
    model = train_language_model(spelt(taught), known, settings)
    words = range(1, 5)
    everything = [[], *([a] for a in words), *([a, b] for a in words for b in words)]
    everything += [[a, b, c] for a in words for b in words for c in words]
    mass = torch.exp(-costs_of(model, spelt(numbered(everything))).nats).sum()
    assert float(mass) == pytest.approx(1, abs=1e-5)


def test_nonsense_of_unknown_words_is_dearer_than_real_text() -> None:
    tokenizer, (train, nonsense, usual) = sentences_of(
        ["a b c", "a c"] * 300 + [f"rare{i}" for i in range(300)],
        ["x y z"] * 60,
        ["a b c", "a c", "unheard"] * 20,
    )
    metric = LMScore(**TINY, reads=3000)
    rows = [material(texts, train, train, tokenizer) for texts in (usual, nonsense)]
    result = [metric.measure(row) for row in rows]
    assert result[1]["lm_score"].estimate.value > result[0]["lm_score"].estimate.value + 2
    assert result[0]["lm_unknown"].estimate.value == 20 / (20 * 9)
    assert result[1]["lm_unknown"].estimate.value == 3 / 4


def test_a_row_is_the_same_whatever_is_judged_beside_it() -> None:
    lines = ["a b", "b a c", "c", "a"] * 20
    result = []
    for known in ([], ["z", "c", "x"]):
        tokenizer, (sentences,) = sentences_of(lines, known=known)
        row = material(sentences, sentences, sentences, tokenizer)
        tiny = {**TINY, "reads": 200}
        result.append([LMScore(**tiny).measure(row), ReverseLM(**tiny).measure(row)])
    for first, second in zip(*result, strict=True):
        assert {k: s.to_dict() for k, s in first.items()} == {
            k: s.to_dict() for k, s in second.items()
        }


def test_scores_carry_all_that_would_change_them() -> None:
    row = material(SAMPLES[:70], REAL[:80], TRAIN[:90], seed=3)
    tiny = {**TINY, "reads": 90}
    forward, backward = LMScore(**tiny).measure(row), ReverseLM(**tiny).measure(row)
    assert list(forward) == ["lm_score", "lm_unknown"]
    assert list(backward) == ["reverse_lm"]
    made = "lstm:8x16|learnt:{}|reads:90|batch:32|lr:0.01|dropout:0.0|words:3|unknown:0|cut:24"
    assert forward["lm_score"].signature.startswith(
        f"lm|hyps:70|tok:whitespace|{made.format(90)}|seed:3|v:"
    )
    assert backward["reverse_lm"].signature.startswith(
        f"reverse_lm|refs:80|tok:whitespace|{made.format(70)}|seed:3|v:"
    )
    for score in (forward["lm_score"], backward["reverse_lm"]):
        estimate = score.estimate
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < estimate.value < estimate.high
        assert len(score.replicates) == 100
        assert (score.better, score.unit) == ("lower", "nats per word")


def test_reverse_models_know_the_words_of_real_text_whatever_they_learn_from() -> None:
    others = numbered([[7, 8, 9, 10]] * 60)
    for row in (material(others, REAL, TRAIN), material(others, REAL)):
        result = ReverseLM(**{**TINY, "reads": 60}).measure(row)["reverse_lm"]
        assert "|words:3|" in result.signature


def test_settings_are_those_of_the_model() -> None:
    for name in ("lm_score", "reverse_lm"):
        metric = registry.build("metric", name, {"hidden": 16})
        assert metric.hidden == 16
        assert metric.trains
        assert {"embedding", "reads", "vocabulary"} <= {
            setting.name for setting in settings_of(type(metric))
        }


def test_too_little_text_is_unavailable() -> None:
    nothing, few = numbered([]), numbered([[1]] * 49)
    with pytest.raises(Unavailable, match="or train=FILE"):
        LMScore().measure(material(REAL, REAL))
    with pytest.raises(Unavailable, match="needs at least one text; there is none"):
        LMScore().measure(material(nothing, REAL, TRAIN))
    with pytest.raises(Unavailable, match=r"needs at least 50 texts .* there are 49"):
        ReverseLM().measure(material(few, REAL))
    with pytest.raises(Unavailable, match="needs at least one real text; there is none"):
        ReverseLM().measure(material(REAL, nothing))


def test_empty_texts_are_judged() -> None:
    empty = numbered([[]] * 60)
    tiny = {**TINY, "reads": 3000}
    assert number(LMScore(**tiny), material(empty, empty, TRAIN), "lm_score") > 0
    result = number(ReverseLM(**tiny), material(empty, empty), "reverse_lm")
    assert result == pytest.approx(0, abs=0.1)  # an end is all there is to expect
    assert math.isfinite(number(ReverseLM(**tiny), material(empty, REAL), "reverse_lm"))
