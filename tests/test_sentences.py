"""Sentences of any length against lists of lists."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from worlds import WORLDS, enumerate_texts

from textgan.data.sentences import Sentences, Words, joined
from textgan.data.text import Text, TextSpace

Rows = list[list[str]]
rows_of_words = st.lists(st.lists(st.text(max_size=2), max_size=4), max_size=6)


def encoded(rows: Rows) -> tuple[Words, Sentences]:
    words = Words()
    return words, words.encode(rows)


@given(rows_of_words, rows_of_words)
def test_what_is_encoded_is_decoded(first: Rows, second: Rows) -> None:
    words = Words()
    a, b = words.encode(first), words.encode(second)
    assert words.decode(a) == first and words.decode(b) == second
    assert words.decode(joined([a, b, a])) == first + second + first
    assert (len(a), len(b)) == (len(first), len(second))
    spelt = {word for row in first + second for word in row}
    assert len(words) == len(spelt)  # one number a word
    for part in (a, b):
        assert part.words.dtype == part.sizes.dtype == torch.long
        assert part.words.shape == (sum(map(len, part.tolist())),)


@given(rows_of_words.filter(bool), st.data())
def test_any_choice_of_sentences(rows: Rows, data: st.DataObject) -> None:
    words, sentences = encoded(rows)
    index = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    chosen = sentences[torch.tensor(index, dtype=torch.long)]
    assert words.decode(chosen) == [rows[i] for i in index]
    start, stop = data.draw(st.tuples(st.integers(-3, 7), st.integers(-3, 7)))
    assert words.decode(sentences[start:stop]) == rows[start:stop]
    assert words.decode(sentences[sentences.sizes > 1]) == [row for row in rows if len(row) > 1]


def test_rows_and_starts() -> None:
    _, sentences = encoded([["a", "b"], [], ["c"], ["d", "e", "f"], []])
    assert sentences.rows.tolist() == [0, 0, 2, 3, 3, 3]
    assert sentences.starts.tolist() == [0, 2, 2, 3, 6]
    assert sentences.words.tolist() == [0, 1, 2, 3, 4, 5]


def test_equal_digests_are_equal_sentences() -> None:
    different: list[Rows] = [
        [], [[]], [[], []], [["a"]], [["b"]], [["a"], []], [[], ["a"]], [["a", "b"]],
        [["a"], ["b"]], [["b"], ["a"]],
    ]  # fmt: skip
    words = Words()
    words.encode([["a", "b"]])
    assert len({words.encode(rows).digest() for rows in different}) == len(different)
    assert words.encode([["b"], ["a"]]).digest() == words.encode([["b"], ["a"]]).digest()


@pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
def test_a_text_without_padding_and_end(space: TextSpace) -> None:
    texts = enumerate_texts(space)
    right = [
        [token for token in row[:size] if token != space.eos]
        for row, size in zip(texts.tokens.tolist(), texts.sizes.tolist(), strict=True)
    ]
    assert Sentences.of(texts, space.eos).tolist() == right
    assert Sentences.of(texts.padded(9), space.eos).tolist() == right


def test_only_the_end_of_a_text_is_no_word() -> None:
    tokens = torch.tensor([[1, 5, 1], [5, 1, 0], [5, 6, 1], [5, 6, 7], [1, 0, 0], [0, 0, 0]])
    text = Text(tokens, torch.tensor([3, 2, 3, 3, 1, 0]))
    assert Sentences.of(text, 1).tolist() == [[1, 5], [5], [5, 6], [5, 6, 7], [], []]
    assert Sentences.of(text, None).tolist() == [[1, 5, 1], [5, 1], [5, 6, 1], [5, 6, 7], [1], []]


def test_texts_of_no_width_and_no_texts() -> None:
    flat = Text(torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 0]))
    for eos in (None, 1):
        assert Sentences.of(flat, eos).tolist() == [[], []]
        assert Sentences.of(flat[:0], eos).tolist() == []
