"""Noise of words: sentences as careless hands would write them.

The kinds are those of the easy data augmentations of Wei and Zou (EMNLP 2019, arXiv 1901.11196) as
far as they need no thesaurus, and of the typing mistakes that Belinkov and Bisk (ICLR 2018, arXiv
1711.02173) train on and are tested by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import numpy as np

from textgan.core.streams import Purpose, stream
from textgan.data.pre_tokenizer import PreTokenizer, Tokens

Noise = Literal["drop", "swap", "replace", "repeat", "typo"]


def disturb(
    words: Sequence[str],
    rate: float,
    kind: Noise,
    vocabulary: Sequence[str],
    random: np.random.Generator,
) -> list[str]:
    """Return the words of a sentence, each disturbed with probability `rate`.

    drop: it is left out; where all would be, one of them stays.
    swap: it changes places with a neighbour; as many as can at a rate that is too high for that.
    replace: by another word of the vocabulary, all equally likely.
    repeat: it comes twice.
    typo: two of its neighbouring letters that differ are exchanged or one letter is left out, with
    equal chances; a word of one letter stays.
    At rate 0 the words are the same; some words never become none.
    Raises ValueError for a rate that is no share, and for replacing without two different words.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate = {rate}: give a share from 0 to 1")
    if kind == "swap":
        return _swapped(words, rate, random)
    touched = (random.random(len(words)) < rate).tolist()
    pairs = list(zip(words, touched, strict=True))
    match kind:
        case "drop":
            kept = [word for word, gone in pairs if not gone]
            return kept or [words[int(random.integers(len(words)))] for _ in words[:1]]
        case "replace":
            if all(word == vocabulary[0] for word in vocabulary):
                raise ValueError("replacing words takes a vocabulary of two different words")
            return [_other(word, vocabulary, random) if other else word for word, other in pairs]
        case "repeat":
            return [word for word, twice in pairs for word in [word] * (1 + twice)]
        case "typo":
            return [_misspelt(word, random) if wrong else word for word, wrong in pairs]
        case _:
            assert_never(kind)


def disturb_lines(
    lines: Sequence[str],
    rate: float,
    kind: Noise,
    vocabulary: Sequence[str],
    seed: int,
    *,
    tokens: Tokens = "word",
) -> list[str]:
    """Return lines with their words (or characters) disturbed, all by one seed; see `disturb`.

    Words are what is between white space, and are joined by one space again.
    """
    random = np.random.default_rng(stream(Purpose.NOISE, seed))
    split = PreTokenizer.of(lines, tokens)
    return [split.join(disturb(split(line), rate, kind, vocabulary, random)) for line in lines]


def _swapped(words: Sequence[str], rate: float, random: np.random.Generator) -> list[str]:
    """The words with some pairs of neighbours exchanged, no word twice.

    The pairs begin at the first or at the second word, so there are (n - 1) / 2 of them on average:
    taken with probability rate n / (n - 1), they touch rate n words.
    """
    words, n = list(words), len(words)
    starts = range(int(random.integers(2)), n - 1, 2)
    for start, draw in zip(starts, random.random(len(starts)).tolist(), strict=True):
        if draw * (n - 1) < rate * n:
            words[start], words[start + 1] = words[start + 1], words[start]
    return words


def _other(word: str, vocabulary: Sequence[str], random: np.random.Generator) -> str:
    """A word of the vocabulary, which has others, but this one."""
    while (other := vocabulary[int(random.integers(len(vocabulary)))]) == word:
        pass
    return other


def _misspelt(word: str, random: np.random.Generator) -> str:
    """Another spelling of a word of two letters or more."""
    if len(word) < 2:
        return word
    places = [i for i in range(1, len(word)) if word[i - 1] != word[i]]
    if places and random.random() < 0.5:
        i = places[int(random.integers(len(places)))]
        return word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :]
    i = int(random.integers(len(word)))
    return word[:i] + word[i + 1 :]
