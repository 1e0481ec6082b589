"""GSGAN: rows of Gumbel noise that the generator goes on from, and the ordinary game on them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import everything, stop_at
from toys import TOY
from worlds import (
    FIXED,
    VARIABLE,
    agree,
    counts_of,
    enumerate_texts,
    gradient,
    one_hot,
    probabilities,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

import textgan
from textgan.core.errors import Interrupted
from textgan.core.log import read_records
from textgan.core.tensors import load_tensors
from textgan.data.text import Text, TextSpace
from textgan.objectives.gsgan import GSGAN
from textgan.training.checkpoint import checkpoints
from textgan.training.config import make_config

losses = pytest.mark.parametrize("loss", ["minimax", "non_saturating"])


def test_the_temperature_falls_on_a_line_between_its_ends() -> None:
    objective = GSGAN(temperature=4.0, final_temperature=0.5)
    assert [objective.temperature_at(p) for p in (0.0, 0.5, 1.0)] == [4.0, 2.25, 0.5]
    assert GSGAN(temperature=0.5, final_temperature=2.0).temperature_at(1.0) == 2.0


@pytest.mark.parametrize(("progress", "tau"), [(0.0, 2.0), (0.75, 0.8), (1.0, 0.4)])
def test_each_row_goes_on_from_the_rows_before_it(progress: float, tau: float) -> None:
    generator, real = small_generator(FIXED), enumerate_texts(FIXED)
    objective = GSGAN(temperature=2.0, final_temperature=0.4)
    state = torch.get_rng_state()
    fake = objective.sample(generator, real, progress)
    assert fake.soft_tokens is not None
    torch.set_rng_state(state)
    noise = [-torch.empty(27, 3, dtype=torch.float64).exponential_().log() for _ in range(3)]
    logits = generator(fake)  # of each row given the rows, not the words, before it
    assert same(fake.soft_tokens, ((logits + torch.stack(noise, 1)) / tau).softmax(2))
    words = generator(Text.full(fake.tokens))
    assert not same(fake.soft_tokens, ((words + torch.stack(noise, 1)) / tau).softmax(2), 1e-3)


@worlds
def test_cold_rows_have_the_frequencies_of_words(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    objective = GSGAN(final_temperature=1e-6)
    real = texts[:1].repeat(20_000)
    with torch.no_grad():
        fake = objective.sample(generator, real, 1.0)
    assert agree(counts_of(fake, space), probabilities(generator, texts))
    assert fake.soft_tokens is not None
    assert (fake.soft_tokens.amax(2) > 0.999).double().mean() > 0.999


@pytest.mark.parametrize("temperature", [5.0, 0.3])
def test_likeliest_first_words_are_drawn_from_the_softmax(temperature: float) -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    with torch.no_grad():
        fake = GSGAN(temperature=temperature).sample(generator, texts.repeat(1000), 0.0)
        chances = generator(texts[:1]).softmax(2)[0, 0]
    counts = torch.bincount(fake.tokens[:, 0], minlength=3)
    assert agree(counts, chances)
    assert not agree(counts, torch.full((3,), 1 / 3, dtype=torch.float64))


@worlds
@losses
def test_the_generators_loss_by_hand(space: TextSpace, loss: str) -> None:
    generator, judge, real = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = GSGAN(loss=loss)
    fake = objective.sample(generator, real, 0.5)
    value, metrics = objective.generator_loss(generator, judge, real, fake, 0.5)
    chance = judge(fake).sigmoid()
    assert same(value, (1 - chance).log().mean() if loss == "minimax" else -chance.log().mean())
    assert metrics.keys() == {"reward", "sharpness", "temperature"}
    assert same(metrics["reward"], chance.detach().mean())
    assert metrics["temperature"] == 3.0
    # both want the score higher, and where the discriminator does not know, as much so
    with torch.no_grad():
        judge.output.bias += 1
    assert objective.generator_loss(generator, judge, real, fake, 0.5)[0] < value
    torch.nn.init.zeros_(judge.output.weight)
    torch.nn.init.zeros_(judge.output.bias)
    value, _ = objective.generator_loss(generator, judge, real, fake, 0.5)
    (slope,) = torch.autograd.grad(value, judge.output.bias)
    assert same(slope, torch.tensor([-0.5], dtype=torch.float64))


@worlds
def test_the_discriminators_loss_by_hand(space: TextSpace) -> None:
    generator, judge, real = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = GSGAN()
    with torch.no_grad():
        fake = objective.sample(generator, real, 0.5)
    loss, _ = objective.discriminator_loss(judge, real, fake)
    # real texts are read as rows too: padding is a symbol to both
    of_real, of_fake = judge(one_hot(real, space)).sigmoid(), judge(fake).sigmoid()
    assert same(loss, -(of_real.log().mean() + (1 - of_fake).log().mean()) / 2)


@worlds
@losses
def test_the_gradient_is_the_slope_with_the_noise_frozen(space: TextSpace, loss: str) -> None:
    generator, judge, real = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = GSGAN(temperature=1.5, loss=loss)

    def value() -> torch.Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            fake = objective.sample(generator, real, 0.5)
        return objective.generator_loss(generator, judge, real, fake, 0.5)[0]

    slope = gradient(value(), generator)
    trained = [part for part in generator.parameters() if part.requires_grad]
    start = torch.nn.utils.parameters_to_vector(trained).detach()
    with torch.no_grad():
        for seed in range(5):
            direction = torch.randn(
                len(start), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
            )
            ends = []
            for step in (1e-6, -1e-6):
                torch.nn.utils.vector_to_parameters(start + step * direction, trained)
                ends.append(value())
            torch.nn.utils.vector_to_parameters(start, trained)
            measured = (ends[0] - ends[1]) / 2e-6
            assert (measured - slope @ direction).abs() < 1e-7 * (1 + measured.abs())
    assert slope.norm() > 1e-4
    assert all(part.any() for part in torch.autograd.grad(value(), trained))


def test_a_run_anneals_and_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pictures take longer than these runs
    settings = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
    settings |= {"schedule.fakes": 1, "schedule.d_steps": 2, "schedule.rounds": 4}
    textgan.train("gsgan", out=tmp_path / "whole", quiet=True, plot=False, **settings)
    records = read_records(tmp_path / "whole")
    taus = [r["generator/temperature"] for r in records if r["phase"] == "adversarial"]
    assert taus == [5.0, 4.0, 3.0, 2.0]
    last = int(checkpoints(tmp_path / "whole")[-1].stem)
    with monkeypatch.context() as patch:
        stop_at(last - 3, patch)  # rows were drawn and nothing has learnt from them yet
        with pytest.raises(Interrupted):
            textgan.train("gsgan", out=tmp_path / "run", quiet=True, plot=False, **settings)
    assert "fakes.rows" in load_tensors(checkpoints(tmp_path / "run")[-1])[0]
    textgan.resume(tmp_path / "run", quiet=True, plot=False)
    assert everything(tmp_path / "run") == everything(tmp_path / "whole")


def test_the_usual_run_draws_no_more_rows_than_a_batch() -> None:
    config = make_config("gsgan")
    assert config.schedule.fakes == 1
    assert config.generator.name == "lstm"
    assert config.discriminator.name == "cnn"


@pytest.mark.parametrize(
    "settings", [{"temperature": 0.0}, {"final_temperature": -1.0}, {"loss": "wasserstein"}]
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        GSGAN(**settings)


def test_padding_is_no_clue() -> None:
    """Rows of a text that has ended are one-hot padding, as real texts' are."""
    generator = small_generator(VARIABLE)
    with torch.no_grad():
        generator.output.bias[1] = 60.0  # every text ends at once
        fake = GSGAN(temperature=1.0).sample(generator, enumerate_texts(VARIABLE), 0.0)
        real = enumerate_texts(VARIABLE)[:1].relaxed(generator.output.bias)
    assert fake.soft_tokens is not None
    assert real.soft_tokens is not None
    assert real.tokens.tolist() == [[1, 0, 0]]
    assert same(fake.soft_tokens, real.soft_tokens.expand(15, -1, -1), 1e-9)
