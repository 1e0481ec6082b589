"""Guesses whether a way to split lines into tokens fits the text: by the share of lines, never by a
single one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

Value = TypeVar("Value")
Spaced = Literal["auto", "yes", "no"]

SAMPLED = 5000  # lines, evenly spread over a file, to look at
# Standard corpora are below: 5 % of the words of the Penn Treebank with its 10,000 words are
# unknown. From here on a sentence of ten words has a hole on average.
MANY_UNKNOWN = 0.1
HALF = 0.5  # share of the lines from which they decide
LONG = 4  # characters; a token that is alone in its line and shorter may be meant
# scripts written without spaces, and characters to a token above which it is no word of theirs:
# Chinese and Japanese words have two on average, Thai, Lao, Khmer and Burmese ones four
SCRIPTS = (
    (
        re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
        3.5,
    ),
    (re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"), 8.0),
)


class Spacing(NamedTuple):
    """Counts of the lines of a file whose characters are spaced out.

    lines: those of two characters or more, which alone can tell. spaced: those of them in which
    spaces are between all characters, as corpora of Chinese poems have it.
    """

    spaced: int
    lines: int

    @property
    def decided(self) -> bool:
        """Whether spaces are separators here: in half of the lines or more."""
        return self.spaced > 0 and self.spaced >= HALF * self.lines

    def __str__(self) -> str:
        what = "separate characters" if self.decided else "are characters"
        return f"spaces {what}: they are between all of them in {self.spaced} of {self.lines}"


def spacing(lines: Sequence[str], unknown: str) -> Spacing:
    """Count the lines whose characters are spaced out; `unknown` counts as one character."""
    spaced = telling = 0
    for words in map(str.split, lines):
        characters = len("".join(words))
        telling += characters > 1
        times = words.count(unknown)
        others = len(words) - times  # with no character to spare, each of them is one
        spaced += characters > 1 and characters == others + times * len(unknown)
    return Spacing(spaced, telling)


def evenly(lines: Sequence[Value]) -> Sequence[Value]:
    """Choose at most SAMPLED of the lines, spread over all of them."""
    return lines[:: step_of(len(lines))]


def step_of(lines: int) -> int:
    """Return the step from one of the lines that `evenly` chooses to the next."""
    return max(1, -(-lines // SAMPLED))


def misfit(lines: Sequence[str], sizes: Sequence[int]) -> str:
    """Explain what is wrong with a split of lines into so many tokens each; "" where nothing is.

    Lines of one token each have no n-grams, so that every score of them is 0: the split is that of
    another script.
    """
    letters = ["".join(line.split()) for line in lines]
    filled = [(text, size) for text, size in zip(letters, sizes, strict=True) if text and size]
    alone = sum(size == 1 and len(text) >= LONG for text, size in filled)
    if filled and alone >= HALF * len(filled):
        return f"{alone} of {len(filled)} lines are one token each"
    text, tokens = "".join(text for text, _ in filled), sum(size for _, size in filled)
    for script, longest in SCRIPTS:
        of_script = len(script.findall(text))
        if of_script >= HALF * max(1, len(text)) and len(text) > longest * tokens:
            return (
                f"{of_script / len(text):.0%} of the characters are of a script without spaces, "
                f"and tokens have {len(text) / tokens:.1f} of them"
            )
    return ""
