"""Treebank words against nltk's own, on text that is made of all that its rules look for."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer

from textgan.data import treebank
from textgan.data.treebank import treebank_words

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
        assert treebank_words(same) == whole(same)


def test_only_so_many_pieces_of_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treebank, "MOST_KEPT", 3)
    for i in range(20):
        assert treebank_words(f"a{i} b{i} c{i}.") == [f"a{i}", f"b{i}", f"c{i}", "."]
        assert len(treebank._inner) <= 3
