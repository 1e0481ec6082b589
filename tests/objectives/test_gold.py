"""GOLD: its weights by hand, its end of maximum likelihood, and the policies that it keeps."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pairs import in_shards
from real_words import (
    assert_is_mle,
    assert_of_real_words,
    loss_of,
    weighted,
)
from tables import dyadic_generator, whole
from torch import Tensor
from toys import TOY, small_parts
from worlds import VARIABLE, enumerate_texts, gradient, same, small_generator, worlds

from textgan.contracts.worlds import begin, steps_of, train
from textgan.data.text import Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.base import without_state
from textgan.objectives.gold import GOLD, sum_ahead
from textgan.training.config import make_config
from textgan.training.run import create_run


def given(generator: AutoregressiveGenerator, real: Text) -> Any:
    return generator, None, real, real, 0.0


def begun(objective: GOLD, old: AutoregressiveGenerator, real: Text) -> GOLD:
    """The objective after an update of this generator, the policies of which it keeps."""
    objective.state = dict(without_state(objective.generator_loss(*given(old, real)))[1])
    return objective


@worlds
def test_without_rewards_and_at_full_weight_it_is_maximum_likelihood(space: TextSpace) -> None:
    objective = GOLD(reward="delta", least_weight=1.0)
    assert_is_mle(objective, small_generator(space), enumerate_texts(space))


@worlds
@pytest.mark.parametrize("reward", ["s", "p", "delta"])
def test_the_loss_by_hand(space: TextSpace, reward: Any) -> None:
    generator, old, real = (
        small_generator(space), small_generator(space, seed=1), enumerate_texts(space)
    )  # fmt: skip
    objective = GOLD(
        reward=reward, least_weight=0.2, least_reward=0.3, baseline=-1.0, window=1, refresh=1000
    )
    begun(objective, old, real)
    chance = old.log_prob(real).detach().exp()
    weights = torch.zeros_like(chance)
    for row, size in enumerate(real.lengths.tolist()):
        for t in range(size):
            value = 0.0
            for ahead in (t, t + 1):
                p = float(chance[row, ahead]) if ahead < size else 1.0
                value += max(0.3, p if reward == "s" else float(torch.tensor(p).log()) + 1.0)
            own = max(0.2, float(chance[row, t]))
            weights[row, t] = own * (1.0 if reward == "delta" else value)
    loss = loss_of(objective, generator, real)
    by_hand = weighted(generator, real, weights)
    assert same(loss, by_hand, 1e-7)  # a logarithm in float32
    assert same(gradient(loss, generator), gradient(by_hand, generator), 1e-7)
    assert weights[real.mask].std() > 0.05


def test_a_window_by_hand() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    assert sum_ahead(rewards, 0, 9.0).tolist() == [[1.0, 2.0, 4.0]]
    assert sum_ahead(rewards, 1, 8.0).tolist() == [[3.0, 6.0, 12.0]]
    assert sum_ahead(rewards, 4, 1.0).tolist() == [[9.0, 9.0, 8.0]]


def test_what_follows_the_end_is_certain() -> None:
    generator, texts = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    short = texts[:1]  # an end alone
    assert int(short.lengths) == 1
    for reward, right in (("s", 2.0), ("p", 20.0)):
        objective = GOLD(reward=reward, window=2, least_reward=0.0)  # type: ignore[arg-type]
        log_prob = generator.log_prob(short).detach()
        log_prob[0, 1:] = -1e9  # whatever is at padding
        own = log_prob[0, 0].exp() if reward == "s" else log_prob[0, 0] + 10
        for text in (short, short.pad_to(5)):
            wide = torch.nn.functional.pad(log_prob, (0, text.tokens.shape[1] - 3), value=-1e9)
            assert same(objective.values(wide, text)[0, 0], own + right)
    lowest = GOLD(reward="s", window=2, least_reward=1.5).values(log_prob, short)
    assert lowest[0, 0] == 4.5


@pytest.mark.parametrize("reward", ["s", "p", "delta"])
def test_it_is_a_loss_of_real_words(reward: Any) -> None:
    assert_of_real_words(GOLD(reward=reward))


def test_the_old_policy_is_renewed_and_that_of_mle_stays() -> None:
    generator, real = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    weight = generator.embedding.weight
    objective, seen = GOLD(refresh=2), []
    for update in range(5):
        with torch.no_grad():
            weight.fill_(float(update))
        _, kept = without_state(objective.generator_loss(*given(generator, real)))
        objective.state = {**objective.state, **kept}
        assert torch.equal(weight, torch.full_like(weight, float(update)))
        seen.append(
            [float(objective.state[f"{who}.embedding.weight"][0, 0]) for who in ("old", "mle")]
        )
        assert int(objective.state["updates"]) == update + 1
    assert seen == [[0, 0], [0, 0], [2, 0], [2, 0], [4, 0]]
    names = begun(GOLD(reward="delta"), generator, real).state
    assert not [name for name in names if name.startswith("mle")]


def test_shards_of_several_policies_are_the_whole() -> None:
    generator, old = small_generator(VARIABLE), small_generator(VARIABLE, seed=1)
    real = enumerate_texts(VARIABLE)[:14]
    objective = begun(GOLD(), old, real)
    one, two = (in_shards(objective, generator, None, real, real, parts) for parts in (1, 2))
    assert same(one, two)


def test_weights_are_of_networks_without_dropout() -> None:
    real = enumerate_texts(VARIABLE).repeat(20)
    generator = small_generator(VARIABLE, dropout=0.5)
    objective = GOLD(reward="s")
    plain = objective.generator_loss(*given(generator, real))[1]
    generator.train()
    thinned = objective.generator_loss(*given(generator, real))[1]
    assert same(plain["weight"], thinned["weight"])
    assert abs(plain["nll"] - thinned["nll"]) > 1e-3
    assert generator.dropout.training


@worlds
def test_the_data_are_no_fixed_point(space: TextSpace) -> None:
    data = dyadic_generator(space)
    real = whole(data)
    objective = begun(GOLD(reward="delta", least_weight=0.3), data, real)

    def slopes(objective: GOLD) -> Tensor:
        return gradient(loss_of(objective, data, real), data)

    p = data(real).softmax(2)  # -sum_v max(u, p_v) grad q_v after each prefix
    right = -(p.detach().clamp(min=0.3) * p).sum(2)[real.mask].sum() / real.mask.sum()
    assert same(slopes(objective), gradient(right, data))
    assert slopes(objective).norm() > 0.01
    assert slopes(GOLD(reward="delta", least_weight=1.0)).norm() < 1e-12


def test_it_resumes_bit_for_bit_over_renewals(tmp_path: Path) -> None:
    keep = ("seed", "oracle.", "evaluation.", "schedule.")
    settings = {key: value for key, value in TOY.items() if key.startswith(keep)}
    settings |= small_parts("gold") | {"objective.refresh": 2, "schedule.mle_epochs": 1}
    settings |= {"schedule.rounds": 5, "schedule.shards": 2}
    runs = [create_run(make_config("gold", settings), tmp_path / name) for name in "ab"]
    steps = len(steps_of(runs[1], begin(runs[1])))
    whole_run, stopped = train(runs[0]), train(runs[1], range(1, steps))
    assert whole_run.read_bytes() == stopped.read_bytes()
