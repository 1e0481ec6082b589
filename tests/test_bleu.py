"""BLEU against nltk's, text by text."""

import math
import random
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from worlds import WORLDS, enumerate_texts, same

from textgan.bleu import References
from textgan.text import Text, TextSpace

Words = list[int]
worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
EOS = 1
METHOD = SmoothingFunction().method1


def batch_of(sentences: list[Words], eos: int | None, width: int) -> Text:
    """Sentences of words; with an eos every one that leaves room for it ends with it."""
    rows = [[*words, eos][:width] if eos is not None else words for words in sentences]
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    for row, words in enumerate(rows):
        tokens[row, : len(words)] = torch.tensor(words, dtype=torch.long)
    return Text(tokens, torch.tensor([len(words) for words in rows]))


def nltk_bleu(references: list[Words], words: Words, order: int) -> float:
    weights = (1 / order,) * order
    found: Any = sentence_bleu(references, words, weights, smoothing_function=METHOD)
    return float(found)


def agrees(
    references: list[Words], texts: list[Words], eos: int | None, order: int, width: int
) -> int:
    """How many texts were compared."""
    known = References(batch_of(references, eos, width), eos, order)
    found = known.score(batch_of(texts, eos, width))
    scores = [nltk_bleu(references, words, order) for words in texts]
    right = torch.tensor(scores, dtype=torch.float64)
    assert found.dtype == torch.float64
    assert torch.allclose(found, right, rtol=0, atol=1e-12), (references, texts, found - right)
    return len(texts)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("eos", [None, EOS])
def test_random_texts_have_the_score_of_nltk(order: int, eos: int | None) -> None:
    dice, cases = random.Random(order), 0
    for _ in range(25):
        width, words = dice.randint(1, 9), dice.choice([1, 2, 5, 30])
        few = range(2, 2 + words)

        def sentence(wide: int = width, few: range = few) -> Words:
            return dice.choices(few, k=dice.randint(1, wide))

        references = [sentence() for _ in range(dice.randint(1, 6))]
        texts = [sentence() for _ in range(5)]
        texts += [dice.choices(range(2, 40), k=width)]  # partly of words that no reference has
        texts += [dice.choices(range(90, 99), k=width)]  # none that any has
        texts += [dice.choice(references), [few[0]] * width, sentence()[:1]]
        cases += agrees(references, texts, eos, order, width)
    assert cases == 250  # times ten parameters


sentences = st.lists(st.integers(2, 6), min_size=1, max_size=7)


@given(
    st.lists(sentences, min_size=1, max_size=5),
    st.lists(st.lists(st.integers(2, 9), min_size=1, max_size=7), min_size=1, max_size=4),
    st.integers(1, 4),
    st.sampled_from([None, EOS]),
)
def test_found_texts_have_the_score_of_nltk(
    references: list[Words], texts: list[Words], order: int, eos: int | None
) -> None:
    agrees(references, texts, eos, order, 7)


def test_by_hand() -> None:
    # 2 of 3 words and 1 of 2 pairs, three words against four
    references = [[2, 3, 4, 5]]
    found = References(batch_of(references, None, 4), None, 2).score(batch_of([[2, 3, 9]], None, 4))
    right = (2 / 3 * 1 / 2) ** 0.5 * math.exp(1 - 4 / 3)
    assert found.item() == pytest.approx(right, abs=1e-15)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_of_two_lengths_equally_close_the_shorter_counts(order: int) -> None:
    references = [[2, 3, 4], [2, 3, 4, 5, 6, 7, 8]]
    five = [2, 3, 4, 5, 6]
    for few in (references, references[::-1]):
        known = References(batch_of(few, None, 7), None, order)
        assert known.score(batch_of([five], None, 7)) == 1.0  # no penalty: three is not longer
        agrees(few, [five, five[:2], five[:1]], None, order, 7)


def test_the_clip_is_the_largest_count_in_any_one_reference() -> None:
    references = [[2, 2, 3], [2, 4, 4], [2, 2, 2, 2, 5]]
    texts = [[2, 2, 2, 2, 2, 2], [4, 4, 4], [3, 3], [2, 4, 2, 4]]
    for order in (1, 2, 3, 4):
        agrees(references, texts, None, order, 6)


def test_the_end_of_a_text_is_no_word() -> None:
    references = batch_of([[2, 3, 4]], EOS, 5)
    known = References(references, EOS, 2)
    cut, ended = batch_of([[2, 3, 4]], None, 5), batch_of([[2, 3, 4]], EOS, 5)
    assert ended.sizes == cut.sizes + 1
    assert same(known.score(cut), known.score(ended))
    assert known.score(ended) == 1.0
    # a text of the end alone, and one of nothing that is known
    nothing = batch_of([[]], EOS, 5)
    assert nothing.sizes == 1
    assert known.score(nothing) == 0
    assert nltk_bleu([[2, 3, 4]], [], 2) == 0
    assert known.score(batch_of([[8, 8, 8]], EOS, 5)) == 0


def test_unknown_words_are_no_known_ngrams() -> None:
    # codes are digits to a base: a word beyond the base must not look like another n-gram
    references = [[2, 3], [3, 2], [0, 4], [4, 0], [4, 4, 4]]
    texts = [[a, b] for a in range(0, 30) for b in (0, 2, 3, 4, 5, 6, 7, 25, 10**12)]
    for order in (1, 2):
        agrees(references, texts, None, order, 3)


@worlds
@pytest.mark.parametrize("order", [1, 2, 3])
def test_more_references_never_lower_a_score(space: TextSpace, order: int) -> None:
    texts = enumerate_texts(space)
    longest = texts[texts.sizes == space.length]  # two words and an end, or three words
    scores = [
        References(longest[:n], space.eos, order).score(texts) for n in range(1, len(longest) + 1)
    ]
    for fewer, more in pairwise(scores):
        assert (more >= fewer - 1e-15).all()
    assert scores[0].sum() < 0.8 * scores[-1].sum()
    whole = texts.tokens[:, order - 1] != (space.eos or -1)  # texts of that many words
    whole &= texts.sizes == space.length
    assert (scores[-1][whole] > 1 - 1e-12).all()


def test_a_reference_of_another_length_may_lower_a_score() -> None:
    # six words are closer to five than three are, and five are brief beside six: nltk's too
    text, few, more = [[2, 3, 4, 5, 6]], [[2, 3, 4]], [[2, 3, 4], [9, 9, 9, 9, 9, 9]]
    scores = [
        References(batch_of(known, None, 6), None, 2).score(batch_of(text, None, 6)).item()
        for known in (few, more)
    ]
    assert scores[1] == pytest.approx(math.exp(-1 / 5) * scores[0])
    agrees(more, text, None, 2, 6)


@worlds
def test_every_text_of_a_space(space: TextSpace) -> None:
    texts = enumerate_texts(space)

    def words(text: Text) -> list[Words]:
        return [
            [token for token in row[:size] if token != space.eos]
            for row, size in zip(text.tokens.tolist(), text.sizes.tolist(), strict=True)
        ]

    train = texts[2::3]
    for order in (1, 2, 3):
        found = References(train, space.eos, order).score(texts)
        right = [nltk_bleu(words(train), text, order) if text else 0.0 for text in words(texts)]
        assert same(found, torch.tensor(right, dtype=torch.float64))


def test_batches_of_any_size() -> None:
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(2, 9, (9000, 6), generator=random)
    known = References(Text.full(tokens[:50]), None, 3)
    text = Text.full(tokens)
    found = known.score(text)
    assert found.shape == (9000,)
    for index in (0, 4095, 4096, 8191, 8192, 8999):
        assert same(found[index : index + 1], known.score(text[slice(index, index + 1)]))
    assert (found[:50] == 1).all()


def test_padding_changes_no_score() -> None:
    references, texts = batch_of([[2, 3, 4], [2, 2]], EOS, 4), batch_of([[2, 3], [4, 4]], EOS, 4)
    plain = References(references, EOS, 3).score(texts)
    assert same(References(references.padded(9), EOS, 3).score(texts.padded(7)), plain)


def test_codes_that_would_overflow_are_refused() -> None:
    huge = Text.full(torch.tensor([[2**20, 3, 4, 5]]))
    assert References(huge, None, 3).score(huge) == 1.0
    with pytest.raises(ValueError, match="bleu of order 4 needs codes of more than 63 bits"):
        References(huge, None, 4)
