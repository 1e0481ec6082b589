"""How lines are split: Treebank words are nltk's, and need no download."""

import nltk
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer

from textgan.data import treebank
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


# whatever the rules of nltk's tokenizer look for, and what is around it
PIECES = [
    *"a3é你😀ſ\t\n\u00a0 '`\".,:;?!*()[]{}<>-–—«»“”‘’„%$_", "  ", " 's ", "''", "``", "--", "...",
    "3.5", "It", "U.S.", "n't", "can't", "Cannot", "gımme", "d'ye", "gonna", "'tis", "wanna",
    "more'n", "re", "'LL",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join) | st.text())
@example("it isn't 'so'. \"")
def test_treebank_words_are_those_of_nltk(line: str) -> None:
    whole = NLTKWordTokenizer().tokenize
    for same in (line, line.strip(), f"the {line} of", f'"{line}'):
        assert PreTokenizer("nltk")(same) == whole(same)


def test_only_so_many_pieces_of_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treebank, "MOST_KEPT", 3)
    for i in range(20):
        assert PreTokenizer("nltk")(f"a{i} b{i} c{i}.") == [f"a{i}", f"b{i}", f"c{i}", "."]
        assert len(treebank._inner) <= 3


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
