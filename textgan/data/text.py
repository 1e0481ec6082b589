"""Text: a batch of sentences, as token ids or as relaxed rows, and what they are written for.

This module knows nothing about words: which ids begin, end and pad a text is in a `TextSpace`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from textgan.core.device import is_asynchronous
from textgan.core.errors import described

Part = TypeVar("Part")

NAMES_OF_0_1 = {
    "sizes": "lengths",
    "rows": "soft_tokens",
    "given": "prompt_length",
    "symbols": "inputs",
    "padded": "pad_to",
    "narrowed": "trimmed",
}


@dataclass(frozen=True)
class TextSpace:
    """The texts that a generator may write: `length` tokens at most, ids 0 .. vocabulary - 1.

    eos: the id that ends a text. None: every text has exactly `length` tokens and every id is an
    ordinary one, as in the synthetic-oracle experiments.
    classes: every text has a label from 0 to classes - 1; 0: texts have no labels.
    bos: the id that a generator reads before a text's first token. pad: the id that fills up a
    shorter text. Where texts have an end, neither is ever written, unless it is the end itself.
    unknown: the id of all words that the vocabulary lacks; None: there is no such id.
    turn: the id between the utterances of a text that has several, a source of a dialogue; never
    written. None: there is no such id.
    source: the texts that these answer or translate; None: they answer none.
    shares_vocabulary: whether an id of the source is the same word here.
    Raises ValueError for an id beyond the vocabulary, or where vocabularies that are shared differ
    in size.
    """

    vocabulary: int
    length: int
    eos: int | None = None
    classes: int = 0
    bos: int = 0
    pad: int = 0
    unknown: int | None = None
    source: TextSpace | None = None
    turn: int | None = None
    shares_vocabulary: bool = False

    def __post_init__(self) -> None:
        for name, least in {"vocabulary": 1, "length": 1, "classes": 0}.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} = {value!r}: give a whole number from {least}")
        for name in ("bos", "pad", "eos", "unknown", "turn"):
            token = getattr(self, name)
            if token is not None and not 0 <= token < self.vocabulary:
                raise ValueError(f"{name} = {token} is no id of {self.vocabulary}")
        words = self.source.vocabulary if self.source is not None else None
        if self.shares_vocabulary and words != self.vocabulary:
            raise ValueError(
                f"shares_vocabulary: {self.vocabulary} words here and {words or 'no source'}"
            )

    @property
    def special(self) -> tuple[int, ...]:
        """The ids, in order, that are no words where texts have an end."""
        if self.eos is None:
            return ()
        ids = {self.bos, self.pad, self.eos, self.unknown, self.turn}
        return tuple(sorted(token for token in ids if token is not None))

    @property
    def unwritten(self) -> tuple[int, ...]:
        """The ids, in order, that no text has before its padding: probability zero."""
        if self.eos is None:
            return ()
        never = {self.bos, self.pad, self.turn} - {self.eos}
        return tuple(sorted(token for token in never if token is not None))

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> TextSpace:
        """Rebuild the space from what `dataclasses.asdict` made of it."""
        source = content.get("source")
        return TextSpace(**{**content, "source": source and TextSpace.from_dict(source)})


@dataclass(frozen=True)
class Condition:
    """The condition of B texts: the class of each, the source that it answers, both, or, as by
    default, nothing.

    labels: (B,) int64, or None. source: B texts, or None.
    """

    labels: Tensor | None = None
    source: Text | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and not isinstance(self.labels, Tensor):
            raise ValueError(f"labels = {described(self.labels)}: give a tensor (B,), or None")
        if self.source is not None and not isinstance(self.source, Text):
            raise ValueError(f"source = {described(self.source)}: give a Text, or None")

    def __getitem__(self, index: Tensor | slice) -> Condition:
        """The conditions of the texts at `index`."""
        return Condition(
            None if self.labels is None else self.labels[index],
            None if self.source is None else self.source[index],
        )

    def __len__(self) -> int:
        """How many texts are written for these; 0 where they say nothing."""
        first = self.labels if self.source is None else self.source
        return 0 if first is None else len(first)

    def __bool__(self) -> bool:
        """Return whether there are labels or a source."""
        return self.labels is not None or self.source is not None

    def repeat(self, n: int) -> Condition:
        """Repeat each n times in a row: that of b is at b * n .. b * n + n - 1."""
        return Condition(
            None if self.labels is None else self.labels.repeat_interleave(n),
            None if self.source is None else self.source.repeat(n),
        )

    def to(self, device: torch.device) -> Condition:
        """Return the condition on another device."""
        return Condition(
            None if self.labels is None else self.labels.to(device),
            None if self.source is None else self.source.to(device),
        )

    @staticmethod
    def join(conditions: Sequence[Condition]) -> Condition:
        """Join conditions, one after the other. Raises ValueError where only some have labels, or a
        source."""
        labels = _all_or_none([one.labels for one in conditions])
        sources = _all_or_none([one.source for one in conditions])
        return Condition(
            torch.cat(labels) if labels else None, concatenate(sources) if sources else None
        )

    def draw(self, n: int) -> Condition:
        """Draw n of these with replacement; a condition on nothing stays as it is."""
        if not self:
            return self
        first = self.labels if self.source is None else self.source.tokens
        assert first is not None  # see __bool__
        return self[torch.randint(len(first), (n,), device=first.device)]

    def require_labels(self, classes: int) -> Tensor:
        """Return the labels (B,), of so many classes. Raises ValueError where there are none."""
        if self.labels is None:
            raise ValueError(f"texts of {classes} classes need labels")
        return self.labels

    def require_source(self) -> Text:
        """Return the source of each text, B texts. Raises ValueError where there is none."""
        if self.source is None:
            raise ValueError("texts that answer a source need one (condition=real.condition)")
        return self.source

    @property
    def sources(self) -> Tensor | None:
        """(B,) int64: equal for texts of one source, 0 .. different sources - 1; None without.

        Texts of one source depend on each other, so a bootstrap resamples them together.
        """
        if self.source is None:
            return None
        which: Tensor = torch.unique(self.source.tokens, dim=0, return_inverse=True)[1]
        return which


UNCONDITIONAL = Condition()


def _takes_names_of_0_1(text: Any) -> Any:
    """Let the class's constructor, and so `replace`, take its arguments by their names in version
    0.1, too, for own parts that a run kept."""
    make = text.__init__

    @functools.wraps(make)
    def __init__(self: Any, *given: Any, **named: Any) -> None:
        for name in named.keys() & {"labels", "source"}:
            condition = named.get("condition", UNCONDITIONAL)
            named["condition"] = replace(condition, **{name: named.pop(name)})
        former = named.keys() & NAMES_OF_0_1.keys()
        make(self, *given, **(named | {NAMES_OF_0_1[name]: named.pop(name) for name in former}))

    text.__init__ = __init__
    return text


@_takes_names_of_0_1
@dataclass(frozen=True)
class Text:
    """A batch of B sentences of at most T tokens, without the begin token.

    tokens: (B, T) int64, padding after the end of a sentence.
    lengths: (B,) int64, how many tokens are real, the end token included.
    soft_tokens: (B, T, V) relaxed one-hot rows, or None. Relaxed text has no end: all lengths are
    T.
    condition: what each sentence is written for.
    prompt_length: how many leading tokens came from data and not from the generator.
    """

    tokens: Tensor
    lengths: Tensor
    soft_tokens: Tensor | None = None
    condition: Condition = UNCONDITIONAL
    prompt_length: int = 0

    def __post_init__(self) -> None:
        # types and shapes alone: values would be waited for on a GPU
        if not isinstance(self.tokens, Tensor) or self.tokens.dim() != 2:
            raise ValueError(f"tokens = {described(self.tokens)}: give a tensor (B, T)")
        if not isinstance(self.lengths, Tensor) or self.lengths.shape != self.tokens.shape[:1]:
            wanted = f"a tensor ({len(self.tokens)},), one length a text"
            raise ValueError(f"lengths = {described(self.lengths)}: give {wanted}")

    @staticmethod
    def packed(tokens: Tensor, lengths: Tensor, pad: int, width: int = 0) -> Text:
        """Make text of the tokens (M,) of all sentences, one after another, with padding up to
        `width` positions; 0: as many as the longest of them (B,) has."""
        width = width or (int(lengths.max()) if len(lengths) else 1)
        text = Text(tokens.new_full((len(lengths), width), pad), lengths)
        text.tokens.masked_scatter_(text.mask, tokens)
        return text

    @staticmethod
    def full(tokens: Tensor) -> Text:
        """Make text in which every one of the (B, T) tokens is real."""
        return Text(tokens, tokens.new_full((tokens.shape[0],), tokens.shape[1]))

    @staticmethod
    def ended(tokens: Tensor, space: TextSpace) -> Text:
        """Make text whose sentences stop at their first end token; what follows it becomes
        padding."""
        if space.eos is None:
            return Text.full(tokens)
        length = tokens.shape[1]
        is_end = tokens == space.eos
        # argmax of a 0/1 row is its first 1; a row without one is as long as it can be
        sizes = torch.where(is_end.any(1), is_end.int().argmax(1) + 1, length)
        inside = torch.arange(length, device=tokens.device) < sizes.unsqueeze(1)
        return Text(tokens.masked_fill(~inside, space.pad), sizes)

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the texts as named tensors, with what they are written for, to keep in a file."""
        parts = {"tokens": self.tokens, "sizes": self.lengths, "rows": self.soft_tokens}
        parts["labels"] = self.labels
        tensors = {name: part for name, part in parts.items() if part is not None}
        if self.source is not None:
            source = self.source.to_tensors()
            tensors |= {f"source.{name}": part for name, part in source.items()}
        return tensors

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor], prompt_length: int = 0) -> Text:
        """Rebuild the texts from what `to_tensors` made, whatever integers its ids were stored as.

        Raises KeyError where one is missing.
        """
        of_source = {
            name.removeprefix("source."): part
            for name, part in tensors.items()
            if name.startswith("source.")
        }
        source = Text.from_tensors(of_source) if of_source else None
        labels = tensors["labels"].long() if "labels" in tensors else None
        tokens, sizes = tensors["tokens"].long(), tensors["sizes"].long()
        return Text(tokens, sizes, tensors.get("rows"), Condition(labels, source), prompt_length)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The attributes as version 0.1 called them, for own parts that a run kept."""
            if name not in NAMES_OF_0_1:
                raise AttributeError(f"a Text has no {name!r}")
            return getattr(self, NAMES_OF_0_1[name])

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def tolist(self) -> list[list[int]]:
        """Return each sentence as a list of its tokens, the end token included, without padding."""
        sizes = self.lengths.tolist()
        return [row[:size] for row, size in zip(self.tokens.tolist(), sizes, strict=True)]

    @property
    def labels(self) -> Tensor | None:
        """(B,) the class of each sentence, or None."""
        return self.condition.labels

    @property
    def source(self) -> Text | None:
        """The text that each sentence answers or translates, B texts, or None."""
        return self.condition.source

    @property
    def inputs(self) -> Tensor:
        """The input of an embedding: the soft tokens if there are any, else the tokens."""
        return self.tokens if self.soft_tokens is None else self.soft_tokens

    @property
    def mask(self) -> Tensor:
        """(B, T) bool: which tokens are real."""
        positions = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return positions < self.lengths.unsqueeze(1)

    def __getitem__(self, index: Tensor | slice) -> Text:
        """The sentences at `index`, everything that belongs to them included."""
        return replace(
            self,
            tokens=self.tokens[index],
            lengths=self.lengths[index],
            soft_tokens=None if self.soft_tokens is None else self.soft_tokens[index],
            condition=self.condition[index],
        )

    def repeat(self, n: int) -> Text:
        """Repeat each n times in a row: that of b is at b * n .. b * n + n - 1."""
        return self[torch.arange(len(self), device=self.tokens.device).repeat_interleave(n)]

    def pad_to(self, length: int, pad: int = 0) -> Text:
        """Return the texts padded to `length` positions, which must not be fewer than now.

        pad: the id of padding, as their `TextSpace` has it. Raises ValueError for relaxed text,
        which has no padding.
        """
        extra = length - self.tokens.shape[1]
        if self.soft_tokens is not None or extra < 0:
            raise ValueError(f"cannot pad {'relaxed text' if extra >= 0 else 'to fewer tokens'}")
        return replace(self, tokens=torch.nn.functional.pad(self.tokens, (0, extra), value=pad))

    def trimmed(self) -> Text:
        """Return the texts cut to the longest of them, where that is cheap to know."""
        if self.soft_tokens is not None or is_asynchronous(self.lengths):
            return self
        return replace(self, tokens=self.tokens[:, : int(self.lengths.max())])

    def relaxed(self, like: Tensor) -> Text:
        """Return the texts as one-hot rows of the vocabulary and type of rows `like` (..., V).

        Padding becomes a symbol like the others, for relaxed text has no length.
        """
        if self.soft_tokens is not None:
            return self
        rows = torch.nn.functional.one_hot(self.tokens, like.shape[-1]).to(like)
        return replace(
            self, lengths=torch.full_like(self.lengths, self.tokens.shape[1]), soft_tokens=rows
        )

    def split(self, n: int) -> list[Text]:
        """Split the batch into pieces of at most n sentences."""
        return [self[slice(start, start + n)] for start in range(0, len(self), n)]

    def to(self, device: torch.device) -> Text:
        """Return the batch on another device."""
        return replace(
            self,
            tokens=self.tokens.to(device),
            lengths=self.lengths.to(device),
            soft_tokens=None if self.soft_tokens is None else self.soft_tokens.to(device),
            condition=self.condition.to(device),
        )


def concatenate(texts: Sequence[Text]) -> Text:
    """Join several batches of the same width to one.

    Raises ValueError where only some have soft tokens, sources or labels.
    """
    rows = _all_or_none([text.soft_tokens for text in texts])
    return replace(
        texts[0],
        tokens=torch.cat([text.tokens for text in texts]),
        lengths=torch.cat([text.lengths for text in texts]),
        soft_tokens=torch.cat(rows) if rows else None,
        condition=Condition.join([text.condition for text in texts]),
    )


def exchange_sources(text: Text) -> Text:
    """Return the texts, each with the source of the one after it; the last has the first's."""
    following = torch.arange(len(text), device=text.tokens.device).roll(-1)
    source = text.condition.require_source()[following]
    return replace(text, condition=replace(text.condition, source=source))


def text_keys(text: Text) -> Tensor:
    """Compute a number (B,) of each text, equal for equal texts, however wide their padding, and
    but by a chance of 2^-64 for no others."""
    # the factor of Knuth's generator MMIX, whose powers are spread over 64 bits
    powers = text.tokens.new_full((text.tokens.shape[1],), 6364136223846793005).cumprod(0)
    return ((text.tokens + 1) * powers).masked_fill(~text.mask, 0).sum(1)  # modulo 2^64


def class_rows(text: Text, classes: int) -> list[Tensor]:
    """Return the indices of the texts of each class, in order; all of them where there are no
    classes."""
    if not classes:
        return [torch.arange(len(text), device=text.tokens.device)]
    labels = text.condition.require_labels(classes)
    return [(labels == label).nonzero().squeeze(1) for label in range(classes)]


def _all_or_none(parts: Sequence[Part | None]) -> list[Part]:
    present = [part for part in parts if part is not None]
    if present and len(present) < len(parts):
        raise ValueError(
            "cannot concatenate texts of which only some have soft tokens, source or labels"
        )
    return present
