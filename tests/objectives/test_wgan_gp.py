"""WGAN-GP: its penalty in closed form and by differences, and its character model as a run."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from family import left
from interrupted import stop_at
from places import ROOT
from relaxed import fakes_of, judge_of
from torch import Tensor, nn
from toys import TOY_TEXT
from worlds import FIXED, VARIABLE, enumerate_texts, gradient, one_hot, same, worlds

import textgan
from textgan.core.errors import Interrupted
from textgan.core.streams import Purpose, stream
from textgan.core.tensors import load_tensors
from textgan.data.text import Condition, Text, TextSpace
from textgan.losses import gradient_penalty
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.convolutional import ConvolutionalGenerator
from textgan.objectives.wgan import WGAN
from textgan.objectives.wgan_gp import WGANGP
from textgan.training.checkpoint import checkpoints
from textgan.training.config import make_config
from textgan.training.results import final_table
from textgan.training.run import open_run
from textgan.training.sample import draw_lines

judges = pytest.mark.parametrize(
    ("name", "settings"),
    [("cnn", {}), ("rnn", {"cell": "gru"}), ("rnn", {"cell": "lstm"}), ("residual", {})],
    ids=["cnn", "gru", "lstm", "residual"],
)


class Scored(Discriminator):
    """A discriminator that is a given function of rows, and remembers the rows it saw."""

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        super().__init__(FIXED)
        self.score = score
        self.saw: list[Text] = []

    def features(self, text: Text) -> Tensor:
        raise NotImplementedError

    def forward(self, text: Text) -> Tensor:
        assert text.soft_tokens is not None
        self.saw.append(text)
        return self.score(text.soft_tokens)


def connected(judge: Discriminator, seed: int = 0, **settings: Any) -> WGANGP:
    objective = WGANGP(**settings)
    torch.manual_seed(seed)
    objective.connect(ConvolutionalGenerator(FIXED, channels=2, blocks=1), judge, fakes_of(FIXED))
    return objective


def points(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64)


# --- the penalty ---


def test_the_penalty_of_a_linear_score_is_that_of_its_weights() -> None:
    weight = points(3, 4)
    a, b, shares = points(5, 3, 4), points(5, 3, 4), torch.rand(5, 1, 1).double()
    result = gradient_penalty(lambda rows: (rows * weight).sum((1, 2)), a, b, shares)
    assert same(result, (weight.norm() - 1) ** 2)
    # two-sided: a slope below 1 costs as one above
    for slope in (0.25, 1.0, 1.75):
        flat = weight / weight.norm() * slope
        result = gradient_penalty(lambda rows, w=flat: (rows * w).sum((1, 2)), a, b, shares)  # type: ignore[misc]
        assert abs(result.item() - (slope - 1) ** 2) < 1e-12


def test_the_penalty_of_the_norm_is_zero() -> None:
    a, b, shares = points(5, 3, 4), points(5, 3, 4), torch.rand(5, 1, 1).double()
    assert gradient_penalty(lambda rows: rows.flatten(1).norm(dim=1), a, b, shares) < 1e-24


def test_the_penalty_is_a_mean_over_texts_of_what_is_squared_for_each() -> None:
    # slopes 0, 1, 2, 3 at the four texts: costs 1, 0, 1, 4
    scales = torch.arange(4.0, dtype=torch.float64)
    weight = torch.ones(2, 2, dtype=torch.float64) / 2
    a, b = points(4, 2, 2), points(4, 2, 2)
    result = gradient_penalty(
        lambda rows: scales * (rows * weight).sum((1, 2)), a, b, torch.zeros(4, 1, 1).double()
    )
    assert same(result, torch.tensor(6 / 4, dtype=torch.float64))


def test_the_penalty_is_taken_at_the_points_between() -> None:
    # the slope of |x|^2 / 2 is |x|
    a, b, shares = points(5, 3, 4), points(5, 3, 4), torch.rand(5, 1, 1).double()
    result = gradient_penalty(lambda rows: rows.square().sum((1, 2)) / 2, a, b, shares)
    between = (1 - shares) * a + shares * b
    assert same(result, (between.flatten(1).norm(dim=1) - 1).square().mean())


def test_where_there_is_no_slope_the_penalty_has_a_gradient_that_is_a_number() -> None:
    weight = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    a, b, shares = points(5, 3, 4), points(5, 3, 4), torch.rand(5, 1, 1).double()
    result = gradient_penalty(lambda rows: (rows * weight).sum((1, 2)), a, b, shares)
    assert result == 1
    (slope,) = torch.autograd.grad(result, weight)
    assert not slope.any()


@worlds
@judges
def test_the_gradient_of_the_whole_loss_is_right(
    space: TextSpace, name: str, settings: dict[str, Any]
) -> None:
    judge = judge_of(space, name, **settings)
    with torch.no_grad():  # away from the kinks of relu; filters of the paper's size are flat
        for parameter in judge.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    objective, real, fake = connected(judge), enumerate_texts(space)[:6], fakes_of(space)
    loss, figures = objective.discriminator_loss(judge, real, fake)
    assert figures["penalty"] > 1e-3
    plain, _ = WGAN().discriminator_loss(judge, real, fake)
    assert same(loss - plain, 10 * figures["penalty"])
    slope = gradient(loss, judge)
    assert not same(slope, gradient(plain, judge), 1e-3)
    trained = [part for part in judge.parameters() if part.requires_grad]
    start, direction, step = nn.utils.parameters_to_vector(trained), torch.randn_like(slope), 1e-6
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            nn.utils.vector_to_parameters(start + sign * step * direction, trained)
        ends.append(objective.discriminator_loss(judge, real, fake)[0].detach())
    right = ((ends[0] - ends[1]) / (2 * step)).item()
    assert abs(right - (slope @ direction).item()) < 1e-6 * max(1, abs(right))


def test_cudnn_is_off_where_the_slope_is_taken() -> None:
    seen: list[bool] = []

    def score(rows: Tensor) -> Tensor:
        seen.append(torch.backends.cudnn.enabled)
        return rows.sum((1, 2))

    before = torch.backends.cudnn.enabled
    gradient_penalty(score, points(2, 3, 4), points(2, 3, 4), torch.zeros(2, 1, 1).double())
    assert seen == [False]
    assert torch.backends.cudnn.enabled == before


# --- the points between real and fake ---


def shares_of(judge: Scored, real: Text, fake: Text) -> Tensor:
    """How far each point at which the judge was asked last lies from real to fake."""
    rows, right, wrong = judge.saw[-1].soft_tokens, real.soft_tokens, fake.soft_tokens
    assert rows is not None and right is not None and wrong is not None
    way = (wrong - right).flatten(1)
    shares = ((rows - right).flatten(1) * way).sum(1) / way.square().sum(1)
    assert same(rows.detach(), right + shares.view(-1, 1, 1).detach() * (wrong - right))
    return shares.detach()


def test_each_pair_has_a_point_of_its_own_on_the_way_from_real_to_fake() -> None:
    judge = Scored(lambda rows: rows.sum((1, 2)))
    real, fake = one_hot(enumerate_texts(FIXED)[:6], FIXED), fakes_of(FIXED)
    objective = connected(judge)
    objective.discriminator_loss(judge, real, fake)
    assert len(judge.saw) == 3
    shares = shares_of(judge, real, fake)
    assert shares.min() >= 0 and shares.max() < 1
    assert len(torch.unique(shares)) == 6
    rows = judge.saw[-1].soft_tokens
    assert rows is not None
    assert same(rows.sum(2), torch.ones(6, 3, dtype=torch.float64))  # between words, not outside
    assert rows.min() >= 0
    assert judge.saw[-1].lengths.tolist() == [3] * 6


def test_the_points_stay_in_an_update_and_move_after_it() -> None:
    judge = Scored(lambda rows: rows.sum((1, 2)))
    real, fake = one_hot(enumerate_texts(FIXED), FIXED), fakes_of(FIXED, 27)
    objective, result = connected(judge), []
    for _ in range(300):
        objective.discriminator_loss(judge, real, fake)
        result.append(shares_of(judge, real, fake))
        objective.discriminator_loss(judge, real, fake)
        assert torch.equal(shares_of(judge, real, fake), result[-1])
        objective.after_discriminator_step(judge)
    shares = torch.stack(result)
    # even over (0, 1), and unrelated between texts and between updates
    counts = torch.histc(shares, 20, 0, 1)
    assert ((counts - 405).square() / 405).sum() < 19 + 5 * 38**0.5
    apart = shares - 0.5
    for a, b in [(apart[1:], apart[:-1]), (apart[:, 1:], apart[:, :-1])]:
        correlation = (a * b).mean() * 12
        assert abs(correlation.item()) < 5 / a.numel() ** 0.5


def test_the_points_are_the_runs_own_and_are_remembered() -> None:
    judge = Scored(lambda rows: rows.square().sum((1, 2)))
    real, fake = enumerate_texts(FIXED)[:6], fakes_of(FIXED)

    def told(objective: WGANGP) -> float:
        return objective.discriminator_loss(judge, real, fake)[0].item()

    first, same_seed, other = connected(judge), connected(judge), connected(judge, seed=1)
    assert told(first) == told(same_seed) != told(other)
    first.after_discriminator_step(judge)
    later = WGANGP()
    later.state = {name: tensor.clone() for name, tensor in first.state.items()}
    assert told(later) == told(first) != told(same_seed)


def test_labels_and_padding_reach_the_discriminator_as_they_are() -> None:
    judge = Scored(lambda rows: rows.square().sum((1, 2)))
    texts = enumerate_texts(VARIABLE)[:6]
    assert (texts.lengths < 3).any()
    fake = replace(fakes_of(VARIABLE), condition=Condition(torch.arange(6) % 2))
    connected(judge).discriminator_loss(judge, texts, fake)
    real, of_fake, between = judge.saw
    assert same(real.soft_tokens, one_hot(texts, VARIABLE).soft_tokens)  # type: ignore[arg-type]
    assert all(text.lengths.tolist() == [3] * 6 for text in judge.saw)
    assert of_fake is fake
    assert between.labels is fake.labels


# --- the character model ---


def test_a_run_has_the_papers_settings() -> None:
    config = make_config("wgan_gp")
    rates, schedule = config.optimisers, config.schedule
    assert (rates.method, rates.generator_lr, rates.discriminator_lr) == ("adam", 1e-4, 1e-4)
    assert (rates.beta1, rates.beta2) == (0.5, 0.9)
    assert (schedule.d_steps, schedule.fakes, schedule.g_steps, schedule.k) == (10, 1, 1, 1)
    assert (schedule.mle_epochs, config.evaluation.ngrams) == (0, 4)
    assert config.objective.settings == {"penalty": 10.0, "temperature": 1.0}
    assert config.generator.name == "convolutional"
    # but for the width, which is that of the recipe alone: 512 is hours on a processor
    assert config.generator.settings == {"noise": 128, "channels": 64, "blocks": 5}
    assert config.discriminator.name == "residual"
    assert config.discriminator.settings == {"channels": 64, "blocks": 5}
    wide = make_config(str(ROOT / "experiments/paper/wgan_gp.toml"))
    assert wide.generator.settings == {"noise": 128, "channels": 512, "blocks": 5}
    assert wide.discriminator.settings == {"channels": 512, "blocks": 5}
    lstm = make_config("wgan_gp", ["generator=lstm", "discriminator=cnn"])
    assert (lstm.schedule.mle_epochs, lstm.evaluation.ngrams) == (20, 0)


CHARACTERS: dict[str, Any] = {
    key: value
    for key, value in TOY_TEXT.items()
    if key.split(".")[0] in ("seed", "schedule", "evaluation") and key != "schedule.mle_epochs"
} | {
    "data.tokens": "char",
    "data.length": 12,
    "schedule.fakes": 1,
    "schedule.rounds": 4,
    "schedule.d_steps": 2,
    "generator.channels": 6,
    "generator.blocks": 1,
    "generator.noise": 5,
    "discriminator.channels": 6,
    "discriminator.blocks": 2,
}


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A file of short lines of few characters, some too long for twelve."""
    lines = [f"{'ab' * (i % 4 + 1)} {'cd'[i % 2]}{'e' * (i % 9)}" for i in range(120)]
    path = tmp_path / "words.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_character_model_trains_resumes_samples_and_is_measured(
    tmp_path: Path, words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, settings = tmp_path / "whole", CHARACTERS | {"data": str(words), "quiet": True}
    results = textgan.train("wgan_gp", out=whole, plot=False, **settings)
    assert list(results.rows) == ["real, held out", "random tokens", "wgan_gp, last"]
    header = str(results).splitlines()[0]
    assert "NLL" not in header
    assert "entropy" not in header
    assert "need a likelihood, which this generator does not have" in str(results)
    assert results.rows["wgan_gp, last"].keys() == {"unique", "length"} | {
        f"jsd{n}" for n in range(1, 5)
    }
    run = open_run(whole)
    assert run.corpus.space.length == 13  # twelve characters and the end
    assert run.corpus.facts["too_long"] > 0
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    for tag in ("discriminator/wasserstein", "discriminator/penalty", "generator/loss"):
        assert sum(tag in record for record in records) >= 4
    assert "eval/jsd4" in records[-1] and "discriminator/accuracy" not in records[-1]

    # samples are read as the likeliest characters, which the seed alone decides
    generator = run.load_generator()
    lines = draw_lines(run, generator, 5, 1, 1.0, allow_unknown=True)
    torch.manual_seed(stream(Purpose.SAMPLE, 1, run.config.seed))
    assert lines == run.corpus.decode(generator.sample(5))
    assert lines != draw_lines(run, generator, 5, 1, 2.0, allow_unknown=True)
    assert len(final_table(run, samples=30, seed=2).rows) == 3

    counts = []
    for step in (1, 5, 9):  # a turn drawn, a generator's update, the round's last update
        folder = tmp_path / f"stopped-{step}"
        with monkeypatch.context() as patch:
            stop_at(step, patch)
            with pytest.raises(Interrupted):
                textgan.train("wgan_gp", out=folder, plot=False, **settings)
        tensors, _ = load_tensors(checkpoints(folder)[-1])
        counts.append(int(tensors["objective.stream"]))
        textgan.resume(folder, quiet=True, plot=False)
        assert left(folder) == left(whole)
    assert len(set(counts)) == len(counts)
