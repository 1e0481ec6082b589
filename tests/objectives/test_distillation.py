"""Distillation against its derivation: over the teacher's texts it descends KL(T || S)."""

import pytest
import torch
from tables import random_generator
from worlds import (
    FIXED,
    VARIABLE,
    agree,
    counts_of,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.core.seeds import fork_rng
from textgan.data.text import Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.distillation import Distillation


def expected(
    student: AutoregressiveGenerator, teacher: AutoregressiveGenerator
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean over the teacher's texts of the loss, and of its gradient."""
    texts = enumerate_texts(student.space)
    loss, slope = torch.zeros((), dtype=torch.float64), torch.zeros(())
    for i, chance in enumerate(probabilities(teacher, texts)):
        one = texts[i : i + 1]
        value, _ = Distillation().generator_loss(student, teacher, one, one, 0.0)
        loss = loss + chance * value.detach()
        slope = slope + chance * gradient(value, student)
    return loss, slope


@worlds
@pytest.mark.parametrize("network", ["table", "lstm"])
def test_over_the_teachers_texts_it_is_the_divergence_of_whole_texts(
    space: TextSpace, network: str
) -> None:
    student = random_generator(space) if network == "table" else small_generator(space)
    teacher, texts = random_generator(space, 9), enumerate_texts(space)
    loss, slope = expected(student, teacher)
    chances = probabilities(teacher, texts)
    divergence = (chances * (chances.log() - log_probs(student, texts))).sum()
    assert float(divergence.detach()) > 0.1
    assert same(loss, divergence.detach())
    assert same(slope, gradient(divergence, student))  # with what chooses the prefix: nothing does


@worlds
def test_a_student_that_is_the_teacher_has_nothing_to_learn(space: TextSpace) -> None:
    student, teacher = small_generator(space), small_generator(space)
    texts = enumerate_texts(space)
    loss, figures = Distillation().generator_loss(student, teacher, texts, texts, 0.0)
    assert abs(loss.detach()) < 1e-12 and abs(figures["kl_per_token"]) < 1e-12
    assert gradient(loss, student).abs().max() < 1e-12
    assert all(parameter.grad is None for parameter in teacher.parameters())
    other = small_generator(space, seed=3)
    assert (
        gradient(Distillation().generator_loss(other, teacher, texts, texts, 0.0)[0], other)
        .abs()
        .max()
        > 1e-3
    )


def test_padding_costs_nothing() -> None:
    student, teacher = small_generator(VARIABLE), small_generator(VARIABLE, seed=2)
    texts = enumerate_texts(VARIABLE)
    narrow, wide = (
        Distillation().generator_loss(student, teacher, text, text, 0.0)[0].detach()
        for text in (texts, texts.pad_to(5))
    )
    assert same(narrow, wide)


def connected(share: float, teacher: AutoregressiveGenerator) -> Distillation:
    objective = Distillation(real=share)
    objective.connect(small_generator(teacher.space), teacher, enumerate_texts(teacher.space))
    return objective


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_prefixes_is_real_and_the_others_are_the_teachers(share: float) -> None:
    teacher, texts = random_generator(FIXED), enumerate_texts(FIXED)
    objective, n = connected(share, teacher), 4000
    real = Text(texts.tokens[:1].expand(n, -1), texts.lengths[:1].expand(n))
    with fork_rng(0, torch.device("cpu")):
        fake = objective.sample(small_generator(FIXED), real, 0.0)
    kept = int(share * n)
    assert len(fake) == n and torch.equal(fake.tokens[:kept], real.tokens[:kept])
    if share < 1:
        assert agree(counts_of(fake[kept:], FIXED), probabilities(teacher, texts))


def test_the_teacher_learns_from_real_texts_alone() -> None:
    teacher, texts = small_generator(VARIABLE), enumerate_texts(VARIABLE)
    objective = connected(0.5, teacher)
    real = texts[:4]
    assert objective.discriminator_sample(small_generator(VARIABLE), real, 0.0) is real
    loss, _ = objective.discriminator_loss(teacher, real, texts[4:9])
    first, second = (-log_probs(teacher, one).detach().mean() for one in (real, texts[4:9]))
    assert same(loss.detach(), (first + second) / 2)


def test_it_needs_a_language_model_for_a_teacher() -> None:
    with pytest.raises(ValueError, match=r"language model.*got CNN"):
        Distillation().connect(
            small_generator(FIXED), small_discriminator(FIXED), enumerate_texts(FIXED)
        )
