"""TextGAN's maximum mean discrepancy: what it is zero for, and its gradients."""

from itertools import product

import pytest
import torch
from answers import ANSWERS, all_answers, answering
from tables import Speechless, slope
from torch import Tensor, nn
from worlds import (
    FIXED,
    enumerate_texts,
    gradient,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

from textgan.data.text import TextSpace, concatenate
from textgan.models.discriminators.base import Discriminator
from textgan.objectives.textgan_mmd import TextGANMMD, squared_mmd

ZERO = torch.zeros((), dtype=torch.float64)
WIDTHS = [0.25, 1.0, 4.0]


def random_features(n: int, seed: int, size: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, size, generator=random, dtype=torch.float64)


def by_hand(a: Tensor, b: Tensor, widths: list[float], unbiased: bool) -> Tensor:
    """The definition, a pair at a time."""
    together = [*a, *b]
    squares = [(x - y).square().sum() for x, y in product(together, together)]
    scale = sum(squares) / len(squares)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        distance = (x - y).square().sum()
        return sum((-distance / (width * scale)).exp() for width in widths)

    def within(points: Tensor) -> Tensor:
        pairs = [
            kernel(x, y)
            for (i, x), (j, y) in product(enumerate(points), enumerate(points))
            if not unbiased or i != j
        ]
        return sum(pairs) / len(pairs)

    across = sum(kernel(x, y) for x, y in product(a, b)) / (len(a) * len(b))
    return within(a) + within(b) - 2 * across


def sharp_discriminator(space: TextSpace) -> Discriminator:
    judge = small_discriminator(space)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for parameter in judge.parameters():
            nn.init.normal_(parameter)
    return judge


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (4, 2)])
def test_it_is_the_definition(unbiased: bool, sizes: tuple[int, int]) -> None:
    a, b = random_features(sizes[0], 1), 0.5 + random_features(sizes[1], 2)
    result = squared_mmd(a, b, WIDTHS, unbiased)
    assert same(result, by_hand(a, b, WIDTHS, unbiased))
    assert same(result, squared_mmd(b, a, WIDTHS, unbiased))
    # features of any scale and origin
    assert same(result, squared_mmd(70 * a + 3, 70 * b + 3, WIDTHS, unbiased), 1e-9)


def test_of_a_sample_and_itself_it_is_zero() -> None:
    a = random_features(6, 1)
    assert abs(squared_mmd(a, a, WIDTHS, unbiased=False)) < 1e-12
    assert abs(squared_mmd(a, a[torch.randperm(6)], WIDTHS, unbiased=False)) < 1e-12
    assert squared_mmd(a, a + 1, WIDTHS, unbiased=False) > 0.1
    assert squared_mmd(a, a, WIDTHS) < 0  # unbiased of dependent samples


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 3)])
def test_the_unbiased_one_is_zero_on_average_where_distributions_are_equal(n: int, m: int) -> None:
    # over every pair of samples that can be drawn; the kernels' width, drawn with them, does not
    # spoil it because it does not say which point is of which sample
    points = random_features(3, 4, 2)
    chances = torch.tensor([0.5, 0.3, 0.2]).double()
    mean, biased = ZERO, ZERO
    for drawn in product(range(3), repeat=n + m):
        rows = torch.tensor(drawn)
        chance = chances[rows].prod()
        a, b = points[rows[:n]], points[rows[n:]]
        mean = mean + chance * squared_mmd(a, b, WIDTHS)
        biased = biased + chance * squared_mmd(a, b, WIDTHS, unbiased=False)
    assert abs(mean) < 1e-12
    assert biased > 0.05


def test_it_tells_distributions_apart_on_average() -> None:
    points = random_features(3, 4, 2)
    p, q = torch.tensor([0.6, 0.3, 0.1]).double(), torch.tensor([0.1, 0.3, 0.6]).double()
    mean = ZERO
    for drawn in product(range(3), repeat=4):
        rows = torch.tensor(drawn)
        chance = p[rows[:2]].prod() * q[rows[2:]].prod()
        mean = mean + chance * squared_mmd(points[rows[:2]], points[rows[2:]], WIDTHS)
    assert mean > 0.05


def test_the_gradient_of_the_discrepancy() -> None:
    a, b = random_features(4, 1).requires_grad_(), random_features(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: squared_mmd(a, b, WIDTHS), (a, b))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 1.0, 100.0])
def test_features_that_are_all_alike_have_a_gradient(dtype: torch.dtype, level: float) -> None:
    a = torch.full((4, 3), level, dtype=dtype, requires_grad=True)
    b = torch.full((4, 3), level, dtype=dtype, requires_grad=True)
    result = squared_mmd(a, b, WIDTHS)
    result.backward()
    assert result.abs() < 1e-6
    assert a.grad is not None and a.grad.isfinite().all()
    assert b.grad is not None and b.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_far_from_the_origin_keep_their_distances(dtype: torch.dtype) -> None:
    a, b = random_features(6, 1, 5), 0.5 + random_features(6, 2, 5)
    right = squared_mmd(a, b, WIDTHS)
    result = squared_mmd((a + 300).to(dtype), (b + 300).to(dtype), WIDTHS)
    assert abs(result - right) < 1e-3


@worlds
def test_both_losses_by_hand(space: TextSpace) -> None:
    generator, judge = small_generator(space), sharp_discriminator(space)
    real = enumerate_texts(space)
    objective = TextGANMMD(matching=0.7, widths=WIDTHS)
    fake = objective.sample(generator, real, 0.0)
    assert fake.soft_tokens is not None
    rows = real.relaxed(fake.soft_tokens)
    distance = by_hand(judge.features(rows), judge.features(fake), WIDTHS, unbiased=True)
    loss, figures = objective.generator_loss(generator, judge, real, fake, 0.0)
    assert same(loss, distance, 1e-10)
    assert same(figures["mmd"], distance.detach(), 1e-10)
    d_real, d_fake = judge(rows).sigmoid(), judge(fake).sigmoid()
    cross_entropy = -(d_real.log().mean() + (1 - d_fake).log().mean()) / 2
    loss, figures = objective.discriminator_loss(judge, real, fake)
    assert same(loss, cross_entropy - 0.7 * distance, 1e-10)
    assert same(figures["mmd"], distance.detach(), 1e-10)


@worlds
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gradients_are_those_of_the_losses(space: TextSpace, name: str) -> None:
    generator, judge = small_generator(space, name), sharp_discriminator(space)
    real = enumerate_texts(space)
    objective = TextGANMMD(temperature=0.8, matching=2.0)

    def of_generator() -> Tensor:
        torch.manual_seed(3)  # the same noise every time
        fake = objective.sample(generator, real, 0.0)
        return objective.generator_loss(generator, judge, real, fake, 0.0)[0]

    def of_discriminator() -> Tensor:
        torch.manual_seed(3)
        with torch.no_grad():
            fake = objective.sample(generator, real, 0.0)
        return objective.discriminator_loss(judge, real, fake)[0]

    networks: tuple[nn.Module, ...] = (generator, judge)
    for network, loss in zip(networks, (of_generator, of_discriminator), strict=True):
        result = gradient(loss(), network)
        assert result.abs().max() > 1e-3
        for _ in range(3):
            along = torch.randn(len(result), dtype=torch.float64)
            right = slope(loss, network, along, 1e-6)
            assert right == pytest.approx((result @ along).item(), rel=1e-4, abs=1e-7)


@pytest.mark.torch_random
@worlds
def test_the_generator_descends_to_what_is_real(space: TextSpace) -> None:
    generator, judge = small_generator(space), sharp_discriminator(space)
    real = enumerate_texts(space)[-2:].repeat(10)
    objective = TextGANMMD()
    trained = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=0.05)
    losses: list[float] = []
    for _ in range(40):
        fake = objective.sample(generator, real, 0.0)
        loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < sum(losses[:5]) / 2


def test_generators_without_a_likelihood_will_do() -> None:
    judge = small_discriminator(FIXED)
    TextGANMMD().connect(Speechless(FIXED), judge, enumerate_texts(FIXED))
    with pytest.raises(ValueError, match="textgan_mmd needs a discriminator"):
        TextGANMMD().connect(Speechless(FIXED), None, enumerate_texts(FIXED))


@pytest.mark.parametrize("widths", [[], [0.0], [-1.0, 2.0]])
def test_widths_that_cannot_be_are_refused(widths: list[float]) -> None:
    with pytest.raises(ValueError, match="widths"):
        TextGANMMD(widths=widths)


# --- sources ---


@pytest.mark.parametrize("paired", [True, False])
def test_of_pairs_that_share_their_source_it_is_zero_on_average(paired: bool) -> None:
    """Two sources; the real and the generated answer to each are drawn alike: every batch of two,
    with its probability. A fake beside its own real text would count as more alike than it is."""
    chances = {0: [0.8, 0.2], 1: [0.3, 0.7]}
    features = random_features(4, 1).view(2, 2, 3)  # of a source and an answer
    features[1] += 2.0  # most of them is the source's
    pairs = [
        (features[x, real], features[x, fake], chances[x][real] * chances[x][fake] / 2)
        for x, real, fake in product(range(2), repeat=3)
    ]
    mean = sum(
        p * q * squared_mmd(torch.stack([a, c]), torch.stack([b, d]), WIDTHS, paired=paired)
        for (a, b, p), (c, d, q) in product(pairs, pairs)
    )
    assert (abs(mean) < 1e-12) == paired
    assert paired or mean < -0.01


def test_pairs_are_left_out_where_texts_answer_a_source() -> None:
    generator, objective = answering(), TextGANMMD()
    judge = small_discriminator(ANSWERS, "pair_cnn", seed=1)
    texts = concatenate([all_answers(which)[3:6] for which in (0, 1)])
    objective.connect(generator, judge, texts)
    torch.manual_seed(1)
    fake = objective.sample(generator, texts, 0.0)
    assert fake.soft_tokens is not None
    loss, _ = objective.generator_loss(generator, judge, texts, fake, 0.0)
    features = [judge.features(text) for text in (texts.relaxed(fake.soft_tokens), fake)]
    assert same(loss, squared_mmd(*features, objective.widths, paired=True))
    assert not same(loss, squared_mmd(*features, objective.widths))
