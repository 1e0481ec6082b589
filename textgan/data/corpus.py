"""Corpus: sentences as token ids, split into train, valid and test; and how they are read.

What a file may hold, and how labels and sources are separated from texts, is
`textgan.data.texts`'s; who answers whom is `textgan.data.pairs`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from textgan.core.errors import UserError
from textgan.core.names import suggest
from textgan.data.labelled import FEWEST, Labelled, short_label
from textgan.data.pairs import conversations, read_files
from textgan.data.pre_tokenizer import TURN_WORD, UNKNOWN_WORD, PreTokenizer, Tokens
from textgan.data.sentences import Sentences
from textgan.data.settings import RunDataConfig
from textgan.data.sides import Side, spacing_facts
from textgan.data.splits import PartName, divide, number_labels, spelt_in_order
from textgan.data.subwords import Subwords
from textgan.data.text import Condition, Text, TextSpace
from textgan.data.tokenizers import WordTokenizer, frequent

TOKENS = {"word": "words", "char": "characters", "bpe": "subwords"}
SplitBy = Literal["sentence", "source", "conversation"]
CHAINED = 0.1  # share of pairs that go on from the one before, from which these are dialogues


@dataclass(frozen=True)
class Following:
    """The utterances after the responses of a part, for metrics of dialogue.

    rows: (M,) int64, ascending: the texts of the part that an utterance follows which could be a
    response itself: of data.min_length to data.length tokens, so that its length gives nothing
    away. text: M texts, what follows each, in answer to the same source, so that `part[rows]` and
    `text` differ in the response alone.
    """

    rows: Tensor
    text: Text

    def to(self, device: torch.device) -> Following:
        """Return the same on another device."""
        return Following(self.rows.to(device), self.text.to(device))


@dataclass(frozen=True)
class Corpus:
    """Real sentences, and facts about their origin.

    tokenizer: of its sentences; in the synthetic oracle's corpus the words are numbers.
    source_tokenizer: of the texts that they answer; None where they answer none.
    facts: source, hash, counts, split: what a run records about its data.
    label_names: what each label of the texts means; empty where they have none.
    following: by the name of a part, where pairs are divided by conversation; else empty.
    conversations: likewise, the number of the conversation of each text, (B,) int64.
    """

    name: str
    space: TextSpace
    train: Text
    valid: Text
    test: Text
    tokenizer: WordTokenizer
    facts: dict[str, Any]
    label_names: tuple[str, ...] = ()
    source_tokenizer: WordTokenizer | None = None
    following: Mapping[PartName, Following] = field(default_factory=dict)
    conversations: Mapping[PartName, Tensor] = field(default_factory=dict)

    def decode(self, text: Text) -> list[str]:
        """Return a line for each sentence, as in a file: its words, and before them, each with a
        tab, its label and its source, where it has one."""
        columns = [self.tokenizer.decode(text.tolist())]
        if text.source is not None and self.source_tokenizer is not None:
            columns.insert(0, self.source_tokenizer.decode(text.source.tolist()))
        if text.labels is not None:
            columns.insert(0, [self.label_names[label] for label in text.labels.tolist()])
        return ["\t".join(parts) for parts in zip(*columns, strict=True)]

    @property
    def conditions(self) -> Condition:
        """The conditions of a generator's texts when it is measured: classes as often as in the
        training text, or the sources of the test part, which it was not trained on."""
        return (self.train if self.space.source is None else self.test).condition

    def label(self, name: str) -> int:
        """Return the number of a label. Raises UserError, which names the known ones, if there is
        none of that name."""
        if not self.label_names:
            raise UserError(
                f"the label {short_label(name)} was asked for, but {self.name} has no labels"
            )
        if name not in self.label_names:
            few = [
                label if len(label) <= 40 else short_label(label) for label in self.label_names[:10]
            ]
            more = ", ..." if len(self.label_names) > len(few) else ""
            raise UserError(
                f"there is no label {short_label(name)}{suggest(name, self.label_names)}; "
                f"known: {', '.join(few)}{more}"
            )
        return self.label_names.index(name)

    def to(self, device: torch.device) -> Corpus:
        """Return the same corpus on another device."""
        return replace(
            self,
            train=self.train.to(device),
            valid=self.valid.to(device),
            test=self.test.to(device),
            following={part: one.to(device) for part, one in self.following.items()},
        )


def read_corpus(config: RunDataConfig, quiet: bool = True) -> Corpus:
    """Read a corpus from a file of texts, or of pairs of source and target.

    Equal sentences are in one part; of pairs equal sources, or whole conversations. A file that is
    given for a part is that part as it is; `config.split_seed` decides the others. Vocabularies are
    of the training part alone. Labels are numbered in alphabetical order, so that the order of the
    lines decides nothing. quiet: show no progress.
    Raises UserError where settings contradict each other, a file is not as they say, or too little
    is left to train on.
    """
    config.refuse_contradictions()
    read = _read(config, quiet)
    divided = _divide(config, read, quiet)
    sides, parts = divided.sides, divided.parts
    tokenizers, counts = _tokenizers(config, read.name, sides, parts)
    ids = [side.encode(one) for side, one in zip(sides, tokenizers, strict=True)]
    spaces = [tokenizer.space for tokenizer in tokenizers]
    labels, of_labels = (
        number_labels(read.name, read.labelled, parts) if read.labelled else ({}, {})
    )
    texts: dict[PartName, Text] = {}
    for part, rows in parts.items():
        text, *source = (one[rows].to_text(space) for one, space in zip(ids, spaces, strict=True))
        condition = Condition(of_labels.get(part), source[0] if source else None)
        texts[part] = replace(text, condition=condition)
    space = replace(spaces[0], classes=len(labels))
    following: dict[PartName, Following] = {}
    of_rows: dict[PartName, Tensor] = {}
    facts: dict[str, Any] = {
        **read.facts,
        **config.form.facts(),
        "tokens": config.tokens,
        **sides[0].facts(tokenizers[0], counts[0]),
        "split_seed": config.split_seed,
        "split": {part: len(rows) for part, rows in parts.items()},
        **divided.facts["train"],
        **({"labels": labels} if labels else {}),
    }
    for part, about in read.facts.get("files", {}).items():
        facts["files"][part] = about | divided.facts[part]
    if config.has_sources:
        space = replace(space, source=spaces[1], shares_vocabulary=config.share_vocabulary)
        facts |= {"split_by": divided.by, "turns": config.turns}
        facts["sources"] = read.facts["sources"] | sides[1].facts(tokenizers[1], counts[1])
        facts["sources"]["shares_vocabulary"] = config.share_vocabulary
    if divided.by == "conversation":
        # one that was left out for its source may be longer than all that were not
        usable = divided.limits.fits(sides[0]) & (sides[0].sizes < space.length)
        following = _following(read.on, usable, parts, ids[0], texts, spaces[0])
        facts["following"] = {part: len(one.rows) for part, one in following.items()}
        numbers = torch.tensor(conversations(read.on))
        of_rows = {part: numbers[rows] for part, rows in parts.items()}
    if config.has_sources or "files" in facts:
        facts["also_in_train"] = _also_in_train(read.sides, parts)
    return Corpus(
        Path(config.path).stem,
        space,
        **texts,
        tokenizer=tokenizers[0],
        facts=facts,
        label_names=tuple(labels),
        source_tokenizer=tokenizers[1] if config.has_sources else None,
        following=following,
        conversations=of_rows,
    )


class _Read(NamedTuple):
    """What was read of the files of a corpus: their rows, one file after another.

    names: of the files, for messages, and of_file: their rows, by the part that each is given for,
    the first for "train". on: which rows go on from the one before. sides: targets, then sources if
    there are any, by words or characters. lines: of each side, kept to learn subwords from; else
    nothing, for they are large. labelled: every row with its label, if they have labels. facts:
    about the files.
    """

    names: dict[PartName, str]
    of_file: dict[PartName, Tensor]
    on: list[bool]
    sides: list[Side]
    lines: list[list[str]]
    labelled: list[Labelled]
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the first file."""
        return self.names["train"]


def _read(config: RunDataConfig, quiet: bool) -> _Read:
    """Read all files, and number the words of each side in one pass."""
    files = read_files(config)
    main = files["train"]
    rows = [row for file in files.values() for row in file.rows]
    lines = [[row.text for row in rows]]
    facts: dict[str, Any] = {**main.facts, "sentences": len(main.rows)}
    facts |= spacing_facts([row.text for row in main.rows], config.tokens, config.spaced)
    if config.has_sources:
        lines.append([row.source or "" for row in rows])
        copies = sum(row.source == row.text for row in main.rows)
        facts |= {"goes_on": sum(main.on), "copies": copies}
        facts["sources"] = main.facts.get("sources", {}) | spacing_facts(
            main.sources, config.tokens, config.spaced
        )
    if len(files) > 1:
        facts["files"] = {
            part: file.facts | {"sentences": len(file.rows)}
            for part, file in files.items()
            if file is not main
        }
    tokens: Tokens = "char" if config.tokens == "char" else "word"
    splits = [PreTokenizer.of(some, tokens, config.spaced) for some in lines]
    if config.share_vocabulary:
        splits = [PreTokenizer.of([*chain.from_iterable(lines)], tokens, config.spaced)] * 2
    ends = pairwise([0, *accumulate(len(file.rows) for file in files.values())])
    return _Read(
        {part: file.name for part, file in files.items()},
        {part: torch.arange(*places) for part, places in zip(files, ends, strict=True)},
        [one for file in files.values() for one in file.on],
        _sides(config, lines, splits, quiet),
        lines if config.tokens == "bpe" else [],
        [Labelled(row.line, row.label or "", row.text) for row in rows] if main.labels else [],
        facts,
    )


def _sides(
    config: RunDataConfig, lines: Sequence[list[str]], splits: Sequence[PreTokenizer], quiet: bool
) -> list[Side]:
    """Sides of these lines, split so; of one vocabulary both know what is between utterances."""
    turn = TURN_WORD if any(TURN_WORD in line for some in lines[1:] for line in some) else ""
    what = f"reading {Path(config.path).name}"
    return [
        Side.of(
            some,
            replace(split, turn=turn) if number or config.share_vocabulary else split,
            what,
            quiet,
        )
        for number, (some, split) in enumerate(zip(lines, splits, strict=True))
    ]


class _Divided(NamedTuple):
    """Sides by the tokens of the run, the rows of each part that are not left out, what is in one
    part as a whole, and how many rows of each file were left out."""

    sides: list[Side]
    parts: dict[PartName, Tensor]
    by: SplitBy
    limits: _Limits
    facts: dict[PartName, dict[str, int]]


def _divide(config: RunDataConfig, read: _Read, quiet: bool) -> _Divided:
    """Leave out what is too long or too short, and divide the rest."""
    by, own, sides = _split_by(config, read), read.of_file["train"], read.sides
    keys = _keys(by, read)

    def divided(rows: Tensor) -> dict[PartName, Tensor]:
        return divide(
            read.name,
            [keys[row] for row in rows.tolist()],
            rows,
            valid=None if config.valid_file else config.valid,
            test=None if config.test_file else config.test,
            seed=config.split_seed,
            what=f"{by}s",
        )

    parts: dict[PartName, Tensor] = {}
    if config.tokens == "bpe":
        # subwords are learnt from the training part, and are what lengths are of
        parts = divided(own)
        sides = _sides(config, read.lines, _subwords(config, read, parts["train"]), quiet)
    limits = _Limits.of(config, sides, own)
    left_out = limits.left_out(sides)
    fits = ~torch.stack([*left_out.values()]).any(0)
    limits.refuse_few(read.name, left_out, own, FEWEST)
    parts = parts or divided(own[fits[own]])
    for part, rows in {**parts, **read.of_file, "train": parts["train"]}.items():
        parts[part] = rows[fits[rows]]
        name = read.names.get(part, f"the {part} part of {read.name}")
        limits.refuse_few(name, left_out, rows, 1)
    facts = {
        part: {why: int(mask[rows].sum()) for why, mask in left_out.items()}
        for part, rows in read.of_file.items()
    }
    return _Divided(sides, parts, by, limits, facts)


def _subwords(config: RunDataConfig, read: _Read, train: Tensor) -> list[PreTokenizer]:
    """How each side is split into subwords of the training part."""
    learnt = [[lines[row] for row in train.tolist()] for lines in read.lines]
    if config.share_vocabulary:
        learnt = [[*chain.from_iterable(learnt)]]
    whole = (UNKNOWN_WORD, TURN_WORD)
    splits = [
        PreTokenizer("bpe", "", subwords=Subwords.train(lines, size, config.min_count, whole))
        for lines, size in zip(learnt, _sizes(config), strict=False)
    ]
    return splits * 2 if config.share_vocabulary else splits


def _sizes(config: RunDataConfig) -> tuple[int, int]:
    """The sizes of the vocabularies of targets and sources."""
    of_sources = config.source_vocabulary
    return config.vocabulary, config.vocabulary if of_sources < 0 else of_sources


class _Limits(NamedTuple):
    """How many tokens a target has, and a source at most; None without sources."""

    least: int
    most: int
    source: int | None

    @staticmethod
    def of(config: RunDataConfig, sides: Sequence[Side], rows: Tensor) -> _Limits:
        """Choose what the config leaves open by the texts of these rows."""
        wanted = (config.length, config.source_length)
        most = [side.longest(length, rows) for side, length in zip(sides, wanted, strict=False)]
        return _Limits(config.min_length, most[0], most[1] if len(most) > 1 else None)

    def __str__(self) -> str:
        least = f"{self.least} to" if self.least > 1 else "at most"
        source = "" if self.source is None else f", and sources of at most {self.source}"
        return f"of {least} {self.most} tokens{source}"

    def fits(self, target: Side) -> Tensor:
        """(B,) bool: which texts could be targets."""
        return (target.sizes >= self.least) & (target.sizes <= self.most)

    def left_out(self, sides: Sequence[Side]) -> dict[str, Tensor]:
        """Return which rows are left out, (B,) bool, by the first reason for it."""
        target, *source = sides
        masks = {"too_long": target.sizes > self.most}
        if self.least > 1:
            masks["too_short"] = target.sizes < self.least
        if self.source is not None:
            masks["source_too_long"] = (source[0].sizes > self.source) & self.fits(target)
        return masks

    def refuse_few(
        self, name: str, left_out: Mapping[str, Tensor], rows: Tensor, least: int
    ) -> None:
        """UserError where too few of the rows are usable, with the settings that leave them out."""
        counts = {why: int(mask[rows].sum()) for why, mask in left_out.items()}
        usable = len(rows) - sum(counts.values())
        if usable < least:
            settings = {
                "too_long": f"data.length = {self.most} leaves out {{}}; raise it",
                "too_short": f"data.min_length = {self.least} leaves out {{}}; lower it",
                "source_too_long": f"data.source_length = {self.source} leaves out {{}}; raise it",
            }
            what = "sentences" if self.source is None else "pairs"
            needed = f"at least {least} {'are' if least > 1 else 'is'} needed"
            remedies = [settings[why].format(n) for why, n in counts.items() if n]
            raise UserError(
                "; ".join(
                    [
                        f"{name} has {usable} usable {what} of {len(rows)} ({self})",
                        needed,
                        *remedies,
                    ]
                )
            )


def _split_by(config: RunDataConfig, read: _Read) -> SplitBy:
    """What is in one part as a whole."""
    if not config.has_sources:
        return "sentence"
    if config.split_by != "auto":
        return config.split_by
    chained = read.facts["goes_on"] >= CHAINED * read.facts["sentences"]
    return "conversation" if chained else "source"


def _keys(by: SplitBy, read: _Read) -> list[bytes]:
    """Keys of all rows: rows of equal keys are in one part.

    Equal targets may be in two parts, as answers to different sources; how many are is counted.
    """
    spelt = [spelt_in_order(side.sentences, side.tokenizer) for side in read.sides]
    if by != "conversation":
        return spelt[-1]
    numbers = conversations(read.on)
    of_each: list[list[bytes]] = [[] for _ in range(numbers[-1] + 1)]
    for number, target, source in zip(numbers, *spelt, strict=True):
        of_each[number] += [source, target]
    whole = [b"".join(rows) for rows in of_each]
    return [whole[number] for number in numbers]


def _tokenizers(
    config: RunDataConfig, name: str, sides: Sequence[Side], parts: Mapping[PartName, Tensor]
) -> tuple[list[WordTokenizer], list[Counter[str]]]:
    """The tokenizer of each side, and how often each word occurs in its training part."""
    counts = [side.counts(parts["train"]) for side in sides]
    both = [sum(counts, Counter[str]())] * 2 if config.share_vocabulary else counts
    rows, tokenizers = torch.cat([*parts.values()]), []
    whose = ("", " on the side of the sources")
    for side, of_side, size, where in zip(sides, both, _sizes(config), whose, strict=False):
        subwords = side.tokenizer.pre_tokenizer.subwords
        words = subwords.pieces if subwords else frequent(of_side, size, config.min_count)
        if len(words) < 2:
            raise UserError(
                f"{name} has a vocabulary of {len(words)} {TOKENS[config.tokens]}{where} seen "
                f"{config.min_count} times or more; at least 2 are needed (is data.tokens right? "
                "try data.min_count = 1)"
            )
        tokenizers.append(side.tokenizer_of(words, rows))
    return tokenizers, counts


def _following(
    on: Sequence[bool],
    usable: Tensor,
    parts: Mapping[PartName, Tensor],
    targets: Sentences,
    texts: Mapping[PartName, Text],
    space: TextSpace,
) -> dict[PartName, Following]:
    """What follows the texts of each part. usable: (B,) which rows could be a response."""
    followed = torch.zeros_like(usable)
    followed[:-1] = torch.tensor(on[1:], dtype=torch.bool) & usable[1:]
    following: dict[PartName, Following] = {}
    for part, rows in parts.items():
        which = followed[rows].nonzero().squeeze(1)
        text = targets[rows[which] + 1].to_text(space)
        text = replace(text, condition=texts[part].condition[which])
        following[part] = Following(which, text)
    return following


def _also_in_train(
    sides: Sequence[Side], parts: Mapping[PartName, Tensor]
) -> dict[str, dict[str, int]]:
    """How many texts of each side of the other parts, and pairs, the training part has, too."""
    counted: dict[str, dict[str, int]] = {"valid": {}, "test": {}}
    names = ("targets", "sources") if len(sides) > 1 else ("sentences",)
    spelt: list[dict[PartName, list[Any]]] = [
        {part: list(side.sentences[rows].spelt()) for part, rows in parts.items()} for side in sides
    ]
    if len(sides) > 1:
        names = (*names, "pairs")
        spelt.append(
            {part: list(zip(*(side[part] for side in spelt), strict=True)) for part in parts}
        )
    for side, what in zip(spelt, names, strict=True):
        known = set(side["train"])
        for part in ("valid", "test"):
            counted[part][what] = sum(one in known for one in side[part])
    return counted
