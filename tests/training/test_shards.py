"""The shards of a batch have its loss and its gradient."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from worlds import FIXED, VARIABLE, enumerate_texts, small_discriminator, small_generator

from textgan.core.distributed import Group
from textgan.core.optim import Loss, Reduction, plain
from textgan.data.text import Text, TextSpace
from textgan.losses import logistic, nll, policy_gradient
from textgan.objectives.coldgan import ColdGAN
from textgan.objectives.mle import MLE
from textgan.objectives.scratchgan import ScratchGAN
from textgan.objectives.seqgan import SeqGAN
from textgan.training.shards import Shard, accumulate, averaged

worlds = pytest.mark.parametrize("space", [FIXED, VARIABLE], ids=["fixed", "variable"])


def gradients(network: nn.Module) -> list[Tensor]:
    """What the last backward passes left; cleared."""
    result = [weight.grad for weight in network.parameters() if weight.grad is not None]
    network.zero_grad()
    return result


def both_ways(
    network: nn.Module, loss: Callable[[Text], Loss], text: Text, reduction: Reduction, shards: int
) -> None:
    """The loss of a batch and its gradient are those of its shards together."""
    whole, metrics = plain(network, lambda: loss(text))
    wanted = gradients(network)
    each = len(text) // shards
    parts = [text[torch.arange(i * each, (i + 1) * each)] for i in range(shards)]

    def of(part: Text) -> Callable[[], Loss]:
        return lambda: loss(part)

    made = [Shard(of(part), part) for part in parts]
    value, result = accumulate(network, made, range(shards), reduction, Group())
    assert value.item() == pytest.approx(whole.item(), rel=1e-13)
    assert result.keys() == metrics.keys()
    for one, other in zip(gradients(network), wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-14)


@worlds
@pytest.mark.parametrize("shards", [2, 3])
def test_the_gradient_of_mle_is_that_of_the_whole_batch(space: TextSpace, shards: int) -> None:
    generator, text = small_generator(space), enumerate_texts(space)[:12]
    if space.eos is not None:  # shards of different numbers of tokens
        assert len({part.lengths.sum().item() for part in text.split(12 // shards)}) > 1
    both_ways(
        generator,
        lambda part: (nll(generator.log_prob(part), part.mask), {}),
        text,
        MLE().reduction,
        shards,
    )


@worlds
def test_the_gradient_of_a_discriminator_is_that_of_the_whole_batch(space: TextSpace) -> None:
    judge, text = small_discriminator(space), enumerate_texts(space)[:12]
    other = text[torch.arange(12).roll(5)]

    def loss(part: Text) -> Loss:
        at = [int(row) for row in range(12) if (text.tokens[row] == part.tokens).all(1).any()]
        value = logistic(judge(part), judge(other[torch.tensor(at)]))
        return value + 0.2 * judge.output_penalty(), {"value": value.detach()}

    both_ways(judge, loss, text, "mean_sentence", 2)


@worlds
@pytest.mark.parametrize("reduction", ["sum", "mean_sentence", "mean_token"])
def test_the_gradient_of_a_generator_is_that_of_the_whole_batch(
    space: TextSpace, reduction: Reduction
) -> None:
    generator, judge = small_generator(space), small_discriminator(space)
    text = enumerate_texts(space)[:12]

    def loss(part: Text) -> Loss:
        reward = judge(part).detach().sigmoid().unsqueeze(1).expand_as(part.tokens)
        result = policy_gradient(generator.log_prob(part), reward, part.mask, reduction)
        return result, {"reward": reward.mean()}

    both_ways(generator, loss, text, SeqGAN(reduction=reduction).reduction, 2)


def test_methods_say_what_their_loss_is_over_a_batch() -> None:
    assert MLE().reduction == ScratchGAN().reduction == "mean_token"
    assert SeqGAN().reduction == "sum"
    assert SeqGAN(reduction="mean_sentence").reduction == ColdGAN().reduction == "mean_sentence"


def test_logged_scalars_are_means_and_dropout_is_each_shards_own() -> None:
    network, text = nn.Linear(1, 1), enumerate_texts(FIXED)[:4]
    drawn: list[float] = []

    def loss() -> Loss:
        drawn.append(torch.rand(()).item())
        return network(torch.ones(1)).sum(), {"drawn": torch.tensor(drawn[-1])}

    before = torch.get_rng_state()
    shards, seeds = 2 * [Shard(loss, text)], (5, 6)
    _, metrics = accumulate(network, shards, seeds, "mean_sentence", Group())
    assert drawn[0] != drawn[1]
    assert metrics["drawn"].item() == pytest.approx(sum(drawn) / 2)
    assert torch.equal(torch.get_rng_state(), before)  # the run's own stream stands still
    accumulate(network, shards, seeds, "mean_sentence", Group())
    assert drawn[2:] == drawn[:2]
    _, metrics = accumulate(network, shards[:1], [5], "sum", Group())  # the whole batch, and draws
    assert not torch.equal(torch.get_rng_state(), before)
    assert metrics["drawn"].item() not in (drawn[0], drawn[1])


def test_memories_are_averaged_where_they_are_real_numbers() -> None:
    memories = [
        {"baseline": torch.tensor(1.0), "stream": torch.tensor(7)},
        {"baseline": torch.tensor(4.0), "stream": torch.tensor(7)},
    ]
    result = averaged(memories, Group())
    assert result["baseline"] == 2.5
    assert result["stream"] == 7
    assert memories[0]["baseline"] == 1.0  # not what was given
    assert averaged(memories[:1], Group()) == memories[0]
