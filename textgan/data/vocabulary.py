"""Words or characters of sentences, and their ids."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from textgan.core.files import parse_json
from textgan.data.fit import Spaced, spacing
from textgan.data.text import Text

EOS = 1


UNKNOWN = 2


SPECIAL = 3  # ids below this are padding, end of sentence, unknown word


UNKNOWN_WORD = "<unk>"


SPACED = re.compile(rf"{UNKNOWN_WORD}|\S")


PLAIN_CHARACTERS = re.compile(rf"{UNKNOWN_WORD}|.", re.DOTALL)


Tokens = Literal["word", "char"]


@dataclass(frozen=True)
class Vocabulary:
    """Words (or characters) and their ids; id 0 is padding, 1 ends a sentence, 2 is unknown.

    A word spelt `<unk>` in the data is the unknown word. `separator` stands between words when ids
    become text again.
    """

    words: tuple[str, ...]
    tokens: Tokens
    separator: str
    ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {word: SPECIAL + i for i, word in enumerate(self.words)}
        object.__setattr__(self, "ids", ids | {UNKNOWN_WORD: UNKNOWN})

    def __len__(self) -> int:
        return SPECIAL + len(self.words)

    def split(self, sentence: str) -> list[str]:
        """The words or characters of one sentence."""
        return split_sentence(sentence, self.tokens, self.separator)

    def encode(self, sentences: Sequence[Sequence[str]], length: int) -> Text:
        """Sentences already split into words, each ended, padded to `length`.

        Raises ValueError for a sentence of more than length - 1 words.
        """
        tokens = torch.zeros(len(sentences), length, dtype=torch.long)
        sizes = torch.zeros(len(sentences), dtype=torch.long)
        for row, words in enumerate(sentences):
            if len(words) >= length:
                raise ValueError(f"sentence {row} has {len(words)} words; at most {length - 1} fit")
            ids = [self.ids.get(word, UNKNOWN) for word in words] + [EOS]
            tokens[row, : len(ids)] = torch.tensor(ids)
            sizes[row] = len(ids)
        return Text(tokens, sizes)

    def decode(self, text: Text) -> list[str]:
        """One line for each sentence, without its end token."""
        spelt = ("", "", UNKNOWN_WORD, *self.words)
        return [
            self.separator.join(spelt[token] for token in row[:size] if token not in (0, EOS))
            for row, size in zip(text.tokens.tolist(), text.sizes.tolist(), strict=True)
        ]

    def to_json(self) -> str:
        """The vocabulary as JSON text."""
        content = {"tokens": self.tokens, "separator": self.separator, "words": self.words}
        return json.dumps(content, ensure_ascii=False, indent=0)

    @staticmethod
    def from_json(content: str) -> Vocabulary:
        """The vocabulary that `to_json` wrote. Raises KeyError, TypeError or ValueError for any
        other text."""
        known = parse_json(content, "the vocabulary")
        words, tokens, separator = known["words"], known["tokens"], known["separator"]
        if tokens not in get_args(Tokens) or not isinstance(separator, str):
            raise ValueError(f"tokens are {tokens!r} and their separator is {separator!r}")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("its words are no list of words")
        if len(set(words)) < len(words):
            raise ValueError("a word stands in it twice")
        "".join(words).encode()  # half a surrogate pair cannot be written again
        return Vocabulary(tuple(words), tokens, separator)


def split_sentence(sentence: str, tokens: Tokens, separator: str) -> list[str]:
    """The words of a sentence, or its characters, all but white space where a space separates them.

    The unknown word is one token in either.
    """
    if tokens == "word":
        return sentence.split()
    if separator == " ":
        return SPACED.findall(sentence)
    return PLAIN_CHARACTERS.findall(sentence) if UNKNOWN_WORD in sentence else list(sentence)


def separator_of(sentences: Sequence[str], tokens: Tokens, spaced: Spaced = "auto") -> str:
    """What stands between tokens: a space between words; nothing between characters, unless they
    are spaced out, as corpora of Chinese poems have them.

    spaced: whether they are; "auto": as half of the lines or more have it (see `spacing`).
    """
    if tokens == "word" or spaced == "yes":
        return " "
    if spaced == "auto" and spacing(sentences, UNKNOWN_WORD).decided:
        return " "
    return ""


def frequent(counts: Mapping[str, int], vocabulary: int, min_count: int) -> list[str]:
    """At most so many words (0: all) that occur so often, the most frequent first, equally frequent
    ones in alphabetical order; not the unknown word."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [word for word, count in ranked if count >= min_count and word != UNKNOWN_WORD]
    return kept[: vocabulary or None]
