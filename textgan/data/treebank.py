"""Treebank words of lines: those of nltk's tokenizer, in a tenth of its time.

nltk's rules look past a space only at the ends of a line: a quote that begins it, and what closes
it after its last word. So what lies between spaces is split once, and found again in the next line.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.tokenize import NLTKWordTokenizer

CLOSING = " ])}>\"'»”’"  # what a final period may have behind it
CONTRACTIONS = {"cannot", "gimme", "gonna", "gotta", "lemme", "wanna"}  # of letters alone
MOST_KEPT = 2**16  # pieces of lines whose words are kept


@cache
def _tokenizer() -> NLTKWordTokenizer:
    # nltk's `word_tokenize` wants a download to find the ends of sentences. A line is one sentence
    # here: the tokenizer behind it gives the same words and needs nothing.
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


class _Words(dict[str, list[str]]):
    """The words of pieces of lines, each split beside a word before it, or behind it, as asked."""

    def __init__(self, *, before: bool, after: bool) -> None:
        super().__init__()
        self.before, self.after = before, after

    def __missing__(self, piece: str) -> list[str]:
        if len(self) >= MOST_KEPT:
            self.clear()
        words = [piece]
        if not (piece.isascii() and piece.isalnum()) or piece.lower() in CONTRACTIONS:
            words = _tokenizer().tokenize("a " * self.before + piece + " a" * self.after)
            words = words[self.before : len(words) - self.after]
        self[piece] = words
        return words


_first = _Words(before=False, after=True)
_inner = _Words(before=True, after=True)
_last = _Words(before=True, after=False)


def treebank_words(line: str) -> list[str]:
    """Split a line into the words that nltk's `NLTKWordTokenizer` splits it into."""
    last = line.rfind(" ", 0, len(line.rstrip(CLOSING))) + 1
    # what is printable has no white space but spaces
    if not last or line[0] == " " or not line.isprintable():
        words: list[str] = _tokenizer().tokenize(line)
        return words
    first, *inner = line[:last].split()
    between = chain.from_iterable(map(_inner.__getitem__, inner))
    return [*_first[first], *between, *_last[line[last:]]]
