"""BLEU against one reference each: the numbers of nltk and of NMT_GAN's code, text by text."""

from collections import Counter
from dataclasses import replace
from math import exp, prod
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from torch import Tensor
from worlds import same, texts_of

from textgan.data.text import TextSpace
from textgan.metrics.functional.paired_bleu import PairedReferences

SPACE = TextSpace(6, 9, eos=1)  # words 2 .. 5
ENDLESS = TextSpace(6, 9)
words = st.lists(st.integers(2, 5), max_size=8).map(tuple)


def grams(text: tuple[int, ...], n: int) -> Counter[tuple[int, ...]]:
    return Counter(zip(*[text[i:] for i in range(n)], strict=False))


def by_hand(reference: tuple[int, ...], text: tuple[int, ...], order: int = 4) -> float:
    """What share_function.py's `score` computes."""
    precisions = []
    for n in range(1, order + 1):
        matches = (grams(reference, n) & grams(text, n)).total()
        windows = max(0, len(text) - n + 1)
        precisions.append((matches + (n > 1)) / (windows + (n > 1)) if windows + (n > 1) else 0.0)
    brevity = min(1.0, exp(1 - len(reference) / len(text))) if text else 0.0
    return prod(precisions) ** (1 / order) * brevity


def scored(references: list[tuple[int, ...]], texts: list[tuple[int, ...]], **more: Any) -> Tensor:
    ended = [[(*text, 1) for text in part] for part in (references, texts)]
    kept = PairedReferences(texts_of(SPACE, ended[0]), SPACE, more.pop("order", 4))
    return kept.score(texts_of(SPACE, ended[1]), **more)[:, -1]


def test_identical_sentences_have_bleu_1_and_others_what_the_papers_code_says() -> None:
    result = scored([(2, 3, 4, 5), (2, 3, 4, 5)], [(2, 3, 4, 5), (2, 3, 4, 2)])
    right = (3 / 4 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)
    assert right == pytest.approx(0.6580, abs=5e-5)
    assert same(result, torch.tensor([1.0, right], dtype=torch.float64))


def test_brevity_is_of_the_own_reference() -> None:
    (result,) = scored([(2, 3, 4, 5, 2, 3)], [(2, 3, 4)]).tolist()
    assert result == pytest.approx(exp(1 - 6 / 3))
    (longer,) = scored([(2, 3, 4)], [(2, 3, 4, 5, 2, 3)]).tolist()
    assert longer == pytest.approx((3 / 6 * 3 / 6 * 2 / 5 * 1 / 4) ** (1 / 4))


@given(st.lists(st.tuples(words, words), min_size=1, max_size=5), st.integers(1, 5))
def test_it_is_the_codes_of_every_pair(
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]], order: int
) -> None:
    references, texts = ([*part] for part in zip(*pairs, strict=True))
    right = [by_hand(*pair, order) for pair in pairs]
    result = scored(references, texts, order=order)
    assert same(result, torch.tensor(right, dtype=torch.float64))


@given(words.filter(len), words.filter(len))
def test_method1_is_nltks(reference: tuple[int, ...], text: tuple[int, ...]) -> None:
    right = sentence_bleu([reference], text, smoothing_function=SmoothingFunction().method1)
    (result,) = scored([reference], [text], smoothing="method1").tolist()
    assert result == pytest.approx(right, abs=1e-12)


def test_several_texts_have_one_reference() -> None:
    references = [(2, 3, 4, 5), (5, 5, 2), ()]
    texts = [(2, 3, 4), (5, 5), (2, 3, 4), (), (5, 2)]
    origin = [0, 1, 1, 2, 0]
    result = scored(references, texts, origin=torch.tensor(origin))
    right = [by_hand(references[i], text) for i, text in zip(origin, texts, strict=True)]
    assert same(result, torch.tensor(right, dtype=torch.float64))


def test_padding_changes_nothing_and_no_end_is_no_end() -> None:
    texts = texts_of(SPACE, [(2, 3, 1), (4, 1), (2, 3, 4, 5, 2, 3, 4, 5, 2)])  # the last is cut off
    kept = PairedReferences(texts, SPACE)
    wide = PairedReferences(texts.pad_to(14), SPACE)
    assert same(kept.score(texts)[:, -1], torch.ones(3).double())
    assert same(wide.score(texts), kept.score(texts.pad_to(12)))
    # where texts have no end, each token is a word, that of padding too
    whole = replace(texts, lengths=torch.full_like(texts.lengths, 9))
    free = PairedReferences(whole, ENDLESS, 2).score(whole.pad_to(11))
    assert same(free, torch.ones(3, 2).double())
    narrow = replace(texts[:2], tokens=texts.tokens[:2, :3])
    assert same(kept.score(narrow), kept.score(texts[:2]))
