"""REGS whose discriminator scores prefixes: which are drawn, and what the best one says."""

from typing import Any

import pytest
import torch
from answer_rewards import PLAIN, Pairs, both_answers, connected, human, learn_prefixes
from answers import ANSWERS, all_answers, answering
from rewards import ZERO
from torch import Tensor, nn
from worlds import agree, gradient, probabilities, same, texts_of

from textgan.data.text import Text
from textgan.objectives import regs
from textgan.objectives.regs import REGS, one_length, prefix_of


def test_one_prefix_of_each_text_every_length_as_often() -> None:  # R1
    generator, judge = answering(), Pairs()
    objective = connected(generator, judge, variant="partial")
    text = texts_of(ANSWERS, [(0, 1, 4), (1, 4), (4,)])
    counts = {length: torch.zeros(length) for length in text.lengths.tolist()}
    for _ in range(3000):
        lengths = one_length(text, objective._shares(text, len(text)))
        prefix = prefix_of(text, lengths, ANSWERS.pad)
        assert len(prefix) == len(text)
        for whole, part in zip(text.tolist(), prefix.tolist(), strict=True):
            assert part == whole[: len(part)]
            assert (prefix.tokens[~prefix.mask] == ANSWERS.pad).all()
            counts[len(whole)][len(part) - 1] += 1
        objective.after_discriminator_step(judge)
    for length, seen in counts.items():
        assert seen.sum() == 3000
        if length > 1:
            assert agree(seen, torch.full((length,), 1 / length))


def test_real_and_fake_prefixes_are_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, variant="partial")
    drawn: list[Tensor] = []

    def watched(text: Text, shares: Tensor) -> Tensor:
        drawn.append(shares)
        return one_length(text, shares)

    monkeypatch.setattr(regs, "one_length", watched)
    objective.discriminator_loss(judge, texts, texts)
    of_real, of_fake = drawn
    assert len(torch.cat(drawn).unique()) == len(of_real) + len(of_fake)


def test_the_same_prefixes_until_the_discriminator_has_moved() -> None:
    generator, judge = answering(), Pairs()
    objective = connected(generator, judge, variant="partial")
    texts = both_answers()
    state = torch.get_rng_state()
    first = objective.discriminator_loss(judge, texts, texts)[0]
    assert torch.equal(objective.discriminator_loss(judge, texts, texts)[0], first)
    assert torch.equal(torch.get_rng_state(), state)
    objective.after_discriminator_step(judge)
    assert objective.discriminator_loss(judge, texts, texts)[0] != first


def test_the_shards_of_a_batch_draw_prefixes_of_their_own() -> None:
    objective = connected(answering(), Pairs(), variant="partial")
    texts = all_answers(0)[:6]
    first, second = (objective._shares(half, 6) for half in (texts[:3], texts[3:]))
    assert not (first == second).any()
    wider = texts[:3].pad_to(texts.tokens.shape[1] + 2, ANSWERS.pad)
    assert torch.equal(objective._shares(wider, 6), first)


def test_the_best_discriminator_of_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:  # R2
    """At p~ / (p~ + q~) the expected loss of its updates has no slope."""
    generator, judge = answering(), Pairs()
    objective = connected(generator, judge, variant="partial")
    learn_prefixes(generator, judge)
    slope = torch.zeros_like(judge.table)
    for which in (0, 1):
        texts = all_answers(which)
        total = ZERO
        real, fake = human(which), probabilities(generator, texts)
        for t in range(ANSWERS.length):
            # every text's prefix of one length after another
            monkeypatch.setattr(
                regs, "one_length", lambda text, shares, t=t: text.lengths.clamp(max=t + 1)
            )
            for i in range(len(texts)):
                if texts.lengths[i] > t:
                    one = texts[i : i + 1]
                    loss = objective.discriminator_loss(judge, one, one)[0]
                    # of the real half, and of the fake one
                    score = judge(prefix_of(one, torch.tensor([t + 1]), ANSWERS.pad))[0]
                    halves = nn.functional.softplus(-score) / 2, nn.functional.softplus(score) / 2
                    assert same(loss, sum(halves))  # type: ignore[arg-type]
                    total = total + (real[i] * halves[0] + fake[i] * halves[1]) / texts.lengths[i]
        slope = slope + torch.autograd.grad(total, judge.table)[0]
    assert slope.abs().max() < 1e-12
    with torch.no_grad():
        judge.table += 0.1
    assert gradient(total_loss(objective, judge, generator), judge).abs().max() > 1e-3


def total_loss(objective: REGS, judge: Pairs, generator: Any) -> Tensor:
    texts = both_answers()
    return objective.discriminator_loss(judge, texts, texts[torch.randperm(len(texts))])[0]


def test_every_prefix_is_scored_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, variant="partial", **PLAIN)
    whole = objective._values(generator, judge, texts)
    assert judge.largest == int(texts.lengths.sum())
    judge.largest = 0
    monkeypatch.setattr(regs, "PREFIXES_AT_ONCE", 7)
    assert torch.equal(objective._values(generator, judge, texts), whole)
    assert judge.largest <= 7
    for b, t in ((0, 0), (5, 1), (29, 2)):
        prefix = prefix_of(texts[b : b + 1], torch.tensor([t + 1]), ANSWERS.pad)
        assert same(whole[b, t], judge(prefix)[0].sigmoid())
    # the end token is one of the prefix: a whole response is not scored like its words
    ended = (texts.lengths == 2).nonzero()[0]
    assert texts.tokens[ended, 1] == ANSWERS.eos
    assert whole[ended, 0] != whole[ended, 1]
