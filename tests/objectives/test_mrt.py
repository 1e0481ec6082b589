"""MRT's loss and gradient against enumeration for two sources."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers, answering
from pairs import (
    N,
    assert_resumes_after_every_step,
    in_shards,
    references,
    translating,
)
from tables import slope
from torch import Tensor
from worlds import gradient, log_probs, same, small_generator

from textgan.contracts.worlds import begin
from textgan.data.text import Condition, Text, concatenate
from textgan.metrics.functional.paired_bleu import PairedReferences
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.mrt import MRT
from textgan.training.schedule import Step
from textgan.training.steps import train_step


def everything() -> tuple[Text, Text]:
    """Each reference as often as there are answers, and all answers to the two sources."""
    return references().repeat(N), concatenate([all_answers(0), all_answers(1)])


def risks(source: int) -> Tensor:
    """1 - BLEU of every answer to a source."""
    real = references()[source : source + 1].repeat(N)
    return 1 - PairedReferences(real, ANSWERS).score(all_answers(source))[:, -1]


def loss_of(objective: MRT, generator: AutoregressiveGenerator, real: Text, fake: Text) -> Tensor:
    return objective.generator_loss(generator, None, real, fake, 0.0)[0]  # type: ignore[arg-type]


def right(generator: AutoregressiveGenerator, alpha: float, rows: list[list[int]]) -> Tensor:
    """The loss of these answers to the two sources, by its formula."""
    total = torch.zeros((), dtype=torch.float64)
    for source, chosen in enumerate(rows):
        at = torch.tensor(sorted(set(chosen)))
        powers = log_probs(generator, all_answers(source)).exp()[at] ** alpha
        total = total + (powers / powers.sum() * risks(source)[at]).sum() / 2
    return total


REFERENCES = [4, 13]  # among all answers


def test_the_references_are_among_the_answers() -> None:
    for source, at in enumerate(REFERENCES):
        assert risks(source)[at] == 0


def test_alpha_0_over_all_texts_is_the_mean_risk() -> None:
    generator = answering()
    loss = loss_of(MRT(samples=N, alpha=0.0), generator, *everything())
    assert same(loss, (risks(0).mean() + risks(1).mean()) / 2)
    assert not gradient(loss, generator).any()


@pytest.mark.parametrize("alpha", [0.005, 0.7, 1.0])
def test_the_gradient_is_that_of_the_risk(alpha: float) -> None:
    generator, (real, fake) = answering(), everything()
    objective = MRT(samples=N, alpha=alpha)
    loss = loss_of(objective, generator, real, fake)
    by_hand = right(generator, alpha, [[*range(N)]] * 2)
    assert same(loss, by_hand)
    slopes = gradient(loss, generator)
    assert same(slopes, gradient(by_hand, generator))
    torch.manual_seed(1)
    along = torch.randn_like(slopes)
    differences = slope(lambda: loss_of(objective, generator, real, fake), generator, along)
    assert differences == pytest.approx(float(slopes @ along), rel=1e-6)


def test_with_all_texts_and_alpha_1_it_is_the_expected_risk() -> None:
    generator = answering()
    chances = [log_probs(generator, all_answers(source)).exp() for source in (0, 1)]
    expected = sum((chances[source] * risks(source)).sum() for source in (0, 1)) / 2
    assert same(loss_of(MRT(samples=N, alpha=1.0), generator, *everything()), expected)


def chosen(rows: list[list[int]]) -> tuple[Text, Text]:
    texts = [all_answers(source)[torch.tensor(row)] for source, row in enumerate(rows)]
    return references().repeat(len(rows[0])), concatenate(texts)


@pytest.mark.parametrize("with_reference", [True, False])
def test_each_candidate_counts_once_and_the_reference_is_one(with_reference: bool) -> None:
    generator, rows = answering(), [[3, 3, 9, 4], [0, 14, 2, 2]]
    objective = MRT(samples=4, alpha=0.5, with_reference=with_reference)
    loss, metrics = objective.generator_loss(generator, None, *chosen(rows), 0.0)  # type: ignore[arg-type]
    with_own = [[*row, at] for row, at in zip(rows, REFERENCES, strict=True)]
    by_hand = right(generator, 0.5, with_own if with_reference else rows)
    assert same(loss, by_hand)
    assert same(gradient(loss, generator), gradient(by_hand, generator))
    assert metrics["candidates"] == (3.5 if with_reference else 3.0)
    of_samples = [1 - risks(source)[torch.tensor(row)] for source, row in enumerate(rows)]
    assert same(metrics["reward"], torch.cat(of_samples).mean())


def test_padding_of_either_side_changes_nothing() -> None:
    generator, objective = answering(), MRT(samples=4, alpha=0.5)
    real, fake = chosen([[3, 3, 1, 4], [0, 14, 2, 2]])
    plain = loss_of(objective, generator, real, fake)
    for one, other in ((real.pad_to(5, ANSWERS.pad), fake), (real, fake.pad_to(6, ANSWERS.pad))):
        padded = loss_of(objective, generator, one, other)
        assert same(plain, padded)
    narrow, _ = chosen([[3, 3, 1, 4], [0, 2, 2, 2]])
    short = chosen([[1, 2, 1, 0], [0, 2, 2, 1]])[1]
    cut = replace(short, tokens=short.tokens[:, :2])
    wide = loss_of(objective, generator, narrow, short)
    assert same(wide, loss_of(objective, generator, narrow, cut))


def test_shards_hold_whole_sources() -> None:
    generator, objective = answering(), MRT(samples=4, alpha=0.5)
    real, fake = chosen([[3, 3, 9, 4], [0, 14, 2, 2]])
    whole, parts = (in_shards(objective, generator, None, real, fake, n) for n in (1, 2))
    assert same(whole, parts)


def test_labels_change_nothing_of_the_risk() -> None:
    space = replace(ANSWERS, classes=2)
    generator = small_generator(space, "attention")
    real, fake = chosen([[3, 3, 9, 4], [0, 14, 2, 2]])
    labels = torch.tensor([0, 1]).repeat_interleave(4)
    labelled = [replace(t, condition=Condition(labels, t.source)) for t in (real, fake)]
    loss = loss_of(MRT(samples=4), generator, *labelled)
    assert loss.isfinite()
    assert gradient(loss, generator).any()


@pytest.mark.parametrize("shards", [1, 2])
def test_it_resumes_bit_for_bit_in_every_phase(shards: int, tmp_path: Path) -> None:
    assert_resumes_after_every_step("mrt", tmp_path, **{"schedule.shards": shards})


def test_a_run_draws_so_many_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = begin(translating("mrt", tmp_path, **{"objective.samples": 3}))
    seen: list[Text] = []
    really = state.objective.generator_loss

    def look(*given: Any) -> Any:
        seen.append(given[3])
        return really(*given)

    monkeypatch.setattr(state.objective, "generator_loss", look)
    figures = train_step(state, Step("generator", "adversarial", 1, 0))
    assert len(seen[0]) == 3 * 8
    assert 1 <= float(figures["generator/candidates"]) <= 4
