"""How long a file of texts takes until it is tokens, and the memory for it.

python experiments/text_speed.py million.txt
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from textgan.data.checks import corpus_warnings, different_sentences, unknown_share
from textgan.data.corpus import Corpus, read_corpus
from textgan.data.labelled import read_data
from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.settings import RunDataConfig

Made = TypeVar("Made")


def measured(what: str, make: Callable[[], Made]) -> Made:
    """Print the process time that something takes, and the most memory so far."""
    began = time.process_time()
    made = make()
    seconds = time.process_time() - began
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:22} {seconds:6.2f} s {mib:6.0f} MiB")
    return made


def checks(corpus: Corpus) -> None:
    """Check a corpus as a run does before it begins."""
    corpus_warnings(corpus)
    unknown_share(corpus)
    different_sentences(corpus)


def main(path: Path) -> None:
    measured("imports", lambda: None)
    corpus = measured(
        "read_corpus",
        lambda: read_corpus(RunDataConfig(file=str(path))),
    )
    measured("checks", lambda: checks(corpus))
    lines = read_data(path).lines[:200_000]
    measured(f"encode and pad {len(lines)}", lambda: corpus.tokenizer(lines))
    treebank = PreTokenizer("nltk")
    treebank("a word's")  # imports nltk
    for turn in ("first", "again"):
        measured(f"nltk's words, {turn}", lambda: list(map(treebank, lines[:10_000])))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
