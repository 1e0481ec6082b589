"""Subwords by byte-pair encoding (Sennrich et al. 2016), by the tokenizers library (extra `bpe`).

Pieces keep the space before them, written as SPACE, so that joined they give the line again; a
punctuation mark is a word of its own, with the space before it. Characters that the training part
has too seldom are unknown. Joining needs no library.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from textgan.core.errors import UserError

SPACE = "▁"  # U+2581, as SentencePiece has it; where a line has it, it becomes a space
USUAL_SIZE = 8000  # pieces of a vocabulary that is to have all
WORDS = rf"{SPACE}?\p{{P}}|{SPACE}?[^{SPACE}\p{{P}}]+|{SPACE}"


@dataclass(frozen=True)
class Subwords:
    """Pieces of words, and the pairs of pieces that are merged to others, in order."""

    pieces: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]

    @staticmethod
    def train(
        lines: Iterable[str], vocabulary: int, min_count: int, whole: Sequence[str]
    ) -> Subwords:
        """Learn pieces from lines.

        vocabulary: at most this many; 0 for USUAL_SIZE. min_count: characters and merges that occur
        less often are left out. whole: words that are no text and part what is. Raises UserError
        where tokenizers is not installed.
        """
        library = _library()
        parts = [part for line in lines for part in _parts(line, whole) if part not in whole]
        counts, size = Counter(chain.from_iterable(parts)), vocabulary or USUAL_SIZE
        common = sorted(counts, key=lambda character: (-counts[character], character))
        rare = [one for place, one in enumerate(common) if place >= size or counts[one] < min_count]
        apart = str.maketrans(dict.fromkeys(rare, "\n"))  # which no line has
        known = (piece for part in parts for piece in part.translate(apart).split("\n") if piece)
        learning = _splitting(library.Tokenizer(library.models.BPE()), library)
        trainer = library.trainers.BpeTrainer(
            vocab_size=size, min_frequency=min_count, show_progress=False
        )
        learning.train_from_iterator(known, trainer)
        model = json.loads(learning.to_str())["model"]
        pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
        return Subwords(tuple(pieces), tuple((left, right) for left, right in model["merges"]))

    @staticmethod
    def from_lists(pieces: Sequence[str], merges: Any) -> Subwords:
        """Rebuild them from what a file has. Raises ValueError for what they cannot be."""
        pairs = tuple(tuple(pair) for pair in merges)
        known = set(pieces)
        for pair in pairs:
            if len(pair) != 2 or not {*pair, "".join(pair)} <= known:
                raise ValueError(f"{pair} is no merge of its pieces")
        return Subwords(tuple(pieces), pairs)

    def splitter(self, unknown: str, whole: Sequence[str]) -> Callable[[str], list[str]]:
        """Return the function that splits a line into pieces.

        unknown: in the place of a character that no piece has. whole: words that are tokens as they
        are. Raises UserError where tokenizers is not installed.
        """
        library = _library()
        ids = {piece: number for number, piece in enumerate((unknown, *self.pieces))}
        model = library.models.BPE(vocab=ids, merges=list(self.merges), unk_token=unknown)
        encode = _splitting(library.Tokenizer(model), library).encode

        def split(line: str) -> list[str]:
            pieces: list[str] = []
            for part in _parts(line, whole):
                pieces += [part] if part in whole else encode(part).tokens
            return pieces

        return split

    @staticmethod
    def join(pieces: Iterable[str], turn: str) -> str:
        """Join pieces to a line; `turn` gets a space before it."""
        spaced = (f"{SPACE}{piece}" if turn and piece == turn else piece for piece in pieces)
        return "".join(spaced).replace(SPACE, " ").strip(" ")


def _parts(line: str, whole: Sequence[str]) -> Iterator[str]:
    """Split a line at the words that stay whole; what begins it has a space before it, too, so that
    a word is the same at every place."""
    text = SPACE + line.replace(" ", SPACE)
    parted = re.split(f"({'|'.join(map(re.escape, whole))})", text) if whole else [text]
    return filter(None, parted)


def _splitting(tokenizer: Any, library: Any) -> Any:
    """Let a tokenizer of the library split at WORDS."""
    words = library.Regex(WORDS)
    tokenizer.pre_tokenizer = library.pre_tokenizers.Split(words, "isolated")
    return tokenizer


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise UserError("data.tokens = bpe needs tokenizers: pip install 'textgan[bpe]'") from None
    return tokenizers
