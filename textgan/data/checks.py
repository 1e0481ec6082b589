"""Warnings about a corpus for a reader of a run's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textgan.data.corpus import Corpus
from textgan.data.pre_tokenizer import UNKNOWN_WORD
from textgan.data.sentences import Sentences
from textgan.data.text import Text
from textgan.data.token_fit import MANY_UNKNOWN, misfit, step_of
from textgan.data.tokenizers import WordTokenizer

MANY_COPIES = 0.5  # share of pairs
PIECE = 2**16  # sentences that are copied at once


def unknown_share(corpus: Corpus) -> float:
    """Compute the share of `<unk>` among all words of a corpus, ends of sentences not counted."""
    unknown, eos = corpus.space.unknown, corpus.space.eos
    if unknown is None:
        return 0.0
    parts = (corpus.train, corpus.valid, corpus.test)
    times = sum(int((text.tokens == unknown).count_nonzero()) for text in parts)
    words = sum(int((text.mask & (text.tokens != eos)).count_nonzero()) for text in parts)
    return times / max(1, words)


def different_sentences(corpus: Corpus) -> int:
    """Count the different sentences of a corpus, as token ids; no part has a sentence of another
    whose words are different, but unknown words are all alike."""
    pieces = [
        piece for text in (corpus.train, corpus.valid, corpus.test) for piece in text.split(PIECE)
    ]
    return len({spelt for text in pieces for spelt in Sentences.of(text, None).spelt()})


def different_pairs(corpus: Corpus) -> dict[str, int]:
    """Count the different sources, targets and pairs of a corpus, likewise."""
    sides: dict[str, list[Any]] = {"sources": [], "targets": []}
    for text in (corpus.train, corpus.valid, corpus.test):
        for piece in text.split(PIECE):
            for name, side in (("sources", piece.condition.require_source()), ("targets", piece)):
                sides[name] += Sentences.of(side, None).spelt()
    sides["pairs"] = list(zip(*sides.values(), strict=True))
    return {name: len(set(side)) for name, side in sides.items()}


def corpus_warnings(corpus: Corpus) -> list[str]:
    """Warn of what is odd about a corpus: too many unknown words, tokens that are no words, targets
    that repeat their sources."""
    tokenizer = corpus.tokenizer
    if not tokenizer.special:
        return []
    warnings = []
    share = unknown_share(corpus)
    if share >= MANY_UNKNOWN:
        warnings.append(
            f"{share:.0%} of the words are {UNKNOWN_WORD}, all one symbol and easy to guess: these "
            "numbers look better than they are and compare with no other vocabulary's; try a "
            "smaller data.min_count, a larger data.vocabulary"
            f"{', data.tokens=char' if tokenizer.kind == 'word' else ''} or more text"
        )
    warnings += _misfits(tokenizer, corpus.train, "")
    if corpus.train.source is not None and corpus.source_tokenizer is not None:
        warnings += _warnings_of_pairs(corpus.facts)
        warnings += _misfits(corpus.source_tokenizer, corpus.train.source, "of the sources, ")
    return warnings


def _misfits(tokenizer: WordTokenizer, text: Text, whose: str) -> list[str]:
    """Warn of words that are no words."""
    if tokenizer.kind != "word":
        return []
    lines = tokenizer.decode(text[:: step_of(len(text))].tolist())
    wrong = misfit(lines, [len(line.split()) for line in lines])
    if not wrong:
        return []
    return [f"{whose}{wrong}: data.tokens=char fits text without spaces between its words"]


def _warnings_of_pairs(facts: Mapping[str, Any]) -> list[str]:
    warnings = []
    unknown = facts.get("sources", {}).get("unknown_in_train", 0.0)
    if unknown >= MANY_UNKNOWN:
        warnings.append(
            f"{unknown:.0%} of the words of the sources are {UNKNOWN_WORD}; try a smaller "
            "data.min_count or a larger data.source_vocabulary"
        )
    copies = facts.get("copies", 0) / max(1, facts.get("sentences", 1))
    if copies >= MANY_COPIES:
        warnings.append(
            f"{copies:.0%} of the targets equal their source; is one file given for both sides?"
        )
    if facts.get("split_by") == "conversation" and not facts.get("goes_on", 1):
        warnings.append(
            "no line goes on from the one before (its source is the target there), so each is a "
            "conversation of its own and equal sources are in several parts; order the lines as "
            "the conversations go, or leave data.split_by=conversation out"
        )
    for part, counts in facts.get("also_in_train", {}).items():
        known = counts.get("pairs", 0) / max(1, facts["split"][part])
        if known >= MANY_COPIES:
            remedy = "" if part in facts.get("files", {}) else "; data.split_by=source parts them"
            warnings.append(
                f"{known:.0%} of the pairs of the {part} part are in training, too: what was "
                f"learnt by heart scores well there{remedy}"
            )
    return warnings
