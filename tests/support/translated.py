"""Runs of pairs between two languages of five words, which share no word."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import seq2seq
import torch

import textgan
from textgan.data.corpus import Corpus
from textgan.data.text import Condition, Text
from textgan.data.tokenizers import WordTokenizer
from textgan.training import run as runs

GERMAN = ("ein", "mann", "hut", "hund", "rot")
ENGLISH = ("a", "man", "hat", "dog", "red")
LENGTH = 5  # tokens, the end token counted
SETTINGS: dict[str, Any] = {
    "seed": 1,
    "data.file": "pairs.tsv",
    "generator": f"{seq2seq.__file__}:Attention",
    "generator.hidden": 8,
    "generator.init": 0.5,
    "schedule.batch_size": 8,
    "schedule.mle_epochs": 2,
    "optimisers.mle_lr": 0.05,
    "evaluation.samples": 20,
    "evaluation.final_samples": 20,
    "evaluation.bootstrap": 100,
}


def german_lines() -> list[str]:
    """80 sentences of one to four words."""
    return [" ".join(GERMAN[(i * j + i // 7) % 5] for j in range(1, 2 + i % 4)) for i in range(80)]


def translation(german: str) -> str:
    return " ".join(ENGLISH[GERMAN.index(word)] for word in german.split())


def translations(swapped: bool = False, labelled: bool = False) -> Corpus:
    """A corpus of these sentences, translated word by word."""
    lines = german_lines()
    sides = [(WordTokenizer(GERMAN, length=LENGTH), lines)]
    sides.append((WordTokenizer(ENGLISH, length=LENGTH), [*map(translation, lines)]))
    (reads, sources), (writes, targets) = sides[::-1] if swapped else sides
    source, target = (
        side(some).pad_to(LENGTH) for side, some in ((reads, sources), (writes, targets))
    )
    labels = torch.arange(len(lines)) % 2 if labelled else None
    whole: Text = replace(target, condition=Condition(labels, source))
    facts = {"source": "pairs", "sentences": 80, "split": {"train": 50, "valid": 15, "test": 15}}
    facts |= {"vocabulary": len(writes), "length": LENGTH}
    names = ("calm", "rude") if labelled else ()
    space = replace(writes.space, source=reads.space, classes=len(names))
    parts = whole[:50], whole[50:65], whole[65:]
    return Corpus("pairs", space, *parts, writes, facts, names, reads)


def train_translations(
    folder: Path, swapped: bool = False, labelled: bool = False, **settings: Any
) -> Path:
    corpus = translations(swapped, labelled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "make_corpus", lambda config, quiet: (corpus, None))
        textgan.train("mle", out=folder, quiet=True, plot=False, **SETTINGS | settings)
    return folder
