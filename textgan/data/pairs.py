"""The files of a corpus: of texts, or of pairs of source and target; and who answers whom.

A row goes on from the row before where its source, or the last utterance of it, is the target of
the row before. An empty line ends a conversation, too. So a file of dialogues needs no numbers of
conversations, and one of translations has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from textgan.core.errors import UserError
from textgan.data.datasets import recognise
from textgan.data.labelled import check_labels, short_label
from textgan.data.pre_tokenizer import TURN_WORD
from textgan.data.settings import RunDataConfig
from textgan.data.splits import PartName
from textgan.data.texts import Form, Row, Rows, has_fields, paired, read_rows

BETWEEN = f" {TURN_WORD} "


@dataclass(frozen=True)
class CorpusFile:
    """A file of a corpus, read.

    name: in messages. rows: those that are not empty. on: which of them go on from the row before.
    facts: source, hash, and the same of the file of its sources where that is another.
    """

    name: str
    rows: list[Row]
    on: list[bool]
    facts: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        """The label of every row, empty where they have none."""
        return [row.label for row in self.rows if row.label is not None]

    @property
    def sources(self) -> list[str]:
        """The source of every row, empty where they have none."""
        return [row.source for row in self.rows if row.source is not None]


def read_files(config: RunDataConfig) -> dict[PartName, CorpusFile]:
    """Read the file of a corpus, as that of its training part, and those that are given for the
    other parts. Raises UserError where one is not as the settings, or the first file, say."""
    form, called = config.form, "data.pairs" if config.pairs else "data.file"
    remedy = "" if config.has_sources else ", or are these pairs of source and target (data.pairs)"
    main = _read_file(config.path, called, form, config.source, "data.source")
    if main.labels:
        check_labels(main.labels, main.name, remedy=remedy)
    files: dict[PartName, CorpusFile] = {"train": main}
    parts: tuple[PartName, ...] = ("valid", "test")
    for part in parts:
        path, source = getattr(config, f"{part}_file"), getattr(config, f"{part}_source")
        if path:
            files[part] = _read_file(path, f"data.{part}_file", form, source, f"data.{part}_source")
            _refuse_other_labels(files[part], main)
    if config.turns:
        if not any(any(file.on) or _several(file.rows) for file in files.values()):
            raise UserError(
                f"data.turns = {config.turns}: no line of {main.name} goes on from the one before "
                f"(its source is the target there), and no source has a {TURN_WORD}; leave it out"
            )
        for part, file in files.items():
            files[part] = replace(file, rows=with_history(file.rows, file.on, config.turns))
    return files


def _read_file(path: str, called: str, form: Form, source: str, called_source: str) -> CorpusFile:
    name = f"{called} = {path!r}"
    rows, sha256 = read_rows(Path(path), called, form)
    facts: dict[str, Any] = {
        "source": Path(path).name,
        "sha256": sha256,
        "known_as": recognise(sha256),
    }
    if source:
        rows, of_sources = read_sources(Path(source), called_source, form, rows, name)
        facts["sources"] = {
            "source": Path(source).name, "sha256": of_sources, "known_as": recognise(of_sources),
        }  # fmt: skip
    return CorpusFile(name, [row for row in rows if row.text], goes_on(rows), facts)


def _refuse_other_labels(file: CorpusFile, main: CorpusFile) -> None:
    """UserError where only one of two files has labels, or a file has one that the main one
    lacks."""
    if bool(file.labels) != bool(main.labels):
        which = "has labels" if file.labels else "has no labels"
        raise UserError(f"{file.name} {which}, unlike {main.name}; give files of one form")
    known = set(main.labels)
    for row in file.rows:
        if row.label is not None and row.label not in known:
            raise UserError(
                f"{file.name}: line {row.line} has the label {short_label(row.label)}, which "
                f"{main.name} lacks"
            )


def read_sources(path: Path, called: str, form: Form, rows: Sequence[Row], name: str) -> Rows:
    """Read the sources of rows from a file that has as many lines; return the rows with them, and
    the SHA-256 of the file.

    called: what asked for the file, for messages. form: that of the rows. name: their file's in
    messages. Raises UserError for other numbers of lines and for a line that is empty in one file
    alone.
    """
    here = f"{called} = {str(path)!r}"
    plain = Form("no", format="text" if form.format == "text" else "auto")
    if has_fields(path, plain):
        raise UserError(
            f"{here} has fields; give one table of both, with data.field and data.source_field, or "
            "plain text"
        )
    sources, sha256 = read_rows(path, called, plain)
    if len(sources) != len(rows):
        (fewer, first), (more, other) = sorted([(len(sources), here), (len(rows), name)])
        raise UserError(
            f"{other} has {more} lines and {first} {fewer}, so line {fewer + 1} has no partner; "
            "give as many lines"
        )
    made = [
        paired(row, source.text, f"{name} with {here}")
        for row, source in zip(rows, sources, strict=True)
    ]
    return Rows(made, sha256)


def goes_on(rows: Sequence[Row]) -> list[bool]:
    """Return for every row that is not empty whether it goes on from the row before."""
    return [
        bool(row.source and before.text) and (row.source or "").split(BETWEEN)[-1] == before.text
        for before, row in pairwise([Row(0, None, ""), *rows])
        if row.text
    ]


def conversations(on: Sequence[bool]) -> list[int]:
    """Number the conversations that rows belong to, from 0, by which of them go on."""
    return [number - 1 for number in accumulate(0 if one else 1 for one in on)]


def with_history(rows: Sequence[Row], on: Sequence[bool], turns: int) -> list[Row]:
    """Return the rows, none of them empty, each with the `turns` utterances before its target as
    its source, or as many as its conversation has until then.

    on: which of them go on from the row before.
    """
    made, history = [], list[str]()
    for row, further in zip(rows, on, strict=True):
        if not further:
            history = (row.source or "").split(BETWEEN)
        made.append(row._replace(source=BETWEEN.join(history[-turns:])))
        history.append(row.text)
    return made


def _several(rows: Sequence[Row]) -> bool:
    """Return whether a source has several utterances."""
    return any(TURN_WORD in (row.source or "") for row in rows)
