"""Languages whose entropy is known, and materials to judge texts of them."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.sentences import Sentences
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.base import MetricInputs
from textgan.metrics.networks import LanguageModelSettings

TINY: dict[str, Any] = {"embedding": 8, "hidden": 16, "dropout": 0.0, "lr": 1e-2, "longest": 24}
TINY_MODEL = LanguageModelSettings(**TINY)
# of words that are the numbers below 10,000
NUMBERS = replace(
    WordTokenizer.numbers(10_000, 24), pre_tokenizer=PreTokenizer("whitespace", unknown="")
)


def numbered(sentences: list[list[int]]) -> Sentences:
    """Sentences of words that are numbers already."""
    flat = [word for sentence in sentences for word in sentence]
    return Sentences(torch.tensor(flat).long(), torch.tensor([len(s) for s in sentences]).long())


def spelt(sentences: Sentences) -> list[list[str]]:
    """Their words."""
    return [list(map(str, sentence)) for sentence in sentences.tolist()]


def written(transitions: Tensor, first: Tensor, n: int, seed: int) -> Sentences:
    """n sentences of a Markov chain: transitions (K, K + 1), the last column ends the sentence, as
    in first (K + 1,)."""
    random = torch.Generator().manual_seed(seed)
    sentences = []
    for _ in range(n):
        sentence: list[int] = []
        chances = first
        while True:
            word = int(torch.multinomial(chances, 1, generator=random))
            if word == len(transitions):
                break
            sentence.append(word)
            chances = transitions[word]
        sentences.append(sentence)
    return numbered(sentences)


def true_nats(sentences: Sentences, transitions: Tensor, first: Tensor) -> float:
    """What sentences cost under the chain that wrote them, in nats per word, ends included."""
    end = len(transitions)
    total = 0.0
    for sentence in sentences.tolist():
        chances = first
        for word in [*sentence, end]:
            total -= float(chances[word].log())
            chances = transitions[word] if word != end else first
    return total / float((sentences.sizes + 1).sum())


def material(
    predictions: Sentences,
    real: Sentences,
    train: Sentences | None = None,
    tokenizer: WordTokenizer | None = None,
    **settings: Any,
) -> MetricInputs:
    """Everything is judged and compared as it is."""
    return MetricInputs(
        **{
            "tokenizer": tokenizer or NUMBERS,
            "predictions": predictions,
            "lines": [],
            "references": real,
            "sample": predictions,
            "paired_sample": predictions,
            "paired_references": real,
            "train": train,
            "resamplings": 100,
            **settings,
        }
    )
