"""The scores that training watches are those of their definitions."""

import math

import pytest
import torch

from textgan.core.statistics import Estimate
from textgan.data.text import Text
from textgan.metrics.base import Models, Unavailable
from textgan.models.likelihood import nll_per_token
from textgan.models.oracle import make_oracle, oracle_corpus
from textgan.training.measure import measure, scores_of


def test_measure_leaves_random_numbers_and_the_generator_alone() -> None:
    oracle = make_oracle(9, 5, 4, 4, seed=0)
    corpus = oracle_corpus(oracle, 30, 20, 0, {})
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, text = measure(oracle, corpus, oracle, samples=50, seed=1)
    assert torch.equal(torch.rand(3), expected)
    second, again = measure(oracle, corpus, oracle, samples=50, seed=1)
    assert first == second
    assert torch.equal(text.tokens, again.tokens)
    # the oracle as a generator: its NLL under itself is its entropy, on the same samples
    assert first["nll_oracle"].value == first["entropy"].value


def test_every_score_is_that_of_its_definition_and_says_how_it_was_taken() -> None:
    oracle, model = (make_oracle(9, 5, 4, 4, seed) for seed in (0, 1))
    corpus = oracle_corpus(oracle, 30, 20, 0, {})
    scores, text = measure(model, corpus, oracle, samples=200, seed=1)
    assert scores["nll_oracle"].estimate == nll_per_token(oracle, text, 200, 1)
    assert scores["nll_test"].estimate == nll_per_token(model, corpus.test)
    assert scores["nll_valid"].estimate == nll_per_token(model, corpus.valid)
    assert scores["entropy"].estimate == nll_per_token(model, text)
    assert scores["unique"].estimate == Estimate(len(text.tokens.unique(dim=0)) / 200)
    assert scores["length"].estimate == Estimate(5.0)
    for name, score in scores.items():
        assert score.signature.startswith(f"{name}|")
    sure, _ = measure(model, corpus, oracle, samples=200, seed=1, resamplings=300)
    for network, texts, name in ((oracle, text, "nll_oracle"), (model, corpus.test, "nll_test")):
        assert sure[name].estimate == nll_per_token(network, texts, 300, 1)


def test_what_no_model_knows_is_left_out_and_what_is_no_number_is_refused() -> None:
    oracle = make_oracle(9, 5, 4, 4, seed=0)
    corpus = oracle_corpus(oracle, 30, 20, 0, {})
    scores, text = measure(oracle, corpus, None, samples=50, seed=1)
    assert list(scores) == ["nll_test", "nll_valid", "entropy", "unique", "length"]
    assert list(scores_of(Models(None, None, text, text), corpus, seed=0)) == ["unique", "length"]
    torch.nn.init.constant_(oracle.output.bias, math.nan)
    with pytest.raises(Unavailable, match="no longer numbers"):
        scores_of(Models(oracle, None, text, corpus.test), corpus, seed=0)


def test_unique_is_the_share_of_different_texts() -> None:
    corpus = oracle_corpus(make_oracle(9, 2, 4, 4, seed=0), 30, 20, 0, {})
    text = Text.full(torch.tensor([[1, 2], [1, 2], [2, 1], [2, 2]]))
    models = Models(None, None, text, corpus.test)
    assert scores_of(models, corpus, seed=0)["unique"].estimate == Estimate(0.75)
