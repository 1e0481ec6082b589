"""REGS taught by human answers: plainly, where they are better than expected, by tf-idf."""

from typing import Any

import pytest
import torch
from answer_rewards import Pairs, both_answers, connected, rewards_of
from answers import ANSWERS, answering
from torch import nn
from worlds import gradient, log_probs, same, texts_of

from textgan.losses import nll
from textgan.objectives.regs import inverse_frequencies, rates_by_tfidf


def test_teacher_forcing_is_maximum_likelihood() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge)
    right = nll(generator.log_prob(texts), texts.mask)
    for loss, metrics in (
        objective.teacher_loss(generator, judge, texts),
        objective.mle_loss(generator, texts),
    ):
        assert torch.equal(loss, right)
        assert metrics == {}


@pytest.mark.parametrize("critic", ["none", "mean", "encoder", "hierarchical"])
def test_better_teaches_only_what_is_above_the_baseline(critic: str) -> None:  # R5
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, teacher="better", critic=critic)
    objective.state["mean"] = torch.tensor(0.5, dtype=torch.float64)
    for network in objective.networks.values():
        last: Any = getattr(network, "output", network)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, 0.5)
    level = {"none": 0.0}.get(critic, 0.5)
    rewards = torch.cat(rewards_of(judge))
    assert critic == "none" or 0 < (rewards > level).sum() < len(rewards)
    loss, metrics = objective.teacher_loss(generator, judge, texts)
    weights = torch.where(rewards > level, rewards, 0.0)
    right = -(weights * log_probs(generator, texts)).sum() / texts.lengths.sum()
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))
    assert same(metrics["better"], (rewards > level).double().mean())
    assert same(metrics["reward"], rewards.mean())
    if critic == "none":
        return
    # nothing at or below it
    nn.init.zeros_(judge.table)
    loss, _ = objective.teacher_loss(generator, judge, texts)
    assert loss == 0
    assert not gradient(loss, generator).any()


def test_better_compares_without_dropout() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    generator.add_module("dropout", nn.Dropout(0.5))
    generator.dropout.train()
    seen = []
    generator.start = lambda *given, **named: (  # type: ignore[method-assign]
        seen.append(generator.dropout.training),
        type(generator).start(generator, *given, **named),
    )[1]
    objective = connected(generator, judge, teacher="better", critic="encoder")
    seen.clear()
    objective.teacher_loss(generator, judge, texts)
    assert seen == [False, True]  # the critic's, then the likelihood's


def test_rates_by_tfidf() -> None:  # R6
    words = texts_of(ANSWERS, [(0, 1, 4), (0, 0, 4), (1, 4), (0, 2, 4), (0, 4)])
    idf = inverse_frequencies(words, ANSWERS.vocabulary)
    frequency = torch.tensor([4, 2, 1, 1, 5])  # of 3 none
    assert same(idf, (6 / frequency).log())
    rates = rates_by_tfidf(words, idf, ANSWERS.eos)
    means = torch.stack([
        (idf[0] + idf[1]) / 2, idf[0], idf[1], (idf[0] + idf[2]) / 2, idf[0]
    ])  # fmt: skip
    raw = 5 * means / means.sum()
    assert float(raw.mean()) == pytest.approx(1)
    assert (rates <= 3 * rates.min() + 1e-6).all()
    assert torch.allclose(rates, raw.clamp(max=3 * float(raw.min())))
    # within three times the least they average 1
    some = words[torch.tensor([0, 1, 2])]
    assert float(rates_by_tfidf(some, torch.tensor([1.0, 2, 3, 3, 9]), 4).mean()) == pytest.approx(
        1
    )


def test_equal_tfidf_is_plain_maximum_likelihood() -> None:  # R6
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, tfidf=True)
    words = texts[(texts.tokens[:, 0] != ANSWERS.eos).nonzero().squeeze(1)]
    right = nll(generator.log_prob(words), words.mask)
    right_slope = gradient(right, generator)
    objective.idf = torch.tensor([1.0, 2, 3, 3, 9])
    assert not same(objective.mle_loss(generator, words)[0], right, 1e-3)
    objective.idf = torch.full((ANSWERS.vocabulary,), 0.7, dtype=torch.float64)
    for loss, _ in (
        objective.mle_loss(generator, words),
        objective.teacher_loss(generator, judge, words),
    ):
        assert same(loss, right)
        assert same(gradient(loss, generator), right_slope)


def test_tfidf_weighs_each_response() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    words = texts[(texts.tokens[:, 0] != ANSWERS.eos).nonzero().squeeze(1)]
    objective = connected(generator, judge, tfidf=True, teacher="better", critic="none")
    objective.idf = torch.tensor([1.0, 2, 3, 3, 9])
    rates = rates_by_tfidf(words, objective.idf, ANSWERS.eos).double()
    assert rates.max() > 1.2 * rates.min()
    plain = -(rates * log_probs(generator, words)).sum() / words.lengths.sum()
    assert same(objective.mle_loss(generator, words)[0], plain, 1e-6)
    rewards = judge(words).sigmoid()
    both = -(rates * rewards * log_probs(generator, words)).sum() / words.lengths.sum()
    assert same(objective.teacher_loss(generator, judge, words)[0], both, 1e-6)


def test_a_text_without_words_stops_no_other_from_learning() -> None:
    texts = texts_of(ANSWERS, [(4,), (0, 1, 4), (1, 4)])
    rates = rates_by_tfidf(texts, inverse_frequencies(texts, ANSWERS.vocabulary), ANSWERS.eos)
    assert rates[0] == 0
    assert not rates_by_tfidf(texts[:1], torch.ones(5), ANSWERS.eos).any()
    assert (rates[1:] > 0.5).all()
