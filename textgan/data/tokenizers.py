"""Tokenizers: lines of text as the ids that a network reads, and back.

One protocol for a corpus, the networks of metrics, encoders and classifiers, and pretrained
folders: `encode` lines to ids, `pad` ids to a `Text`, `decode` ids to lines. Calling a tokenizer
does the first two.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from textgan.core import huggingface
from textgan.core.errors import UserError
from textgan.core.files import parse_json
from textgan.core.moved import FormerName
from textgan.data.pre_tokenizer import TURN_WORD, UNKNOWN_WORD, PreTokenizer, Tokens
from textgan.data.subwords import Subwords
from textgan.data.text import Text, TextSpace
from textgan.data.token_fit import MANY_UNKNOWN, Spaced, evenly, misfit

PAD, EOS, UNKNOWN = range(3)  # a word tokenizer's own; padding also comes before a text
FIRST = 3  # of its words
MASK_WORD = "<mask>"
HF = "hf:"  # what the name of a pretrained network begins with, see `is_pretrained`


def is_pretrained(network: str) -> bool:
    """Return whether a network's name is that of a pretrained one, hf:FOLDER."""
    return network.startswith(HF)


class Tokenizer(ABC):
    """A tokenizer: from lines to what a network reads, and back.

    space: of the texts, with the special ids. A longer text is cut at space.length tokens. mask_id:
    the token in place of a hidden one, where there is one. unknown_word: how the token of all
    words that there is no other for is spelt.
    """

    space: TextSpace
    mask_id: int | None
    unknown_word: str

    @property
    @abstractmethod
    def name(self) -> str:
        """The name for signatures; the same where the ids are the same."""

    # as version 0.1 called them
    wrap = FormerName("pad")
    read = FormerName("__call__")

    @abstractmethod
    def encode(self, lines: Iterable[str]) -> list[list[int]]:
        """Encode each line as ids, neither cut nor with special tokens."""

    @abstractmethod
    def decode(self, ids: Iterable[Sequence[int]]) -> list[str]:
        """Decode each list of ids to a line, without its special tokens."""

    @abstractmethod
    def add_special_tokens(self, ids: Sequence[int]) -> list[int]:
        """Return the ids of one text as a network reads them, special tokens included, cut where
        there are more than space.length; at least one."""

    def pad(self, ids: Iterable[Sequence[int]]) -> Text:
        """Return lists of ids as a batch: special tokens added, as wide as the longest."""
        tokens, lengths = array("q"), array("q")
        for row in map(self.add_special_tokens, ids):
            tokens.extend(row)
            lengths.append(len(row))
        words, sizes = (torch.from_numpy(np.asarray(part)) for part in (tokens, lengths))
        return Text.packed(words, sizes, self.space.pad)

    def __call__(self, lines: Iterable[str]) -> Text:
        """Lines as a network reads them."""
        return self.pad(self.encode(lines))


class _KnownIds(dict[str, int]):
    """The ids of words; any other word is unknown."""

    def __missing__(self, word: str) -> int:
        return UNKNOWN


@dataclass(frozen=True)
class WordTokenizer(Tokenizer):
    """Words, or characters, of a vocabulary; id 0 is padding, 1 ends a text, 2 is unknown.

    words: the vocabulary, without special tokens but that between utterances, where the
    pre-tokenizer has one; the first has the id 3. length: tokens at which a text is cut, so that
    the end of a longer one is not seen. special: False for the synthetic oracle, whose words are
    numbers: there are no special tokens, and every word is known.
    Raises UserError for a length in which nothing fits.
    """

    words: tuple[str, ...]
    pre_tokenizer: PreTokenizer = field(default_factory=PreTokenizer)
    length: int = 64
    special: bool = True
    ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.special:
            _refuse_short(self.length, 2)
        first = FIRST if self.special else 0
        ids = {word: first + i for i, word in enumerate(self.words)}
        if self.special and self.pre_tokenizer.unknown:
            ids[self.pre_tokenizer.unknown] = UNKNOWN
        size = first + len(self.words)
        known = {
            "ids": _KnownIds(ids) if self.special else ids,
            "space": TextSpace(
                size,
                self.length,
                EOS,
                bos=PAD,
                pad=PAD,
                unknown=UNKNOWN,
                turn=ids.get(self.pre_tokenizer.turn) if self.pre_tokenizer.turn else None,
            )
            if self.special
            else TextSpace(size, self.length),
            "mask_id": ids.get(MASK_WORD),
            "unknown_word": self.pre_tokenizer.unknown or UNKNOWN_WORD,
        }
        for name, value in known.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def train(
        lines: Sequence[str],
        *,
        tokens: Tokens = "word",
        spaced: Spaced = "auto",
        vocabulary: int = 0,
        min_count: int = 2,
        length: int = 64,
        extra: Sequence[str] = (MASK_WORD,),
    ) -> WordTokenizer:
        """Make a tokenizer of the words of lines.

        spaced, vocabulary, min_count: as for `read_corpus`. extra: words that it knows besides.
        Raises UserError where fewer than two words are seen often enough.
        """
        split = PreTokenizer.of(lines, tokens, spaced)
        counts = Counter(word for line in lines for word in split(line))
        kept = [word for word in frequent(counts, vocabulary, min_count) if word not in extra]
        if len(kept) < 2:
            raise UserError(
                f"the vocabulary is {len(kept)} {'words' if tokens == 'word' else 'characters'} "
                f"seen {min_count} times or more; at least 2 are needed (is tokens = {tokens} "
                "right? try min_count = 1)"
            )
        return WordTokenizer((*kept, *dict.fromkeys(extra)), split, length)

    @staticmethod
    def numbers(vocabulary: int, length: int) -> WordTokenizer:
        """Make the tokenizer of texts whose words are the numbers 0 .. vocabulary - 1, as the
        oracle's are."""
        split = PreTokenizer("id", unknown="")
        return WordTokenizer(tuple(map(str, range(vocabulary))), split, length, special=False)

    def __len__(self) -> int:
        return self.space.vocabulary

    @property
    def kind(self) -> str:
        """The kind of tokens, see `PreTokenizer`."""
        return self.pre_tokenizer.kind

    @property
    def name(self) -> str:
        digest = hashlib.sha256(self.to_json().encode(errors="surrogatepass")).hexdigest()
        return f"{self.kind}{len(self)}-cut{self.length}-{digest[:8]}"

    def encode(self, lines: Iterable[str]) -> list[list[int]]:
        split, id_of = self.pre_tokenizer.split, self.ids.__getitem__
        return [list(map(id_of, split(line))) for line in lines]

    def decode(self, ids: Iterable[Sequence[int]]) -> list[str]:
        left_out = (PAD, EOS) if self.special else ()
        texts = ([i for i in some if i not in left_out] for some in ids)
        return [self.pre_tokenizer.join(self.convert_ids_to_tokens(text)) for text in texts]

    def tokenize(self, line: str) -> list[str]:
        """Split a line into words, known or not."""
        return self.pre_tokenizer(line)

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids of words. Raises KeyError for one that is not known where none is
        unknown."""
        return list(map(self.ids.__getitem__, tokens))

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the words of ids; padding and the end of a text are spelt as nothing."""
        return [self._spelt[i] for i in ids]

    def add_special_tokens(self, ids: Sequence[int]) -> list[int]:
        return [*ids, *([EOS] if self.special else ())][: self.length]

    def extended(self, words: Iterable[str]) -> WordTokenizer:
        """Return a tokenizer that has ids for these words, too, after the others."""
        new = dict.fromkeys(words)
        new.pop(self.pre_tokenizer.unknown, None)
        return replace(self, words=tuple(dict.fromkeys((*self.words, *new))))

    def to_json(self) -> str:
        """Return the vocabulary as JSON text."""
        content: dict[str, Any] = {
            "tokens": self.kind,
            "separator": self.pre_tokenizer.separator,
            "words": self.words,
        }
        if self.pre_tokenizer.turn:
            content["turn"] = self.pre_tokenizer.turn
        if self.pre_tokenizer.subwords is not None:
            content["merges"] = self.pre_tokenizer.subwords.merges
        return json.dumps(content, ensure_ascii=False, indent=0)

    @staticmethod
    def from_json(content: str, length: int) -> WordTokenizer:
        """Rebuild the tokenizer from the vocabulary that `to_json` wrote. Raises KeyError,
        TypeError or ValueError for any other text."""
        known = parse_json(content, "the vocabulary")
        words, tokens, separator = known["words"], known["tokens"], known["separator"]
        turn = known.get("turn", "")
        if turn not in ("", TURN_WORD):
            raise ValueError(f"{turn!r} is between its utterances")
        if tokens not in (*get_args(Tokens), "bpe") or not isinstance(separator, str):
            raise ValueError(f"tokens are {tokens!r} and their separator is {separator!r}")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("its words are no list of words")
        if len(set(words)) < len(words):
            raise ValueError("it has a word twice")
        "".join(words).encode()  # half a surrogate pair cannot be written again
        subwords = None
        if tokens == "bpe":
            pieces = [word for word in words if word != turn]
            subwords = Subwords.from_lists(pieces, known["merges"])
        split = PreTokenizer(tokens, separator, turn=turn, subwords=subwords)
        return WordTokenizer(tuple(words), split, length)

    @cached_property
    def _spelt(self) -> tuple[str, ...]:
        return ("", "", self.unknown_word, *self.words) if self.special else self.words


class PretrainedTokenizer(Tokenizer):
    """A pretrained network's own tokenizer, and the special tokens that it puts around a text.

    A longer text loses its last tokens, not its special ones.
    length: 0 for the longest that the network can read. Raises UserError where transformers is
    missing or the folder has no such tokenizer, or for a length in which nothing fits.
    """

    def __init__(self, folder: Path, length: int = 0) -> None:
        tokenizer = self.tokenizer = huggingface.load_tokenizer(folder, f"network = '{HF}{folder}'")
        self.before, self.after = huggingface.special_tokens(tokenizer)
        if not self.after:
            raise UserError(
                f"network = '{HF}{folder}': its tokenizer does not end a sentence; give the folder "
                "of a masked language model or of a sentence encoder"
            )
        most = tokenizer.model_max_length
        length = min(length or most, most)
        _refuse_short(length, len(self.before) + len(self.after) + 1)
        end, pad = self.after[-1], tokenizer.pad_token_id
        self.space = TextSpace(
            len(tokenizer),
            length,
            eos=end,
            bos=self.before[0] if self.before else end,
            pad=end if pad is None else pad,
            unknown=tokenizer.unk_token_id,
        )
        self.mask_id = tokenizer.mask_token_id
        self.unknown_word = str(tokenizer.unk_token)
        digest = huggingface.digest(folder, huggingface.TOKENIZER)
        self._name = f"{folder.resolve().name}-cut{length}-{digest}"

    @property
    def name(self) -> str:
        return self._name

    def encode(self, lines: Iterable[str]) -> list[list[int]]:
        def ids(line: str) -> list[int]:
            # half a surrogate pair is no text to a tokenizer
            text = line.encode(errors="replace").decode()
            own = self.tokenizer(text, add_special_tokens=False, verbose=False)
            ids_of_line: list[int] = own["input_ids"]
            return ids_of_line

        return [ids(line) for line in lines]

    def decode(self, ids: Iterable[Sequence[int]]) -> list[str]:
        return [self.tokenizer.decode(list(some), skip_special_tokens=True) for some in ids]

    def add_special_tokens(self, ids: Sequence[int]) -> list[int]:
        room = self.space.length - len(self.before) - len(self.after)
        return [*self.before, *ids[:room], *self.after]

    def save(self, folder: Path) -> None:
        """Write the files of which a folder of this name makes the same tokenizer."""
        self.tokenizer.save_pretrained(folder)


def build_tokenizer(network: str, lines: Sequence[str], **settings: Any) -> Tokenizer:
    """Build the tokenizer of a network: of `hf:FOLDER` its own, of another the words of lines.

    settings: those of `WordTokenizer.train`; a pretrained one has only `length` in common with it.
    """
    if is_pretrained(network):
        length = settings.get("length", 0)
        return PretrainedTokenizer(Path(network.removeprefix(HF)), length)
    return WordTokenizer.train(lines, **settings)


def frequent(counts: Mapping[str, int], vocabulary: int, min_count: int) -> list[str]:
    """At most so many words (0: all) that occur so often, the most frequent first, equally frequent
    ones in alphabetical order; not the unknown word."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [word for word, count in ranked if count >= min_count and word != UNKNOWN_WORD]
    return kept[: vocabulary or None]


def tokenizer_warnings(tokenizer: Tokenizer, lines: Sequence[str]) -> list[str]:
    """Warn of what is wrong with how a tokenizer splits lines: they are one token each, or mostly
    unknown."""
    some, warnings = evenly(lines), []
    ids, unknown = tokenizer.encode(some), tokenizer.space.unknown
    remedy = "take a network that was trained on this language"
    if isinstance(tokenizer, WordTokenizer):
        remedy = "try a smaller data.min_count or a larger data.vocabulary"
        wrong = misfit(some, [len(one) for one in ids]) if tokenizer.kind == "word" else ""
        if wrong:
            warnings.append(f"{wrong}: data.tokens=char fits text without spaces between its words")
    times = 0 if unknown is None else sum(one.count(unknown) for one in ids)
    share = times / max(1, sum(map(len, ids)))
    if share >= MANY_UNKNOWN:
        warnings.append(
            f"{share:.0%} of the tokens are {tokenizer.unknown_word}, which are all alike; {remedy}"
        )
    return warnings


def _refuse_short(length: int, least: int) -> None:
    if length < least:
        raise UserError(f"length = {length}: give at least {least} tokens, a word and what ends it")
