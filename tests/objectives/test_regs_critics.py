"""The critics of REGS: what they know, learn, and leave alone."""

from typing import Any

import pytest
import torch
from answer_rewards import Pairs, both_answers, connected, moved_critic, rewards_of
from answers import ANSWERS, answering
from rewards import unchanged, weights_of
from toys import learn
from worlds import gradient, same, small_generator


def test_the_mean_of_all_rewards_so_far() -> None:
    generator, texts = answering(), both_answers()
    objective = connected(generator, Pairs(), variant="reinforce", critic="mean")
    means = []
    for seed in range(3):
        judge = Pairs(seed)
        before = sum(means) / len(means) if means else 0
        assert float(objective._expected(generator, texts)[0, 0]) == pytest.approx(before)
        learn(objective, generator, judge, texts, texts, 0.0)
        means.append(float(torch.cat(rewards_of(judge)).mean()))
        assert float(objective.state["mean"]) == pytest.approx(sum(means) / len(means))


def test_the_encoders_critic_starts_at_zero_and_learns_the_mean_reward_of_each_source() -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    with torch.no_grad():
        judge.table[0], judge.table[1] = -1.0, 2.0
    objective = connected(generator, judge, variant="reinforce", critic="encoder")
    assert not objective._expected(generator, texts).any()
    optimiser = torch.optim.Adam(objective.networks.parameters(), lr=0.2)
    before = weights_of(generator)
    for _ in range(60):
        optimiser.zero_grad()
        objective.generator_loss(generator, judge, texts, texts, 0.0)[0].backward()
        optimiser.step()
    assert unchanged(generator, before)
    assert same(objective._expected(generator, texts)[:, 0], torch.cat(rewards_of(judge)), 1e-2)


def test_a_generator_that_begins_with_nothing_has_no_encoders_critic() -> None:
    generator = small_generator(ANSWERS, "encoder_decoder")
    with pytest.raises(ValueError, match=r"critic = encoder .* begins with none; choose"):
        connected(generator, Pairs(), critic="encoder")
    connected(generator, Pairs(), critic="hierarchical")


def test_the_hierarchical_critic_reads_the_words_before_alone() -> None:
    generator, texts = answering(), both_answers()
    objective = moved_critic(connected(generator, Pairs(), critic_hidden=3))
    expected = objective._expected(generator, texts)
    words = texts.tokens.masked_fill(~texts.mask, ANSWERS.pad).tolist()
    known: dict[tuple[int, ...], float] = {}
    for row, length, source, values in zip(
        words, texts.lengths.tolist(), texts.source.lengths.tolist(), expected.tolist(), strict=True
    ):  # type: ignore[union-attr]
        for t in range(length):
            before = (source, *row[:t])
            assert known.setdefault(before, values[t]) == pytest.approx(values[t], abs=1e-12)
    assert len({round(value, 9) for value in known.values()}) == len(known)  # all of them count


def test_the_hierarchical_critic_learns_what_prefixes_are_worth() -> None:
    """Where D is of the first word, the words before tell the rest of its reward."""
    generator, judge, texts = answering(), Pairs(), both_answers()
    objective = connected(generator, judge, variant="reinforce", critic_hidden=8)
    assert (objective._expected(generator, texts)[texts.mask] == 0.5).all()  # D of what is unknown
    optimiser = torch.optim.Adam(objective.networks.parameters(), lr=0.05)
    with torch.no_grad():
        for code in range(judge.table.shape[1]):
            judge.table[:, code] = code % ANSWERS.vocabulary - 2
    for _ in range(80):
        optimiser.zero_grad()
        objective.generator_loss(generator, judge, texts, texts, 0.0)[0].backward()
        optimiser.step()
    errors = objective._values(generator, judge, texts) - objective._expected(generator, texts)
    assert errors[:, 1:][texts.mask[:, 1:]].abs().max() < 0.05
    assert errors[:, 0].abs().max() > 0.2


@pytest.mark.parametrize("critic", ["encoder", "hierarchical"])
def test_a_critics_error_reaches_the_critic_alone(critic: str) -> None:
    generator, judge, texts = answering(), Pairs(), both_answers()
    settings: dict[str, Any] = {"variant": "reinforce", "normalise": False}
    objective = moved_critic(connected(generator, judge, critic=critic, **settings))
    loss, *_ = objective.generator_loss(generator, judge, texts, texts, 0.0)
    errors = objective._values(generator, judge, texts) - objective._expected(generator, texts)
    error = (errors.square() * texts.mask).sum() / len(texts)
    assert same(
        gradient(loss, objective.networks["critic"]), gradient(error, objective.networks["critic"])
    )
    policy = -(errors.detach() * generator.log_prob(texts))[texts.mask].sum() / len(texts)
    assert same(gradient(loss, generator), gradient(policy, generator))
    assert all(weight.grad is None for weight in judge.parameters())
