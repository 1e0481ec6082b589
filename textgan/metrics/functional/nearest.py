"""The nearest training sentence of a text: whether a generator writes or recites."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from textgan.data.sentences import Sentences
from textgan.metrics.functional.ngrams import common_grams

LARGEST = 3  # words in the n-grams that are compared


def places(texts: Sentences, among: Sentences) -> Tensor:
    """Find where each text first occurs among others, word for word, (B,); -1 where it does not.

    It takes the memory of the texts, however many the others are.
    """
    first = dict.fromkeys(texts.spelt(), -1)
    for place, sentence in enumerate(among.spelt()):
        if first.get(sentence) == -1:
            first[sentence] = place
    return torch.tensor([first[text] for text in texts.spelt()], dtype=torch.long)


def nearest(texts: Sentences, among: Sentences) -> tuple[Tensor, Tensor]:
    """Find the sentence that each text is most similar to: its index (B,), and how similar it is
    (B,).

    The similarity is the F1 of n-grams, 2 x those in common / those of both: all of one to three
    words, each as often as it occurs, and the text itself as one more, so that only a copy has 1.
    Of equals the first is taken. Raises ValueError where there is nothing to compare with.
    """
    if not len(among):
        raise ValueError("there are no sentences to be near to")
    index = places(texts, among)
    share = torch.ones(len(texts), dtype=torch.float64)
    others = (index < 0).nonzero().flatten()
    if len(others):
        index[others], share[others] = _most_similar(texts[others], among)
    return index, share


def _most_similar(texts: Sentences, among: Sentences) -> tuple[Tensor, Tensor]:
    """`nearest` for texts that are not among the others."""
    own = []  # of all n-grams of the texts: which text and which n-gram
    others = []  # of those in the others: which sentence, which n-gram and how often
    kinds = 0
    for mine, other in common_grams(texts, among, LARGEST):
        own.append(torch.stack([mine.row, mine.kind + kinds]))
        wanted = torch.zeros(mine.kinds, dtype=torch.bool)
        wanted[mine.kind] = True
        inside = wanted[other.kind]
        codes = other.row[inside] * mine.kinds + other.kind[inside]
        code, count = torch.unique(codes, return_counts=True)
        others.append(torch.stack([code // mine.kinds, code % mine.kinds + kinds, count]))
        kinds += mine.kinds
    text, gram = torch.cat(own, 1)
    sentence, other_gram, often = torch.cat(others, 1)
    many, among_many = (_windows(side.sizes) for side in (texts, among))
    best = []
    for row in range(len(texts)):
        limit = torch.bincount(gram[text == row], minlength=kinds)
        shared = torch.minimum(limit[other_gram], often)
        common = torch.zeros(len(among), dtype=torch.long).index_add_(0, sentence, shared)
        best.append((2 * common.double() / (many[row] + among_many)).max(0))
    return (
        torch.stack([similar.indices for similar in best]),
        torch.stack([similar.values for similar in best]),
    )


def _windows(sizes: Tensor) -> Tensor:
    """Count the n-grams of texts of these sizes, the text itself included."""
    return 1 + sum(((sizes - n).clamp(min=0) for n in range(LARGEST)), torch.zeros_like(sizes))


def longest_common(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Find the stretches of `a`, from one place up to another, in which every two neighbours are
    neighbours in `b` too; each of two words or more."""
    known = set(pairwise(b))
    broken = [i for i, pair in enumerate(pairwise(a), start=1) if pair not in known]
    return [(i, j) for i, j in pairwise([0, *broken, len(a)]) if j - i > 1]
