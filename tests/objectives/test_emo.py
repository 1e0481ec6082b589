"""EMO: the distance, its two emphases, whose vectors, and that it is not at rest at the data."""

from typing import Any

import pytest
import torch
from real_words import assert_of_real_words, loss_of, weighted
from tables import dyadic_generator, random_generator, whole
from torch import Tensor
from worlds import FIXED, enumerate_texts, gradient, same, small_generator, worlds

from textgan.data.text import Text, TextSpace
from textgan.models.generators.base import AutoregressiveGenerator, LinearGenerator
from textgan.objectives.base import without_state
from textgan.objectives.emo import EMO, moving_cost

COSTS = ("output", "embedding", "fixed")


def orthonormal(space: TextSpace) -> LinearGenerator:
    """A generator whose output vectors are at right angles, and of several lengths."""
    generator = small_generator(space)
    assert isinstance(generator, LinearGenerator)
    with torch.no_grad():
        generator.output.weight.copy_(torch.diag(torch.arange(1.0, 5.0))[: space.vocabulary])
    return generator


def by_hand(
    generator: AutoregressiveGenerator, real: Text, vectors: Tensor
) -> tuple[Tensor, Tensor]:
    """-log q and the distance of every token (B, T), a word at a time."""
    log_q = generator(real).log_softmax(2)
    cos = torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=2)
    own = torch.zeros(real.tokens.shape, dtype=torch.float64)
    emo = torch.ones_like(own)
    for v in range(generator.space.vocabulary):
        own = own - log_q[..., v] * (real.tokens == v)
        emo = emo - log_q[..., v].exp() * cos.detach()[real.tokens, v]
    return own, emo


@worlds
def test_with_vectors_at_right_angles_the_distance_is_what_is_elsewhere(space: TextSpace) -> None:
    generator, real = orthonormal(space), enumerate_texts(space)
    log_q = generator(real).log_softmax(2)
    q = generator.log_prob(real).detach().exp()
    emo = moving_cost(log_q, real.tokens, generator.output.weight)
    assert same(emo[real.mask], 1 - q[real.mask])
    loss = loss_of(EMO(emphasis="mle"), generator, real)
    assert same(loss, weighted(generator, real, torch.ones_like(q)))
    # d emo = -q d log q
    weights = (1 + q * -q.log() / (1 - q)) / 2
    assert same(gradient(loss, generator), gradient(weighted(generator, real, weights), generator))
    loss = loss_of(EMO(emphasis="emo"), generator, real)
    assert same(loss, 2 * (1 - q)[real.mask].mean())
    weights = (1 - q) / -q.log() + q
    right = gradient(weighted(generator, real, weights), generator)
    assert same(gradient(loss, generator), right)


@worlds
@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("emphasis", ["mle", "emo"])
def test_the_loss_by_hand(space: TextSpace, cost: Any, emphasis: Any) -> None:
    generator, real = small_generator(space), enumerate_texts(space)
    assert isinstance(generator, LinearGenerator)
    table = generator.embedding if cost == "embedding" else generator.output
    own, emo = (part[real.mask] for part in by_hand(generator, real, table.weight))
    if emphasis == "mle":
        right = ((own + (own / emo).detach() * emo) / 2).mean()
    else:
        right = ((emo / own).detach() * own + emo).mean()
    loss = loss_of(EMO(emphasis=emphasis, cost=cost), generator, real)
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))


def test_without_the_own_word_only_the_value_is_another() -> None:
    generator, real = small_generator(FIXED), enumerate_texts(FIXED)[:4]
    vectors = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    log_q = generator(real).log_softmax(2).detach()
    whole, without = (
        moving_cost(generator(real).log_softmax(2), real.tokens, vectors, own)
        for own in (True, False)
    )
    assert same((without - whole).detach(), generator.log_prob(real).detach().exp())
    assert same(gradient(without.sum(), generator), gradient(whole.sum(), generator))
    # as the released patch has it: 1 - sum over the other words
    cos = torch.nn.functional.normalize(vectors, dim=1)
    cos = cos @ cos.T
    others = log_q.exp() * cos[real.tokens]
    others = others.scatter(2, real.tokens.unsqueeze(2), 0.0).sum(2)
    assert same(without.detach(), 1 - others)
    losses = [loss_of(EMO(with_own=own), generator, real) for own in (True, False)]
    one, other = (gradient(loss, generator) for loss in losses)
    assert (one - other).norm() > 1e-4  # by the factor


def test_vectors_that_are_fixed_are_kept_from_the_first_update() -> None:
    generator, real = small_generator(FIXED), enumerate_texts(FIXED)
    assert isinstance(generator, LinearGenerator)
    fixed, adaptive = EMO(cost="fixed"), EMO(cost="output")
    before = generator.output.weight.detach().clone()
    given: Any = (generator, None, real, real, 0.0)
    _, kept = without_state(fixed.generator_loss(*given))
    assert same(kept["vectors"], before)
    fixed.state = dict(kept)
    with torch.no_grad():
        generator.output.weight.copy_(before.flip(1) ** 2)
    assert not without_state(fixed.generator_loss(*given))[1]
    own, emo = by_hand(generator, real, before)
    right = ((own + (own / emo).detach() * emo) / 2).mean()
    slopes = gradient(loss_of(fixed, generator, real), generator)
    assert same(slopes, gradient(right, generator))
    other = gradient(loss_of(adaptive, generator, real), generator)
    assert (other - slopes).norm() > 0.01


@pytest.mark.parametrize("cost", COSTS)
def test_it_is_a_loss_of_real_words(cost: Any) -> None:
    assert_of_real_words(EMO(cost=cost))


def test_a_word_that_is_certain_has_a_finite_gradient() -> None:
    generator = orthonormal(FIXED).float()
    with torch.no_grad():
        generator.output.bias[1] = 200.0
    real = Text.full(torch.ones(2, 3, dtype=torch.long))
    for emphasis in ("mle", "emo"):
        loss = loss_of(EMO(emphasis=emphasis), generator, real)  # type: ignore[arg-type]
        assert abs(loss) < 1e-6
        assert gradient(loss, generator).abs().max() < 1e-6


@worlds
def test_the_data_are_no_fixed_point(space: TextSpace) -> None:
    data = dyadic_generator(space)
    real, vectors = whole(data), torch.eye(space.vocabulary, dtype=torch.float64)

    def slopes(vectors: Tensor) -> Tensor:
        emo = moving_cost(data(real).log_softmax(2), real.tokens, vectors)
        return gradient(emo[real.mask].sum(), data)

    # after each prefix -sum_v p_v grad q_v, of those that the batch holds as often as p does
    q = data(real).softmax(2)
    right = -(q.detach() * q).sum(2)[real.mask].sum()
    assert same(slopes(vectors), gradient(right, data))
    assert slopes(vectors).norm() > 0.1
    assert slopes(torch.ones_like(vectors)).norm() < 1e-12  # all words are alike


def test_a_generator_without_an_output_layer_has_an_embedding() -> None:
    generator, real = random_generator(FIXED), enumerate_texts(FIXED)
    for cost in ("output", "fixed"):
        with pytest.raises(ValueError, match=r"unlike TableGenerator; objective\.cost=embedding"):
            EMO(cost=cost).setup(generator, None, real)  # type: ignore[arg-type]
    EMO(cost="embedding").setup(generator, None, real)
