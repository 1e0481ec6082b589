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
from textgan.data.pairs import CorpusFile, conversations, read_files
from textgan.data.pre_tokenizer import TURN_WORD, UNKNOWN_WORD, PreTokenizer, Tokens
from textgan.data.sentences import Sentences
from textgan.data.settings import RunDataConfig
from textgan.data.sides import Side, spacing_facts
from textgan.data.splits import PartName, divide, number_labels, spelt_in_order
from textgan.data.subwords import Subwords
from textgan.data.text import Condition, Text, TextSpace
from textgan.data.texts import Row
from textgan.data.tokenizers import WordTokenizer, frequent

TOKENS = {"word": "words", "char": "characters", "bpe": "subwords"}
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
    files = read_files(config)
    main, name = files["train"], Path(config.path).name
    rows = [row for file in files.values() for row in file.rows]
    on = [one for file in files.values() for one in file.on]
    ends = pairwise([0, *accumulate(len(file.rows) for file in files.values())])
    of_file = {part: torch.arange(*places) for part, places in zip(files, ends, strict=True)}

    by_words = sides = _read_sides(config, rows, name, quiet)  # targets, then sources if any
    split_by = _split_by(config, main.on)
    keys = _keys(split_by, on, sides)

    def divided(rows: Tensor) -> dict[PartName, Tensor]:
        return divide(
            main.name,
            [keys[row] for row in rows.tolist()],
            rows,
            valid=None if "valid" in files else config.valid,
            test=None if "test" in files else config.test,
            seed=config.split_seed,
            what=f"{split_by}s",
        )

    parts = {}
    if config.tokens == "bpe":
        # subwords are learnt from the training part, and are what lengths are of
        parts = divided(of_file["train"])
        sides = _learn_subwords(config, rows, parts["train"], name, quiet)
    limits = _Limits.of(config, sides, of_file["train"])
    left_out = limits.left_out(sides)
    fits = ~torch.stack([*left_out.values()]).any(0)
    usable = {part: some[fits[some]] for part, some in of_file.items()}
    for part, file in files.items():
        limits.refuse_few(file, len(usable[part]), FEWEST if part == "train" else 1)
    own = {part: some[fits[some]] for part, some in parts.items()} or divided(usable["train"])
    parts = {**own, **usable, "train": own["train"]}

    counts = [side.counts(parts["train"]) for side in sides]
    kept = torch.cat([*parts.values()])
    words = _vocabularies(
        config, main.name, [side.tokenizer.pre_tokenizer for side in sides], counts
    )
    tokenizers = [side.tokenizer_of(some, kept) for side, some in zip(sides, words, strict=True)]
    encoded = [side.encode(one) for side, one in zip(sides, tokenizers, strict=True)]
    labels, of_labels = _number_labels(main, rows, parts)
    spaces = [tokenizer.space for tokenizer in tokenizers]
    texts: dict[PartName, Text] = {}
    for part, some in parts.items():
        text, *source = (
            ids[some].to_text(space) for ids, space in zip(encoded, spaces, strict=True)
        )
        condition = Condition(of_labels.get(part), source[0] if source else None)
        texts[part] = replace(text, condition=condition)
    space = replace(spaces[0], classes=len(labels))
    facts: dict[str, Any] = {
        **main.facts,
        **config.form.facts(),
        "sentences": len(main.rows),
        **_counted(left_out, of_file["train"]),
        "split_seed": config.split_seed,
        "split": {part: len(some) for part, some in parts.items()},
        "tokens": config.tokens,
        **sides[0].facts(tokenizers[0], counts[0]),
        **spacing_facts([row.text for row in main.rows], config.tokens, config.spaced),
    }
    if labels:
        facts["labels"] = labels
    if len(files) > 1:
        facts["files"] = {
            part: {**file.facts, "sentences": len(file.rows), **_counted(left_out, of_file[part])}
            for part, file in files.items()
            if part != "train"
        }
    following: dict[PartName, Following] = {}
    if main.sources:
        space = replace(space, source=spaces[1], shares_vocabulary=config.share_vocabulary)
        facts |= {"split_by": split_by, "turns": config.turns, "goes_on": sum(main.on)}
        facts["copies"] = sum(row.source == row.text for row in main.rows)
        facts["sources"] = {
            **main.facts.get("sources", {}),
            "shares_vocabulary": config.share_vocabulary,
            **sides[1].facts(tokenizers[1], counts[1]),
            **spacing_facts(main.sources, config.tokens, config.spaced),
        }
    if split_by == "conversation":
        following = _following(on, limits.fits(sides[0]), parts, encoded[0], texts, spaces[0])
        facts["following"] = {part: len(one.rows) for part, one in following.items()}
    if main.sources or len(files) > 1:
        facts["also_in_train"] = _also_in_train(by_words, parts)
    return Corpus(
        Path(config.path).stem,
        space,
        texts["train"],
        texts["valid"],
        texts["test"],
        tokenizers[0],
        facts,
        tuple(labels),
        tokenizers[1] if main.sources else None,
        following,
    )


def _read_sides(config: RunDataConfig, rows: Sequence[Row], name: str, quiet: bool) -> list[Side]:
    """The targets of rows and, where they have any, their sources; of one vocabulary are split
    alike."""
    every = _lines(config, rows)
    tokens: Tokens = "char" if config.tokens == "char" else "word"
    splits = [PreTokenizer.of(lines, tokens, config.spaced) for lines in every]
    if config.share_vocabulary:
        splits = [PreTokenizer.of([*chain.from_iterable(every)], tokens, config.spaced)] * 2
    return _sides(every, _with_turns(config, every, splits), name, quiet)


def _learn_subwords(
    config: RunDataConfig, rows: Sequence[Row], train: Tensor, name: str, quiet: bool
) -> list[Side]:
    """The same sides by subwords of the training part."""
    every = _lines(config, rows)
    learnt = [[lines[row] for row in train.tolist()] for lines in every]
    if config.share_vocabulary:
        learnt = [[*chain.from_iterable(learnt)]]
    splits = [
        PreTokenizer(
            "bpe",
            "",
            subwords=Subwords.train(lines, size, config.min_count, (UNKNOWN_WORD, TURN_WORD)),
        )
        for lines, size in zip(learnt, _sizes(config), strict=False)
    ]
    if config.share_vocabulary:
        splits *= 2
    return _sides(every, _with_turns(config, every, splits), name, quiet)


def _lines(config: RunDataConfig, rows: Sequence[Row]) -> list[list[str]]:
    """The lines of each side."""
    targets = [row.text for row in rows]
    return [targets, [row.source or "" for row in rows]] if config.has_sources else [targets]


def _sizes(config: RunDataConfig) -> tuple[int, int]:
    """The sizes of the vocabularies of targets and sources."""
    of_sources = config.source_vocabulary
    return config.vocabulary, config.vocabulary if of_sources < 0 else of_sources


def _with_turns(
    config: RunDataConfig, every: Sequence[Sequence[str]], splits: Sequence[PreTokenizer]
) -> list[PreTokenizer]:
    """How each side is split, where sources have several utterances."""
    if not any(TURN_WORD in source for sources in every[1:] for source in sources):
        return list(splits)
    source = replace(splits[1], turn=TURN_WORD)
    return [source if config.share_vocabulary else splits[0], source]


def _sides(
    every: Sequence[Sequence[str]], splits: Sequence[PreTokenizer], name: str, quiet: bool
) -> list[Side]:
    return [
        Side.of(lines, split, f"reading {name}", quiet)
        for lines, split in zip(every, splits, strict=True)
    ]


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

    def refuse_few(self, file: CorpusFile, usable: int, least: int) -> None:
        """UserError where too few rows of a file are usable."""
        if usable < least:
            what = "pairs" if file.sources else "sentences"
            raise UserError(
                f"{file.name} has {usable} usable {what} of {len(file.rows)} ({self}); at least "
                f"{least} {'are' if least > 1 else 'is'} needed"
            )


def _counted(left_out: Mapping[str, Tensor], rows: Tensor) -> dict[str, int]:
    """Count the rows that are left out, by reason."""
    return {why: int(mask[rows].sum()) for why, mask in left_out.items()}


SplitBy = Literal["sentence", "source", "conversation"]


def _split_by(config: RunDataConfig, on: Sequence[bool]) -> SplitBy:
    """What is in one part as a whole."""
    if not config.has_sources:
        return "sentence"
    if config.split_by != "auto":
        return config.split_by
    return "conversation" if sum(on) >= CHAINED * len(on) else "source"


def _keys(split_by: SplitBy, on: Sequence[bool], sides: Sequence[Side]) -> list[bytes]:
    """Keys of all rows: rows of equal keys are in one part.

    Equal targets may be in two parts, as answers to different sources; how many are is counted.
    """
    spelt = [spelt_in_order(side.sentences, side.tokenizer) for side in sides]
    if split_by != "conversation":
        return spelt[-1]
    numbers = conversations(on)
    whole = [b""] * (numbers[-1] + 1)
    parts: list[list[bytes]] = [[] for _ in whole]
    for number, target, source in zip(numbers, *spelt, strict=True):
        parts[number] += [source, target]
    whole = [b"".join(part) for part in parts]
    return [whole[number] for number in numbers]


def _vocabularies(
    config: RunDataConfig,
    name: str,
    splits: Sequence[PreTokenizer],
    counts: Sequence[Counter[str]],
) -> list[list[str]]:
    """The words to keep of each side, from how often each occurs in the training part."""
    if config.share_vocabulary:
        counts = [sum(counts, Counter())] * 2
    kept = [
        frequent(of_side, size, config.min_count)
        if split.subwords is None
        else list(split.subwords.pieces)
        for of_side, size, split in zip(counts, _sizes(config), splits, strict=False)
    ]
    for words, where in zip(kept, ("", " on the side of the sources"), strict=False):
        if len(words) < 2:
            raise UserError(
                f"{name} has a vocabulary of {len(words)} "
                f"{TOKENS[config.tokens]}{where} seen "
                f"{config.min_count} times or more; at least 2 are needed (is data.tokens right? "
                "try data.min_count = 1)"
            )
    return kept


def _number_labels(
    main: CorpusFile, rows: Sequence[Row], parts: Mapping[PartName, Tensor]
) -> tuple[dict[str, int], dict[PartName, Tensor]]:
    """As `number_labels`; nothing where there are none."""
    if not main.labels:
        return {}, {}
    labelled = [Labelled(row.line, row.label or "", row.text) for row in rows]
    return number_labels(main.name, labelled, parts)


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
    """How many texts of each side of the other parts the training part has, too."""
    counted: dict[str, dict[str, int]] = {"valid": {}, "test": {}}
    for side, what in zip(sides, ("targets", "sources"), strict=False):
        spelt = {part: list(side.sentences[rows].spelt()) for part, rows in parts.items()}
        known = set(spelt["train"])
        for part in ("valid", "test"):
            counted[part][what] = sum(one in known for one in spelt[part])
    return counted
