from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from languages import material, numbered, spelt, written

from textgan.core import registry
from textgan.data.sentences import Sentences, joined
from textgan.metrics.base import MetricInputs, Unavailable
from textgan.metrics.discriminator import DiscriminatorAccuracy, parts, score_texts, shuffled
from textgan.metrics.networks import train_tokenizer
from textgan.models.discriminators.cnn import CNNDiscriminator

CHAIN = torch.tensor([[0.05, 0.8, 0.05, 0.1], [0.1, 0.1, 0.6, 0.2], [0.5, 0.1, 0.1, 0.3]])
FIRST = torch.tensor([0.7, 0.2, 0.05, 0.05])
TINY: dict[str, Any] = {"embedding": 8, "filters": 8, "lr": 1e-2, "reads": 2500, "longest": 24}


def measure(row: MetricInputs, **settings: Any) -> tuple[float, float]:
    result = DiscriminatorAccuracy(**{**TINY, **settings}).measure(row)
    return result["d_accuracy"].estimate.value, result["d_accuracy_shuffled"].estimate.value


@given(st.lists(st.lists(st.integers(0, 9), max_size=7), min_size=1, max_size=8), st.integers(0, 9))
def test_shuffled_sentences_have_the_same_words(sentences: list[list[int]], seed: int) -> None:
    result = shuffled(numbered(sentences), seed)
    assert [sorted(words) for words in result.tolist()] == [sorted(words) for words in sentences]


def test_every_order_of_words_is_as_likely() -> None:
    result = shuffled(numbered([[0, 1, 2]] * 6000), 0).tolist()
    counts = [result.count(order) for order in map(list, ([0, 1, 2], [2, 1, 0], [1, 2, 0]))]
    assert all(abs(count - 1000) < 120 for count in counts)  # four standard deviations


def test_parts_share_nothing_and_copies_stand_in_the_same_part() -> None:
    sentences = numbered([[i] for i in range(130)])
    split = parts(sentences, 100, 0)
    assert [len(part) for part in split] == [60, 20, 20]
    assert len({word for part in split for word in part.words.tolist()}) == 100
    copies = parts(numbered([[1000 + i] for i in range(130)]), 100, 0)
    for part, copy in zip(split, copies, strict=True):
        assert torch.equal(part.words + 1000, copy.words)
    assert not torch.equal(parts(sentences, 100, 1)[2].words, split[2].words)


def test_texts_of_one_language_cannot_be_told_apart() -> None:
    real, texts = written(CHAIN, FIRST, 1000, 0), written(CHAIN, FIRST, 1000, 1)
    result = DiscriminatorAccuracy(**TINY).measure(material(texts, real, resamplings=1000))
    estimate = result["d_accuracy"].estimate
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < 0.5 < estimate.high
    assert 0.08 < estimate.high - estimate.low < 0.12  # 400 judged: 2 * 1.96 * 0.5 / 20


def test_texts_of_other_words_are_known() -> None:
    real = written(CHAIN, FIRST, 200, 0)
    others = Sentences(real.words + 10, real.sizes)
    accuracy, _ = measure(material(others, real))
    # empty sentences are the same in both
    assert accuracy > 0.95


def test_order_is_seen_where_there_is_one() -> None:
    orderly = numbered([[i % 7, (i + 1) % 7, (i + 2) % 7, (i + 3) % 7] for i in range(200)])
    alike, order = measure(material(orderly, orderly))
    assert order > 0.9
    assert alike == 0.5  # of two copies in the same part one is always wrong
    _, disorder = measure(material(orderly, shuffled(orderly, 5)))
    assert disorder < 0.7
    accuracy, same = measure(material(shuffled(orderly, 0), orderly))
    assert accuracy == same == order


def test_unknown_words_alone_give_no_text_away() -> None:
    # every two texts have a word of their own: if those of real text were known wherever they
    # stand, they would tell the sides apart
    real, texts = (numbered([[0, side + i // 2, 1] for i in range(150)]) for side in (100, 1000))
    accuracy, _ = measure(material(texts, real))
    assert accuracy == 0.5


def test_all_the_same_text_is_half_right() -> None:
    for words in ([1, 2, 3], []):
        same = numbered([words] * 100)
        accuracy, _ = measure(material(same, same), reads=240)
        assert accuracy == 0.5


def test_training_is_deterministic_and_disturbs_no_random_numbers() -> None:
    row = material(written(CHAIN, FIRST, 120, 1), written(CHAIN, FIRST, 120, 0))
    before = torch.get_rng_state()
    first = measure(row, reads=240)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(1)
    assert measure(row, reads=240) == first


def test_the_sharpness_of_the_judge_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = written(CHAIN, FIRST, 100, 0)
    memory: dict[object, object] = {}
    trained = 0
    usual = DiscriminatorAccuracy.hits

    def counted(*arguments: Any) -> Any:
        nonlocal trained
        trained += 1
        return usual(*arguments)

    monkeypatch.setattr(DiscriminatorAccuracy, "hits", counted)
    rows = [material(written(CHAIN, FIRST, 100, s), real, memory=memory) for s in (1, 2)]
    first, second = (measure(row, reads=240) for row in rows)
    assert trained == 3
    assert first[1] == second[1]


def test_a_text_is_judged_the_same_alone_and_among_others() -> None:
    texts = joined([written(CHAIN, FIRST, 30, 0), numbered([[], [1], [0] * 40])])
    metric = DiscriminatorAccuracy(**TINY)
    words, device = spelt(texts), torch.device("cpu")
    known, _ = train_tokenizer(words, 9, metric.longest)
    network = CNNDiscriminator(known.space, sizes=[1, 2, 3, 4], counts=[8] * 4, dropout=0)
    together = score_texts(network, metric.text(known, words, device))
    for row in range(len(texts)):
        alone = score_texts(network, metric.text(known, words[row : row + 1], device))
        assert float(together[row]) == pytest.approx(float(alone), abs=1e-5)


def test_scores_carry_all_that_would_change_them() -> None:
    row = material(written(CHAIN, FIRST, 130, 1), written(CHAIN, FIRST, 120, 0), seed=4)
    result = DiscriminatorAccuracy(**{**TINY, "reads": 240}).measure(row)
    assert list(result) == ["d_accuracy", "d_accuracy_shuffled"]
    facts = (
        "cnn:8x1-4|texts:120+120|split:60/20/20|embedding:8|reads:240|batch:64|lr:0.01|dropout:0.5"
        "|words:10000|cut:24|seed:4|tok:whitespace|v:"
    )
    assert result["d_accuracy"].signature.startswith(f"d|{facts}")
    assert result["d_accuracy_shuffled"].signature.startswith(f"d_shuffled|{facts}")
    assert result["d_accuracy"].better == "lower"


def test_settings_are_checked() -> None:
    metric = registry.build("metric", "discriminator", {"filters": 16, "widest": 2})
    assert isinstance(metric, DiscriminatorAccuracy)
    assert (metric.filters, metric.widest) == (16, 2)


def test_too_few_texts_are_unavailable() -> None:
    many, few = numbered([[1]] * 100), numbered([[1]] * 99)
    message = "needs at least 100 texts on each side; there are {} and {} real ones"
    with pytest.raises(Unavailable, match=message.format(99, 100)):
        measure(material(few, many))
    with pytest.raises(Unavailable, match=message.format(100, 99)):
        measure(material(many, few))


ODD = {
    "two words": numbered([[0, 1], [1, 0, 0]] * 50),
    "one word each, all different": numbered([[i] for i in range(100)]),
    "one very long": numbered([[1] * 20_000, *([[1, 2]] * 99)]),
    "half empty": numbered([[], [1, 2, 3, 4]] * 50),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_odd_texts_are_judged(odd: Sentences) -> None:
    usual = written(CHAIN, FIRST, 100, 0)
    for row in (material(odd, usual), material(usual, odd), material(odd, odd)):
        assert all(0 <= value <= 1 for value in measure(replace(row, resamplings=0), reads=240))
