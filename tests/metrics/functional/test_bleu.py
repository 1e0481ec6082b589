"""BLEU against nltk's, text by text, and leaving one out against brute force."""

import math
import random
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from torch import Tensor
from worlds import WORLDS, enumerate_texts, same

from textgan.data.sentences import Sentences
from textgan.data.text import TextSpace
from textgan.metrics.functional.bleu import LeaveOneOut, References

Words = list[int]
worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
METHOD = SmoothingFunction().method1


def sentences_of(rows: list[Words]) -> Sentences:
    words = torch.tensor([word for row in rows for word in row], dtype=torch.long)
    return Sentences(words, torch.tensor([len(row) for row in rows], dtype=torch.long))


def nltk_bleu(references: list[Words], texts: list[Words], order: int) -> Tensor:
    """nltk's BLEU-1 .. BLEU-order of each text, (B, order)."""
    weights = [(1 / n,) * n for n in range(1, order + 1)]
    scores: list[Any] = [
        sentence_bleu(references, words, weights, smoothing_function=METHOD) for words in texts
    ]
    return torch.tensor(scores, dtype=torch.float64).view(len(texts), order)


def others(rows: list[Words], index: int) -> list[Words]:
    return rows[:index] + rows[index + 1 :]


def brute_force(rows: list[Words], own: list[int], order: int) -> Tensor:
    """nltk's BLEU of some of the references against all the others."""
    return torch.cat([nltk_bleu(others(rows, i), [rows[i]], order) for i in own])


def assert_close(result: Tensor, right: Tensor, *message: object) -> None:
    assert result.dtype == torch.float64 and result.shape == right.shape
    assert torch.allclose(result, right, rtol=0, atol=1e-12), (*message, result - right)


def agrees(references: list[Words], texts: list[Words], order: int) -> int:
    """How many texts were compared."""
    result = References(sentences_of(references), order).score(sentences_of(texts))
    assert_close(result, nltk_bleu(references, texts, order), references, texts)
    return len(texts)


def some_sentences(dice: random.Random, n: int, longest: int, words: int) -> list[Words]:
    return [dice.choices(range(words), k=dice.randint(0, longest)) for _ in range(n)]


def test_random_texts_have_the_scores_of_nltk() -> None:
    dice, cases = random.Random(0), 0
    for _ in range(130):
        longest, words = dice.randint(1, 9), dice.choice([1, 2, 5, 30])
        references = some_sentences(dice, dice.randint(1, 6), longest, words)
        texts = [[], *some_sentences(dice, 5, longest, words)]
        texts += [dice.choices(range(40), k=longest)]  # partly of words that no reference has
        texts += [dice.choices(range(90, 99), k=longest)]  # none that any has
        texts += [dice.choice(references), [0] * longest]
        cases += agrees(references, texts, 5)
    assert cases == 1300


sentences = st.lists(st.integers(0, 4), max_size=8)


@given(
    st.lists(sentences, min_size=1, max_size=5),
    st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=4),
    st.integers(2, 6),
)
def test_found_texts_have_the_scores_of_nltk(
    references: list[Words], texts: list[Words], order: int
) -> None:
    agrees(references, texts, order)


def test_by_hand() -> None:
    # 2 of 3 words and 1 of 2 pairs, three words against four
    known = References(sentences_of([[2, 3, 4, 5]]), 2)
    brief = math.exp(1 - 4 / 3)
    right = torch.tensor([[2 / 3 * brief, (2 / 3 * 1 / 2) ** 0.5 * brief]], dtype=torch.float64)
    assert torch.allclose(known.score(sentences_of([[2, 3, 9]])), right, rtol=0, atol=1e-15)


def test_of_two_lengths_equally_close_the_shorter_counts() -> None:
    references = [[2, 3, 4], [2, 3, 4, 5, 6, 7, 8]]
    five = [2, 3, 4, 5, 6]
    for few in (references, references[::-1]):
        known = References(sentences_of(few), 4)
        # no penalty: three is not longer
        assert (known.score(sentences_of([five])) == 1).all()
        agrees(few, [five, five[:4], five[:2], five[:1], five * 2], 4)


def test_the_clip_is_the_largest_count_in_any_one_reference() -> None:
    references = [[2, 2, 3], [2, 4, 4], [2, 2, 2, 2, 5]]
    texts = [[2, 2, 2, 2, 2, 2], [4, 4, 4], [3, 3], [2, 4, 2, 4]]
    agrees(references, texts, 4)
    result = References(sentences_of(references), 1).score(sentences_of(texts)).squeeze(1)
    assert result.tolist() == pytest.approx([4 / 6, 2 / 3, math.exp(1 - 3 / 2) / 2, 1])


def test_texts_of_nothing_score_nothing() -> None:
    known = References(sentences_of([[], [2, 3, 4]]), 3)
    assert (known.score(sentences_of([[], [8, 8, 8], [9]])) == 0).all()
    assert known.score(sentences_of([])).shape == (0, 3)
    nothing = References(sentences_of([[], []]), 3)
    assert (nothing.score(sentences_of([[], [8, 8, 8]])) == 0).all()
    agrees([[], [], [1]], [[], [1], [1, 1]], 3)


def test_unknown_words_are_no_known_ngrams() -> None:
    # an n-gram is a number and a word: no unknown word may look like another n-gram
    references = [[2, 3], [3, 2], [0, 4], [4, 0], [4, 4, 4]]
    large = (25, 10**12, 2**63 - 1)
    texts = [[a, b, c] for a in range(7) for b in (0, 2, 4, 5, *large) for c in (0, 3, 4, 6)]
    agrees(references, texts, 3)
    agrees([[9, 0, 0, 1]], [[8, 0, 0, 1], [9, 8, 0, 1], [9, 9, 0, 0]], 4)


def test_no_vocabulary_or_order_is_too_large() -> None:
    words = torch.randint(2**62, (6, 20)).tolist()
    mixed = [a[:10] + b[:10] for a, b in pairwise(words)]
    agrees(words, words + mixed, 9)


@worlds
def test_more_references_never_lower_a_score(space: TextSpace) -> None:
    texts = enumerate_texts(space)
    longest = texts[texts.lengths == space.length]  # two words and an end, or three words
    known, judged = (Sentences.of(text, space.eos) for text in (longest, texts))
    scores = [References(known[:n], 3).score(judged) for n in range(1, len(longest) + 1)]
    for fewer, more in pairwise(scores):
        assert (more >= fewer - 1e-15).all()
    assert (scores[0].sum(0) < 0.8 * scores[-1].sum(0)).all()


lines_of_five = st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=2)


@given(lines_of_five, st.lists(sentences, min_size=1), st.integers(1, 9))
def test_more_references_as_long_never_lower_a_score(
    references: list[Words], texts: list[Words], fewer: int
) -> None:
    known, judged = sentences_of(references), sentences_of(texts)
    assert (
        References(known, 4).score(judged) >= References(known[:fewer], 4).score(judged) - 1e-15
    ).all()


def test_a_reference_of_another_length_may_lower_a_score() -> None:
    # six words are closer to five than three are, and five are brief beside six: nltk's too
    text, few, more = [[2, 3, 4, 5, 6]], [[2, 3, 4]], [[2, 3, 4], [9, 9, 9, 9, 9, 9]]
    scores = [
        References(sentences_of(known), 2).score(sentences_of(text))[0, 1].item()
        for known in (few, more)
    ]
    assert scores[1] == pytest.approx(math.exp(-1 / 5) * scores[0])
    agrees(more, text, 2)


@worlds
def test_every_text_of_a_space(space: TextSpace) -> None:
    texts = enumerate_texts(space)
    known, judged = (Sentences.of(text, space.eos) for text in (texts[2::3], texts))
    result = References(known, 3).score(judged)
    assert same(result, nltk_bleu(known.tolist(), judged.tolist(), 3))


def test_what_is_scored_beside_a_text_changes_nothing() -> None:
    dice = random.Random(1)
    known = References(sentences_of(some_sentences(dice, 50, 9, 6)), 4)
    texts = sentences_of(some_sentences(dice, 300, 9, 8))
    result = known.score(texts)
    for index in (0, 17, 299):
        assert same(result[index : index + 1], known.score(texts[index : index + 1]))
    some = torch.randperm(300)[:50].repeat(2)
    assert same(result[some], known.score(texts[some]))


def test_order_and_repetition_of_references_change_nothing() -> None:
    dice = random.Random(2)
    references, texts = some_sentences(dice, 30, 9, 6), some_sentences(dice, 40, 9, 8)
    right = References(sentences_of(references), 4).score(sentences_of(texts))
    dice.shuffle(references)
    assert same(References(sentences_of(references * 2), 4).score(sentences_of(texts)), right)


def test_a_very_long_text_costs_no_square() -> None:
    n = 100_000  # the square of which is more than any memory holds
    line = torch.randint(50, (n,))
    rows = Sentences(torch.cat([line, line[:40], line[:40]]), torch.tensor([n, 40, 40]))
    assert (References(rows, 4).score(rows) == 1).all()
    assert (LeaveOneOut(rows, 4).score()[1:] == 1).all()


# leaving one out


def with_corner_cases(dice: random.Random, n: int) -> list[Words]:
    """n sentences with duplicates, empty ones, and lengths and n-grams that only one has."""
    rows = some_sentences(dice, n - 8, 9, 5)
    rows += [rows[0], rows[1], rows[1], [], [], [7] * 12, [7] * 3, dice.choices(range(5), k=20)]
    dice.shuffle(rows)
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_leaving_one_out_is_brute_force(seed: int) -> None:
    rows = with_corner_cases(random.Random(seed), 50)
    right = brute_force(rows, list(range(50)), 5)
    assert_close(LeaveOneOut(sentences_of(rows), 5).score(), right)
    known = References(sentences_of(rows), 5)
    assert_close(known.score(sentences_of(rows), torch.arange(50)), right)


@given(st.lists(sentences, min_size=2, max_size=7), st.integers(2, 5))
def test_leaving_one_out_of_found_sentences(rows: list[Words], order: int) -> None:
    right = brute_force(rows, list(range(len(rows))), order)
    assert_close(LeaveOneOut(sentences_of(rows), order).score(), right, rows)


@given(st.lists(sentences, min_size=2, max_size=7), st.data())
def test_texts_among_the_references_leave_out_themselves(
    rows: list[Words], data: st.DataObject
) -> None:
    own = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=5))
    known, index = References(sentences_of(rows), 4), torch.tensor(own)
    result = known.score(sentences_of([rows[i] for i in own]), index)
    assert_close(result, brute_force(rows, own, 4), rows, own)


def test_a_subset_is_as_if_it_were_alone() -> None:
    rows = sentences_of(with_corner_cases(random.Random(4), 60))
    counted = LeaveOneOut(rows, 4)
    for n in (2, 3, 30, 60):
        some = torch.randperm(60)[:n]
        assert same(counted.score(some), LeaveOneOut(rows[some], 4).score())


def test_order_of_sentences_does_not_matter() -> None:
    rows = sentences_of(with_corner_cases(random.Random(5), 40))
    order = torch.randperm(40)
    result = LeaveOneOut(rows, 5).score()
    assert same(LeaveOneOut(rows[order], 5).score(), result[order])


def test_sentences_that_are_all_the_same_or_have_nothing_in_common() -> None:
    same_ones = sentences_of([[3, 1, 4, 1, 5]] * 7)
    assert (LeaveOneOut(same_ones, 5).score() == 1).all()
    different = sentences_of([[3 * i, 3 * i + 1, 3 * i + 2] for i in range(7)])
    assert (LeaveOneOut(different, 5).score() == 0).all()


def test_what_cannot_be_compared_is_refused() -> None:
    one = sentences_of([[1, 2]])
    with pytest.raises(ValueError, match="no references"):
        References(sentences_of([]), 2)
    with pytest.raises(ValueError, match="no other references"):
        References(one, 2).score(one, torch.tensor([0]))
    with pytest.raises(ValueError, match="no other sentences"):
        LeaveOneOut(one, 2).score()
    with pytest.raises(ValueError, match="no other sentences"):
        LeaveOneOut(sentences_of([[1], [2]]), 2).score(torch.tensor([1]))
