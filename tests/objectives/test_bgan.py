"""BGAN against its derivation: importance weights normalised for each source by itself."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from family import toy
from interrupted import assert_resumes
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
from toys import TOY, small_parts, toy_text
from worlds import (
    WORLDS,
    agree,
    counts_of,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    random_rewards,
    same,
    small_discriminator,
    small_generator,
    worlds,
)

import textgan
from textgan.cli.app import main
from textgan.core import registry
from textgan.core.errors import UserError
from textgan.data.text import Condition, Text, TextSpace, concatenate
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.generators.noise import NoiseGenerator
from textgan.objectives.bgan import BGAN, ContinuousBGAN, divergence_loss
from textgan.training.config import make_config

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
    return Text(texts.tokens, texts.lengths, condition=Condition(torch.full((len(texts),), label)))


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
    result = weights_of(objective, generator, judge, real, fake)
    first = result[:, 0].view(7, samples)  # every text has a first token
    assert same(first, judge(fake).detach().view(7, samples).softmax(1) * samples)
    assert same(first.sum(1) / samples, torch.ones(7).double())
    assert same(result, result[:, :1] * fake.mask)  # one weight for all of a text
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
    result = weights_of(BGAN(samples=3), generator, judge, texts, texts)
    assert not result[~texts.mask].any()
    fake = BGAN().sample(generator, texts, 0.0)
    assert len(fake) == len(texts)
    assert fake.soft_tokens is None


def test_one_sample_of_a_source_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = r"objective\.samples = 1: one sample has weight 1 whatever the discriminator says"
    with pytest.raises(UserError, match=reason):
        registry.build("objective", "bgan", {"samples": 1})
    with pytest.raises(ValueError, match="one sample has weight 1"):
        BGAN(samples=1)
    settings = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
    with pytest.raises(UserError, match=reason) as caught:
        textgan.train(
            "bgan", out=tmp_path / "run", quiet=True, **settings, **{"objective.samples": 1}
        )
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


# --- the divergences ---


def conjugate(divergence: str, t: Tensor) -> Tensor:
    """f*(t), as it follows from f(u)."""
    return {
        "gan": lambda: -(1 - t.exp()).log(),
        "kl": lambda: (t - 1).exp(),
        "reverse_kl": lambda: -1 - (-t).log(),
        "hellinger": lambda: t / (1 - t),
    }[divergence]()


def variational(divergence: str, score: Tensor) -> Tensor:
    """T = nu(F)."""
    return {
        "gan": lambda: score.sigmoid().log(),
        "kl": lambda: 1 + score,
        "reverse_kl": lambda: -(-score).exp(),
        "hellinger": lambda: 1 - (-score / 2).exp(),
    }[divergence]()


def of_ratio(divergence: str, u: Tensor) -> Tensor:
    """f(u)."""
    return {
        "gan": lambda: u * u.log() - (u + 1) * (u + 1).log(),
        "kl": lambda: u * u.log(),
        "reverse_kl": lambda: -u.log(),
        "hellinger": lambda: (u.sqrt() - 1) ** 2,
    }[divergence]()


divergences = pytest.mark.parametrize("divergence", ["gan", "kl", "reverse_kl", "hellinger"])


@divergences
def test_the_discriminators_loss_is_the_variational_bound(divergence: Any) -> None:
    space = WORLDS[1]
    judge, texts = small_discriminator(space), enumerate_texts(space)
    loss, _ = BGAN(divergence=divergence).discriminator_loss(judge, texts[:7], texts[4:12])
    of_real, of_fake = judge(texts[:7]), judge(texts[4:12])
    bound = variational(divergence, of_real).mean()
    bound = bound - conjugate(divergence, variational(divergence, of_fake)).mean()
    assert same(loss, -bound / 2)
    assert same(gradient(loss, judge), gradient(-bound / 2, judge))


@divergences
def test_the_bound_is_the_divergence_and_the_weight_the_ratio(divergence: Any) -> None:
    space = WORLDS[1]
    texts, random = enumerate_texts(space), torch.Generator().manual_seed(5)
    p, q = torch.randn(2, len(texts), generator=random, dtype=torch.float64).softmax(1)

    def bound(score: Tensor) -> Tensor:
        """E_data T - E_G f*(T), by enumeration, from the loss of one text of each."""
        value = torch.zeros((), dtype=torch.float64)
        nothing = torch.zeros(1, dtype=torch.float64)
        constant = divergence_loss(divergence, nothing, nothing)
        for i in range(len(texts)):
            real = divergence_loss(divergence, score[i : i + 1], nothing) - constant
            fake = divergence_loss(divergence, nothing, score[i : i + 1]) - constant
            value = value - 2 * (p[i] * real + q[i] * fake)
        return value - 2 * constant

    best = (p / q).log().requires_grad_()
    right = (q * of_ratio(divergence, p / q)).sum()
    assert same(bound(best), right, 1e-10)
    (slope,) = torch.autograd.grad(bound(best), best)
    assert slope.abs().max() < 1e-12  # nothing is better
    for seed in range(3):
        random = torch.Generator().manual_seed(seed)
        other = best + 0.3 * torch.randn(len(texts), generator=random, dtype=torch.float64)
        assert bound(other) < right
    # (f*)'(T), the paper's weight, is exp(F) at any F
    score = torch.linspace(-2, 2, 9, dtype=torch.float64)
    t = variational(divergence, score).requires_grad_()
    (weight,) = torch.autograd.grad(conjugate(divergence, t).sum(), t)
    assert same(weight, score.exp(), 1e-10)


# --- noise for the source ---


def noisy(space: TextSpace) -> NoiseGenerator:
    generator = small_generator(space, "convolutional")
    assert isinstance(generator, NoiseGenerator)
    return generator


@pytest.mark.parametrize("space", [*WORLDS, *CLASSES])
def test_texts_of_one_noise_have_the_chances_of_their_symbols(space: TextSpace) -> None:
    generator = noisy(space)
    labels = torch.ones(1, dtype=torch.long) if space.classes else None
    one = Text(
        torch.zeros(1, space.length, dtype=torch.long),
        torch.ones(1).long(),
        condition=Condition(labels),
    )
    fake = BGAN(samples=20_000).sample(generator, one.repeat(20_000), 0.0)
    assert fake.soft_tokens is not None
    assert (fake.soft_tokens == fake.soft_tokens[:1]).all()
    assert fake.labels is None or bool((fake.labels == 1).all())
    texts = enumerate_texts(space)
    each = fake.soft_tokens[0].detach()[torch.arange(space.length), texts.tokens]
    chances = torch.where(texts.mask, each, 1.0).prod(1)
    assert same(chances.sum(), torch.ones((), dtype=torch.float64))
    assert agree(counts_of(fake, space), chances)


@worlds
def test_the_loss_of_noise_by_hand(space: TextSpace) -> None:
    generator, real = noisy(space), enumerate_texts(space)[:4].repeat(3)
    judge = Judge(space, 4 * random_rewards(space))
    objective = BGAN(samples=3)
    state = torch.get_rng_state()
    fake = objective.sample(generator, real, 0.0)
    loss, figures = objective.generator_loss(generator, judge, real, fake, 0.0)
    result = gradient(loss, generator)
    torch.set_rng_state(state)
    logits = generator(torch.randn(4, generator.noise, dtype=torch.float64))
    if space.eos is not None:
        ending = torch.logaddexp(logits[:, :, 0], logits[:, :, space.eos])
        logits = torch.stack(
            [torch.full_like(ending, -torch.inf), ending, *logits.unbind(2)[2:]], 2
        )
    right = torch.zeros((), dtype=torch.float64)
    words = Text(fake.tokens, fake.lengths)
    scores = judge(words).detach().view(4, 3)
    for z in range(4):
        weights = scores[z].exp() / scores[z].exp().sum()
        for m in range(3):
            b = 3 * z + m
            for t in range(int(fake.lengths[b])):
                log_g = logits[z, t].log_softmax(0)[fake.tokens[b, t]]
                right = right - weights[m] * log_g / 4
    assert same(loss, right)
    assert result.abs().max() > 1e-4
    assert same(result, gradient(right, generator))
    assert same(figures["reward"], judge(words).sigmoid().mean())


@worlds
def test_fakes_of_a_turn_have_noise_of_their_own_and_are_words(space: TextSpace) -> None:
    generator, objective = noisy(space), BGAN(samples=4)
    with torch.no_grad():
        fake = objective.sample(generator, enumerate_texts(space)[:8], 0.0)
    assert fake.soft_tokens is None
    judge = small_discriminator(space)
    real = enumerate_texts(space)[:8]
    drawn = objective.sample(generator, real, 0.0)
    loss, _ = objective.discriminator_loss(judge, real, drawn)
    right, _ = objective.discriminator_loss(judge, real, Text(drawn.tokens, drawn.lengths))
    assert same(loss, right)


@pytest.mark.parametrize("kind", ["fixed", "labelled"])
def test_noise_trains_and_resumes_bit_for_bit(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        key: value for key, value in toy("bgan").items() if not key.startswith("generator.")
    }
    settings |= small_parts("bgan", generator="convolutional")
    settings |= {"generator.name": "convolutional", "schedule.mle_epochs": 0, "schedule.shards": 2}
    if kind == "labelled":
        settings = {key: value for key, value in settings.items() if not key.startswith("oracle.")}
        lines = toy_text(tmp_path).read_text("utf-8").splitlines()
        labelled = "".join(f"{'ab'[i % 2]}\t{line}\n" for i, line in enumerate(lines))
        (tmp_path / "toy.tsv").write_text(labelled, "utf-8")
        settings["data.file"] = str(tmp_path / "toy.tsv")
        settings["objective.divergence"] = "hellinger"
    assert_resumes("bgan", tmp_path, monkeypatch, before_end=5, **settings)


def test_both_recipes_have_the_codes_beta() -> None:
    for name in ("bgan", "bgan_continuous"):
        assert make_config(name).optimisers.beta1 == 0.5
    assert make_config("bgan", {"optimisers.beta1": 0.9}).optimisers.beta1 == 0.9


# --- the continuous one ---


@worlds
def test_the_codes_cross_entropy_is_least_at_the_boundary(space: TextSpace) -> None:
    judge, real = small_discriminator(space), enumerate_texts(space)[:5]
    loss, _ = ContinuousBGAN(loss="cross_entropy").generator_loss(
        small_generator(space), judge, real, real, 0.0
    )
    share = judge(real).sigmoid()
    # half the sum of the cross-entropies with real and with fake
    assert same(loss, (-(share.log() + (1 - share).log()) / 2).mean(), 1e-10)


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

    result = gradient(loss(), generator)
    assert result.abs().max() > 1e-3
    for _ in range(4):
        along = torch.randn(len(result), dtype=torch.float64)
        assert slope(loss, generator, along) == pytest.approx((result @ along).item(), rel=1e-5)


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
    assert fake.soft_tokens is not None
    loss, figures = objective.discriminator_loss(judge, real, fake)
    d_real, d_fake = judge(real.relaxed(fake.soft_tokens)).sigmoid(), judge(fake).sigmoid()
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
