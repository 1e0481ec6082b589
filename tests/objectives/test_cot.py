"""CoT against its derivation: the mediator is the mixture, each step's KL is exact."""

from itertools import product
from typing import Any

import pytest
import torch
from tables import (
    PARTS,
    Speechless,
    distribution,
    dyadic_generator,
    generator_of,
    random_generator,
    whole,
)
from torch import Tensor
from worlds import (
    FIXED,
    VARIABLE,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.cot import CoT

ZERO = torch.zeros((), dtype=torch.float64)


def step_divergences(
    generator: AutoregressiveGenerator, mediator: AutoregressiveGenerator, text: Text
) -> Tensor:
    """KL of the next token at every prefix of a text, (B, T), a token and a prefix at a time."""
    space = generator.space
    rows: list[Tensor] = []
    for sentence, size in zip(text.tokens, text.lengths, strict=True):
        row: list[Tensor] = []
        for position in range(int(size)):
            total = ZERO
            for token in range(0 if space.eos is None else 1, space.vocabulary):
                tokens = sentence.clone()
                tokens[position] = token
                one = Text(tokens.unsqueeze(0), torch.tensor([space.length]))
                own = generator.log_prob(one)[0, position]
                total = total + own.exp() * (own - mediator.log_prob(one)[0, position])
            row.append(total)
        row += [ZERO] * (space.length - len(row))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def sequence_divergence(generator: AutoregressiveGenerator, log_mediator: Tensor) -> Tensor:
    """KL(G || M) over whole texts, with gradients through G."""
    own = log_probs(generator, enumerate_texts(generator.space))
    return (own.exp() * (own - log_mediator)).sum()


def expected(
    generator: AutoregressiveGenerator, mediator: AutoregressiveGenerator
) -> tuple[Tensor, Tensor]:
    """The mean over texts that the generator writes of its loss, and of the loss's gradient."""
    texts = enumerate_texts(generator.space)
    loss, slope = ZERO, torch.zeros(())
    for i, chance in enumerate(probabilities(generator, texts)):
        one = texts[i : i + 1]
        value, _ = CoT().generator_loss(generator, mediator, one, one, 0.0)
        loss = loss + chance * value.detach()
        slope = slope + chance * gradient(value, generator)
    return loss, slope


def mixture(generator: AutoregressiveGenerator, chances: Tensor) -> AutoregressiveGenerator:
    """M = (p + G) / 2 as a language model."""
    texts = enumerate_texts(generator.space)
    half = (chances + probabilities(generator, texts)) / 2
    mediator = generator_of(generator.space, half)
    assert same(probabilities(mediator, texts), half)
    return mediator


# --- the generator ---


@worlds
def test_the_loss_is_each_steps_divergence(space: TextSpace) -> None:
    generator, mediator = small_generator(space), small_generator(space, seed=4)
    texts = enumerate_texts(space)
    right = step_divergences(generator, mediator, texts)
    loss, figures = CoT().generator_loss(generator, mediator, texts, texts, 0.0)
    assert same(loss, right.sum() / len(texts))
    assert same(figures["kl_per_token"], right[texts.mask].mean().detach())
    assert same(gradient(loss, generator), gradient(right.sum() / len(texts), generator))
    nothing, _ = CoT().generator_loss(generator, generator, texts, texts, 0.0)
    assert abs(nothing) < 1e-12


@worlds
def test_over_all_prefixes_it_is_the_divergence_of_whole_texts(space: TextSpace) -> None:
    generator, chances = small_generator(space), distribution(space)
    mediator = mixture(generator, chances)
    texts = enumerate_texts(space)
    own = probabilities(generator, texts)
    half = (chances + own) / 2
    loss, _ = expected(generator, mediator)
    assert same(loss, (own * (own / half).log()).sum())


@worlds
@pytest.mark.parametrize("mediator", ["mixture", "other"])
def test_the_gradient_lacks_what_chooses_the_prefix(space: TextSpace, mediator: str) -> None:
    # d KL(G || M) = E_G sum_t [ d KL_t(s_t) + KL_t(s_t) d log G(s_t) ]; the loss has the first
    # term alone: constants are the prefixes, as "Departs from the paper" says
    generator, chances = random_generator(space), distribution(space)
    told = mixture(generator, chances) if mediator == "mixture" else random_generator(space, 9)
    texts = enumerate_texts(space)
    full = gradient(sequence_divergence(generator, log_probs(told, texts).detach()), generator)
    _, result = expected(generator, told)
    each = step_divergences(generator, told, texts).detach()
    tokens = torch.where(texts.mask, generator.log_prob(texts), 0.0)
    of_prefix = tokens.cumsum(1) - tokens  # log G(y_1 .. y_t-1)
    chosen = (probabilities(generator, texts).unsqueeze(1) * each * of_prefix).sum()
    missing = gradient(chosen, generator)
    assert missing.abs().max() > 1e-3
    assert same(result + missing, full)
    # the last step's prefix leads nowhere else, so there the two agree: nothing is missing
    longest = generator.table.shape[1] - space.vocabulary ** (space.length - 1)
    assert not missing.view_as(generator.table)[:, longest:].any()


@worlds
def test_with_the_exact_mediator_the_full_gradient_is_twice_that_of_jsd(space: TextSpace) -> None:
    # the convention that is *not* implemented, so that what is missing is known to be all
    generator, chances = random_generator(space), distribution(space)
    texts = enumerate_texts(space)
    own = log_probs(generator, texts).exp()
    half = (chances + own) / 2
    real = chances > 0
    of_real = (chances[real] * (chances[real] / half[real]).log()).sum()
    jsd = (of_real + (own * (own / half).log()).sum()) / 2
    full = gradient(sequence_divergence(generator, half.detach().log()), generator)
    assert same(2 * gradient(jsd, generator), full)


@worlds
def test_padding_and_the_mediator_get_no_gradient(space: TextSpace) -> None:
    generator, mediator = small_generator(space), small_generator(space, seed=4)
    texts = enumerate_texts(space)
    loss, _ = CoT().generator_loss(generator, mediator, texts, texts, 0.0)
    loss.backward()
    assert all(parameter.grad is None for parameter in mediator.parameters())
    wide = texts.pad_to(5)
    padded, _ = CoT().generator_loss(generator, mediator, wide, wide, 0.0)
    if space.eos is not None:
        assert same(loss.detach(), padded.detach())


# --- the mediator ---


def averaged(mediator: AutoregressiveGenerator, real: Text, fake: Text) -> Tensor:
    return CoT().discriminator_loss(mediator, real, fake)[0]


@worlds
def test_the_best_mediator_is_the_mixture(space: TextSpace) -> None:
    data, generator = dyadic_generator(space, 1), dyadic_generator(space, 2)
    texts = enumerate_texts(space)
    chances = probabilities(data, texts)
    mediator = mixture(generator, chances)
    real, fake = whole(data), whole(generator)
    assert len(real) == len(fake) == PARTS
    if space.eos is not None:
        assert real.lengths.sum() != fake.lengths.sum()  # real texts are not as long as fakes
    result = gradient(averaged(mediator, real, fake), mediator)
    assert result.abs().max() < 1e-12
    least = averaged(mediator, real, fake)
    for seed, size in product(range(5), (0.1, 1.0)):
        noise = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            moved = mediator.table + size * torch.randn(
                mediator.table.shape, generator=noise, dtype=torch.float64
            )
        other = type(mediator)(space, moved)
        # what it costs to be wrong is exactly the divergence from the mixture
        half = (chances + probabilities(generator, texts)) / 2
        wrong = (half * (half.log() - log_probs(other, texts))).sum()
        assert wrong > 1e-4
        assert same(averaged(other, real, fake) - least, wrong, 1e-10)


@worlds
def test_the_mediators_loss_by_hand(space: TextSpace) -> None:
    mediator, texts = small_generator(space), enumerate_texts(space)
    real, fake = texts[:4], texts[4:8]
    loss, figures = CoT().discriminator_loss(mediator, real, fake)
    of_real, of_fake = -log_probs(mediator, real), -log_probs(mediator, fake)
    assert same(loss, (of_real.mean() + of_fake.mean()) / 2)
    assert same(figures["nll_real"], of_real.sum().detach() / real.lengths.sum())
    assert same(figures["nll_fake"], of_fake.sum().detach() / fake.lengths.sum())


def test_the_usual_pair_and_what_is_refused() -> None:
    texts, lstm = enumerate_texts(FIXED), small_generator(FIXED)
    CoT().connect(lstm, small_generator(FIXED, "gru"), texts)
    with pytest.raises(ValueError, match="cot needs a likelihood, which Speechless lacks"):
        CoT().connect(Speechless(FIXED), lstm, texts)
    with pytest.raises(ValueError, match=r"language model.*got CNN"):
        CoT().connect(lstm, small_discriminator(FIXED), texts)


def test_fakes_are_words_that_record_nothing() -> None:
    real = enumerate_texts(VARIABLE)
    labels: Any = torch.arange(len(real))
    real = Text(real.tokens, real.lengths, condition=Condition(labels))
    fake = CoT().sample(small_generator(VARIABLE), real, 0)
    assert fake.soft_tokens is None
    assert fake.labels is labels
    assert len(fake) == len(real)
