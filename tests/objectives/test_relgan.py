"""RelGAN: what real and fake say together, in many representations."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from family import toy
from interrupted import assert_resumes, everything, stop_at
from networks import judging, remembering
from torch import Tensor, nn
from toys import TOY
from worlds import (
    FIXED,
    VARIABLE,
    agree,
    counts_of,
    enumerate_texts,
    gradient,
    one_hot,
    probabilities,
    same,
    worlds,
)

import textgan
from textgan.core.errors import Interrupted, UserError
from textgan.core.log import read_records
from textgan.core.tensors import load_tensors
from textgan.data.text import Text, TextSpace
from textgan.losses import shares_of
from textgan.models.discriminators.base import Discriminator
from textgan.objectives.relgan import RelGAN
from textgan.training.checkpoint import checkpoints
from textgan.training.config import make_config

# --- the objective ---


class Said(Discriminator):
    """A discriminator whose opinions of one batch of fakes, and of all else, are given."""

    def __init__(self, fake: Text, of_real: Tensor, of_fake: Tensor) -> None:
        super().__init__(FIXED)
        self.fake, self.of_real, self.of_fake = fake, of_real, of_fake

    def features(self, text: Text) -> Tensor:
        raise NotImplementedError

    def view_scores(self, text: Text) -> Tensor:
        return self.of_fake if text.soft_tokens is self.fake.soft_tokens else self.of_real


def said(constant: float = 0.0) -> tuple[Said, Text, Text]:
    """Opinions in 27 x 4 pairs, and the texts."""
    real = enumerate_texts(FIXED)
    fake = one_hot(real, FIXED)
    random = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(2, 27, 4, generator=random, dtype=torch.float64) + constant
    return Said(fake, scores[0].requires_grad_(), scores[1].requires_grad_()), real, fake


def test_the_losses_are_those_of_every_pair_of_opinions() -> None:
    judge, real, fake = said()
    objective = RelGAN()
    of_discriminator, logged = objective.discriminator_loss(judge, real, fake)
    of_generator, metrics = objective.generator_loss(None, judge, real, fake, 0.5)  # type: ignore[arg-type]
    margin = judge.of_real - judge.of_fake
    assert same(of_discriminator, -margin.sigmoid().log().mean())
    assert same(of_generator, -(-margin).sigmoid().log().mean())
    assert same(logged["margin"], margin.detach().mean())
    assert same(metrics["margin"], margin.detach().mean())
    assert abs(metrics["beta"].item() - 10) < 1e-6


def logit_loss(z: Tensor, real: bool) -> Tensor:
    """Cross-entropy of logits with the label all ones, or all zeros, as the code has it."""
    return nn.functional.binary_cross_entropy_with_logits(z, torch.full_like(z, float(real)))


@pytest.mark.parametrize(
    "loss", ["relativistic", "standard", "js", "kl", "hinge", "tv", "wgan_gp", "lsgan"]
)
def test_each_loss_is_the_codes(loss: Any) -> None:
    judge, real, fake = said()
    x, y = judge.of_real, judge.of_fake
    objective = RelGAN(loss=loss, penalty=0)
    objective.connect(remembering(FIXED), judge, real)
    both = logit_loss(x, True) + logit_loss(y, False)
    zero = torch.zeros((), dtype=torch.float64)
    of_judge, of_writer = {
        "relativistic": (logit_loss(x - y, True), logit_loss(y - x, True)),
        "standard": (both, logit_loss(y, True)),
        "js": (both, -logit_loss(y, False)),
        "kl": (both, (-y).mean()),
        "hinge": (torch.maximum(zero, 1 - x).mean() + torch.maximum(zero, 1 + y).mean(), -y.mean()),
        "tv": ((torch.tanh(y) - torch.tanh(x)).mean(), -torch.tanh(y).mean()),
        "wgan_gp": (y.mean() - x.mean(), -y.mean()),
        "lsgan": (((x - 1) ** 2).mean() + (y**2).mean(), ((y - 1) ** 2).mean()),
    }[loss]
    if loss != "wgan_gp":  # whose penalty asks for more than opinions
        result, logged = objective.discriminator_loss(judge, real, fake)
        assert same(result, of_judge)
        assert same(logged["margin"], (x - y).detach().mean())
        slopes = torch.autograd.grad(result, [x, y])
        for part, right in zip(slopes, torch.autograd.grad(of_judge, [x, y]), strict=True):
            assert part.any()
            assert same(part, right)
    result, logged = objective.generator_loss(None, judge, real, fake, 0.5)  # type: ignore[arg-type]
    assert same(result, of_writer)
    assert same(logged["margin"], (x - y).detach().mean())
    (slope,) = torch.autograd.grad(result, [y])
    assert slope.any()
    assert same(slope, torch.autograd.grad(of_writer, [y])[0])


def test_the_wasserstein_loss_has_the_penalty_of_all_representations_together() -> None:
    generator, judge, real = remembering(FIXED), judging(FIXED), enumerate_texts(FIXED)
    objective = RelGAN(loss="wgan_gp", penalty=3.0)
    objective.connect(generator, judge, real)
    fake = objective.sample(generator, real, 0.3)
    rows = one_hot(real, FIXED).soft_tokens
    assert fake.soft_tokens is not None and rows is not None
    fake = Text(fake.tokens, fake.lengths, fake.soft_tokens.detach())
    shares = shares_of(rows, objective.state["stream"])
    assert 0 < shares.min() < 0.2 < 0.8 < shares.max() < 1
    points = (rows + shares * (fake.soft_tokens - rows)).requires_grad_()
    opinions = judge.view_scores(Text(real.tokens, real.lengths, points))
    norms = torch.stack(
        [
            torch.autograd.grad(each.sum(), points, retain_graph=True)[0][b].norm()
            for b, each in enumerate(opinions)
        ]
    )
    right = -(judge(one_hot(real, FIXED)) - judge(fake)).mean() + 3 * ((norms - 1) ** 2).mean()
    result, _ = objective.discriminator_loss(judge, real, fake)
    assert same(result, right, 1e-10)
    again, _ = objective.discriminator_loss(judge, real, fake)
    assert torch.equal(result, again)  # within an update the points stay
    objective.after_discriminator_step(judge)
    other, _ = objective.discriminator_loss(judge, real, fake)
    assert not same(result, other, 1e-6)
    # differences in one weight
    weight = judge.output.weight
    slope = torch.autograd.grad(other, weight)[0][0, 0]
    values = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            weight[0, 0] += step
        values.append(objective.discriminator_loss(judge, real, fake)[0].item())
    assert slope.item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("loss", ["standard", "wgan_gp"])
def test_other_losses_train_and_resume_bit_for_bit(
    loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = toy("relgan") | {
        "objective.loss": loss,
        "schedule.rounds": 2,
        "schedule.mle_epochs": 1,
    }
    assert_resumes("relgan", tmp_path, monkeypatch, before_end=3, **settings)


@worlds
def test_where_nothing_can_be_told_apart_the_losses_add_up_to_two_log_two(
    space: TextSpace,
) -> None:
    generator, judge, real = remembering(space), judging(space), enumerate_texts(space)
    objective = RelGAN()
    fake = objective.sample(generator, real, 0.3)
    nn.init.zeros_(judge.output.weight)
    nn.init.constant_(judge.output.bias, 3.0)
    total = objective.discriminator_loss(judge, real, fake)[0]
    total = total + objective.generator_loss(generator, judge, real, fake, 0.3)[0]
    assert same(total, torch.tensor(2 * math.log(2), dtype=torch.float64))


def test_each_network_wants_its_own_texts_to_score_higher() -> None:
    judge, real, fake = said()
    share = (judge.of_fake - judge.of_real).sigmoid() / 108  # of a pair that is well told apart: 0
    loss, _ = RelGAN().generator_loss(None, judge, real, fake, 0.5)  # type: ignore[arg-type]
    of_real, of_fake = torch.autograd.grad(loss, [judge.of_real, judge.of_fake])
    assert same(of_fake, -(1 / 108 - share))
    assert (of_fake < 0).all()
    assert same(of_real, -of_fake)
    loss, _ = RelGAN().discriminator_loss(judge, real, fake)
    of_real, of_fake = torch.autograd.grad(loss, [judge.of_real, judge.of_fake])
    assert same(of_real, -share)
    assert (of_real < 0).all()
    assert same(of_fake, -of_real)


@worlds
def test_a_constant_in_all_scores_changes_nothing(space: TextSpace) -> None:
    generator, judge, real = remembering(space), judging(space), enumerate_texts(space)
    objective = RelGAN()
    fake = objective.sample(generator, real, 0.5)
    before = [
        objective.generator_loss(generator, judge, real, fake, 0.5)[0],
        objective.discriminator_loss(judge, real, fake)[0],
    ]
    with torch.no_grad():
        judge.output.bias += 7
    assert same(objective.generator_loss(generator, judge, real, fake, 0.5)[0], before[0])
    assert same(objective.discriminator_loss(judge, real, fake)[0], before[1])
    assert not gradient(before[1], judge.output)[-1].abs() > 1e-12  # of the bias


def test_real_texts_are_read_as_rows() -> None:
    judge, real = judging(VARIABLE), enumerate_texts(VARIABLE)
    fake = one_hot(real.repeat(1), VARIABLE)
    # padding, too, is the same to both
    _, logged = RelGAN().discriminator_loss(judge, real, fake)
    assert not logged["margin"].any()


@pytest.mark.parametrize(
    ("anneal", "betas"),
    [
        ("exponential", [1.0, 5.0, 25.0]),
        ("linear", [1.0, 13.0, 25.0]),
        ("constant", [25.0, 25.0, 25.0]),
        ("log", [1.0, 1 + 24 * math.log(2501) / math.log(5001), 25.0]),
        ("sigmoid", [1 + 24 / (1 + math.exp(10)), 13.0, 1 + 24 / (1 + math.exp(-10))]),
        ("quadratic", [1.0, 7.0, 25.0]),
        ("sqrt", [1.0, 1 + 24 * 0.5**0.5, 25.0]),
    ],
)
def test_the_inverse_temperature_reaches_its_end(anneal: Any, betas: list[float]) -> None:
    objective = RelGAN(beta_max=25, anneal=anneal)
    assert [objective.beta(p) for p in (0.0, 0.5, 1.0)] == pytest.approx(betas)


@pytest.mark.parametrize(
    ("anneal", "code"),
    [
        ("constant", lambda i, n, top: top),
        ("linear", lambda i, n, top: 1 + i / (n - 1) * (top - 1)),
        ("exponential", lambda i, n, top: top ** (i / n)),
        ("log", lambda i, n, top: 1 + (top - 1) / math.log(n) * math.log(i + 1)),
        (
            "sigmoid",
            lambda i, n, top: (top - 1) * 1 / (1 + math.exp((n / 2 - i) * 20 / n)) + 1,
        ),
        ("quadratic", lambda i, n, top: (top - 1) / (n - 1) ** 2 * i**2 + 1),
        ("sqrt", lambda i, n, top: (top - 1) / math.sqrt(n - 1) * math.sqrt(i) + 1),
    ],
)
def test_within_a_thousandth_the_curves_are_those_of_the_code(anneal: Any, code: Any) -> None:
    objective = RelGAN(beta_max=100, anneal=anneal, reach=3000 / 5000)
    for i in range(0, 3000, 250):
        assert objective.beta(i / 3000) == pytest.approx(code(i, 5000, 100), rel=1e-3)


@pytest.mark.parametrize("settings", [{"reach": 0.0}, {"reach": 1.1}, {"loss": "best"}])
def test_a_curve_or_loss_that_there_is_not_is_refused_in_one_line(settings: dict[str, Any]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(UserError, match=rf"^objective\.{name} = {value!r}: [^\n]*$"):
        make_config("relgan", {f"objective.{key}": value for key, value in settings.items()})


@pytest.mark.parametrize(("progress", "beta"), [(0.0, 1.0), (0.5, 3.0), (1.0, 9.0)])
def test_each_row_goes_on_from_the_words_before_it(progress: float, beta: float) -> None:
    generator, real = remembering(FIXED), enumerate_texts(FIXED)
    state = torch.get_rng_state()
    fake = RelGAN(beta_max=9).sample(generator, real, progress)
    assert fake.soft_tokens is not None
    torch.set_rng_state(state)
    noise = [-torch.empty(27, 3, dtype=torch.float64).exponential_().log() for _ in range(3)]
    logits = generator(Text.full(fake.tokens))
    assert same(fake.soft_tokens, ((logits + torch.stack(noise, 1)) * beta).softmax(2), 1e-9)


@pytest.mark.parametrize("beta", [1.0, 100.0])
def test_words_are_drawn_as_likely_as_they_are(beta: float) -> None:
    generator, texts = remembering(FIXED), enumerate_texts(FIXED)
    with torch.no_grad():
        fake = RelGAN(beta_max=beta).sample(generator, texts[:1].repeat(20_000), 1.0)
    counts = counts_of(Text.full(fake.tokens), FIXED)
    assert agree(counts, probabilities(generator, texts))  # at any temperature: words are read


def test_texts_that_end_are_drawn_as_likely_as_they_are() -> None:
    generator, texts = remembering(VARIABLE), enumerate_texts(VARIABLE)
    objective = RelGAN(beta_max=1e6, anneal="constant")
    with torch.no_grad():
        fake = objective.sample(generator, texts[:1].repeat(20_000), 0.0)
    assert agree(counts_of(fake, VARIABLE), probabilities(generator, texts))


@worlds
def test_the_gradient_is_the_slope_with_the_noise_frozen(space: TextSpace) -> None:
    generator, judge, real = remembering(space, slots=2), judging(space), enumerate_texts(space)
    objective = RelGAN(beta_max=2)

    def value() -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(5)
            fake = objective.sample(generator, real, 0.5)
        return objective.generator_loss(generator, judge, real, fake, 0.5)[0]

    slope = gradient(value(), generator)
    trained = [part for part in generator.parameters() if part.requires_grad]
    start = nn.utils.parameters_to_vector(trained).detach()
    with torch.no_grad():
        for seed in range(5):
            random = torch.Generator().manual_seed(seed)
            direction = torch.randn(len(start), generator=random, dtype=torch.float64)
            ends = []
            for step in (1e-6, -1e-6):
                nn.utils.vector_to_parameters(start + step * direction, trained)
                ends.append(value())
            nn.utils.vector_to_parameters(start, trained)
            measured = (ends[0] - ends[1]) / 2e-6
            assert (measured - slope @ direction).abs() < 1e-7 * (1 + measured.abs())
    assert slope.norm() > 1e-4
    assert all(part.any() for part in torch.autograd.grad(value(), trained))


def test_a_run_anneals_and_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pictures take longer than these runs
    others = ("objective.", "generator.")
    settings = {key: value for key, value in TOY.items() if not key.startswith(others)} | {
        "generator.embedding": 4,
        "generator.head_size": 3,
        "discriminator.representations": 3,
        "discriminator.hidden": 4,
        "schedule.fakes": 1,
        "schedule.d_steps": 2,
        "schedule.rounds": 4,
    }
    textgan.train("relgan", out=tmp_path / "whole", quiet=True, plot=False, **settings)
    records = read_records(tmp_path / "whole")
    betas = [r["generator/beta"] for r in records if r["phase"] == "adversarial"]
    assert betas == pytest.approx([100 ** (i / 4) for i in range(4)])
    last = int(checkpoints(tmp_path / "whole")[-1].stem)
    with monkeypatch.context() as patch:
        stop_at(last - 3, patch)  # rows were drawn and nothing has learnt from them yet
        with pytest.raises(Interrupted):
            textgan.train("relgan", out=tmp_path / "run", quiet=True, plot=False, **settings)
    assert "fakes.rows" in load_tensors(checkpoints(tmp_path / "run")[-1])[0]
    textgan.resume(tmp_path / "run", quiet=True, plot=False)
    assert everything(tmp_path / "run") == everything(tmp_path / "whole")


def test_the_defaults_are_the_codes() -> None:
    config = make_config("relgan")
    assert config.generator.settings == {
        "embedding": 32,
        "slots": 1,
        "heads": 2,
        "head_size": 256,
    }
    assert config.discriminator.settings["representations"] == 64
    assert config.discriminator.settings["embedding"] == 1
    assert (config.schedule.g_steps, config.schedule.d_steps) == (1, 5)
    rates = config.optimisers
    assert (rates.mle_lr, rates.generator_lr, rates.discriminator_lr) == (1e-2, 1e-4, 1e-4)
    assert (rates.clip, rates.discriminator_clip) == (5.0, 5.0)
