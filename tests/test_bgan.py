"""BGAN against its derivation: importance weights normalised for each source by itself."""

import sys
from typing import Any

import pytest
import torch
from tables import (
    PARTS,
    Judge,
    Speechless,
    dyadic_generator,
    random_generator,
    slope,
    weights_of,
    whole,
)
from torch import Tensor, nn
from toys import TOY
from worlds import (
    WORLDS,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    random_rewards,
    same,
    small_discriminator,
    small_generator,
)

import textgan
from textgan import registry
from textgan.cli import main
from textgan.errors import UserError
from textgan.generators.base import AutoregressiveGenerator
from textgan.objectives.bgan import BGAN, ContinuousBGAN
from textgan.text import Text, TextSpace, concatenate

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
CLASSES = (TextSpace(3, 3, classes=2), TextSpace(4, 3, eos=1, classes=2))
sources = pytest.mark.parametrize("space", CLASSES, ids=["fixed", "variable"])
ZERO = torch.zeros((), dtype=torch.float64)


def scores_of(space: TextSpace, seed: int = 2) -> Tensor:
    """An arbitrary F(x, z), (classes, texts)."""
    random = torch.Generator().manual_seed(seed)
    shape = (space.classes, len(enumerate_texts(space)))
    return 2 * torch.randn(shape, generator=random, dtype=torch.float64)


def labelled(space: TextSpace, label: int) -> Text:
    texts = enumerate_texts(space)
    return Text(texts.tokens, texts.sizes, labels=torch.full((len(texts),), label))


def towards(generator: AutoregressiveGenerator, scores: Tensor, label: int) -> Tensor:
    """The gradient of KL(p~(.|z) || g(.|z)), p~ = g exp(F) / alpha held fixed."""
    texts = labelled(generator.space, label)
    own = probabilities(generator, texts)
    target = own * scores[label].exp()
    target = target / target.sum()
    return gradient((target * (target.log() - log_probs(generator, texts))).sum(), generator)


@sources
@pytest.mark.parametrize("label", [0, 1])
def test_the_step_for_a_source_moves_to_its_target(space: TextSpace, label: int) -> None:
    generator, scores = dyadic_generator(space), scores_of(space)
    fake = whole(generator, label)
    objective = BGAN(samples=PARTS)
    loss, _ = objective.generator_loss(generator, Judge(space, scores), fake, fake, 0.0)
    right = towards(generator, scores, label)
    assert right.abs().max() > 0.01
    assert same(gradient(loss, generator), right)


@sources
def test_each_source_has_its_own_target(space: TextSpace) -> None:
    generator, scores = dyadic_generator(space), scores_of(space)
    fake = concatenate([whole(generator, 0), whole(generator, 1)])
    objective = BGAN(samples=PARTS)
    loss, figures = objective.generator_loss(generator, Judge(space, scores), fake, fake, 0.0)
    right = (towards(generator, scores, 0) + towards(generator, scores, 1)) / 2
    assert same(gradient(loss, generator), right)
    ess = 0.0
    for label in (0, 1):
        share = Judge(space, scores)(whole(generator, label)).softmax(0)
        ess += 1 / share.square().sum().item() / PARTS / 2
    assert figures["ess"].item() == pytest.approx(ess)


@sources
def test_with_the_best_discriminator_it_is_maximum_likelihood(space: TextSpace) -> None:
    generator, random = dyadic_generator(space), torch.Generator().manual_seed(8)
    shape = (2, len(enumerate_texts(space)))
    chances = torch.randn(shape, generator=random, dtype=torch.float64).softmax(1)
    own = torch.stack([probabilities(generator, labelled(space, label)) for label in (0, 1)])
    judge = Judge(space, (chances / own).log())
    for label in (0, 1):
        fake = whole(generator, label)
        loss, _ = BGAN(samples=PARTS).generator_loss(generator, judge, fake, fake, 0.0)
        texts = labelled(space, label)
        right = gradient(-(chances[label] * log_probs(generator, texts)).sum(), generator)
        assert same(gradient(loss, generator), right)


@sources
def test_what_depends_on_the_source_alone_is_no_matter(space: TextSpace) -> None:
    generator, scores = random_generator(space), scores_of(space)
    fake = BGAN().sample(generator, concatenate([labelled(space, 0), labelled(space, 1)]), 0.0)
    fake = fake[: 2 * (len(fake) // 2)]
    objective = BGAN(samples=len(fake) // 2)
    plain, _ = objective.generator_loss(generator, Judge(space, scores), fake, fake, 0.0)
    other = scores + torch.tensor([[300.0], [-40.0]]).double()
    shifted, _ = objective.generator_loss(generator, Judge(space, other), fake, fake, 0.0)
    assert same(plain, shifted)
    assert same(gradient(plain, generator), gradient(shifted, generator))


@worlds
@pytest.mark.parametrize("samples", [2, 3, 5])
def test_weights_sum_to_one_over_the_samples_of_a_source(space: TextSpace, samples: int) -> None:
    generator, judge = small_generator(space), Judge(space, 4 * random_rewards(space))
    objective = BGAN(samples=samples, reduction="sum")
    assert objective.group == samples
    real = enumerate_texts(space)[:7].repeat(samples)
    fake = objective.sample(generator, real, 0.0)
    found = weights_of(objective, generator, judge, real, fake)
    first = found[:, 0].view(7, samples)  # every text has a first token
    assert same(first, judge(fake).detach().view(7, samples).softmax(1) * samples)
    assert same(first.sum(1) / samples, torch.ones(7).double())
    assert same(found, found[:, :1] * fake.mask)  # one weight for all of a text
    # the printed sum over m with weights that sum to one, and the mean over sources
    mean = BGAN(samples=samples)
    loss, _ = mean.generator_loss(generator, judge, real, fake, 0.0)
    right = -((first / samples).flatten() * log_probs(generator, fake)).sum() / 7
    assert same(loss, right)


@worlds
def test_a_sure_discriminator_breaks_nothing(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    scores = torch.where(torch.arange(len(texts)) % 2 == 0, 1e4, -1e4).double()
    fake = texts[:12]
    loss, figures = BGAN(samples=4).generator_loss(generator, Judge(space, scores), fake, fake, 0.0)
    assert gradient(loss, generator).isfinite().all()
    assert figures["ess"] == 0.5  # two of four share all the weight


@worlds
def test_no_gradient_reaches_the_discriminator_or_the_padding(space: TextSpace) -> None:
    generator, judge, texts = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space)[:12],
    )
    loss, _ = BGAN(samples=3).generator_loss(generator, judge, texts, texts, 0.0)
    loss.backward()
    assert all(parameter.grad is None for parameter in judge.parameters())
    found = weights_of(BGAN(samples=3), generator, judge, texts, texts)
    assert not found[~texts.mask].any()
    fake = BGAN().sample(generator, texts, 0.0)
    assert len(fake) == len(texts)
    assert fake.rows is None


def test_one_sample_of_a_source_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = r"objective\.samples = 1: one sample has weight 1 whatever the discriminator says"
    with pytest.raises(UserError, match=reason):
        registry.build("objective", "bgan", {"samples": 1})
    with pytest.raises(ValueError, match="one sample has weight 1"):
        BGAN(samples=1)
    told = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
    with pytest.raises(UserError, match=reason) as caught:
        textgan.train("bgan", out=tmp_path / "run", quiet=True, **told, **{"objective.samples": 1})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["textgan", "train", "bgan", "objective.samples=1"])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr()
    assert stopped.value.code == 2
    assert shown.out == ""
    (line,) = shown.err.strip().splitlines()
    assert "one sample has weight 1 whatever the discriminator says of it" in line


# --- the continuous one ---


@worlds
def test_the_boundary_is_where_the_loss_is_least(space: TextSpace) -> None:
    generator, judge, real = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = ContinuousBGAN()
    for bias in (-2.0, 0.0, 3.0):
        nn.init.zeros_(judge.output.weight)
        nn.init.constant_(judge.output.bias, bias)
        fake = objective.sample(generator, real, 0.0)
        loss, figures = objective.generator_loss(generator, judge, real, fake, 0.0)
        assert same(loss, ZERO + bias**2 / 2)
        assert same(figures["score"], ZERO + bias)
        assert not gradient(loss, generator).any()


@worlds
def test_the_loss_is_half_the_square_of_log_odds(space: TextSpace) -> None:
    generator, judge, real = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    nn.init.normal_(judge.output.weight)
    objective = ContinuousBGAN(temperature=0.7)
    fake = objective.sample(generator, real, 0.0)
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
    odds = judge(fake).sigmoid()
    assert same(loss, (odds.log() - (1 - odds).log()).square().mean() / 2, 1e-10)
    # downhill is towards the boundary, from either side
    judge.output.bias.data += 50
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
    down = -gradient(loss, generator)
    up = gradient(judge(objective.sample(generator, real, 0.0)).mean(), generator)
    assert down @ up < 0
    judge.output.bias.data -= 100
    loss, _ = objective.generator_loss(
        generator, judge, real, objective.sample(generator, real, 0.0), 0.0
    )
    assert -gradient(loss, generator) @ up > 0


@worlds
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_generators_gradient_is_that_of_its_loss(space: TextSpace, name: str) -> None:
    generator, judge, real = (
        small_generator(space, name),
        small_discriminator(space),
        enumerate_texts(space),
    )
    for parameter in judge.parameters():
        nn.init.normal_(parameter)
    objective = ContinuousBGAN(temperature=0.8)

    def loss() -> Tensor:
        torch.manual_seed(3)  # the same noise every time
        fake = objective.sample(generator, real, 0.0)
        return objective.generator_loss(generator, judge, real, fake, 0.0)[0]

    found = gradient(loss(), generator)
    assert found.abs().max() > 1e-3
    for _ in range(4):
        along = torch.randn(len(found), dtype=torch.float64)
        assert slope(loss, generator, along) == pytest.approx((found @ along).item(), rel=1e-5)


@worlds
def test_the_continuous_discriminator_reads_rows_of_both_kinds(space: TextSpace) -> None:
    generator, judge, real = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = ContinuousBGAN()
    with torch.no_grad():
        fake = objective.sample(generator, real, 0.0)
    assert fake.rows is not None
    loss, figures = objective.discriminator_loss(judge, real, fake)
    d_real, d_fake = judge(real.relaxed(fake.rows)).sigmoid(), judge(fake).sigmoid()
    assert same(loss, -(d_real.log().mean() + (1 - d_fake).log().mean()) / 2)
    assert figures == {}


def test_the_continuous_one_trains_generators_without_a_likelihood() -> None:
    space = WORLDS[0]
    judge = small_discriminator(space)
    ContinuousBGAN().connect(Speechless(space), judge, enumerate_texts(space))
    with pytest.raises(ValueError, match="bgan_continuous needs a discriminator"):
        ContinuousBGAN().connect(Speechless(space), None, enumerate_texts(space))
    with pytest.raises(ValueError, match="bgan needs a likelihood, which Speechless lacks"):
        BGAN().connect(Speechless(space), judge, enumerate_texts(space))
