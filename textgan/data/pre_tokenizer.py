"""The one place that splits lines into words or characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from textgan.data.subwords import Subwords
from textgan.data.token_fit import Spaced, spacing
from textgan.data.treebank import treebank_words

UNKNOWN_WORD = "<unk>"
TURN_WORD = "<turn>"  # between the utterances of a source that has several

Tokens = Literal["word", "char"]  # of a corpus, and of networks trained here
LineTokens = Literal["nltk", "whitespace", "char"]  # of lines that are evaluated


@dataclass(frozen=True)
class PreTokenizer:
    """A way to split a line into tokens, and to join them again.

    kind: "nltk", Treebank words; "word", "whitespace" and "id", what is between white space;
    "char", characters; "bpe", subwords. The names differ for signatures. separator: what is between
    tokens: a space, or nothing, where white space is characters, too. unknown: how lines spell the
    unknown word, which is one token of any kind; "": not at all. turn: the same of what is between
    two utterances; white space beside it is no token. subwords: those of kind "bpe".

    >>> PreTokenizer("char")("a <unk> b")
    ['a', '<unk>', 'b']
    """

    kind: Tokens | LineTokens | Literal["bpe", "id"] = "word"
    separator: str = " "
    unknown: str = UNKNOWN_WORD
    turn: str = ""
    subwords: Subwords | None = None

    @staticmethod
    def of(lines: Sequence[str], tokens: Tokens, spaced: Spaced = "auto") -> PreTokenizer:
        """Choose the pre-tokenizer of these lines.

        spaced: whether white space separates characters, as corpora of Chinese poems have it;
        "auto": as half of the lines or more have it (see `spacing`).
        """
        apart = tokens == "word" or spaced == "yes"
        apart = apart or (spaced == "auto" and spacing(lines, UNKNOWN_WORD).decided)
        return PreTokenizer(tokens, " " if apart else "")

    def __call__(self, line: str) -> list[str]:
        """The tokens of a line."""
        return self.split(line)

    def join(self, tokens: Iterable[str]) -> str:
        """Join these tokens to a line."""
        if self.subwords is not None:
            return self.subwords.join(tokens, self.turn)
        return self.separator.join(tokens)

    @cached_property
    def split(self) -> Callable[[str], list[str]]:
        """The function that returns the tokens of a line."""
        if self.kind == "nltk":
            return treebank_words
        split: Callable[[str], list[str]] = str.split
        whole = [word for word in (self.unknown, self.turn) if word]
        after = self.separator
        if self.kind == "char":
            one = r"\S" if self.separator else "."
            split = re.compile("|".join([*map(re.escape, whole), one]), re.DOTALL).findall
        elif self.subwords is not None:
            split, after = self.subwords.splitter(self.unknown, whole), " "
        if not self.turn:
            return split
        around = re.compile(rf"\s*{re.escape(self.turn)}\s*")
        between = f"{self.separator}{self.turn}{after}"
        return lambda line: split(around.sub(between, line))
