"""BR-CSGAN's reward, its gradient against enumeration for two sources, and its clipped weights."""

from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers, answering, both
from interrupted import assert_survives_kills
from pairs import (
    N,
    PairTable,
    assert_resumes_after_every_step,
    climbed,
    exact_rollouts,
    expected,
    in_shards,
    random_scores,
    references,
    translating,
    which,
)
from tables import weights_of
from torch import Tensor
from toys import toy_text
from worlds import enumerate_texts, gradient, log_probs, same

from textgan.contracts.worlds import begin, steps_of
from textgan.core.errors import UserError
from textgan.data.text import Condition, Text
from textgan.losses import leave_one_out, nll
from textgan.metrics.functional.paired_bleu import PairedReferences
from textgan.objectives import br_csgan
from textgan.objectives.br_csgan import BRCSGAN
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.schedule import PHASE_NAMES, Step
from textgan.training.steps import train_step


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rollouts give exact values."""
    monkeypatch.setattr(br_csgan, "rollout_values", exact_rollouts)


def bleus() -> Tensor:
    """BLEU of every answer to each of the two sources, (2, texts)."""
    rows = [
        PairedReferences(references()[i : i + 1].repeat(N), ANSWERS).score(all_answers(i))[:, -1]
        for i in (0, 1)
    ]
    return torch.stack(rows)


def rewards(scores: Tensor, bleu_share: float, baseline: float = 0.6) -> Tensor:
    return (1 - bleu_share) * (scores.sigmoid() - baseline) + bleu_share * bleus()


def both_answered(fake: list[int]) -> tuple[Text, Text]:
    """References, and an answer of these numbers to the one source and to the other in turn."""
    texts = enumerate_texts(ANSWERS)[torch.tensor(fake)]
    at = torch.arange(len(fake)) % 2
    real = references()[at]
    return real, replace(texts, condition=real.condition)


# --- its gradient (E1 - E4, given x) ---


@pytest.mark.parametrize("bleu_share", [0.0, 0.3, 1.0])
def test_it_climbs_the_expected_reward(bleu_share: float, exact: None) -> None:
    scores, generator = random_scores(), answering()
    objective = BRCSGAN(bleu_share=bleu_share, normalise=False)
    result = expected(objective, generator, PairTable(scores))
    assert same(-result, climbed(generator, rewards(scores, bleu_share)))


def test_sampled_rollouts_climb_it_too() -> None:
    scores, generator = random_scores(), answering()
    real = references().repeat(4000)
    objective = BRCSGAN(rollouts=2, normalise=False, baseline=0.3)
    torch.manual_seed(0)
    fake = objective.sample(generator, real, 0.0)
    loss, _ = objective.generator_loss(generator, PairTable(scores), real, fake, 0.0)
    right = climbed(generator, rewards(scores, 0.3, 0.3)) / 2
    result = -gradient(loss, generator)
    assert torch.cosine_similarity(result, right, 0) > 0.98
    assert abs(float(result.norm() / right.norm()) - 1) < 0.1


def test_a_constant_reward_teaches_nothing_on_average(exact: None) -> None:
    generator, judge = answering(), PairTable(torch.full((2, N), 0.4, dtype=torch.float64))
    objective = BRCSGAN(bleu_share=0.0, normalise=False)
    assert expected(objective, generator, judge).abs().max() < 1e-12
    real, fake = both_answered([3, 8])
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
    assert gradient(loss, generator).abs().max() > 1e-3  # of two texts alone


def test_normalised_rewards_are_those_above_the_others_over_their_size(exact: None) -> None:
    generator, judge = answering(), PairTable(random_scores())
    real, fake = both_answered([0, 3, 5, 8, 9, 14])
    told: dict[str, Any] = {"reduction": "sum"}
    raw = weights_of(BRCSGAN(normalise=False, **told), generator, judge, real, fake)
    above = raw - leave_one_out(raw, fake.mask)
    size = above[fake.mask].square().mean().sqrt()
    result = weights_of(BRCSGAN(**told), generator, judge, real, fake)
    assert same(result, above * fake.mask / size)
    # what all of them have in common is no advantage
    other = weights_of(BRCSGAN(baseline=0.1, **told), generator, judge, real, fake)
    assert same(result, other)


def test_one_sentence_alone_is_finite(exact: None) -> None:
    real, fake = both_answered([9])
    loss, _ = BRCSGAN().generator_loss(answering(), PairTable(random_scores()), real, fake, 0.0)
    assert loss.isfinite()
    zero = PairTable(torch.zeros(2, N, dtype=torch.float64))
    objective = BRCSGAN(bleu_share=0.0, baseline=0.5)
    loss, _ = objective.generator_loss(answering(), zero, real, fake, 0.0)
    assert loss == 0


# --- its reward (B1, B2, B4) ---


def values(objective: BRCSGAN, real: Text, fake: Text, judge: PairTable) -> Tensor:
    objective = replace(objective, normalise=False, reduction="sum")
    return weights_of(objective, answering(), judge, real, fake)


def test_the_reward_is_linear_in_the_share(exact: None) -> None:
    judge = PairTable(random_scores())
    real, fake = both_answered([2, 3, 6, 9, 12, 14])
    of_d, of_bleu = (values(BRCSGAN(bleu_share=s), real, fake, judge) for s in (0.0, 1.0))
    for share in (0.25, 0.3, 0.8):
        mixed = values(BRCSGAN(bleu_share=share), real, fake, judge)
        assert same(mixed, (1 - share) * of_d + share * of_bleu)
    ends = torch.arange(6), fake.lengths - 1
    assert same(of_d[ends], judge(fake).detach().sigmoid() - 0.6)
    at = [2, 3, 6, 9, 12, 14]
    assert same(of_bleu[ends], bleus()[which(fake), torch.tensor(at)])


def test_each_sentence_has_its_own_reference(exact: None) -> None:
    judge, (real, fake) = PairTable(random_scores()), both_answered([9, 9, 3, 3])
    result = values(BRCSGAN(bleu_share=1.0), real, fake, judge)
    assert not same(result[0], result[1])
    order = torch.tensor([2, 0, 3, 1])
    assert same(values(BRCSGAN(bleu_share=1.0), real[order], fake[order], judge), result[order])


def test_the_end_token_has_a_reward_and_a_gradient(exact: None) -> None:
    judge, (real, fake) = PairTable(random_scores()), both_answered([0, 1])
    assert (fake.tokens[:, 0] == ANSWERS.eos).tolist() == [True, False]
    result = values(BRCSGAN(bleu_share=0.0), real, fake, judge)
    assert result[0, 0] == judge(fake)[0].sigmoid() - 0.6
    generator = answering()
    loss, _ = BRCSGAN(normalise=False).generator_loss(generator, judge, real[:1], fake[:1], 0.0)
    right = -values(BRCSGAN(), real, fake, judge)[0, 0] * log_probs(generator, fake[:1]).sum()
    slopes = gradient(loss, generator)
    assert same(slopes, gradient(right, generator))
    assert slopes.any()


def test_completions_are_as_long_as_texts_may_be() -> None:
    judge, real = PairTable(random_scores()), references()
    texts = all_answers(0)
    short = texts[texts.lengths == 2]  # a word and the end
    short = replace(short, tokens=short.tokens[:, :2])
    real = real[torch.zeros(len(short), dtype=torch.long)]
    torch.manual_seed(0)
    BRCSGAN(rollouts=30).generator_loss(answering(), judge, real, short, 0.0)
    grown = max(int(text.lengths.max()) for text in judge.seen)
    assert grown == ANSWERS.length


def test_a_reward_of_the_first_word_is_the_same_all_along(exact: None) -> None:
    texts = enumerate_texts(ANSWERS)
    scores = torch.tensor([-1.0, 2.0, 0.0, 0.0, 0.5]).double()[texts.tokens[:, 0]].expand(2, -1)
    real, fake = both_answered([3, 5, 8, 12])
    result = values(BRCSGAN(bleu_share=0.0), real, fake, PairTable(scores))
    for row, size in zip(result, fake.lengths, strict=True):
        assert same(row[:size], row[0].expand(int(size)))


def test_the_codes_estimator_weighs_each_gradient_with_its_probability(exact: None) -> None:
    judge, generator = PairTable(random_scores()), answering()
    real, fake = both_answered([3, 8, 12])
    told: dict[str, Any] = {"normalise": False, "reduction": "sum"}
    plain = weights_of(BRCSGAN(**told), generator, judge, real, fake)
    objective = BRCSGAN(estimator="expected_prob", **told)
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
    chances = generator.log_prob(fake).exp()
    right = -(plain * chances)[fake.mask].sum()  # minus the sum of R p, as the code has it
    assert same(gradient(loss, generator), gradient(right, generator))


def test_padding_of_any_text_changes_nothing(exact: None) -> None:
    judge, generator = PairTable(random_scores()), answering()
    real, fake = both_answered([0, 3, 6, 9])

    def wide(text: Text) -> Text:
        assert text.source is not None
        source = text.source.pad_to(4)
        return replace(text.pad_to(5, ANSWERS.pad), condition=Condition(source=source))

    for objective in (BRCSGAN(), BRCSGAN(normalise=False, reduction="mean_token")):
        plain = objective.generator_loss(generator, judge, real, fake, 0.0)
        generator.places = torch.nn.Embedding.from_pretrained(  # type: ignore[assignment]
            torch.cat([generator.places.weight[:2], torch.randn(2, 4).double()]), freeze=False
        )  # of a longer source
        padded = objective.generator_loss(generator, judge, wide(real), wide(fake), 0.0)
        assert same(plain[0], padded[0])
        assert all(same(plain[1][name], padded[1][name]) for name in plain[1])


@pytest.mark.parametrize("reduction", ["sum", "mean_sentence", "mean_token"])
def test_shards_add_up(reduction: Any, exact: None) -> None:
    judge, generator = PairTable(random_scores()), answering()
    real, fake = both_answered([0, 3, 6, 9, 11, 14, 2, 5])
    objective = BRCSGAN(normalise=False, reduction=reduction)
    whole, parts = (in_shards(objective, generator, judge, real, fake, n) for n in (1, 4))
    assert same(whole, parts)


# --- teacher forcing (B3) and the discriminator (B5) ---


def test_teacher_forcing_is_maximum_likelihood() -> None:
    generator, real = answering(), references()
    loss, _ = BRCSGAN().teacher_loss(generator, PairTable(random_scores()), real)
    right = nll(generator.log_prob(real), real.mask)
    assert same(gradient(loss, generator), gradient(right, generator))
    assert same(loss, -log_probs(generator, real).sum() / 6)  # the end of the first is among them


def test_labels_and_sources_together() -> None:
    """Nothing of the reward asks for a class; both reach the networks."""
    judge, generator = PairTable(random_scores()), answering()
    losses = []
    for labels in (None, both().labels):
        texts = [
            replace(text, condition=replace(text.condition, labels=labels))
            for text in both_answered([3, 8])
        ]
        torch.manual_seed(0)
        loss, _ = BRCSGAN(rollouts=2).generator_loss(generator, judge, *texts, 0.0)
        losses.append(loss)
    assert same(*losses)
    assert [text.labels is None for text in judge.seen] == [True, True, False, False]


def test_weights_are_clipped_after_every_update_of_the_discriminator(tmp_path: Path) -> None:
    told = {"objective.weight_clip": 0.02, "optimisers.discriminator_lr": 0.01}
    state = begin(translating("br_csgan", tmp_path, **told))
    assert max(weight.abs().max() for weight in state.discriminator.parameters()) > 0.02
    train_step(state, Step("fakes", "adversarial", 1, 0))
    for _ in range(3):
        train_step(state, Step("discriminator", "adversarial", 1, 0))
        largest = max(
            float(weight.detach().abs().max()) for weight in state.discriminator.parameters()
        )
        assert largest == pytest.approx(0.02)
    free = BRCSGAN(weight_clip=0.0)
    with torch.no_grad():
        state.discriminator.output.weight.fill_(3.0)
    free.after_discriminator_step(state.discriminator)
    assert state.discriminator.output.weight.eq(3.0).all()


@pytest.mark.parametrize("shards", [1, 2])
def test_it_resumes_bit_for_bit_in_every_phase(shards: int, tmp_path: Path) -> None:
    assert_resumes_after_every_step("br_csgan", tmp_path, **{"schedule.shards": shards})


def test_killed_in_each_phase_with_subwords_it_ends_in_the_same_bits(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    told = {"data.tokens": "bpe", "data.vocabulary": 40, "checkpoint_seconds": 0}
    whole, run = (translating("br_csgan", tmp_path, **told) for _ in range(2))
    phases = [step.phase for step in steps_of(run, begin(run))]
    ends = accumulate(phases.count(phase) for phase in PHASE_NAMES)
    assert_survives_kills(run.folder, whole.folder, [end - 1 for end in ends])


def test_a_round_is_a_reward_a_word_of_the_teacher_and_the_discriminator(tmp_path: Path) -> None:
    run = translating("br_csgan", tmp_path)
    rounds = [step.do for step in steps_of(run, begin(run)) if step.phase == "adversarial"]
    assert rounds[:4] == ["generator", "mle", "fakes", "discriminator"]


def test_it_needs_pairs(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"'br_csgan' needs texts that answer a source; give data.p"
    ):
        create_run(make_config("br_csgan", {"data.file": str(toy_text(tmp_path))}), tmp_path / "r")
