"""Sentences of any length against lists of lists."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenized import joined_words, sentences_of
from worlds import WORLDS, enumerate_texts

from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.sentences import Sentences, encode_all, joined
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import WordTokenizer

Rows = list[list[str]]
words_of_a_text = st.text(max_size=2).filter(lambda word: word.split() == [word])
rows_of_words = st.lists(st.lists(words_of_a_text, max_size=4), max_size=6)


def encoded(rows: Rows) -> tuple[WordTokenizer, Sentences]:
    tokenizer, (sentences,) = sentences_of(joined_words(rows))
    return tokenizer, sentences


def words_of(tokenizer: WordTokenizer, sentences: Sentences) -> Rows:
    return [tokenizer.convert_ids_to_tokens(ids) for ids in sentences.tolist()]


@given(rows_of_words, rows_of_words)
def test_what_is_encoded_is_decoded(first: Rows, second: Rows) -> None:
    tokenizer, (a, b) = sentences_of(joined_words(first), joined_words(second))
    assert words_of(tokenizer, a) == first and words_of(tokenizer, b) == second
    assert words_of(tokenizer, joined([a, b, a])) == first + second + first
    assert (len(a), len(b)) == (len(first), len(second))
    spelt = dict.fromkeys(word for row in first + second for word in row)
    assert tokenizer.words == tuple(spelt)  # one id a word, in the order in which they are met
    for part, rows in ((a, first), (b, second)):
        assert part.words.dtype == part.sizes.dtype == torch.long
        assert part.words.shape == (sum(map(len, part.tolist())),)
        assert tokenizer.encode(joined_words(rows)) == part.tolist()


@pytest.mark.parametrize("unknown", ["", "<unk>"])
def test_words_are_added_to_those_that_are_known(unknown: str) -> None:
    known = WordTokenizer(("a", "b"), PreTokenizer(unknown=unknown))
    tokenizer, (first, second) = encode_all(known, [["c a <unk>"], ["d c b"]])
    new = ["c", "<unk>", "d"] if not unknown else ["c", "d"]
    assert tokenizer.words == ("a", "b", *new)
    assert tokenizer.encode(["c a <unk>", "d c b"]) == [*first.tolist(), *second.tolist()]
    assert tokenizer.encode(["a b"]) == known.encode(["a b"])
    assert encode_all(known, []) == (known, [])


@given(rows_of_words.filter(bool), st.data())
def test_any_choice_of_sentences(rows: Rows, data: st.DataObject) -> None:
    tokenizer, sentences = encoded(rows)
    index = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    chosen = sentences[torch.tensor(index, dtype=torch.long)]
    assert words_of(tokenizer, chosen) == [rows[i] for i in index]
    start, stop = data.draw(st.tuples(st.integers(-3, 7), st.integers(-3, 7)))
    assert words_of(tokenizer, sentences[start:stop]) == rows[start:stop]
    longer = [row for row in rows if len(row) > 1]
    assert words_of(tokenizer, sentences[sentences.sizes > 1]) == longer


def test_rows_and_starts() -> None:
    _, sentences = encoded([["a", "b"], [], ["c"], ["d", "e", "f"], []])
    assert sentences.rows.tolist() == [0, 0, 2, 3, 3, 3]
    assert sentences.starts.tolist() == [0, 2, 2, 3, 6]
    assert sentences.words.tolist() == [3, 4, 5, 6, 7, 8]


def test_equal_digests_are_equal_sentences() -> None:
    different: list[Rows] = [
        [], [[]], [[], []], [["a"]], [["b"]], [["a"], []], [[], ["a"]], [["a", "b"]],
        [["a"], ["b"]], [["b"], ["a"]],
    ]  # fmt: skip
    _, made = sentences_of(["a b"], *map(joined_words, different), ["b", "a"], ["b", "a"])
    assert len({sentences.digest() for sentences in made[1:-2]}) == len(different)
    assert made[-1].digest() == made[-2].digest()


@pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
def test_a_text_without_padding_and_end(space: TextSpace) -> None:
    texts = enumerate_texts(space)
    right = [
        [token for token in row[:size] if token != space.eos]
        for row, size in zip(texts.tokens.tolist(), texts.lengths.tolist(), strict=True)
    ]
    assert Sentences.of(texts, space.eos).tolist() == right
    assert Sentences.of(texts.pad_to(9), space.eos).tolist() == right


@pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
def test_sentences_become_a_text_again(space: TextSpace) -> None:
    texts = enumerate_texts(space)
    whole = texts[torch.arange(len(texts))[texts.lengths < space.length]] if space.eos else texts
    again = Sentences.of(whole, space.eos).to_text(space)
    assert torch.equal(again.tokens, whole.tokens) and torch.equal(again.lengths, whole.lengths)


@given(rows_of_words)
def test_sentences_as_bytes_are_sorted_as_lists_of_words(rows: Rows) -> None:
    tokenizer, sentences = encoded(rows)
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    place = np.empty(len(words), np.int64)
    place[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words)) + 250
    spelt = list(sentences.spelt(place))  # numbers of one byte and of two
    assert [row for _, row in sorted(zip(spelt, rows, strict=True))] == sorted(rows)
    for some in (spelt, list(sentences.spelt())):
        assert len(set(some)) == len(set(map(tuple, rows)))


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
