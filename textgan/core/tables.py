"""Results that show themselves as tables: as wide as the terminal, and in a notebook as HTML."""

from __future__ import annotations

import html
import shutil
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

ARROWS = {"higher": "↑", "lower": "↓", "like real text": "≈"}
LEGEND = "↑ higher is better, ↓ lower is better, ≈ like real text is best"
USUAL_WIDTH = 80  # where nothing says how wide the reader's terminal is
LEAST_WIDTH = 20
KEY = 24  # characters of the column that names the rows, at most, where there is too little room
LONG_WORD = 18  # characters of a header's word above which it may be broken anywhere
BEFORE_INTERVAL = (" [", " ±")  # a number's interval may be in a line of its own


def terminal_width() -> int:
    """Return the number of characters of a line: $COLUMNS, else the width of the terminal that
    standard output is, else 80 (a pipe, a file)."""
    return max(LEAST_WIDTH, shutil.get_terminal_size((USUAL_WIDTH, 24)).columns)


@dataclass(frozen=True)
class Table:
    """Rows under headers, the first `keys` columns naming each row.

    title, footnote: lines above and below it.
    texts: how many columns are set to the left, the others to the right; None: all to the left.
    narrow: what to show instead, with its own footnote, where this is too wide; else intervals move
    to lines of their own, headers are broken, and at last the columns are shown in several blocks.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    footnote: str = ""
    keys: int = 1
    texts: int | None = None
    narrow: Table | None = None

    def text(self, width: int | None = None) -> str:
        """Format the table in lines of at most `width` characters, by default those of the
        terminal."""
        width = width or terminal_width()
        whole = self._drawn(self.headers, self.rows)
        footnote = self.footnote
        if _widest(whole) > width:
            whole = self.narrow.text(width) if self.narrow else self._narrowed(width)
            footnote = "" if self.narrow else footnote
        around = [filled(text, width) if text else "" for text in (self.title, footnote)]
        return "\n".join(filter(None, [around[0], whole, around[1]]))

    def html(self) -> str:
        """Format the table as HTML; all of its text is escaped."""
        cells = partial("".join)
        head = cells(f"<th>{_escaped(header)}</th>" for header in self.headers)
        body = cells(
            f"<tr>{cells(_html_cell(cell, i < self.keys) for i, cell in enumerate(row))}</tr>"
            for row in self.rows
        )
        caption = f"<caption>{_escaped(self.title)}</caption>" if self.title else ""
        note = f"<p>{_escaped(self.footnote)}</p>" if self.footnote else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"

    def _narrowed(self, width: int) -> str:
        rows = [[_stacked(cell) for cell in row] for row in self.rows]
        rows = [[_wrapped(row[0], KEY), *row[1:]] for row in rows]
        columns = list(zip(*rows, strict=True)) or [()] * len(self.headers)
        headers = [
            _wrapped(header, max([_longest_word(header), *map(_widest, column)]))
            for header, column in zip(self.headers, columns, strict=True)
        ]

        def widest(column: int) -> int:
            return max([_widest(headers[column]), *(_widest(row[column]) for row in rows)])

        keys = list(range(self.keys))
        key = sum(2 + widest(column) for column in keys) - 2
        blocks: list[list[int]] = [[]]
        used = key
        for column in range(self.keys, len(headers)):
            if widest(column) > width - key - 2:  # even alone: its texts are broken, too
                for row in (headers, *rows):
                    row[column] = _wrapped(row[column], max(1, width - key - 2))
            if used + 2 + widest(column) > width and blocks[-1]:
                blocks.append([])
                used = key
            blocks[-1].append(column)
            used += 2 + widest(column)
        return "\n\n".join(
            self._drawn(
                [headers[column] for column in keys + block],
                [[row[column] for column in keys + block] for row in rows],
                keys + block,
            )
            for block in blocks
        )

    def _drawn(
        self, headers: Sequence[str], rows: Sequence[Sequence[str]], places: Sequence[int] = ()
    ) -> str:
        """places: which columns of the whole table these are, if not all."""
        places = places or range(len(headers))
        texts = len(self.headers) if self.texts is None else self.texts
        widths = [max(map(_widest, column)) for column in zip(headers, *rows, strict=True)]
        lines = []
        for row in (headers, ["-" * width for width in widths], *rows):
            for cells in zip_longest(*(cell.split("\n") for cell in row), fillvalue=""):
                columns = zip(cells, widths, places, strict=True)
                lines.append(
                    "  ".join(
                        cell.ljust(width) if place < texts else cell.rjust(width)
                        for cell, width, place in columns
                    ).rstrip()
                )
        return "\n".join(lines)


class Shown(ABC):
    """A result that is read: its `str` and `repr` are its table, in a notebook an HTML table."""

    @abstractmethod
    def shown(self) -> Sequence[Table | str]:
        """Return what a reader sees, in order: tables, and sentences; an empty one is an empty
        line."""

    def text(self, width: int | None = None) -> str:
        """Format it in lines of at most `width` characters, by default those of the terminal."""
        width = width or terminal_width()
        return "\n".join(
            part.text(width) if isinstance(part, Table) else filled(part, width)
            for part in self.shown()
        )

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        """Format it as HTML for notebooks."""
        return "\n".join(
            part.html() if isinstance(part, Table) else f"<p>{_escaped(part)}</p>"
            for part in self.shown()
            if part
        )


def filled(text: str, width: int | None = None, indent: int = 2, first: int = 0) -> str:
    """Wrap a sentence in lines of at most `width` characters; a word that is longer (a path) is not
    broken. first: spaces before all of its lines; indent: more before all but the first."""
    return textwrap.fill(
        text,
        width or terminal_width(),
        initial_indent=" " * first,
        subsequent_indent=" " * (first + indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _widest(text: str) -> int:
    return max(map(len, text.splitlines()), default=0)


def _longest_word(header: str) -> int:
    return max([1, *(min(LONG_WORD, len(word)) for word in header.split())])


def _stacked(cell: str) -> str:
    for mark in BEFORE_INTERVAL:
        cell = cell.replace(mark, "\n" + mark[1:])
    return cell


def _wrapped(text: str, width: int) -> str:
    """The text broken at spaces and hyphens, words that are too long anywhere."""
    lines = (textwrap.wrap(line, width) or [""] for line in text.split("\n"))
    return "\n".join(part for line in lines for part in line)


def _escaped(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _html_cell(cell: str, key: bool) -> str:
    kind = "th" if key else "td"
    return f'<{kind} style="text-align:left">{_escaped(cell)}</{kind}>'
