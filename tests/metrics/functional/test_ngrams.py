"""N-gram divergences against counting, and as a run shows them."""

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toys import TOY, TOY_TEXT, toy_text

import textgan
from textgan.data.sentences import Sentences
from textgan.data.text import Text
from textgan.metrics.functional.ngrams import common_grams, divergence
from textgan.models.oracle import make_oracle, oracle_corpus
from textgan.training.config import make_config
from textgan.training.measure import measure, ngram_divergences
from textgan.training.run import open_run


def ngram_jsds(a: Tensor, b: Tensor, largest: int) -> list[float]:
    """The divergences of the n-grams of texts (A, T) and (B, T) for n = 1 .. largest."""
    sides = (Sentences.padded(Text.full(tokens)) for tokens in (a, b))
    return [divergence(p, q) for p, q in common_grams(*sides, largest)]


def ngram_jsd(a: Tensor, b: Tensor, n: int) -> float:
    return ngram_jsds(a, b, n)[-1]


def counted(a: Tensor, b: Tensor, n: int) -> float:
    """The divergence from the definition, gram by gram."""
    shares = []
    for texts in (a, b):
        grams = [tuple(row[i : i + n]) for row in texts.tolist() for i in range(len(row) - n + 1)]
        shares.append({gram: count / len(grams) for gram, count in Counter(grams).items()})
    p, q = shares
    total = 0.0
    for gram in p.keys() | q.keys():
        middle = (p.get(gram, 0.0) + q.get(gram, 0.0)) / 2
        total += sum(s[gram] * math.log2(s[gram] / middle) / 2 for s in shares if gram in s)
    return total


@given(
    st.integers(1, 4),
    st.integers(2, 6),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(0, 10**6),
)
def test_divergences_are_what_counting_gives(n: int, v: int, a: int, b: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    first, second = (torch.randint(v, (size, 5), generator=random) for size in (a, b))
    result = ngram_jsds(first, second, n)
    assert len(result) == n
    for order, value in enumerate(result, start=1):
        assert abs(value - counted(first, second, order)) < 1e-12
        assert -1e-12 <= value <= 1 + 1e-12
        assert abs(ngram_jsd(second, first, order) - value) < 1e-12


def test_a_divergence_by_hand() -> None:
    one_half, one = torch.tensor([[7, 3]]), torch.tensor([[7, 7]])
    right = 1.5 - 0.75 * math.log2(3)  # H(3/4, 1/4) less half of H(1/2, 1/2)
    assert abs(right - 0.3113) < 1e-4
    assert abs(ngram_jsd(one_half, one, 1) - right) < 1e-15


def test_the_same_texts_are_at_zero_and_those_with_nothing_in_common_at_one() -> None:
    texts = torch.randint(4, (50, 6))
    assert ngram_jsds(texts, texts.flip(0).repeat(3, 1), 6) == [0.0] * 6
    assert ngram_jsds(texts, texts + 4, 6) == pytest.approx([1.0] * 6, abs=1e-12)
    # the same words in the other order have their words in common and nothing else
    forwards = torch.tensor([[0, 1, 2, 3]])
    assert ngram_jsds(forwards, forwards.flip(1), 4) == pytest.approx([0, 1, 1, 1], abs=1e-12)


def test_windows_end_with_their_text() -> None:
    a, b = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 2], [3, 4], [1, 2], [3, 4]])
    assert ngram_jsd(a, b, 2) == 0  # 2, 3 is in none of them, however they are laid out
    c = torch.tensor([[1, 2], [2, 3]])
    assert ngram_jsd(a, c, 2) == pytest.approx(0.5)


def test_many_long_grams_of_a_large_vocabulary_do_not_overflow() -> None:
    a = torch.randint(2**62, (40, 9)) // 2 * 2
    b = torch.cat([a[:20], a[20:] + 1])
    assert ngram_jsds(a, b, 8) == pytest.approx([0.5] * 8, abs=1e-12)


@pytest.mark.parametrize(("a", "b", "n"), [((2, 3), (2, 3), 4), ((0, 3), (0, 3), 1)])
def test_texts_without_such_grams_are_refused(
    a: tuple[int, int], b: tuple[int, int], n: int
) -> None:
    with pytest.raises(ValueError, match=f"no {n}-grams to compare"):
        ngram_jsd(torch.ones(a).long(), torch.ones(b).long(), n)


def test_the_floor_is_measured_on_as_many_texts_as_the_samples() -> None:
    oracle = make_oracle(20, 6, 8, 8, 0)
    corpus = oracle_corpus(oracle, 600, 100, 0, {})
    assert len(corpus.test) == 100
    result, text = measure(oracle, corpus, oracle, samples=300, seed=1, ngrams=3)
    jsd = {key: estimate.value for key, estimate in result.items() if key.startswith("jsd")}
    right = ngram_jsds(text.tokens[:100], corpus.train.tokens, 3)
    assert jsd == {f"jsd{n}": value for n, value in enumerate(right, start=1)}
    # the oracle is as good as real text where both are as many, and fewer texts are further off
    floor = ngram_divergences(corpus.test, corpus, 3)
    fewer = ngram_divergences(corpus.test[:20], corpus, 3)
    for key in ("jsd2", "jsd3"):
        assert abs(jsd[key] / floor[key].value - 1) < 0.25
        assert fewer[key].value > 1.2 * floor[key].value
    assert ngram_divergences(corpus.test, corpus, 99).keys() == {f"jsd{n}" for n in range(1, 7)}
    plain, again = measure(oracle, corpus, oracle, samples=300, seed=1)
    assert not any(key.startswith("jsd") for key in plain)
    assert torch.equal(again.tokens, text.tokens)  # measuring it draws nothing


def test_divergences_stand_in_the_table_beside_those_of_real_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = TOY_TEXT | {"evaluation.ngrams": 2, "schedule.rounds": 0, "data.test": 0.4}
    settings |= {"schedule.discriminator_turns": 0, "evaluation.samples": 10}
    data = toy_text(tmp_path, 200)
    results = textgan.train("seqgan", data=data, out=tmp_path / "run", plot=False, **settings)
    corpus = open_run(tmp_path / "run").corpus
    assert results.samples == 50 < len(corpus.test)
    floor = ngram_divergences(corpus.test[:50], corpus, 2)
    assert results.rows["real, held out"] == floor
    assert floor["jsd2"].signature.startswith(
        f"jsd|n:2|refs:{len(corpus.train)}|hyps:50|tok:word+unknown+padding|"
    )
    # while it trains, samples are fewer, and the floor that is shown is that of as many
    fewer, message = ngram_divergences(corpus.test[:10], corpus, 2), capsys.readouterr().err
    assert f"10 held-out texts from the training text: jsd1 {fewer['jsd1']}, jsd2" in message
    table = str(results)
    assert "JSD-1" in table and "JSD-2" in table and "JSD-3" not in table
    others = list(results.rows.values())[1:]
    assert all({"jsd1", "jsd2", "nll_test"} <= row.keys() for row in others)
    assert others[0]["jsd2"].value > others[-1]["jsd2"].value  # of random tokens
    assert "jsd1" in (tmp_path / "run/metrics.jsonl").read_text()


def test_nothing_is_measured_unless_asked_for(tmp_path: Path) -> None:
    assert make_config("seqgan").evaluation.ngrams == 0
    settings = TOY | {"schedule.rounds": 0, "schedule.discriminator_turns": 0}
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, plot=False, **settings)
    assert list(results.rows)[:2] == ["oracle", "random tokens"]
    assert not any("jsd1" in row for row in results.rows.values())
    assert "JSD" not in str(results)
