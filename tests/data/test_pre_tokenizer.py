"""How lines are split: Treebank words are nltk's, and need no download."""

import nltk
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from textgan.data.pre_tokenizer import PreTokenizer

LINES = [
    "", " ", "a man riding a wave on a surfboard .", "people skiing at night.",
    "It's a dog's life, isn't it?", 'he said "no way" (twice)...', "$3.50, or 10% off; e.g. tea",
    "don't -- can't cannot gonna", "naïve café “quoted” ‘so’ 你好 😀", "tabs\tand\u00a0spaces",
]  # fmt: skip


def test_treebank_words_are_those_of_word_tokenize(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [])  # nothing downloaded
    split = PreTokenizer("nltk")
    for line in LINES:
        assert split(line) == nltk.word_tokenize(line, preserve_line=True)
    assert split("A dog's bed.") == ["A", "dog", "'s", "bed", "."]


@given(st.text())
@example("\ud800 a lone surrogate")
def test_any_line_can_be_split(line: str) -> None:
    assert PreTokenizer("whitespace")(line) == line.split()
    assert "".join(PreTokenizer("char")(line)) == "".join(line.split())
    assert all(len(character) == 1 for character in PreTokenizer("char")(line))
    for word in PreTokenizer("nltk")(line):
        assert word and not word.isspace()


def test_spaced_out_and_plain_characters_are_the_same_text() -> None:
    split = PreTokenizer("char")
    assert split("床 前 明 月 光") == split("床前明月光") == list("床前明月光")
    assert split(" \t\u3000") == []


@pytest.mark.parametrize("line", ["a." + " " * 10**5 + "b", '"' * 10**5, "x's " * 10**5])
def test_a_long_line_is_split_in_time(line: str) -> None:
    PreTokenizer("nltk")(line)


@given(st.lists(st.sampled_from([*"ab春 ", "<unk>"]), min_size=1))
def test_the_unknown_word_is_one_character(parts: list[str]) -> None:
    text = "".join(parts)
    assert PreTokenizer("char", "")(text) == parts
    spaced = [part for part in parts if part != " "]
    assert PreTokenizer("char", " ")(" ".join(parts)) == spaced
