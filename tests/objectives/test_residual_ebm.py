"""The residual model: what its discriminator learns, a generator that stays, its resampled row."""

from pathlib import Path
from typing import Any

import pytest
import torch
from family import toy
from rewards import unchanged, weights_of
from tables import Judge, dyadic_generator, whole
from torch import nn
from toys import Cli, refused, toy_text
from worlds import (
    enumerate_texts,
    gradient,
    log_probs,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

import textgan
from textgan.contracts.worlds import begin, steps_of
from textgan.core.errors import UserError
from textgan.core.tensors import under_prefix
from textgan.data.text import TextSpace
from textgan.objectives.residual_ebm import ResidualEBM
from textgan.training.checkpoint import checkpoints, load_checkpoint
from textgan.training.config import make_config
from textgan.training.results import read_results
from textgan.training.run import create_run, open_run
from textgan.training.steps import take_step


@worlds
def test_the_best_logit_is_the_log_ratio(space: TextSpace) -> None:
    true, noise = dyadic_generator(space), dyadic_generator(space, seed=4)
    texts = enumerate_texts(space)
    best = (log_probs(true, texts) - log_probs(noise, texts)).detach()
    slopes = []
    for scores in (best, best + 0.5):
        judge = Judge(space, scores)
        judge.output = nn.Linear(1, 1).double()  # whose penalty is off
        loss, _ = ResidualEBM().discriminator_loss(judge, whole(true), whole(noise))
        slopes.append(float(gradient(loss, judge).abs().max()))
    assert slopes[0] < 1e-12 < 1e-3 < slopes[1]


@worlds
def test_its_losses_are_cross_entropy_and_maximum_likelihood(space: TextSpace) -> None:
    judge, generator = small_discriminator(space), small_generator(space)
    texts = enumerate_texts(space)
    real, fake = texts[:6], texts[6:12]
    plain, _ = ResidualEBM().discriminator_loss(judge, real, fake)
    right = -(judge(real).sigmoid().log().mean() + judge(fake).neg().sigmoid().log().mean()) / 2
    assert same(plain, right)
    penalised, _ = ResidualEBM(l2=0.3).discriminator_loss(judge, real, fake)
    assert same(penalised, right + 0.3 * judge.output_penalty())
    objective = ResidualEBM()
    taught, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
    likelihood = -log_probs(generator, real).mean()
    assert same(gradient(taught, generator), gradient(likelihood, generator))


def settings_of(**changes: Any) -> dict[str, Any]:
    """A run as the method prefers it: no rounds."""
    ended = {"schedule.rounds": 0, "schedule.discriminator_turns": 2, "objective.resample": 4}
    return toy("residual_ebm") | ended | changes


def test_it_is_trained_without_rounds() -> None:
    schedule = make_config("residual_ebm").schedule
    assert schedule.rounds == 0
    assert schedule.discriminator_turns > 10


def test_the_generator_stays_while_the_discriminator_learns(tmp_path: Path) -> None:
    run = create_run(make_config("residual_ebm", settings_of()), tmp_path / "run")
    state = begin(run)
    steps = steps_of(run, state)
    phases = [step.phase for step in steps]
    first = phases.index("discriminator")
    assert set(phases[first:]) == {"discriminator"}
    for step in steps[:first]:
        take_step(state, step, None)  # type: ignore[arg-type]  # only ticks log
    generator, judge = weights_of(state.generator), weights_of(state.discriminator)
    fakes = []
    for step in steps[first:]:
        take_step(state, step, None)  # type: ignore[arg-type]
        if step.do == "fakes":
            assert state.fakes is not None
            fakes.append(state.fakes.tokens)
    assert unchanged(state.generator, generator)
    assert not unchanged(state.discriminator, judge)
    assert len(fakes) == 2 and not torch.equal(*fakes)  # fresh in every turn


def test_a_finished_run_is_resampled_everywhere(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    results = textgan.train("residual_ebm", out=folder, quiet=True, plot=False, **settings_of())
    row = "resampled, 1 of 4"
    assert list(results.rows)[-2:] == [row, "residual_ebm, last"]
    scores = results.rows[row]
    assert scores["nll_test_low"].value < scores["nll_test"].value
    assert abs(scores["nll_test"].value - results.last["nll_test"].value) < 0.5
    assert "entropy" not in scores  # of texts whose likelihood is not known
    assert "an upper bound of log Z" in " ".join(str(results).split())
    kept = read_results(folder)
    assert kept is not None and kept.rows[row]["nll_test_low"].value == scores["nll_test_low"].value
    measured = textgan.evaluate(folder, metrics="likelihood", quiet=True)
    for name in ("nll_oracle", "nll_test", "nll_test_low"):
        signed = measured.rows[row][name].signature
        assert ("resample:4" in signed) == name.startswith("nll_test")
        assert measured.rows[row][name].value == pytest.approx(scores[name].value, abs=0.05)

    code, out, _ = cli("sample", folder, "-n", 5, "--resample", 16)
    assert code == 0
    assert textgan.sample(folder, 5, resample=16) == out.splitlines()
    assert textgan.sample(folder, 5) != out.splitlines()
    for other in ("--greedy", "--weights=mle"):
        line = refused(cli, "sample", folder, "--resample", 16, other)
        assert line.endswith(f"leave it or {other.replace('=', ' ')} out")


def test_candidates_are_of_the_weights_that_the_discriminator_knows(tmp_path: Path) -> None:
    settings = settings_of(**{"schedule.average": 0.5, "objective.resample": 0})
    results = textgan.train(
        "residual_ebm", out=tmp_path / "run", quiet=True, plot=False, **settings
    )
    assert not any("resampled" in row for row in results.rows)
    run = open_run(tmp_path / "run")
    last, _ = load_checkpoint(checkpoints(run.folder)[-1])
    own = under_prefix("generator", last)
    candidates, mean = (
        run.load_resampled(4).generator.state_dict(),
        run.load_generator().state_dict(),
    )
    assert all(torch.equal(candidates[name], weight) for name, weight in own.items())
    assert not all(torch.equal(mean[name], weight) for name, weight in own.items())


@pytest.mark.parametrize("name", ["wgan", "mle", "cot"])
def test_a_run_without_a_logit_is_not_resampled(name: str, tmp_path: Path) -> None:
    run = create_run(make_config(name, toy(name)), tmp_path / "run")
    with pytest.raises(UserError, match=f"whose score of a text is a logit, which {name} has not"):
        textgan.sample(run, resample=8)


def test_texts_of_a_file_and_answers_to_sources_are_resampled(tmp_path: Path) -> None:
    data = toy_text(tmp_path)
    rest = {k: v for k, v in settings_of().items() if not k.startswith("oracle.")}
    textgan.train("residual_ebm", data=data, out=tmp_path / "a", quiet=True, plot=False, **rest)
    lines = textgan.sample(tmp_path / "a", 20, resample=4)
    assert len(lines) == 20 and not any("<unk>" in line for line in lines)
    settings = toy("residual_ebm", has_source=True) | {
        "schedule.rounds": 0,
        "oracle.source_length": 3,
        "objective.resample": 4,
        "evaluation.final_samples": 20,
    }
    results = textgan.train("residual_ebm", out=tmp_path / "b", quiet=True, plot=False, **settings)
    scores = results.rows["resampled, 1 of 4"]
    assert scores["nll_test_low"].value < scores["nll_test"].value
    asked = ["1 2 3", "3 2 1"]
    answers = textgan.sample(tmp_path / "b", 3, source=asked, resample=8)
    assert len(answers) == 6
    assert answers == textgan.sample(tmp_path / "b", 3, source=asked, resample=8)
    assert answers != textgan.sample(tmp_path / "b", 3, source=asked)
