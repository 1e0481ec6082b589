"""The nearest sentence, against comparing with every one."""

import time
from collections import Counter

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from tokenized import joined_words, sentences_of

from textgan.data.sentences import Sentences
from textgan.metrics.functional.nearest import longest_common, nearest, places

Row = list[str]
rows = st.lists(st.lists(st.sampled_from("abc"), max_size=6), min_size=1, max_size=8)


def found(texts: list[Row], among: list[Row]) -> list[tuple[int, float]]:
    _, (first, second) = sentences_of(joined_words(texts), joined_words(among))
    index, share = nearest(first, second)
    assert index.dtype == torch.long and share.dtype == torch.float64
    return list(zip(index.tolist(), share.tolist(), strict=True))


def similarity(a: Row, b: Row) -> float:
    """From the definition."""
    sides = []
    for row in (a, b):
        grams = Counter(tuple(row[i : i + n]) for n in (1, 2, 3) for i in range(len(row) - n + 1))
        sides.append(grams + Counter({("the text itself", *row): 1}))
    return 2 * (sides[0] & sides[1]).total() / (sides[0].total() + sides[1].total())


@given(rows, rows)
@example([[]], [["a"], []])
@example([[], ["a"]], [["b"]])
def test_it_is_the_first_of_the_most_similar(texts: list[Row], among: list[Row]) -> None:
    for text, (index, share) in zip(texts, found(texts, among), strict=True):
        all_of_them = [similarity(text, other) for other in among]
        assert share == max(all_of_them)
        assert index == all_of_them.index(share)
        assert (share == 1) == (text in among)


@given(rows, rows)
def test_where_copies_stand(texts: list[Row], among: list[Row]) -> None:
    _, (first, second) = sentences_of(joined_words(texts), joined_words(among))
    right = [among.index(text) if text in among else -1 for text in texts]
    assert places(first, second).tolist() == right


def test_the_same_ngrams_in_another_order_are_no_copy() -> None:
    one, other = ["x", "y", "a", "x", "y", "b", "x", "y"], ["x", "y", "b", "x", "y", "a", "x", "y"]
    for n in (1, 2, 3):
        cut = [Counter(tuple(row[i : i + n]) for i in range(9 - n)) for row in (one, other)]
        assert cut[0] == cut[1]
    assert found([one], [other, one]) == [(1, 1.0)]
    assert found([one], [other]) == [(0, 21 / 22)]


def test_by_hand() -> None:
    # a b c against a b d: 2 words and 1 pair in common; 3 + 2 + 1 + 1 of each
    assert found([["a", "b", "c"]], [["a", "b", "d"]]) == [(0, 2 * 3 / 14)]
    # as often as it stands: a a against a: 1 word in common; 2 + 1 + 1 and 1 + 1
    assert found([["a", "a"]], [["a"]]) == [(0, 2 * 1 / 6)]
    assert found([["z"]], [["a"], ["b"]]) == [(0, 0.0)]  # as far from both
    assert found([], [["a"]]) == []
    with pytest.raises(ValueError, match="no sentences to be near to"):
        found([["a"]], [])


def test_many_sentences_take_seconds() -> None:
    random = torch.Generator().manual_seed(0)
    sizes = torch.randint(5, 20, (20_000,), generator=random)
    weights = 1 / torch.arange(1.0, 5001)
    words = weights.multinomial(int(sizes.sum()), replacement=True, generator=random)
    among = Sentences(words, sizes)
    texts = among[torch.arange(0, 20_000, 400)]
    start = time.perf_counter()
    index, share = nearest(texts, among)
    assert (share == 1).all() and (index <= torch.arange(0, 20_000, 400)).all()
    cut = Sentences(texts.words + 1, texts.sizes)  # other words, few copies
    assert (nearest(cut, among)[1] < 1).sum() > 40
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("a", "b", "right"),
    [
        ("a man on a horse", "a man on a horse", [(0, 5)]),
        ("a man on a horse", "the man on the horse", [(1, 3)]),
        ("a man on a horse", "on a beach a man", [(0, 2), (2, 4)]),
        ("x y z w", "x y q z w", [(0, 2), (2, 4)]),  # two runs, side by side
        ("a b", "b a", []),
        ("a", "a", []),
        ("", "a b", []),
        ("a b", "", []),
        ("a a a", "a a", [(0, 3)]),
    ],
)
def test_common_stretches(a: str, b: str, right: list[tuple[int, int]]) -> None:
    assert longest_common(a.split(), b.split()) == right


@given(rows.map(lambda found: found[0]), rows.map(lambda found: found[-1]))
def test_a_word_is_marked_where_it_stands_in_both_with_a_neighbour(a: Row, b: Row) -> None:
    pairs = {(b[i], b[i + 1]) for i in range(len(b) - 1)}
    both = [i for i in range(len(a) - 1) if (a[i], a[i + 1]) in pairs]
    blocks = longest_common(a, b)
    marked = {i for start, stop in blocks for i in range(start, stop)}
    assert marked == {i for place in both for i in (place, place + 1)}
    assert sum(stop - start for start, stop in blocks) == len(marked)  # none twice
    assert all(stop - start > 1 for start, stop in blocks)
