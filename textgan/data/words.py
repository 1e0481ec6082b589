"""How lines of text are split into words before they are compared.

The field computes BLEU on the Treebank words of nltk's `word_tokenize`, which wants a download to
find the ends of sentences. A line is one sentence here, so the word tokenizer behind it is called
directly: it gives the same words and needs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Tokenizer = Literal["nltk", "whitespace", "char"]


def tokenizer(name: Tokenizer) -> Callable[[str], list[str]]:
    """What splits one line: Treebank words, words between white space, or characters.

    Characters are all but white space, so that spaced-out and plain characters are the same text.
    """
    if name == "nltk":
        from nltk.tokenize import NLTKWordTokenizer

        split: Callable[[str], list[str]] = NLTKWordTokenizer().tokenize
        return split
    return str.split if name == "whitespace" else characters


def characters(line: str) -> list[str]:
    """The characters of a line, without white space."""
    return [character for character in line if not character.isspace()]
