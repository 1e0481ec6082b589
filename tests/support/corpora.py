"""Corpora of files, read by the names of settings."""

from pathlib import Path
from typing import Any

from textgan.data.corpus import Corpus, read_corpus
from textgan.data.settings import RunDataConfig


def corpus_of(path: Path, quiet: bool = True, **settings: Any) -> Corpus:
    """The corpus of a file, words that occur once among them."""
    usual: dict[str, Any] = {"file": str(path), "min_count": 1}
    return read_corpus(RunDataConfig(**usual | settings), quiet)
