"""Parts in files of one's own, `path/to/file.py:Class`: which of them may be imported.

Whoever types such a name wants its code to run. A run's folder, or a file of settings, may come
from somebody else: a name in one of them is only a name, and nothing is imported before
the user says so (`--trust-code`, `trust_code=True`). A run keeps a copy of its own parts, which is
what runs from then on, wherever the folder goes.

One file is one part: it may import what is installed, not the files beside it, which are not kept.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from textgan.core.errors import UserError
from textgan.core.moved import import_as_in_0_1

LARGEST = 2**22  # bytes of a file of code; people write some kilobytes
FOLDER = "code"  # of a run, where the copies are
HOW = "give --trust-code (in Python trust_code=True)"


def own_file(name: str) -> str | None:
    """Return the file in `path/to/file.py:Class`, perhaps with settings in brackets or without a
    class; None for a name of another form."""
    bare = name.partition("(")[0].strip()
    if ".py:" in bare:
        return bare.rpartition(":")[0]
    return bare if bare.endswith(".py") else None


def own_files(values: Any) -> Iterator[str]:
    """Yield the files of code that settings name, at any depth."""
    if isinstance(values, str):
        if (file := own_file(values)) is not None:
            yield file
    elif isinstance(values, Mapping):
        for inner in values.values():
            yield from own_files(inner)
    elif isinstance(values, list | tuple):
        for inner in values:
            yield from own_files(inner)


class Source(NamedTuple):
    """The text of a file of code, as it was read."""

    path: Path
    content: bytes

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    def load(self) -> ModuleType:
        """Import the module from these very bytes; the same bytes are imported only once.

        Raises whatever the code raises.
        """
        where = hashlib.sha256(str(self.path).encode(errors="surrogateescape") + self.content)
        name = f"textgan_file_{self.path.stem}_{where.hexdigest()[:16]}"
        module = sys.modules.get(name)
        if module is None:
            loader = _Bytes(self)
            spec = importlib.util.spec_from_loader(name, loader)
            assert spec is not None  # of a loader that knows its file
            module = importlib.util.module_from_spec(spec)
            # its import statements find what version 0.1 had elsewhere
            module.__dict__["__builtins__"] = vars(builtins) | {"__import__": import_as_in_0_1}
            sys.modules[name] = module  # dataclasses look their module up while being made
            try:
                loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        return module


class _Bytes(SourceLoader):
    """Imports bytes that were read before, and neither reads nor writes compiled files: those would
    run in place of the text whose hash was shown."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def get_filename(self, fullname: str) -> str:
        return str(self.source.path)

    def get_data(self, path: bytes | str) -> bytes:
        return self.source.content


def read_source(path: Path, where: str) -> Source:
    """Read the file of code at `path`. Raises UserError, which begins with `where`."""
    place = path.resolve()
    if path.suffix != ".py" or not place.is_file():  # a pipe or a device is no file
        raise UserError(f"{where}: there is no file {path}")
    try:
        with place.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"{where}: {path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise UserError(f"{where}: {path} is larger than {LARGEST:,} bytes")
    return Source(place, content)


class Code(ABC):
    """Says which files of code may be imported, and gives their text."""

    @abstractmethod
    def read(self, path: str, where: str) -> Source:
        """Return the source of the file named `path`, which may be imported.

        where: setting and value, for messages. Raises UserError where it may not.
        """

    def news(self) -> list[str]:
        """Return what the user should know of the files before they run, one sentence each."""
        return []


@dataclass(frozen=True)
class Typed(Code):
    """Files that the user named, at the command line or in Python.

    allowed: only these, where other names come from a file of settings; None: all.
    """

    allowed: frozenset[str] | None = None

    @staticmethod
    def among(values: Iterable[Any]) -> Typed:
        """Trust only the files that these values name."""
        return Typed(frozenset(own_files(list(values))))

    def read(self, path: str, where: str) -> Source:
        source = read_source(Path(path), where)
        if self.allowed is not None and path not in self.allowed:
            raise UserError(
                f"{where} is in a file, and would run the code in {path} (sha256 "
                f"{source.sha256}); read it, then {HOW}, or type the name yourself"
            )
        return source


@dataclass(frozen=True)
class Kept(Code):
    """Files that a run's folder names.

    copies: by the name that the config has, the copy in the folder; None for a run older than
    copies, whose files are where they were. hashes: of the copies.
    """

    folder: Path
    trusted: bool = False
    copies: Mapping[str, str] | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str, where: str) -> Source:
        where = f"{where} of {self.folder}"
        copy = path if self.copies is None else self.copies.get(path)
        if copy is None:
            raise UserError(f"{where}: the run keeps no copy of this file; restore the folder")
        place = Path(path) if self.copies is None else self.folder / copy
        if not self.trusted:
            try:
                what = f"sha256 {read_source(place, where).sha256}"
            except UserError:
                what = "which cannot be read"
            raise UserError(
                f"{where} would run the code in {place} ({what}); read it, and if you trust it, "
                f"{HOW}"
            )
        source = read_source(place, where)
        if self.copies is not None and source.sha256 != self.hashes.get(copy):
            raise UserError(
                f"{where}: {place} was changed after the run began (its sha256 is {source.sha256}, "
                f"was {self.hashes.get(copy)}); restore it from a copy"
            )
        return source

    def news(self) -> list[str]:
        """Return one sentence for each file that is no longer what the run keeps a copy of."""
        changes: list[str] = []
        if not self.trusted:
            return changes
        for path, copy in (self.copies or {}).items():
            try:
                same = read_source(Path(path), path).sha256 == self.hashes.get(copy)
                what = "" if same else "was changed since the run began"
            except UserError:
                what = "is not there any more"
            if what:
                changes.append(f"{path} {what}; the run goes on with its own copy, {copy}")
        return changes


def copies_of(names: Iterable[str]) -> tuple[dict[str, str], dict[str, bytes]]:
    """Copies of the files of code that names of parts name: where each belongs in a run's folder,
    by the name that it has there, and what it holds, by that place.

    Raises UserError for a file that cannot be read.
    """
    places: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for path in dict.fromkeys(own_files(list(names))):
        source = read_source(Path(path), path)
        number = 1
        while True:
            tail = f"-{number}" if number > 1 else ""
            place = f"{FOLDER}/{source.path.stem}{tail}.py"
            if contents.setdefault(place, source.content) == source.content:
                break
            number += 1
        places[path] = place
    return places, contents
