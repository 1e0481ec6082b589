"""Adversarial-NMT against enumeration for two sources."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers, answering
from pairs import (
    PairTable,
    assert_resumes_after_every_step,
    climbed,
    expected,
    in_shards,
    random_scores,
    references,
    translating,
)
from tables import weights_of
from torch import Tensor
from torch.nn import functional as F
from worlds import enumerate_texts, gradient, log_probs, same

from textgan.contracts.worlds import begin, steps_of
from textgan.data.text import Condition, Text
from textgan.losses import nll
from textgan.models.beam import BeamSearch
from textgan.objectives.adversarial_nmt import AdversarialNMT
from textgan.training.schedule import Step
from textgan.training.steps import train_step


def best_scores(generator: Any) -> Tensor:
    """Of the best discriminator, log p / q, for some law p of human answers, (2, texts)."""
    human = random_scores(7).log_softmax(1)
    machine = [log_probs(generator, all_answers(source)).detach() for source in (0, 1)]
    return human - torch.stack(machine)


def answered(fake: list[int]) -> tuple[Text, Text]:
    real = references()[torch.arange(len(fake)) % 2]
    return real, replace(enumerate_texts(ANSWERS)[torch.tensor(fake)], condition=real.condition)


@pytest.mark.parametrize("baseline", [0.0, 0.8])
def test_it_climbs_the_expected_reward_of_the_best_discriminator(baseline: float) -> None:
    generator = answering()
    scores, objective = best_scores(generator), AdversarialNMT()
    objective.state = {"baseline": torch.tensor(baseline, dtype=torch.float64)}
    human = random_scores(7).softmax(1)
    machine = torch.stack([log_probs(generator, all_answers(i)).detach().exp() for i in (0, 1)])
    rewards = ((human + machine) / machine).log()  # -log(1 - D*)
    assert same(rewards, F.softplus(scores))
    assert same(-expected(objective, generator, PairTable(scores)), climbed(generator, rewards))


def test_a_mixture_of_mini_batches_has_the_mean_of_their_gradients() -> None:
    generator, objective = answering(), AdversarialNMT()
    judge = PairTable(best_scores(generator))
    loss, _ = objective.teacher_loss(generator, judge, references())
    likelihood = gradient(nll(generator.log_prob(references()), references().mask), generator)
    assert same(gradient(loss, generator), likelihood)
    # as often as not, by a coin; here in turn
    mixed = (expected(objective, generator, judge) / 2 + likelihood) / 2
    total = torch.zeros((), dtype=torch.float64)
    for source in (0, 1):
        texts, real = all_answers(source), references()[source : source + 1]
        for i, chance in enumerate(log_probs(generator, texts).detach().exp()):
            one, _, _ = objective.generator_loss(generator, judge, real, texts[i : i + 1], 0.0)
            total = total + 0.25 * chance * one
    teacher, _ = objective.teacher_loss(generator, judge, references())
    assert same(gradient(total + 0.5 * teacher, generator), mixed)


def test_every_other_update_is_maximum_likelihood(tmp_path: Path) -> None:
    run = translating("adversarial_nmt", tmp_path, **{"schedule.g_steps": 3})
    steps = [step.do for step in steps_of(run, begin(run)) if step.phase == "adversarial"]
    of_generator = [do for do in steps if do in ("generator", "mle")]
    assert of_generator == ["generator", "mle"] * (len(of_generator) // 2)
    assert len(of_generator) == 12


def test_all_words_have_the_reward_of_the_whole_above_the_mean_of_past_ones() -> None:
    generator, scores = answering(), 3 * random_scores()
    real, fake = answered([0, 3, 9, 14])
    objective = AdversarialNMT(reduction="sum")
    objective.state = {"baseline": torch.tensor(0.25, dtype=torch.float64)}
    judge = PairTable(scores)
    result = weights_of(objective, generator, judge, real, fake)
    rewards = F.softplus(judge(fake)).detach()
    assert same(result, (rewards - 0.25).unsqueeze(1) * fake.mask)
    assert rewards.max() > 1  # it has no upper bound


def test_the_baseline_is_the_mean_of_past_rewards() -> None:
    generator, judge = answering(), PairTable(random_scores())
    objective, mean = AdversarialNMT(decay=0.75), 0.0
    for fakes in ([0, 3], [9, 14], [5, 6]):
        real, fake = answered(fakes)
        _, metrics, kept = objective.generator_loss(generator, judge, real, fake, 0.0)
        assert float(metrics["baseline"]) == pytest.approx(mean)
        mean = 0.75 * mean + 0.25 * float(F.softplus(judge(fake)).detach().mean())
        assert float(kept["baseline"]) == pytest.approx(mean)
        assert not kept["baseline"].requires_grad
        objective.state = dict(kept)


@pytest.mark.parametrize("reduction", ["sum", "mean_sentence", "mean_token"])
def test_shards_add_up(reduction: Any) -> None:
    judge, generator = PairTable(random_scores()), answering()
    real, fake = answered([0, 3, 6, 9, 11, 14, 2, 5])
    objective = AdversarialNMT(reduction=reduction)
    whole, parts = (in_shards(objective, generator, judge, real, fake, n) for n in (1, 4))
    assert same(whole, parts)


def test_padding_and_labels_change_nothing() -> None:
    judge, generator = PairTable(random_scores()), answering()
    real, fake = answered([0, 3, 6, 9])
    labels = torch.tensor([0, 1, 1, 0])
    plain = AdversarialNMT().generator_loss(generator, judge, real, fake, 0.0)
    wide = replace(fake.pad_to(5, ANSWERS.pad), condition=Condition(labels, fake.source))
    other = AdversarialNMT().generator_loss(generator, judge, real, wide, 0.0)
    assert same(plain[0], other[0])
    assert judge.seen[-1].labels is labels


def test_the_discriminator_minimises_cross_entropy() -> None:
    judge = PairTable(random_scores())
    real, fake = answered([0, 3, 6, 9])
    loss, _ = AdversarialNMT().discriminator_loss(judge, real, fake)
    d_real, d_fake = judge(real).sigmoid(), judge(fake).sigmoid()
    assert same(loss, -(d_real.log().mean() + (1 - d_fake).log().mean()) / 2)


# --- what the discriminator is shown ---


def test_negatives_are_samples_or_the_beams_texts(tmp_path: Path) -> None:
    told = {"objective.negatives": "beam", "objective.beam": 2, "schedule.fakes": 20}
    state = begin(translating("adversarial_nmt", tmp_path, **told))
    train_step(state, Step("fakes", "adversarial", 1, 0))
    real = state.batches.real("turn", 0)
    assert state.fakes is not None
    best = BeamSearch(width=2, allow_unknown=True)(state.generator, real.condition).text  # type: ignore[arg-type]
    assert torch.equal(state.fakes.tokens, best.tokens)
    again = state.objective.sample(state.generator, real, 0.0)
    assert not torch.equal(again.tokens, best.tokens)  # what is rewarded is drawn
    drawn = AdversarialNMT()
    torch.manual_seed(0)
    first = drawn.discriminator_sample(state.generator, real, 0.0)
    torch.manual_seed(0)
    assert torch.equal(first.tokens, drawn.sample(state.generator, real, 0.0).tokens)


@pytest.mark.parametrize(
    "settings",
    [{}, {"schedule.shards": 2}, {"objective.negatives": "beam"}],
    ids=["plain", "shards", "beam"],
)
def test_it_resumes_bit_for_bit_in_every_phase(settings: dict[str, Any], tmp_path: Path) -> None:
    assert_resumes_after_every_step("adversarial_nmt", tmp_path, **settings)
