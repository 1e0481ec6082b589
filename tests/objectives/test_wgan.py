"""WGAN: its losses, its clipping, and the relaxed texts that carry its gradient."""

from typing import Any

import pytest
import torch
from relaxed import fakes_of, judge_of
from torch import Tensor, nn
from worlds import (
    FIXED,
    build,
    enumerate_texts,
    gradient,
    one_hot,
    same,
    small_generator,
    worlds,
)

from textgan.data.text import TextSpace
from textgan.models.generators.base import Generator
from textgan.models.sampling import softmax
from textgan.objectives.base import Objective
from textgan.objectives.wgan import WGAN
from textgan.objectives.wgan_gp import WGANGP
from textgan.training.config import make_config

judges = pytest.mark.parametrize("name", ["cnn", "rnn", "residual"])
writers = pytest.mark.parametrize("name", ["lstm", "gru", "noise_lstm", "convolutional"])


def writer_of(space: TextSpace, name: str) -> Generator:
    if name in ("lstm", "gru"):
        return small_generator(space, name)
    settings = {"noise": 3, "channels": 4, "blocks": 2, "embedding": 3, "hidden": 4, "init": 0.7}
    generator: Generator = build("generator", name, space, **settings)
    return generator


@worlds
@judges
def test_the_losses_are_differences_of_mean_scores(space: TextSpace, name: str) -> None:
    judge, real, fake = judge_of(space, name), enumerate_texts(space)[:6], fakes_of(space)
    loss, figures = WGAN().discriminator_loss(judge, real, fake)
    # real text has no length either: its padding is a symbol
    right = judge(fake).mean() - judge(one_hot(real, space)).mean()
    assert same(loss, right)
    assert same(figures["wasserstein"], -right)
    loss, _ = WGAN().generator_loss(writer_of(space, "lstm"), judge, real, fake, 0.0)
    assert same(loss, -judge(fake).mean())


@worlds
@pytest.mark.parametrize("objective", [WGAN(), WGANGP()], ids=["wgan", "wgan_gp"])
def test_a_constant_in_the_score_changes_no_gradient(
    space: TextSpace, objective: Objective
) -> None:
    judge, real = judge_of(space), enumerate_texts(space)[:6]
    generator = writer_of(space, "lstm")
    objective.connect(generator, judge, real)
    result = []
    for constant in (0.0, 7.5):
        torch.manual_seed(3)
        with torch.no_grad():
            judge.output.bias.fill_(constant)
        fake = objective.sample(generator, real, 0.0)
        of_generator, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
        of_judge, _ = objective.discriminator_loss(judge, real, fake)
        result.append((gradient(of_judge, judge), gradient(of_generator, generator)))
    for first, second in zip(*result, strict=True):
        assert first.any()
        assert same(first, second)


@judges
def test_after_an_update_every_weight_is_clipped_and_nothing_else(name: str) -> None:
    judge = judge_of(FIXED, name)
    judge.register_buffer("counted", torch.tensor([5.0, -5.0]))
    before = {key: part.detach().clone() for key, part in judge.named_parameters()}
    assert any(part.abs().max() > 0.05 for part in before.values())
    WGAN(clip=0.05).constrain(judge)
    for key, parameter in judge.named_parameters():
        assert parameter.abs().max() <= 0.05
        assert torch.equal(parameter, before[key].clamp(-0.05, 0.05))
        assert parameter.requires_grad
    assert judge.counted.tolist() == [5.0, -5.0]


def test_without_clipping_the_estimate_grows_and_with_it_it_is_bounded() -> None:
    real, fake = enumerate_texts(FIXED)[:6], fakes_of(FIXED)
    result = []
    for objective in (WGAN(clip=0.1), WGAN(clip=1e9)):
        judge = judge_of(FIXED)
        optimiser = torch.optim.RMSprop(judge.parameters(), lr=0.05)
        for _ in range(60):
            optimiser.zero_grad()
            loss, figures = objective.discriminator_loss(judge, real, fake)
            loss.backward()
            optimiser.step()
            objective.after_discriminator_step(judge)
        result.append(figures["wasserstein"].item())
    assert 0 < result[0] < 1 < result[1]


# --- relaxed texts ---


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_by_softmax_an_autoregressive_generator_writes_one_text_and_by_gumbel_many(
    name: str,
) -> None:
    generator, real = small_generator(FIXED, name), enumerate_texts(FIXED)
    rows = generator.sample(27, choose=softmax).soft_tokens
    assert rows is not None
    assert torch.equal(rows, rows[:1].expand_as(rows))
    for objective in (WGAN(), WGANGP()):
        fake = objective.sample(generator, real, 0.0)
        assert fake.soft_tokens is not None
        assert len(torch.unique(fake.soft_tokens.flatten(1), dim=0)) == 27


@pytest.mark.parametrize("name", ["noise_lstm", "convolutional"])
def test_a_generator_that_starts_from_noise_is_relaxed_by_softmax(name: str) -> None:
    generator, real = writer_of(FIXED, name), enumerate_texts(FIXED)
    torch.manual_seed(3)
    right = generator.sample(27, choose=softmax).soft_tokens
    assert right is not None
    for objective in (WGAN(temperature=0.1), WGANGP(temperature=0.1)):
        torch.manual_seed(3)
        fake = objective.sample(generator, real, 0.0)
        assert torch.equal(fake.soft_tokens, right)  # type: ignore[arg-type]
    assert len(torch.unique(right.flatten(1), dim=0)) == 27


def test_the_temperature_is_that_of_the_rows() -> None:
    generator, real = small_generator(FIXED), enumerate_texts(FIXED)
    sharp, soft = (
        WGAN(temperature=t).sample(generator, real, 0.0).soft_tokens for t in (0.05, 5.0)
    )
    assert sharp is not None and soft is not None
    assert sharp.amax(2).mean() > 0.9
    assert soft.amax(2).mean() < 0.5


@worlds
@writers
@pytest.mark.parametrize("judged", ["cnn", "rnn", "residual"])
def test_the_generators_gradient_is_right(space: TextSpace, name: str, judged: str) -> None:
    # the slope along a random direction, the noise held
    generator, judge = writer_of(space, name), judge_of(space, judged)
    objective, real = WGAN(), enumerate_texts(space)[:5]

    def loss() -> Tensor:
        torch.manual_seed(3)
        fake = objective.sample(generator, real, 0.0)
        return objective.generator_loss(generator, judge, real, fake, 0.0)[0]

    slope = gradient(loss(), generator)
    trained = [part for part in generator.parameters() if part.requires_grad]
    direction, start = torch.randn_like(slope), nn.utils.parameters_to_vector(trained)
    step = 1e-6
    with torch.no_grad():
        nn.utils.vector_to_parameters(start + step * direction, trained)
        high = loss()
        nn.utils.vector_to_parameters(start - step * direction, trained)
        low = loss()
    assert (slope @ direction).abs() > 1e-5
    assert abs(((high - low) / (2 * step) - slope @ direction).item()) < 1e-8


# --- what a run is told ---


def test_a_run_has_the_papers_settings() -> None:
    config = make_config("wgan")
    rates, schedule = config.optimisers, config.schedule
    assert (rates.method, rates.generator_lr, rates.discriminator_lr) == ("rmsprop", 5e-5, 5e-5)
    assert (schedule.d_steps, schedule.fakes, schedule.g_steps, schedule.k) == (5, 1, 1, 1)
    assert config.objective.settings == {"clip": 0.01, "temperature": 1.0}
    assert (config.generator.name, config.discriminator.name) == ("lstm", "cnn")
    assert schedule.mle_epochs == 20  # an LSTM has a likelihood, and is pretrained


@pytest.mark.parametrize("settings", [{"clip": 0.0}, {"temperature": 0.0}, {"clip": -1.0}])
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        WGAN(**settings)
