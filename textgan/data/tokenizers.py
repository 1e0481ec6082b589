"""Reading: sentences of a file in three parts, and how a network reads a sentence.

Encoders and classifiers take lines of text; a `Reader` makes of them the `Text` that a network
takes, by words of its own or by the tokens of a pretrained one.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from textgan.core import huggingface
from textgan.core.errors import UserError
from textgan.data.fit import MANY_UNKNOWN, Spaced, evenly, misfit
from textgan.data.text import Text, TextSpace
from textgan.data.vocabulary import (
    EOS,
    UNKNOWN,
    UNKNOWN_WORD,
    Tokens,
    Vocabulary,
    frequent,
    separator_of,
    split_sentence,
)

MASK_WORD = "<mask>"
HF = "hf:"  # what the name of a pretrained network begins with


class Reader(ABC):
    """How sentences become what a network reads.

    name: for signatures; the same for the same tokens. space: of the texts; it has an end token,
    and what is longer than space.length is cut. mask_id: the token that stands for a hidden one,
    where there is one.
    """

    name: str
    space: TextSpace
    mask_id: int | None

    @abstractmethod
    def ids(self, line: str) -> list[int]:
        """The tokens of a line, neither cut nor ended."""

    @abstractmethod
    def wrap(self, ids: Sequence[Sequence[int]]) -> Text:
        """Sentences of tokens with what stands before and after them, cut and padded to the longest
        of them; none is without a token."""

    def read(self, lines: Sequence[str]) -> Text:
        """Lines as a network reads them."""
        return self.wrap([self.ids(line) for line in lines])


class WordReader(Reader):
    """Words, or characters, of a vocabulary; each sentence is ended.

    Of a sentence that is longer than `length` tokens the end is not seen. Raises UserError for a
    length in which nothing fits.
    """

    def __init__(self, vocabulary: Vocabulary, length: int) -> None:
        _refuse_short(length, 2)
        self.vocabulary = vocabulary
        self.space = TextSpace(len(vocabulary), length, EOS)
        self.mask_id = vocabulary.ids.get(MASK_WORD)
        digest = hashlib.sha256(vocabulary.to_json().encode(errors="surrogatepass")).hexdigest()
        self.name = f"{vocabulary.tokens}{len(vocabulary)}-cut{length}-{digest[:8]}"

    @staticmethod
    def of(
        lines: Sequence[str],
        *,
        tokens: Tokens = "word",
        spaced: Spaced = "auto",
        vocabulary: int = 0,
        min_count: int = 2,
        length: int = 64,
        extra: Sequence[str] = (MASK_WORD,),
    ) -> WordReader:
        """A reader of the words of lines.

        spaced, vocabulary, min_count: as for `read_corpus`. extra: words that it knows besides.
        Raises UserError where fewer than two words are seen often enough.
        """
        separator = separator_of(lines, tokens, spaced)
        counts = Counter(word for line in lines for word in split_sentence(line, tokens, separator))
        kept = [word for word in frequent(counts, vocabulary, min_count) if word not in extra]
        if len(kept) < 2:
            raise UserError(
                f"the vocabulary is {len(kept)} {'words' if tokens == 'word' else 'characters'} "
                f"seen {min_count} times or more; at least 2 are needed (is tokens = {tokens} "
                "right? try min_count = 1)"
            )
        return WordReader(Vocabulary((*kept, *dict.fromkeys(extra)), tokens, separator), length)

    def ids(self, line: str) -> list[int]:
        return [self.vocabulary.ids.get(word, UNKNOWN) for word in self.vocabulary.split(line)]

    def wrap(self, ids: Sequence[Sequence[int]]) -> Text:
        return _padded([[*some, EOS][: self.space.length] for some in ids])


class PretrainedReader(Reader):
    """The tokens of a pretrained network's own tokenizer, and those that frame its sentences.

    Numbers are one higher than the tokenizer's, so that 0 is padding and nothing else. A longer
    sentence loses its last tokens, not its frame.
    length: 0 for the longest that the network can read. Raises UserError where transformers is
    missing or the folder has no such tokenizer, or for a length in which nothing fits.
    """

    def __init__(self, folder: Path, length: int = 0) -> None:
        tokenizer = self.tokenizer = huggingface.load_tokenizer(folder, f"network = '{HF}{folder}'")
        self.before, self.after = ([1 + i for i in part] for part in huggingface.frame(tokenizer))
        if not self.after:
            raise UserError(
                f"network = '{HF}{folder}': its tokenizer does not end a sentence; give the folder "
                "of a masked language model or of a sentence encoder"
            )
        most = tokenizer.model_max_length
        length = min(length or most, most)
        _refuse_short(length, len(self.before) + len(self.after) + 1)
        self.space = TextSpace(len(tokenizer) + 1, length, self.after[-1])
        self.mask_id = None if tokenizer.mask_token_id is None else tokenizer.mask_token_id + 1
        digest = huggingface.digest(folder, huggingface.TOKENIZER)
        self.name = f"{folder.resolve().name}-cut{length}-{digest}"

    def ids(self, line: str) -> list[int]:
        # half a surrogate pair is no text to a tokenizer
        line = line.encode(errors="replace").decode()
        found = self.tokenizer(line, add_special_tokens=False, verbose=False)["input_ids"]
        return [1 + i for i in found]

    def wrap(self, ids: Sequence[Sequence[int]]) -> Text:
        room = self.space.length - len(self.before) - len(self.after)
        return _padded([[*self.before, *some[:room], *self.after] for some in ids])


def open_reader(network: str, lines: Sequence[str], **settings: Any) -> Reader:
    """How a network reads: of `hf:FOLDER` by its tokenizer, of another by the words of lines.

    settings: those of `WordReader.of`; a pretrained one has only `length` in common with it.
    """
    if network.startswith(HF):
        length = settings.get("length", 0)
        return PretrainedReader(Path(network.removeprefix(HF)), length)
    return WordReader.of(lines, **settings)


def fit_warnings(reader: Reader, lines: Sequence[str]) -> list[str]:
    """What is wrong with how a reader splits lines: they are one token each, or mostly unknown."""
    some = evenly(lines)
    ids = [reader.ids(line) for line in some]
    unknown, name, warnings = UNKNOWN, UNKNOWN_WORD, []
    if isinstance(reader, PretrainedReader):
        number, name = reader.tokenizer.unk_token_id, str(reader.tokenizer.unk_token)
        unknown = -1 if number is None else 1 + number
    elif isinstance(reader, WordReader) and reader.vocabulary.tokens == "word":
        wrong = misfit(some, [len(one) for one in ids])
        if wrong:
            warnings.append(f"{wrong}: data.tokens=char fits text without spaces between its words")
    share = sum(one.count(unknown) for one in ids) / max(1, sum(map(len, ids)))
    if share >= MANY_UNKNOWN:
        remedy = "take a network that was trained on this language"
        if isinstance(reader, WordReader):
            remedy = "try a smaller data.min_count or a larger data.vocabulary"
        warnings.append(f"{share:.0%} of the tokens are {name}, which are all alike; {remedy}")
    return warnings


def _refuse_short(length: int, least: int) -> None:
    if length < least:
        raise UserError(f"length = {length}: give at least {least} tokens, a word and what ends it")


def _padded(ids: Sequence[Sequence[int]]) -> Text:
    """Sentences of tokens as one batch, as wide as the longest."""
    sizes = torch.tensor([len(some) for some in ids], dtype=torch.long)
    tokens = torch.zeros(len(ids), int(sizes.max()) if len(ids) else 1, dtype=torch.long)
    for row, some in enumerate(ids):
        tokens[row, : len(some)] = torch.tensor(some)
    return Text(tokens, sizes)
