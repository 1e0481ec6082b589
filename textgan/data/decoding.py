"""Bytes of a file as text, or what they are instead, with the command that makes text of them."""

from __future__ import annotations

import shlex
import unicodedata
from pathlib import Path
from typing import NamedTuple

from textgan.core.errors import UserError

JUDGED = 2**16  # bytes at the start of a file that are looked at to guess what it is
SPARSE = 0.25  # share of zero bytes; of UTF-16 in Latin letters it is a half
READABLE = 0.99  # share of characters that are no control characters and have a meaning


class Kind(NamedTuple):
    """A kind of file that is no text: how it begins, how it is called, and the way out.

    remedy: `{file}` stands for the file's name, `{stem}` for its name without the suffix.
    """

    begins: tuple[bytes, ...]
    suffixes: tuple[str, ...]
    what: str
    remedy: str


KINDS = (
    Kind(
        (b"PK\x03\x04", b"PK\x05\x06"),
        (".xlsx", ".xlsm"),
        "an Excel workbook",
        "save its sheet as CSV (UTF-8) and name the column with the texts",
    ),
    Kind(
        (b"\xd0\xcf\x11\xe0",),
        (".xls",),
        "an old Excel workbook",
        "save its sheet as CSV (UTF-8) and name the column with the texts",
    ),
    Kind(
        (b"PK\x03\x04",),
        (".docx", ".odt"),
        "a document of a word processor",
        "save it as plain text (UTF-8), one sentence a line",
    ),
    Kind(
        (b"PK\x03\x04", b"PK\x05\x06"),
        (".zip",),
        "a zip archive",
        "unpack it first: unzip {file}",
    ),
    Kind((b"\x1f\x8b",), (".gz", ".tgz"), "compressed with gzip", "unpack it: gunzip -k {file}"),
    Kind((b"BZh",), (".bz2",), "compressed with bzip2", "unpack it: bunzip2 -k {file}"),
    Kind((b"\xfd7zXZ\0",), (".xz",), "compressed with xz", "unpack it: unxz -k {file}"),
    Kind((b"\x28\xb5\x2f\xfd",), (".zst",), "compressed with zstd", "unpack it: unzstd {file}"),
    Kind(
        (b"PAR1",),
        (".parquet",),
        "a Parquet table",
        "convert it: python -c 'import sys, pandas; pandas.read_parquet(sys.argv[1])"
        '.to_json(sys.argv[2], orient="records", lines=True, force_ascii=False)\' '
        "{file} {stem}.jsonl",
    ),
    Kind(
        (b"ARROW1", b"FEA1"),
        (".arrow", ".feather"),
        "an Arrow table",
        "write its column of texts as plain text or as JSON lines (.jsonl)",
    ),
    Kind((b"%PDF-",), (".pdf",), "a PDF", "extract its text: pdftotext {file}"),
    Kind(
        (b"SQLite format 3\0",),
        (".sqlite", ".db"),
        "an SQLite database",
        "export its table as CSV and name the column with the texts",
    ),
)


def decode(content: bytes, path: Path, name: str) -> str:
    """Decode a file's bytes, without a byte order mark; its line ends stay as they are.

    path: for its suffix and for commands in messages. name: how messages call the file. Raises
    UserError for a compressed file, a table, UTF-16, other bytes that are no text, and text that is
    not UTF-8, with the command that makes UTF-8 text of it.
    """
    _refuse_kind(content, path, name)
    encoding = _wide(content)
    if encoding:
        shown = encoding.upper().replace("UTF-16-", "UTF-16").replace("UTF-32-", "UTF-32")
        raise UserError(
            f"{name} is text in {shown}, not in UTF-8; convert it: iconv -f {shown} -t UTF-8 "
            f"{shlex.quote(str(path))} > {shlex.quote(f'{path.stem}-utf8{path.suffix}')}"
        )
    if b"\0" in content:
        raise UserError(
            f"{name} is binary (it has zero bytes); give UTF-8 text, one sentence a line"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(
            f"{name} is not UTF-8 in line {line} (byte {error.object[error.start]:#04x}); "
            "convert it from what it is, such as latin1 or gb18030: iconv -f latin1 -t utf-8"
        ) from None


def _refuse_kind(content: bytes, path: Path, name: str) -> None:
    """UserError for bytes that begin as those of a known kind, or a name that claims to be one."""
    suffix = path.suffix.lower()
    named = [kind for kind in KINDS if suffix in kind.suffixes]
    begun = [kind for kind in KINDS if content.startswith(kind.begins)]
    # of several that begin alike the suffix tells, else the most general: an archive
    likely = [kind for kind in named if kind in begun] or begun[-1:]
    if likely:
        kind, file = likely[0], shlex.quote(str(path))
        stem = shlex.quote(str(path.with_suffix("")))
        remedy = kind.remedy.replace("{file}", file).replace("{stem}", stem)
        raise UserError(f"{name} is {kind.what}; {remedy}")
    if named and content:
        raise UserError(
            f"{name} ends in {suffix} but is not {named[0].what}; if it is text, give it a name "
            "that ends in .txt"
        )


def _wide(content: bytes) -> str:
    """The encoding of UTF-16 or UTF-32 text, by its mark or its zero bytes; empty if it is none."""
    for mark, encoding in (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if content.startswith(mark):
            return encoding
    start = content[:JUDGED]
    if b"\0" not in start:
        return ""
    if start.count(0) < SPARSE * len(start) and _is_utf8(start):
        return ""  # a few zero bytes between plain letters
    best, most = "", 0
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        if len(content) % (4 if "32" in encoding else 2):
            continue
        # a surrogate pair may be cut in two at the end of what is looked at
        text = start.decode(encoding, errors="replace").removesuffix("\ufffd")
        # in the wrong byte order spaces and line ends are other characters
        white = sum(text.count(end) for end in " \n\r\t")
        if white > most and sum(map(_readable, text)) >= READABLE * len(text):
            best, most = encoding, white
    return best


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.end == len(content) and error.start > len(content) - 4  # cut in two
    return True


def _readable(character: str) -> bool:
    return character in "\t\n\r" or unicodedata.category(character) not in ("Cc", "Cn", "Cs", "Co")
