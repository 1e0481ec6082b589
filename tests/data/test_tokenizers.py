"""A file in three parts, and lines as a network reads them."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textgan.core.errors import UserError
from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import EOS, FIRST, MASK_WORD, UNKNOWN, WordTokenizer, build_tokenizer

LINES = ["the cat sees the dog", "the dog sees a cat", "the house"]


def test_words() -> None:
    tokenizer = WordTokenizer.train(LINES, length=5)
    assert tokenizer.words == ("the", "cat", "dog", "sees", MASK_WORD)  # the frequent ones
    assert tokenizer.mask_id == 7
    assert (tokenizer.space.vocabulary, tokenizer.space.length, tokenizer.space.eos) == (8, 5, EOS)
    text = tokenizer(["the cat", "", "a cat sees the dog", "the <mask> <unk> dog", "  the  "])
    assert text.tokens.tolist() == [
        [3, 4, EOS, 0, 0],
        [EOS, 0, 0, 0, 0],
        [UNKNOWN, 4, 6, 3, 5],  # its end is not seen
        [3, 7, UNKNOWN, 5, EOS],
        [3, EOS, 0, 0, 0],
    ]
    assert text.lengths.tolist() == [3, 1, 5, 5, 2]
    assert torch.equal(tokenizer.pad([[3, 4]]).tokens, torch.tensor([[3, 4, EOS]]))
    assert tokenizer.decode(text.tolist()) == [
        "the cat", "", "<unk> cat sees the dog", "the <mask> <unk> dog", "the",
    ]  # fmt: skip
    empty = tokenizer([])
    assert len(empty) == 0 and empty.tokens.dim() == 2


def test_characters() -> None:
    tokenizer = WordTokenizer.train(["春江花月", "花月夜"], tokens="char", min_count=1)
    assert tokenizer(["花江"]).tokens.shape == (1, 3)
    assert tokenizer.decode(tokenizer(["花江"]).tolist()) == ["花江"]
    spaced = WordTokenizer.train(["春 江 花 月", "花 月 夜"], tokens="char", min_count=1)
    assert torch.equal(spaced(["花 江"]).tokens, tokenizer(["花江"]).tokens)


def test_extra_words_are_known_once() -> None:
    tokenizer = WordTokenizer.train(LINES, extra=(MASK_WORD, "means", "the", "means"))
    assert tokenizer.words == ("cat", "dog", "sees", MASK_WORD, "means", "the")
    assert WordTokenizer.train(LINES, extra=()).mask_id is None
    assert WordTokenizer.train(LINES, vocabulary=2).words == ("the", "cat", MASK_WORD)


def test_a_vocabulary_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"vocabulary is 0 words seen 9 times.*min_count = 1"):
        WordTokenizer.train(LINES, min_count=9)


def test_a_length_in_which_nothing_fits_is_refused() -> None:
    with pytest.raises(UserError, match="length = 1: give at least 2 tokens"):
        WordTokenizer.train(LINES, length=1)


def test_a_name_says_how_it_reads() -> None:
    told = [({}, LINES), ({"length": 9}, LINES), ({"min_count": 1}, LINES), ({}, [*LINES, "a a"])]
    result = {build_tokenizer("transformer", lines, **more).name for more, lines in told}  # type: ignore[arg-type]
    assert len(result) == 4
    assert build_tokenizer("cnn", LINES).name == build_tokenizer("rnn", LINES[::-1]).name


# whatever a line of a UTF-8 file may hold
characters = st.characters(codec="utf-8", exclude_characters="\r\n\0")

words = st.one_of(
    st.sampled_from(["a", "the", "<unk>", "<eos>", "0", "日本"]),
    st.text(characters, min_size=1, max_size=6).filter(lambda word: word.split() == [word]),
)

sentences = st.lists(st.lists(words, min_size=1, max_size=6), min_size=1, max_size=6)

lines = st.lists(st.text(characters, min_size=1, max_size=12), min_size=1, max_size=6)


def tokenizer_of(split: list[list[str]], *arguments: Any, length: int = 64) -> WordTokenizer:
    kept = dict.fromkeys(word for sentence in split for word in sentence if word != "<unk>")
    return WordTokenizer(tuple(kept), PreTokenizer(*arguments), length)


@given(sentences)
def test_words_come_back(split: list[list[str]]) -> None:
    known = tokenizer_of(split)
    lines = [" ".join(sentence) for sentence in split]
    assert known.decode(known.encode(lines)) == lines
    assert known.decode(known(lines).tolist()) == lines
    assert [known.tokenize(line) for line in lines] == split


@given(lines)
def test_characters_come_back(sentences: list[str]) -> None:
    plain = PreTokenizer("char", "")
    known = tokenizer_of([plain(line) for line in sentences], "char", "")
    assert known.decode(known.encode(sentences)) == sentences


@given(st.lists(st.lists(words.map(lambda word: word[0]), min_size=1), min_size=1))
def test_spaced_characters_come_back_spaced(split: list[list[str]]) -> None:
    spaced = [" ".join(sentence) for sentence in split]
    pre_tokenizer = PreTokenizer.of(spaced, "char")
    known = tokenizer_of(split, "char", pre_tokenizer.separator)
    longest = max(map(len, split))
    assert known.decode(known.encode(spaced)) == spaced
    # a space between characters is no character; it is where there is none to tell it by
    assert pre_tokenizer.separator == (" " if longest > 1 else "")
    assert " " not in known.words


@given(sentences)
def test_ids_are_as_documented(split: list[list[str]]) -> None:
    known = tokenizer_of(split)
    text = known.pad(map(known.convert_tokens_to_ids, split))
    assert text.tokens.shape == (len(split), 1 + max(map(len, split)))
    assert text.lengths.tolist() == [len(sentence) + 1 for sentence in split]
    for row, size in zip(text.tokens.tolist(), text.lengths.tolist(), strict=True):
        assert row[size - 1] == EOS
        assert not any(row[size:])
        assert all(UNKNOWN <= token < len(known) for token in row[: size - 1])
    assert len(known) == FIRST + len(known.words)


@given(sentences)
def test_a_vocabulary_survives_being_written_down(split: list[list[str]]) -> None:
    known = tokenizer_of(split)
    again = WordTokenizer.from_json(known.to_json(), known.length)
    assert again == known
    assert again.ids == known.ids and again.name == known.name


def test_words_that_are_not_known() -> None:
    known = WordTokenizer(("cat", "dog"))
    text = known(["cat mouse dog", "<unk>"])
    assert text.tokens.tolist() == [[3, UNKNOWN, 4, EOS], [UNKNOWN, EOS, 0, 0]]
    assert known.decode(text.tolist()) == ["cat <unk> dog", "<unk>"]


def test_what_a_generator_did_not_end_is_decoded_whole() -> None:
    known = WordTokenizer(("cat", "dog"))
    text = Text(torch.tensor([[3, 4, 3], [4, EOS, 0], [EOS, 0, 0]]), torch.tensor([3, 2, 1]))
    assert known.decode(text.tolist()) == ["cat dog cat", "dog", ""]


def test_words_that_are_numbers_have_their_own_ids_and_no_end() -> None:
    known = WordTokenizer.numbers(5, 3)
    assert known.space == TextSpace(5, 3) and known.space.unknown is None
    assert known(["0 4 1"]).tokens.tolist() == known.encode(["0 4 1"]) == [[0, 4, 1]]
    assert known.decode([[0, 4, 1], [0, 0, 0]]) == ["0 4 1", "0 0 0"]
    with pytest.raises(KeyError, match="5"):
        known.encode(["5"])
