"""Loss truncation: which texts are left out, the running quantile, and where it is at rest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pairs import in_shards
from real_words import assert_is_mle, assert_of_real_words, loss_of, weighted
from tables import dyadic_generator, generator_of, random_generator, whole
from torch import Tensor
from toys import TOY, small_parts
from worlds import (
    FIXED,
    VARIABLE,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_generator,
    worlds,
)

from textgan.contracts.worlds import begin, steps_of, train
from textgan.data.text import Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.truncation import Truncation
from textgan.training.config import make_config
from textgan.training.run import create_run


def truncation(generator: AutoregressiveGenerator, **settings: Any) -> Truncation:
    objective = Truncation(**{"min_count": 1, **settings})
    objective.connect(generator, None, enumerate_texts(generator.space))
    return objective


@worlds
@pytest.mark.parametrize("by", ["sentence", "token"])
def test_leaving_nothing_out_is_maximum_likelihood(space: TextSpace, by: Any) -> None:
    generator, real = small_generator(space), enumerate_texts(space)
    objective = truncation(generator, c=0.0, by=by)
    objective.on_fakes(real)
    assert_is_mle(objective, generator, real)
    # nor is anything before enough is known
    objective = truncation(generator, c=0.9, min_count=2 * len(real) + 1)
    objective.on_fakes(real)
    objective.on_fakes(real)
    assert_is_mle(objective, generator, real)
    objective.on_fakes(real[:1])
    mle = loss_of(truncation(generator, c=0.0), generator, real)
    assert not same(loss_of(objective, generator, real), mle)


@worlds
@pytest.mark.parametrize("by", ["sentence", "token"])
def test_the_least_likely_texts_have_no_weight(space: TextSpace, by: Any) -> None:
    generator, real = small_generator(space), enumerate_texts(space)
    objective = truncation(generator, c=0.3, by=by)
    objective.on_fakes(real)
    losses = -log_probs(generator, real).detach()
    if by == "token":
        losses = losses / real.lengths
    kept = losses <= np.quantile(losses.numpy(), 0.7)
    assert abs(float(kept.double().mean()) - 0.7) < 0.05
    loss = loss_of(objective, generator, real)
    right = weighted(generator, real, kept.double().unsqueeze(1))
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))
    figures = objective.generator_loss(generator, None, real, real, 0.0)[1]  # type: ignore[arg-type]
    assert same(figures["kept"], kept.double().mean())
    assert same(figures["nll"], -generator.log_prob(real)[real.mask].mean().detach())


def test_the_two_losses_leave_out_other_texts() -> None:
    generator, real = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    chosen = []
    for by in ("sentence", "token"):
        objective = truncation(generator, c=0.5, by=by)
        objective.on_fakes(real)
        losses = objective.losses(generator.log_prob(real).detach(), real)
        chosen.append(losses <= objective.largest(losses))
    assert not torch.equal(*chosen)


def test_the_quantile_is_of_the_last_losses() -> None:
    generator, texts = random_generator(FIXED), enumerate_texts(FIXED)
    objective = truncation(generator, c=0.25, window=10, min_count=5)
    random = torch.Generator().manual_seed(3)
    seen: list[float] = []
    for update in range(6):
        batch = texts[torch.randint(len(texts), (4,), generator=random)]
        with torch.no_grad():
            generator.table += 0.01 * update  # the same softmax, so the same losses
        objective.on_fakes(batch)
        seen += (-log_probs(generator, batch)).tolist()
        largest = objective.largest(torch.zeros(0, dtype=torch.float64))
        if len(seen) < 5:
            assert largest == torch.inf
        else:
            assert largest.item() == pytest.approx(np.percentile(seen[-10:], 75), abs=1e-12)
        assert len(objective.state["losses"]) == min(10, len(seen))


def test_it_is_a_loss_of_real_words() -> None:
    generator = small_generator(VARIABLE)
    objective = truncation(generator, c=0.3)
    objective.on_fakes(enumerate_texts(VARIABLE))
    assert_of_real_words(objective)


def test_shards_share_the_quantile_of_the_whole_batch() -> None:
    generator, real = small_generator(VARIABLE), enumerate_texts(VARIABLE)[:14]
    order = torch.argsort(log_probs(generator, real))  # all that are left out in one shard
    objective, real = truncation(generator, c=0.4), real[order]
    objective.on_fakes(real)
    one, two = (in_shards(objective, generator, None, real, real, parts) for parts in (1, 2))
    assert same(one, two)
    kept = [
        objective.generator_loss(generator, None, part, part, 0.0)[1]["kept"]  # type: ignore[arg-type]
        for part in real.split(7)
    ]
    assert kept[0] < 0.3
    assert kept[1] == 1


def test_losses_of_a_thinned_network_are_compared_with_such() -> None:
    generator = small_generator(FIXED, dropout=0.5)
    real = enumerate_texts(FIXED).repeat(60)
    objective = truncation(generator, c=0.4)
    torch.manual_seed(1)
    objective.on_fakes(real)
    assert not generator.dropout.training
    generator.train()
    figures = objective.generator_loss(generator, None, real, real, 0.0)[1]  # type: ignore[arg-type]
    assert abs(float(figures["kept"]) - 0.6) < 0.03


@worlds
def test_the_data_are_no_fixed_point_but_what_is_kept_of_them_is(space: TextSpace) -> None:
    data, texts = dyadic_generator(space), enumerate_texts(space)
    objective, real = truncation(data, c=0.3), whole(data)
    objective.on_fakes(real)
    loss = loss_of(objective, data, real)
    losses = -log_probs(data, texts).detach()
    kept = losses <= objective.largest(losses)
    chances = log_probs(data, texts).exp()
    assert 0.3 < chances[kept].sum() < 1  # it ascends their probability
    assert same(gradient(loss, data), -gradient(chances[kept].sum(), data) * mean_of(real))
    restricted = torch.where(kept, chances, 0.0).detach()
    at_rest = generator_of(space, restricted / restricted.sum())
    objective = truncation(at_rest, c=0.3)
    objective.on_fakes(real)
    assert gradient(loss_of(objective, at_rest, real), at_rest).norm() < 1e-9
    assert probabilities(at_rest, texts)[~kept].sum() < 1e-12


def mean_of(real: Text) -> Tensor:
    """From a sum over texts by their number to one by the number of their tokens."""
    return torch.tensor(len(real) / float(real.mask.sum()), dtype=torch.float64)


def test_more_losses_than_are_kept_cannot_be_waited_for() -> None:
    with pytest.raises(ValueError, match="min_count = 20: no more than window = 10"):
        truncation(small_generator(FIXED), window=10, min_count=20)


def test_it_resumes_bit_for_bit_after_every_step(tmp_path: Path) -> None:
    keep = ("seed", "oracle.", "evaluation.", "schedule.")
    settings = {key: value for key, value in TOY.items() if key.startswith(keep)}
    settings |= small_parts("truncation") | {"schedule.mle_epochs": 1, "schedule.rounds": 6}
    settings |= {"objective.window": 20, "objective.min_count": 12, "schedule.shards": 2}
    settings |= {"generator.dropout": 0.2}
    runs = [create_run(make_config("truncation", settings), tmp_path / name) for name in "ab"]
    steps = len(steps_of(runs[1], begin(runs[1])))
    whole_run, stopped = train(runs[0]), train(runs[1], range(1, steps))
    assert whole_run.read_bytes() == stopped.read_bytes()
