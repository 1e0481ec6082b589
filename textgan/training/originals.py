"""Pairs of a run's test part as their files have them, for people to read.

A run keeps token ids, in which all rare words are `<unk>`. Its files have those words, where they
are still there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from textgan.core.errors import UserError
from textgan.core.files import is_file
from textgan.data.pairs import CorpusFile, read_files
from textgan.data.tokenizers import WordTokenizer
from textgan.training.run import Run

Pair = tuple[str, str]
Ids = tuple[int, ...]


def original_pairs(run: Run, rows: Sequence[int]) -> list[Pair]:
    """Return the source and the target at some rows of a run's test part as its file has them.

    As the run reads them, with `<unk>`, where the file is gone or has changed, and where several
    of its pairs are one to the run. Raises ValueError for a run without sources.
    """
    corpus = run.corpus
    if corpus.source_tokenizer is None:
        raise ValueError("there are no sources")
    some = corpus.test[torch.tensor(rows, dtype=torch.long, device=corpus.test.tokens.device)]
    sides = [some.condition.require_source().tolist(), some.tolist()]
    tokenizers = (corpus.source_tokenizer, corpus.tokenizer)
    read = [one.decode(side) for one, side in zip(tokenizers, sides, strict=True)]
    wanted = [(tuple(source), tuple(target)) for source, target in zip(*sides, strict=True)]
    found: dict[tuple[Ids, Ids], set[Pair]] = {key: set() for key in wanted}
    asked = {source for source, _ in wanted}
    for pair in _pairs(run):
        source = _ids(tokenizers[0], pair[0])
        if source in asked and (key := (source, _ids(tokenizers[1], pair[1]))) in found:
            found[key].add(pair)
    return [
        next(iter(found[key])) if len(found[key]) == 1 else usual
        for key, usual in zip(wanted, zip(*read, strict=True), strict=True)
    ]


def _ids(tokenizer: WordTokenizer, line: str) -> Ids:
    [ids] = tokenizer.encode([line])
    return tuple(tokenizer.add_special_tokens(ids))


def _pairs(run: Run) -> Iterator[Pair]:
    """The pairs of the file that the test part is of; none where it is not as the run read it."""
    config, facts = run.config.data, run.corpus.facts
    files = (config.path, config.source, config.test_file, config.test_source)
    if not config.has_sources or not all(is_file(Path(name)) for name in files if name):
        return
    file: CorpusFile | None = None
    with suppress(UserError):
        every = read_files(config)
        file = every.get("test", every["train"])
    about = facts.get("files", {}).get("test", facts)
    if file is None or _hashes(file.facts) != _hashes(about):
        return
    yield from ((row.source or "", row.text) for row in file.rows)


def _hashes(facts: dict[str, object]) -> list[object]:
    sources = facts.get("sources")
    return [facts.get("sha256"), sources.get("sha256") if isinstance(sources, dict) else None]
