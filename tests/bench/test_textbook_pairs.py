"""The textbook implementation of conditional generation computes what ours does."""

from collections import Counter

import pytest
import torch
from bench import answering_texts, pair_sides

from textgan.bench.pairs import PairSides
from textgan.bench.textbook_pairs import RNNSearch, add_one_bleu, draw
from textgan.metrics.functional.paired_bleu import PairedReferences


@pytest.fixture
def sides() -> PairSides:
    return pair_sides()


def test_both_sides_give_texts_the_same_likelihood(sides: PairSides) -> None:
    some = answering_texts(sides, 20)
    assert len(some.lengths.unique()) > 2
    with torch.no_grad():
        result = sides.ours.generator.log_prob(some)
        expected = RNNSearch(sides.textbook.generator).log_prob(some)
    assert float(expected[some.mask].std(unbiased=False)) > 0.1
    torch.testing.assert_close(result[some.mask], expected[some.mask], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_both_sides_score_alike(sides: PairSides) -> None:
    some, textbook = answering_texts(sides, 20), sides.textbook
    for network, expected in (
        (sides.ours.cnn, textbook.cnn_score(some)),
        (sides.ours.hierarchical, textbook.hierarchical_score(textbook.hierarchical, some)),
    ):
        assert float(expected.std()) > 0.05
        torch.testing.assert_close(network(some), expected, rtol=1e-4, atol=1e-5)


def test_both_sides_have_the_same_bleu(sides: PairSides) -> None:
    space = sides.ours.generator.space
    references, some = answering_texts(sides, 30), answering_texts(sides, 30)
    words, known = (
        [row[: n - 1] for row, n in zip(text.tokens.tolist(), text.lengths.tolist(), strict=True)]
        for text in (some, references)
    )
    expected = torch.tensor([*map(add_one_bleu, words, known)], dtype=torch.float64)
    assert len(expected.unique()) > 5
    result = PairedReferences(references, space).score(some)[:, -1]
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.torch_random
def test_both_sides_draw_by_the_same_law(sides: PairSides) -> None:
    n = 4000
    one = answering_texts(sides, 1)[torch.zeros(n, dtype=torch.long)]
    source = one.condition.require_source()
    with torch.no_grad():
        ours = sides.ours.generator.sample(n, condition=one.condition).tokens
        textbook = RNNSearch(sides.textbook.generator).write(source, ours[:, :0], draw).tokens
    first, second = (Counter(map(tuple, drawn[:, :2].tolist())) for drawn in (ours, textbook))
    for begun in first | second:
        both = first[begun] + second[begun]  # a difference of two counts
        assert abs(first[begun] - second[begun]) < 4.5 * both**0.5 + 1
