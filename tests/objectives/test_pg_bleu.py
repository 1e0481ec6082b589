"""PG-BLEU's generator against the expected BLEU of what it writes."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers, answering
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from tables import exact_rollouts, weights_given, weights_of
from torch import Tensor
from worlds import (
    FIXED,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_generator,
    worlds,
)

from textgan.data.text import Condition, Text, TextSpace, concatenate
from textgan.losses import leave_one_out
from textgan.metrics.functional.bleu import bleu as bleu_of
from textgan.metrics.functional.paired_bleu import PairedReferences
from textgan.objectives import pg_bleu
from textgan.objectives.pg_bleu import PGBLEU

ZERO = torch.zeros((), dtype=torch.float64)
LABELLED_SPACE = TextSpace(3, 3, classes=2)
METHOD1: Any = SmoothingFunction().method1


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_bleu, "rollout_values", exact_rollouts)


def words(text: Text, eos: int | None) -> list[list[int]]:
    return [
        [token for token in row[:size] if token != eos]
        for row, size in zip(text.tokens.tolist(), text.lengths.tolist(), strict=True)
    ]


def bleu(space: TextSpace, train: Text, order: int, method: Any = METHOD1) -> Tensor:
    """nltk's BLEU of every text of a space, (texts,)."""
    references, weights = words(train, space.eos), (1 / order,) * order
    scores = [
        sentence_bleu(references, text, weights, smoothing_function=method) if text else 0.0
        for text in words(enumerate_texts(space), space.eos)
    ]
    return torch.tensor(scores, dtype=torch.float64)


def connected(space: TextSpace, **settings: Any) -> tuple[PGBLEU, Text]:
    settings = {"smoothing": "method1", "share": 1.0} | settings
    objective, train = PGBLEU(**settings), enumerate_texts(space)[3:12:2]
    objective.connect(small_generator(space), None, train)
    return objective, train


@worlds
@pytest.mark.parametrize("order", [1, 2, 3])
def test_it_climbs_the_expected_bleu(space: TextSpace, order: int, exact: None) -> None:
    objective, train = connected(space, order=order)
    generator, texts = small_generator(space), enumerate_texts(space)
    rewards = bleu(space, train, order)
    assert rewards.std() > 0.1
    total = ZERO
    for i, chance in enumerate(probabilities(generator, texts)):
        one = texts[i : i + 1]
        loss, figures = objective.generator_loss(generator, None, one, one, 0.0)
        assert same(figures["reward"], rewards[i])
        total = total + chance * loss
    right = gradient((log_probs(generator, texts).exp() * rewards).sum(), generator)
    assert same(-gradient(total, generator), right)


@worlds
@pytest.mark.parametrize("baseline", ["none", "batch"])
def test_each_token_is_weighted_by_its_value(space: TextSpace, baseline: Any, exact: None) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    objective, train = connected(space, baseline=baseline)
    values = exact_rollouts(generator, texts, lambda *_: bleu(space, train, 3), 1)
    weights = values - (leave_one_out(values, texts.mask) if baseline == "batch" else 0)
    loss, figures = objective.generator_loss(generator, None, texts, texts, 0.0)
    assert same(loss, -(generator.log_prob(texts) * weights)[texts.mask].sum())
    assert same(figures["value"], values[texts.mask].mean())


@worlds
def test_sampled_rollouts_climb_too(space: TextSpace) -> None:
    objective, train = connected(space, rollouts=2, baseline="batch", reduction="mean_sentence")
    generator, texts = small_generator(space), enumerate_texts(space)
    fake = objective.sample(generator, texts.repeat(200), 0.0)
    loss, _ = objective.generator_loss(generator, None, fake, fake, 0.0)
    rewards = bleu(space, train, 3)
    right = gradient((log_probs(generator, texts).exp() * rewards).sum(), generator)
    assert torch.cosine_similarity(-gradient(loss, generator), right, 0) > 0.97


def test_what_is_trained_on_is_what_bleu_compares_with() -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    objective = PGBLEU(rollouts=1, smoothing="method1", share=1.0)
    objective.connect(generator, None, texts)
    result = weights_of(objective, generator, None, texts, texts)
    assert same(result, torch.ones(27, 3).double())  # every text is a training text
    objective.connect(generator, None, texts[:1])
    result = weights_of(objective, generator, None, texts, texts)
    assert result[0, -1] == 1.0
    assert result.min() < 0.5


def test_float32_stays_float32() -> None:
    objective, _ = connected(FIXED, rollouts=1)
    generator, texts = small_generator(FIXED).float(), enumerate_texts(FIXED)
    loss, figures = objective.generator_loss(generator, None, texts, texts, 0.0)
    assert loss.dtype == figures["reward"].dtype == torch.float32
    with pytest.raises(TypeError, match="pg_bleu has no discriminator"):
        objective.discriminator_loss(None, texts, texts)


@worlds
@pytest.mark.parametrize("smoothing", ["method1", "none"])
@pytest.mark.filterwarnings("ignore:")
def test_smoothing_is_nltks(space: TextSpace, smoothing: Any) -> None:
    objective, train = connected(space, smoothing=smoothing)
    result = objective.bleu(enumerate_texts(space), space)
    wanted = bleu(space, train, 3, METHOD1 if smoothing == "method1" else None)
    assert torch.allclose(result, wanted, atol=1e-12)  # nltk's zero is 1e-103 or so
    assert (result == 0).any() or smoothing == "method1"


def test_an_order_without_a_match_can_be_dropped_as_old_nltk_did() -> None:
    matches = torch.tensor([[3, 1, 0], [3, 2, 1], [0, 0, 0]])
    sizes, closest = torch.tensor([4, 4, 4]), torch.tensor([4.0, 4.0, 4.0]).double()
    result = bleu_of(matches, sizes, closest, "dropped")[:, -1]
    third = torch.tensor(1 / 3, dtype=torch.float64)
    wanted = torch.stack([torch.tensor(3 / 4 / 3).double() ** third, result[1], ZERO])
    assert same(result, wanted)
    assert same(result[1], torch.tensor(3 / 4 * 2 / 3 / 2).double() ** third)
    assert result[0] == result[1]  # no three words in common, and as good as one
    assert bleu_of(matches, sizes, closest, "none")[0, -1] == 0


def test_a_share_of_the_references_is_the_same_at_every_start() -> None:
    train = enumerate_texts(FIXED)
    objective = PGBLEU(share=0.4)
    counts = []
    for _ in range(2):
        torch.rand(3)
        objective.connect(small_generator(FIXED), None, train)
        (references,) = objective.references
        assert references is not None
        counts.append(references.count)
        hits = objective.bleu(train, FIXED) == 1
        assert hits.sum() == 11  # ceil of 0.4 * 27
    assert counts == [11, 11]


def test_texts_are_compared_with_those_of_their_own_class() -> None:
    texts = enumerate_texts(LABELLED_SPACE)
    train = replace(texts, condition=Condition((torch.arange(len(texts)) < 9).long()))
    objective = PGBLEU(order=3, share=1.0)
    objective.connect(small_generator(LABELLED_SPACE), None, train)
    assert same(objective.bleu(train, LABELLED_SPACE), torch.ones(len(train)).double())
    turned = replace(train, condition=Condition(1 - train.labels))
    assert objective.bleu(turned, LABELLED_SPACE).max() < 0.9
    # a class that has no training text: nothing is in its favour, and nothing breaks
    objective.connect(small_generator(LABELLED_SPACE), None, train[:9])
    assert objective.bleu(train, LABELLED_SPACE)[9:].eq(0).all()


def test_a_text_is_compared_with_the_real_answer_to_its_source(exact: None) -> None:
    """The mean BLEU of all completions of each prefix, by their probability given the source."""
    generator, texts = answering(), concatenate([all_answers(0), all_answers(1)])
    real = texts[torch.tensor([11, 14, 22, 27])]
    fake = replace(texts[torch.tensor([13, 3, 26, 22])], condition=real.condition)
    objective = PGBLEU(order=2, smoothing="add_one")
    objective.connect(generator, None, texts)
    given = (generator, None, real, fake, 0.0)
    [weights] = weights_given(pg_bleu, partial(objective.generator_loss, *given))
    for row in range(4):
        every = all_answers(row // 2)
        own = PairedReferences(real[slice(row, row + 1)], ANSWERS, order=2)
        scores = own.score(every, torch.zeros(len(every), dtype=torch.long), "add_one")[:, -1]
        chances = probabilities(generator, every)
        for t in range(int(fake.lengths[row])):
            alike = (every.tokens[:, : t + 1] == fake.tokens[row, : t + 1]).all(1)
            mean = float((chances * scores)[alike].sum() / chances[alike].sum())
            assert float(weights[row, t]) == pytest.approx(mean, rel=1e-9), (row, t)
    assert (weights > 0.3).any()
