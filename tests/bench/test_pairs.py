"""Both sides of the parts with a source do the same work, which grows as the sources do."""

from dataclasses import replace

import pytest
import torch
from bench import CPU, TINY, answering_texts, pair_sides
from torch import nn

from textgan.bench.counting import count
from textgan.bench.pairs import PAIR_PARTS, PairSides, pair_amounts, random_texts
from textgan.bench.setting import END, PAIR_RATE, PairSetting
from textgan.core.memory import peak_of_tensors
from textgan.models.rollout import rollout_bytes
from textgan.objectives.br_csgan import BRCSGAN

SMALL = TINY.answering


@pytest.fixture
def sides() -> PairSides:
    return pair_sides()


def certain_to_end(sides: PairSides) -> None:
    """Every completion is its prefix and the end, so nothing is left to chance."""
    for side in (sides.ours, sides.textbook):
        side.generator.output.bias.data[END] = 60.0


def assert_same_gradients(ours: nn.Module, textbook: nn.Module) -> None:
    expected = {name: p.grad for name, p in textbook.named_parameters() if p.grad is not None}
    found = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    assert sum(bool(gradient.abs().max() > 1e-4) for gradient in expected.values()) > 5
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-6)


def test_both_sides_take_the_same_mle_step(sides: PairSides) -> None:
    real = answering_texts(sides, SMALL.batch)
    sides.ours.mle_epoch(real)
    sides.textbook.mle_epoch(real)
    assert_same_gradients(sides.ours.generator, sides.textbook.generator)


def test_both_sides_write_the_same_translations(sides: PairSides) -> None:
    source = answering_texts(sides, 60).condition.require_source()
    ours, textbook = sides.ours.translate(source), sides.textbook.translate(source)
    assert torch.equal(ours.lengths, textbook.lengths)
    assert int(ours.lengths.min()) >= SMALL.mean and len(ours.tokens.unique(dim=0)) > 1
    width = int(ours.lengths.max())
    assert torch.equal(ours.tokens[:, :width], textbook.tokens[:, :width])


def test_both_sides_take_the_same_generator_steps(sides: PairSides) -> None:
    certain_to_end(sides)
    real = answering_texts(sides, SMALL.batch)
    fake = replace(answering_texts(sides, SMALL.batch), condition=real.condition)
    assert len(fake.lengths.unique()) > 1
    ours, textbook = sides.ours, sides.textbook
    ours.br_csgan_update(fake, real, 2)
    textbook.br_csgan_update(fake, real, 2)
    assert_same_gradients(ours.generator, textbook.generator)
    ours.regs_update(fake, real, 2)
    textbook.regs_update(fake, 2)
    assert_same_gradients(ours.generator, textbook.generator)
    assert_same_gradients(ours.critic, textbook.critic)


def test_texts_are_as_long_as_asked() -> None:
    setting = PairSetting(50, 50, 30, 13, 8, 4, batch=500, rollouts=1, pairs=500)
    torch.manual_seed(2)
    made = PairSides.make(setting, CPU)
    real = random_texts(2000, made.ours.generator.space, 13, CPU)
    assert float(real.lengths.float().mean()) == pytest.approx(13, abs=0.4)
    assert float(real.condition.require_source().lengths.float().mean()) == pytest.approx(
        13, abs=0.4
    )
    fake = made.ours.generator.sample(500, condition=real[slice(500)].condition)
    # of a geometric law that is cut off
    expected = sum((1 - 1 / 13) ** t for t in range(30))
    assert float(fake.lengths.float().mean()) == pytest.approx(expected, abs=1.5)


def test_work_is_of_the_share(sides: PairSides) -> None:
    assert pair_amounts(SMALL, 0.1) == dict.fromkeys(PAIR_PARTS, 4)
    works = sides.work(1.0, 0.5, ["regs_step", "sampling", "translation"])
    assert [(work.name, work.amount) for work in works] == [("translation", 8), ("regs_step", 4)]
    for work in works:
        work.ours()
        work.textbook()
    works[0].rest()
    assert all(p.grad is None for p in sides.ours.generator.parameters())


@pytest.mark.parametrize("part", ["br_csgan_step", "regs_step"])
def test_a_step_costs_the_same_for_each_source(part: str) -> None:
    def cost(sources: int) -> tuple[int, int]:
        setting = replace(SMALL, batch=sources, rollouts=4)
        made = PairSides.make(setting, CPU)
        made.ours.generator.output.bias.data[END] = -60.0  # all texts have the greatest length
        (work,) = made.work(1.0, 1.0, [part])
        work.ours()
        counted = count(work)
        return counted.operators, counted.bytes

    few, some, many = (cost(n) for n in (16, 32, 64))
    for a, b, c in zip(few, some, many, strict=True):
        assert 0 < c - b == pytest.approx(2 * (b - a), rel=0.15)


@pytest.mark.parametrize("method", ["br_csgan", "regs"])
def test_rollouts_take_the_memory_that_is_forecast_and_chunk_bounds_it(method: str) -> None:
    setting = PairSetting(200, 300, 20, 10, 64, 16, batch=8, rollouts=16, pairs=8)
    torch.manual_seed(3)
    ours = PairSides.make(setting, CPU).ours
    ours.generator.output.bias.data[END] = -60.0  # all texts have the greatest length
    objective, network = {
        "br_csgan": (ours.br_csgan, ours.cnn),
        "regs": (ours.regs, ours.hierarchical),
    }[method]
    real = random_texts(8, ours.generator.space, 10, CPU)
    fake = objective.sample(ours.generator, real, 0.0)

    def peak(rollouts: int, chunk: int) -> int:
        objective.rollouts, objective.chunk = rollouts, chunk
        return peak_of_tensors(lambda: ours.loss(objective, network, real, fake))

    def forecast(rollouts: int, chunk: int) -> int:
        features = network.output.in_features
        return rollout_bytes(ours.generator, 8, rollouts, chunk, features)

    few, many = peak(16, 0), peak(32, 0)
    assert 1 < forecast(16, 0) / few < 4 and 1 < forecast(32, 0) / many < 4
    assert 1.6 < many / few < 2.1
    bounded = peak(16, 4)  # what is left is the update's
    assert bounded < 0.5 * many and peak(32, 4) < 1.1 * bounded
    assert forecast(32, 4) == forecast(16, 4) == forecast(4, 0)


def test_the_rate_is_the_methods() -> None:
    assert BRCSGAN.defaults["optimisers.generator_lr"] == PAIR_RATE
