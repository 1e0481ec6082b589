"""The residual discriminator: it reads all positions, and padding as a symbol."""

from typing import Any

import pytest
import torch
from worlds import VARIABLE, WORLDS, build, enumerate_texts, one_hot, same

from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.residual import ResidualDiscriminator

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])


def judge_of(space: TextSpace, **settings: Any) -> ResidualDiscriminator:
    told = {"channels": 4, "blocks": 2} | settings
    judge: ResidualDiscriminator = build("discriminator", "residual", space, **told)
    for name, parameter in judge.named_parameters():
        if "bias" in name:
            parameter.data = torch.randn_like(parameter) / 2
    return judge


@worlds
def test_the_residual_discriminator_reads_tokens_as_their_rows(space: TextSpace) -> None:
    judge, texts = judge_of(space), enumerate_texts(space)
    scores = judge(texts)
    assert scores.shape == (len(texts),)
    assert len(torch.unique(scores)) == len(texts)
    assert same(judge(one_hot(texts, space)), scores)  # padding is a symbol for both
    vectors = judge.embedding.weight[texts.tokens].transpose(1, 2)
    features = judge.blocks(vectors).reshape(len(texts), -1)
    assert same(judge.features(texts), features)
    assert same(scores, features @ judge.output.weight[0] + judge.output.bias)


def test_padding_changes_no_score_of_the_residual_discriminator() -> None:
    judge, texts = judge_of(VARIABLE), enumerate_texts(VARIABLE)
    scores = judge(texts)
    assert same(judge(texts.pad_to(7)), scores)
    scribbled = Text(torch.where(texts.mask, texts.tokens, 3), texts.lengths)
    assert same(judge(scribbled), scores)
    (slope,) = torch.autograd.grad(scores.sum(), [judge.embedding.weight])
    assert slope.any(1).all()  # where a text ends is something to judge by


@worlds
def test_the_residual_discriminator_has_no_weight_of_no_use(space: TextSpace) -> None:
    judge, texts = judge_of(space), enumerate_texts(space)
    (judge(texts[:5]).mean() - judge(texts[5:]).mean()).backward()
    for name, parameter in judge.named_parameters():
        assert parameter.grad is not None
        # the output's bias is the one that a difference of scores cannot see
        assert (parameter.grad.abs().max() > 1e-9) == (name != "output.bias")


def test_the_residual_discriminator_is_the_papers() -> None:
    judge = ResidualDiscriminator(TextSpace(100, 32, eos=1))
    blocks = 5 * 2 * (5 * 512 * 512 + 512) - 512  # the last bias is the output layer's
    assert sum(part.numel() for part in judge.parameters()) == 100 * 512 + blocks + 32 * 512 + 1
    for parameter, variance in [
        (judge.embedding.weight, 4 / (100 + 512)),
        (judge.output.weight, 2 / (32 * 512 + 1)),
    ]:
        assert abs(parameter.std().item() / variance**0.5 - 1) < 0.03
    assert not [module for module in judge.modules() if "Norm" in type(module).__name__]


def test_the_residual_discriminator_sees_one_class_at_a_time() -> None:
    space = TextSpace(3, 3, classes=2)
    judge, texts = judge_of(space), enumerate_texts(space)
    both = judge.class_logits(texts)
    assert both.shape == (27, 2)
    labels = torch.arange(27) % 2
    labelled = Text(texts.tokens, texts.lengths, condition=Condition(labels))
    assert same(judge(labelled), both[torch.arange(27), labels])
