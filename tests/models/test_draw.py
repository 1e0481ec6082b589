"""Many texts are drawn in pieces, each for its condition."""

from dataclasses import replace

import pytest
import torch
from answers import all_answers, answering, both, sources
from worlds import FIXED, Uniform, agree, counts_of, probabilities, small_generator

from textgan.data.text import UNCONDITIONAL, Condition
from textgan.models.beam import BeamSearch
from textgan.models.draw import answers, draw_texts


def test_drawing_many_texts_goes_in_pieces_and_keeps_the_labels() -> None:
    generator = Uniform(FIXED)
    labels = torch.arange(5000)
    text = draw_texts(generator, 5000, condition=Condition(labels))
    assert generator.steps == 2 * FIXED.length
    assert text.tokens.shape == (5000, 3)
    assert text.labels is not None
    assert torch.equal(text.labels, labels)


def test_answers_are_beside_their_sources_and_follow_their_law() -> None:
    generator, n = answering(), 4000
    text = answers(generator, both(), n, seed=5)
    assert max(generator.memories) == 512  # sources in memory at once
    assert text.source is not None
    assert torch.equal(text.source.tokens, sources().repeat(n).tokens)
    for which in (0, 1):
        drawn = replace(text[which * n : (which + 1) * n], condition=UNCONDITIONAL)
        assert agree(
            counts_of(drawn, generator.space), probabilities(generator, all_answers(which))
        )
    again = answers(generator, both(), n, seed=5)
    assert torch.equal(again.tokens, text.tokens)
    cold = answers(generator, both(), 3, seed=5, temperature=1e-4)
    assert torch.equal(
        cold.tokens, answers(generator, both(), seed=1, search=BeamSearch(width=1)).repeat(3).tokens
    )
    assert not (answers(generator, both(), 50, seed=5, forbid=0).tokens == 0).any()


def test_answers_of_a_search_are_its_n_best() -> None:
    generator, search = answering(), BeamSearch(width=4)
    pieces = []

    def progress(work, what):  # type: ignore[no-untyped-def]
        pieces.append(what)
        return work

    text = answers(generator, both(), 2, seed=0, search=search, progress=progress)
    assert pieces == ["beam search"]
    assert torch.equal(text.tokens, search(generator, both(), 2).text.tokens)
    plain = small_generator(FIXED)
    assert len(answers(plain, UNCONDITIONAL, 3, seed=0)) == 3
    assert len(answers(plain, UNCONDITIONAL, 3, seed=0, search=search)) == 3
    with pytest.raises(ValueError, match="without a likelihood"):
        answers(small_generator(FIXED, "noise_lstm"), UNCONDITIONAL, seed=0, search=search)
