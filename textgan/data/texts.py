"""Texts of a file, and their labels or sources: the one way in which every command reads a file.

Plain text has one sentence a line, or `label<TAB>sentence` where the lines have labels, or
`source<TAB>target` where they are pairs. CSV and JSON lines are read by named fields. Whatever
looks like one of these under another name is refused with the setting that says what it is:
columns, quotes and labels are no words.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from textgan.core.checks import choice_from
from textgan.core.errors import UserError, option
from textgan.data.lines import read_text, split_lines
from textgan.data.pre_tokenizer import TURN_WORD

Labels = Literal["auto", "yes", "no"]
Format = Literal["auto", "text", "csv", "jsonl"]
FieldName = Annotated[str, "the name of a field"]

DELIMITERS = ",;\t|"
JUDGED = 2000  # lines at the start of a file by which its structure is noticed
MOSTLY = 0.9  # share of lines of one form that make it the file's form
HALF = 0.5  # share of lines with tabs from which those are no slips of the pen
SELDOM = 5  # rows to a label, at least, where one guesses that these are labels
FASTTEXT = "__label__"
FEWEST = 3  # lines without which a form is chance
NAMED = 10  # fields that a message lists, at most
TAB = "\t"
FIELDS = ("field", "label_field", "source_field")
LONGEST_START = 2**20  # characters by which structure is noticed
LONGEST_HEAD = 2**16  # bytes of a first line that may name fields
N_BEST = re.compile(r"[1-9]\d*\t-?\d+\.\d{4}\t")  # how such a line begins
BREAKS = re.compile(r"[\r\n\t]+")  # within one text of a table
# what columns of texts and labels are usually called
USUAL_NAMES = {
    *("answer", "caption", "captions", "category", "class", "comment", "content", "document", "id"),
    *("idx", "index", "label", "labels", "question", "rating", "review", "score", "sentence"),
    *("sentences", "sentiment", "stars", "text", "texts", "title", "tweet"),
}
NAMES_OF_PAIRS = {
    *("answer", "answers", "context", "input", "output", "prompt", "question", "questions"),
    *("reply", "response", "source", "src", "target", "tgt", "trg"),
}


@dataclass(frozen=True)
class Form:
    """The way in which a file of texts is read.

    labels: whether lines of plain text begin with a label and a tab; "auto": those of a file whose
    name ends in .tsv. field, label_field, source_field: of CSV and JSON lines, where the texts, the
    labels and the sources are. format: "auto" goes by the end of the name, and refuses what looks
    like something else. pairs: lines of plain text are source, tab, target, and a table needs a
    source_field.
    Raises UserError for other words than these.
    """

    labels: Labels = "auto"
    field: str = ""
    label_field: str = ""
    format: Format = "auto"
    source_field: str = ""
    pairs: bool = False

    def __post_init__(self) -> None:
        choice_from("labels", self.labels, get_args(Labels))
        choice_from("format", self.format, get_args(Format))

    def facts(self) -> dict[str, str]:
        """Return the fields, for a run's facts; empty for plain text."""
        fields = {name: getattr(self, name) for name in FIELDS}
        return {key: value for key, value in fields.items() if value}


PLAIN = Form()


class Row(NamedTuple):
    """A text, its label and its source if it has them, and the line of the file, from 1, in which
    it begins.

    None begins or ends with white space; a text may be empty, and then has no source.
    """

    line: int
    label: str | None
    text: str
    source: str | None = None


class Rows(NamedTuple):
    """All texts of a file in its order, and the SHA-256 of the file."""

    rows: list[Row]
    sha256: str


def read_rows(path: Path, called: str, form: Form = PLAIN) -> Rows:
    """Read the texts of a file, of which at least one is not empty.

    called: what asked for the file, for messages: `data.file`, or an argument such as `references`.
    Raises UserError that names the remedy for a file that is not as `form` says, or that has a
    structure nobody asked for.
    """
    name, ask = f"{called} = {str(path)!r}", _Asking(called)
    text, sha256 = read_text(path, called)
    suffix = path.suffix.lower()
    table = _table_format(suffix, text, form, name, ask)
    if table:
        rows = _read_table(text, table, form, name, ask)
    elif form.pairs:
        rows = _read_pairs(split_lines(text), form, name, ask)
    else:
        rows = _read_plain(split_lines(text), suffix, form, name, ask)
    if not any(row.text for row in rows):
        raise UserError(f"{name} is empty; give one sentence a line")
    return Rows(rows, sha256)


def has_fields(path: Path, form: Form) -> bool:
    """Return whether a file would be read by fields."""
    suffix = path.suffix.lower()
    if form.format != "auto":
        return form.format != "text"
    if suffix == ".tsv" and form.field and path.is_file():
        with path.open("rb") as file:
            return _names_field(file.readline(LONGEST_HEAD).decode(errors="replace"), form)
    return suffix in (".csv", ".jsonl", ".ndjson")


def _names_field(first: str, form: Form) -> bool:
    """Return whether the first line of a .tsv names the field that is asked for."""
    return bool(form.field) and form.field in [cell.strip() for cell in _cells(first, "\t")]


class _Asking:
    """The spelling of a setting in a message, to be pasted: `data.field=text`, or an option."""

    def __init__(self, called: str) -> None:
        self.dotted = called.startswith("data.")

    def __call__(self, key: str, value: str) -> str:
        if self.dotted:
            return f"data.{key}={value}"
        return option(key, value)


def _table_format(
    suffix: str, text: str, form: Form, name: str, ask: _Asking
) -> Literal["csv", "jsonl", ""]:
    """Return the format by which fields are read, "" for plain text. Raises UserError where the
    file is something else."""
    if form.format in ("csv", "jsonl"):
        return form.format
    if form.format == "text":
        if any(getattr(form, key) for key in FIELDS):
            raise UserError(f"{name}: {ask('format', 'text')} has no fields; leave one of them out")
        return ""
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    if suffix == ".csv" or (suffix == ".tsv" and _names_field(text.partition("\n")[0], form)):
        return "csv"
    filled = (bare for line in re.finditer("[^\n]+", text) if (bare := line.group().strip()))
    lines = list(islice(filled, JUDGED))
    plain = ask("format", "text")
    if _json_lines(lines):
        keys = _keys(lines)
        way = f"give {ask('format', 'jsonl')} and {ask('field', 'NAME')}, one of {_fields(keys)}"
        raise UserError(
            f"{name} holds JSON lines; {way if keys else 'take the texts out of them'}, or give "
            f"{plain} if these are plain sentences"
        )
    for kind, remedy in _markup(lines):
        raise UserError(
            f"{name} holds {kind}; {remedy}, or give {plain} if these are plain sentences"
        )
    if suffix == ".json" or _whole_json(text):
        raise UserError(
            f"{name} is one JSON document; make JSON lines of it, such as with "
            f"jq -c '.[]' FILE.json > FILE.jsonl, and give {ask('field', 'NAME')}"
        )
    delimiter = "" if suffix == ".tsv" or form.pairs else _delimiter(text)
    if delimiter and not (delimiter == "\t" and form.labels != "auto"):
        between = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
        names = next(csv.reader(io.StringIO(text), delimiter=delimiter))
        raise UserError(
            f"{name} looks like a table with {between} between its fields, {_fields(names)}; give "
            f"{ask('format', 'csv')} and {ask('field', 'NAME')}, or {plain} if these are plain "
            "sentences"
        )
    key = next((key for key in FIELDS if getattr(form, key)), "")
    if key:
        what = "plain text has no fields"
        if suffix == ".tsv":
            what = f"its first line has {_fields(_cells(split_lines(text)[0], TAB))}"
        raise UserError(
            f"{name}: {ask(key, getattr(form, key))}, but {what}; give a file that ends in .csv or "
            f".jsonl, or {ask('format', 'csv')}"
        )
    return ""


def _read_plain(
    lines: Sequence[str], suffix: str, form: Form, name: str, ask: _Asking
) -> list[Row]:
    if form.labels == "yes" or (form.labels == "auto" and suffix == ".tsv"):
        rows = [_labelled(number, line, name, ask) for number, line in enumerate(lines, start=1)]
        if form.format == "auto":
            _refuse_table_in(rows, name, ask)
        return rows
    lines = [line.strip() for line in lines]
    if form.format == "auto":
        refuse_n_best(lines, name)
    filled, tabs = sum(map(bool, lines)), sum("\t" in line for line in lines)
    if form.labels == "auto" and form.format == "auto" and tabs >= max(1, HALF * filled):
        raise UserError(
            f"{name}: {tabs} of {filled} lines have a tab; give {ask('labels', 'yes')} if "
            f"they are label, tab, sentence, or {ask('labels', 'no')} if these are plain sentences"
        )
    return [Row(number, None, line) for number, line in enumerate(lines, start=1)]


def refuse_n_best(lines: Sequence[str], name: str) -> None:
    """UserError for lines of `textgan sample --n-best`: number of the source, score, text."""
    filled = [line for line in lines if line]
    if filled and all(map(N_BEST.match, filled)):
        raise UserError(
            f"{name} holds the texts of a beam (--n-best): number, score, text; write it without, "
            "or take the best of each source: awk -F'\\t' '!seen[$1]++ {print $NF}' FILE"
        )


def _labelled(number: int, line: str, name: str, ask: _Asking) -> Row:
    """A line of label, tab, sentence, which may be empty: generators write such, too."""
    if not line.strip():
        return Row(number, None, "")
    label, *rest = (part.strip() for part in line.split("\t"))
    wrong = ""
    if len(rest) != 1:
        wrong = f"has {len(rest) or 'no'} tab{'s' if rest else ''}"
    elif not label:
        wrong = "has no label"
    if wrong:
        refuse_n_best([line], name)
        table = f", or {ask('field', 'NAME')} of a table whose first line has names"
        raise UserError(
            f"{name}: line {number} {wrong}; give label, one tab, sentence in every line, or "
            f"{ask('labels', 'no')} if these are not labelled sentences"
            f"{table if len(rest) > 1 else ''}"
        )
    return Row(number, label, rest[0])


def _read_pairs(lines: Sequence[str], form: Form, name: str, ask: _Asking) -> list[Row]:
    if form.labels == "yes":
        raise UserError(
            f"{name}: lines of pairs have no labels ({ask('labels', 'yes')}); leave that out, or "
            f"give a table with {ask('source_field', 'NAME')} and {ask('label_field', 'NAME')}"
        )
    rows = [_pair(number, line, name, ask) for number, line in enumerate(lines, start=1)]
    if form.format == "auto":
        _refuse_table_in(rows, name, ask)
        sources = [row.source for row in rows if row.source is not None]
        if _like_labels(sources):
            raise UserError(
                f"{name}: before the tabs there are {len(set(sources))} different words in "
                f"{len(sources)} lines, which look like labels; give {ask('file', 'FILE')} if they "
                f"are, or {ask('format', 'text')} if they are sources"
            )
    return rows


def _pair(number: int, line: str, name: str, ask: _Asking) -> Row:
    """A line of source, tab, target; an empty line is an empty row."""
    if not line.strip():
        return Row(number, None, "")
    source, *rest = (part.strip() for part in line.split(TAB))
    if len(rest) != 1:
        refuse_n_best([line], name)
        tabs = f"{len(rest) or 'no'} tab{'s' if rest else ''}"
        table = f", or {ask('field', 'NAME')} of a table whose first line has names"
        raise UserError(
            f"{name}: line {number} has {tabs}; give source, one tab, target in every line"
            f"{table if rest else ''}"
        )
    return paired(Row(number, None, rest[0]), source, name)


def paired(row: Row, source: str, name: str) -> Row:
    """Return a row with its source. Raises UserError where one of the two is empty; `name` is the
    file's in messages."""
    turns = [part for turn in source.split(TURN_WORD) if (part := turn.strip())]
    empty = [side for side, text in (("source", turns), ("target", row.text)) if not text]
    if len(empty) == 1:
        raise UserError(
            f"{name}: line {row.line} has an empty {empty[0]}; give both, or leave the line out"
        )
    if empty:
        return row
    if TURN_WORD in row.text:
        raise UserError(
            f"{name}: the target of line {row.line} has {TURN_WORD}, which is between the "
            "utterances of a source; take it out"
        )
    return row._replace(source=f" {TURN_WORD} ".join(turns))


def _refuse_table_in(rows: Sequence[Row], name: str, ask: _Asking) -> None:
    """UserError for labelled lines, or pairs, of which the first names the columns, or whose
    sentences are in quotes."""
    filled = [row for row in rows if row.text]
    first = filled[0] if filled else Row(1, "", "")
    before, key = first.label or first.source or "", "label_field"
    usual = USUAL_NAMES
    if first.source is not None:
        key, usual = "source_field", USUAL_NAMES | NAMES_OF_PAIRS
    if {before.lower(), first.text.lower()} <= usual:
        raise UserError(
            f"{name}: line {first.line} names fields, {_fields([before, first.text])}; give "
            f"{ask('field', 'NAME')} and {ask(key, 'NAME')}"
        )
    quoted = sum(len(row.text) > 1 and row.text[0] == row.text[-1] == '"' for row in filled)
    if len(filled) >= FEWEST and quoted >= HALF * len(filled):
        raise UserError(
            f"{name}: {quoted} of {len(filled)} sentences are in quotes, which would be words; "
            f"take the quotes away, or give {ask('format', 'text')} if they are meant"
        )


# --- tables ---


def _read_table(
    text: str, table: Literal["csv", "jsonl"], form: Form, name: str, ask: _Asking
) -> list[Row]:
    records = _csv_records(text, name) if table == "csv" else _json_records(text, name)
    names = list(dict.fromkeys(key for _, record in records[:JUDGED] for key in record))
    if form.pairs and form.field and not form.source_field:
        raise UserError(
            f"{name} has the fields {_fields(names)}; give {ask('source_field', 'NAME')} of the "
            "sources"
        )
    if not form.field:
        raise UserError(
            f"{name} has the fields {_fields(names)}{' in its first line' * (table == 'csv')}; "
            "give "
            f"{ask('field', 'NAME')} of the texts (and {ask('label_field', 'NAME')} if there are "
            f"labels){'; put a line of names first if that is none' * (table == 'csv')}"
        )
    for key in FIELDS:
        field = getattr(form, key)
        if field and field not in names:
            raise UserError(
                f"{name}: there is no field {field!r} ({ask(key, field)}); it has {_fields(names)}"
            )
    if form.labels == "yes" and not form.label_field:
        raise UserError(
            f"{name}: {ask('labels', 'yes')} needs {ask('label_field', 'NAME')}, one of "
            f"{_fields(names)}"
        )
    if form.labels == "no" and form.label_field:
        raise UserError(
            f"{name}: {ask('labels', 'no')} contradicts {ask('label_field', form.label_field)}; "
            "leave one of them out"
        )
    rows = []
    for line, record in records:
        words = _text(_value(record, form.field, line, name), form.field, line, name)
        label = None
        if form.label_field and words:
            label = _label(
                _value(record, form.label_field, line, name), form.label_field, line, name
            )
        row = Row(line, label, words)
        if form.source_field:
            source = _text(
                _value(record, form.source_field, line, name), form.source_field, line, name
            )
            row = paired(row, source, name)
        rows.append(row)
    return rows


def _csv_records(text: str, name: str) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a CSV table by the names in its first line, and the lines that they begin in."""
    first = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=lambda one: len(_cells(first, one)))
    # the module's limit is one for the whole process, and only 128 KiB
    before = csv.field_size_limit(max(len(text) + 1, csv.field_size_limit()))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names: list[str] = []
        records: list[tuple[int, dict[str, Any]]] = []
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                break
            if len(cells) < 2 and not "".join(cells).strip():
                continue  # an empty line
            if not names:
                names = [cell.strip() for cell in cells]
                twice = [one for one in names if names.count(one) > 1]
                if twice:
                    raise UserError(f"{name}: its first line names the field {twice[0]!r} twice")
                continue
            if len(cells) != len(names):
                raise UserError(
                    f"{name}: line {line} has {len(cells)} fields and the first line "
                    f"{len(names)}; put quotes around texts that hold {delimiter!r} or quotes"
                )
            records.append((line, dict(zip(names, cells, strict=True))))
    except csv.Error as error:
        raise UserError(f"{name} is no CSV: in line {reader.line_num} {error}") from None
    finally:
        csv.field_size_limit(before)
    if not records:
        raise UserError(f"{name} has names of fields ({_fields(names)}) but no rows")
    return records


def _json_records(text: str, name: str) -> list[tuple[int, dict[str, Any]]]:
    records = []
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip():
            continue
        record = _parsed(line)
        if not isinstance(record, dict):
            raise UserError(
                f"{name}: line {number} is not a JSON object; give one in every line, such as "
                '{"text": "a sentence"}'
            )
        records.append((number, record))
    return records


def _value(record: dict[str, Any], field: str, line: int, name: str) -> Any:
    if field not in record:
        raise UserError(
            f"{name}: line {line} has no field {field!r}, but {_fields([*record])}; give it there, "
            "or leave the line out"
        )
    return record[field]


def _text(value: Any, field: str, line: int, name: str) -> str:
    """A text on one line."""
    if not isinstance(value, str):
        raise UserError(
            f"{name}: in line {line} the field {field!r} is {_kind(value)}, not a text; give "
            "another field, or leave the line out"
        )
    return _line(value, field, line, name)


def _line(value: str, field: str, line: int, name: str) -> str:
    """Return the text of a field, on one line. Raises UserError for what no line of text can
    hold."""
    wrong = next((one for one in value if one == "\0" or "\ud800" <= one <= "\udfff"), None)
    if wrong is not None:
        raise UserError(
            f"{name}: in line {line} the field {field!r} has \\u{ord(wrong):04x}, which is no "
            "character; take it out"
        )
    return " ".join(part for piece in BREAKS.split(value) if (part := piece.strip()))


def _label(value: Any, field: str, line: int, name: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | str) and str(value).strip():
        return _line(str(value), field, line, name)
    what = "empty" if value is None or isinstance(value, str) else _kind(value)
    raise UserError(
        f"{name}: in line {line} the label ({field!r}) is {what}; give a text or a whole number"
    )


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", dict: "an object", list: "a list", type(None): "null"}
    return kinds.get(type(value), "a number")


# --- what a file looks like ---


def _json_lines(lines: Sequence[str]) -> bool:
    """Return whether lines are JSON objects, lists or quoted strings, each by itself, all but a
    few."""
    structured = [line for line in lines if line[0] in '{["' and line[-1] in '}]"']
    if len(lines) < 2 or len(structured) < MOSTLY * len(lines):
        return False
    return sum(isinstance(_parsed(line), dict | list | str) for line in structured) >= (
        MOSTLY * len(lines)
    )


def _markup(lines: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Other forms that lines have, all but a few, and what makes plain text of them."""
    most = MOSTLY * max(FEWEST, len(lines))
    if sum(line.startswith(FASTTEXT) for line in lines) >= most:
        into = r"sed 's/^__label__\([^ ]*\) */\1\t/' FILE.txt > FILE.tsv"
        yield "labels in fastText's form", f"make label, tab, sentence of it: {into}"
    if sum(line[0] == "{" and line[-1] == "}" for line in lines) >= most:
        yield "dictionaries that are no JSON", "write them as JSON lines (.jsonl)"
    if lines[0].lower().startswith(("<?xml", "<!doctype", "<html")):
        yield "HTML or XML", "take the text out of it, one sentence a line"


def _like_labels(column: Sequence[str]) -> bool:
    """Return whether a column repeats a few words, as labels do."""
    words = {cell.strip() for cell in column}
    few = 2 <= len(words) <= len(column) / SELDOM
    return few and all(word and not re.search(r"\s", word) for word in words)


def _keys(lines: Iterable[str]) -> list[str]:
    return list(
        dict.fromkeys(
            key for line in lines if isinstance(record := _parsed(line), dict) for key in record
        )
    )


def _whole_json(text: str) -> bool:
    """Return whether a text is one JSON document of several values."""
    bare = text.strip()
    if bare[:1] not in ("{", "[") or bare[-1:] not in ("}", "]"):
        return False
    document = _parsed(bare)
    return isinstance(document, dict | list) and len(document) > 0


def _parsed(text: str) -> Any:
    """The JSON value of a text; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _delimiter(text: str) -> str:
    """Guess the delimiter of an undeclared table; "" for no table.

    A table has as many fields in nearly every row, and either quotes around texts next to the
    delimiter, or a first line that names the fields as fields are usually named, or labels at one
    end. Sentences have commas, too, but not these.
    """
    start = "".join(f"{line}\n" for line in split_lines(text[:LONGEST_START])[:JUDGED])
    for delimiter in DELIMITERS:
        if start.count(delimiter) < FEWEST:
            continue
        try:
            rows = list(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter))
        except csv.Error:
            continue
        rows = [row for row in rows if any(cell.strip() for cell in row)]
        columns = len(rows[0]) if rows else 0
        if columns < 2 or len(rows) < FEWEST:
            continue
        if sum(len(row) == columns for row in rows) < MOSTLY * len(rows):
            continue
        d = re.escape(delimiter)
        quoted = len(re.findall(rf'(?m)(?:^|{d})"(?:[^"]|"")*+"(?={d}|$)', start))
        heads = [cell.strip().lower() for cell in rows[0]]
        named = len(set(heads)) == columns and all(re.fullmatch(r"\w[\w .-]*", h) for h in heads)
        if quoted >= HALF * len(rows) or (named and USUAL_NAMES & set(heads)):
            return delimiter
        # commas of sentences have a space behind them; of tabs it is asked whether they are labels
        whole = [row for row in rows if len(row) == columns]
        spaced = delimiter == "," and any(cell[:1] == " " for row in whole for cell in row[1:])
        ends = ([row[place] for row in whole] for place in (0, -1))
        if delimiter != TAB and not spaced and any(map(_like_labels, ends)):
            return delimiter
    return ""


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _fields(names: Sequence[str]) -> str:
    """Names of fields, the first few and the start of each."""
    few = [repr(name if len(name) <= 40 else name[:40] + "...") for name in names[:NAMED]]
    return ", ".join([*few, "..."] if len(names) > len(few) else few) or "none"
