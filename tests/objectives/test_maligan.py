"""MaliGAN against its derivation: with the best discriminator it is maximum likelihood."""

from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from answers import ANSWERS, all_answers, answering
from tables import (
    PARTS,
    Judge,
    distribution,
    dyadic_generator,
    exact_rollouts,
    shares,
    weights_given,
    weights_of,
    whole,
)
from torch import Tensor
from worlds import (
    FIXED,
    VARIABLE,
    WORLDS,
    Uniform,
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

from textgan.data.text import Text, TextSpace, concatenate, text_keys
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives import maligan
from textgan.objectives.maligan import MaliGAN, prefix_length
from textgan.objectives.mle import MLE

variants = pytest.mark.parametrize("variant", ["basic", "rollouts", "full"])
ZERO = torch.zeros((), dtype=torch.float64)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maligan, "rollout_values", exact_rollouts)


def best_judge(generator: AutoregressiveGenerator, chances: Tensor) -> Judge:
    """D = p / (p + G), whose logit is log p / G."""
    space = generator.space
    own = probabilities(generator, enumerate_texts(space))
    judge = Judge(space, chances.log() - own.log())
    result = judge(enumerate_texts(space)).sigmoid()
    assert same(result.detach(), chances / (chances + own))
    return judge


def likelihood(generator: AutoregressiveGenerator, chances: Tensor) -> Tensor:
    """The gradient of the expected negative log-likelihood of texts with these probabilities."""
    texts = enumerate_texts(generator.space)
    return gradient(-(chances * log_probs(generator, texts)).sum(), generator)


# --- M1: with the best discriminator the step is that of maximum likelihood ---


@worlds
@pytest.mark.parametrize("variant", ["basic", "rollouts"])
@pytest.mark.parametrize("baseline", [0.0, 1.0])
def test_the_best_discriminator_makes_it_maximum_likelihood(
    space: TextSpace, variant: Any, baseline: float, exact: None
) -> None:
    generator, chances = dyadic_generator(space), distribution(space)
    judge, fake = best_judge(generator, chances), whole(generator)
    objective = MaliGAN(variant=variant, weight_clip=0, baseline=baseline, baseline_start=baseline)
    loss, _ = objective.generator_loss(generator, judge, fake, fake, 0.0)
    right = likelihood(generator, chances)
    assert right.abs().max() > 0.01
    assert same(gradient(loss, generator), right)


@worlds
@pytest.mark.parametrize("given", [0, 1, 2, 3])
def test_continuing_real_prefixes_is_maximum_likelihood_too(space: TextSpace, given: int) -> None:
    # E_p log G(x) = E_p log G(x_<=N) + E_p E_p(.|prefix) log G(x_>N | x_<=N), and the second
    # expectation is one of importance weights over all that the generator makes of a prefix
    generator, chances = dyadic_generator(space), distribution(space)
    judge, texts = best_judge(generator, chances), enumerate_texts(space)
    objective = MaliGAN(variant="full", samples=PARTS, weight_clip=0)
    total = ZERO
    for prefix in {tuple(row[:given]) for row in texts.tokens.tolist()}:
        begins = (texts.tokens[:, :given] == torch.tensor(prefix)).all(1)
        grown, chance = texts[begins], chances[begins].sum()
        within = shares(generator, grown)
        within = within * PARTS // within.sum()
        if chance == 0:  # real texts do not begin like that
            continue
        batch = grown[torch.arange(len(grown)).repeat_interleave(within)]
        assert len(batch) == PARTS
        fake = Text(batch.tokens, batch.lengths, prompt_length=given)
        loss, _ = objective.generator_loss(generator, judge, fake, fake, 0.0)
        total = total + chance * loss
    assert same(gradient(total, generator), likelihood(generator, chances))


@worlds
def test_sampled_texts_climb_the_likelihood_of_what_is_real(space: TextSpace) -> None:
    generator, chances = small_generator(space), distribution(space)
    judge = best_judge(generator, chances)
    right = likelihood(generator, chances)
    real = enumerate_texts(space).repeat(800)
    for variant in ("basic", "rollouts"):
        objective = MaliGAN(variant=variant, weight_clip=0, rollouts=2)
        fake = objective.sample(generator, real, 0.0)
        loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
        assert torch.cosine_similarity(gradient(loss, generator), right, 0) > 0.98


# --- M2: what weights there are ---


@worlds
@variants
def test_a_constant_added_to_the_scores_changes_nothing(
    space: TextSpace, variant: Any, exact: None
) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    scores = 3 * random_rewards(space)
    objective = MaliGAN(variant=variant, samples=len(texts))
    fake = texts if variant != "full" else Text(texts.tokens, texts.lengths, prompt_length=1)
    plain, _ = objective.generator_loss(generator, Judge(space, scores), fake, fake, 0.0)
    shifted, _ = objective.generator_loss(generator, Judge(space, scores + 7), fake, fake, 0.0)
    assert same(plain, shifted)
    assert same(gradient(plain, generator), gradient(shifted, generator))


@pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
def test_weights_of_the_basic_variant_sum_to_zero(space: TextSpace) -> None:
    generator, texts, scores = small_generator(space), enumerate_texts(space), random_rewards(space)
    objective = MaliGAN(weight_clip=0, reduction="sum")
    result = weights_of(objective, generator, Judge(space, 3 * scores), texts, texts)
    right = (3 * scores).softmax(0) * len(texts) - 1
    assert same(result, right.unsqueeze(1) * texts.mask)
    assert abs(result[:, 0].sum()) < 1e-12
    started = MaliGAN(weight_clip=0, reduction="sum", baseline_start=0)
    result = weights_of(started, generator, Judge(space, 3 * scores), texts, texts)
    assert same(result[:, 0].mean(), 1 + ZERO)  # mean one before the baseline


def test_weights_of_rollouts_sum_to_zero_at_each_position(exact: None) -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    judge = Judge(FIXED, 3 * random_rewards(FIXED))
    objective = MaliGAN(variant="rollouts", weight_clip=0, reduction="sum")
    values = exact_rollouts(generator, texts, lambda text, _: judge(text).exp(), 1)
    weights = values / values.mean(0) - 1
    assert same(weights.sum(0), torch.zeros(3).double())
    right = -(weights * generator.log_prob(texts)).sum()
    loss, _ = objective.generator_loss(generator, judge, texts, texts, 0.0)
    assert same(loss, right)


@worlds
def test_a_finished_text_keeps_its_value_while_others_go_on(space: TextSpace, exact: None) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    judge = Judge(space, 3 * random_rewards(space))
    ratios = judge(texts).detach().exp()
    values = exact_rollouts(generator, texts, lambda text, _: judge(text).exp(), 1)
    means = torch.where(texts.mask, values, ratios.unsqueeze(1)).mean(0)
    right = -((values / means - 1) * generator.log_prob(texts))[texts.mask].sum()
    objective = MaliGAN(variant="rollouts", weight_clip=0, reduction="sum")
    loss, _ = objective.generator_loss(generator, judge, texts, texts, 0.0)
    assert same(loss, right)


@worlds
def test_weights_of_continuations_sum_to_zero_behind_each_prefix(space: TextSpace) -> None:
    generator, judge = small_generator(space), Judge(space, 3 * random_rewards(space))
    objective = MaliGAN(variant="full", samples=4, prefix_step=2, reduction="sum", weight_clip=0)
    real = enumerate_texts(space).repeat(4)
    fake = objective.sample(generator, real, 0.0)  # N = 1
    result = weights_of(objective, generator, judge, real, fake)
    ratio = judge(fake).detach().view(-1, 4).softmax(1) * 4 - 1
    assert ratio.abs().max() > 0.1
    assert same(ratio.sum(1), torch.zeros(len(ratio)).double())
    right = torch.cat([torch.ones(len(fake), 1), ratio.view(-1, 1).expand(-1, 2)], 1) * fake.mask
    assert same(result, right)


@worlds
@variants
def test_a_constant_discriminator_teaches_nothing(space: TextSpace, variant: Any) -> None:
    generator, real = small_generator(space), enumerate_texts(space)
    judge = Judge(space, torch.full((len(real),), 0.3).double())
    objective = MaliGAN(variant=variant, rollouts=4, samples=4, prefix_step=3)
    real = real.repeat(objective.group)
    fake = objective.sample(generator, real, 0.0)
    assert fake.prompt_length == 0
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
    assert gradient(loss, generator).abs().max() < 1e-14


# --- M3 and M4: the mixed variant between maximum likelihood and the basic one ---


@worlds
@pytest.mark.parametrize("reduction", ["sum", "mean_sentence", "mean_token"])
def test_with_whole_prefixes_it_is_mle(space: TextSpace, reduction: Any) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    objective = MaliGAN(variant="full", samples=3, reduction=reduction, baseline=0.3)
    real = texts.repeat(3)
    fake = Text(real.tokens, real.lengths, prompt_length=space.length)
    judge = Judge(space, 9 * random_rewards(space))
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.7)
    counts = {"sum": 1 / 3, "mean_sentence": len(texts), "mean_token": int(texts.lengths.sum())}
    right = -log_probs(generator, texts).sum() / counts[reduction]
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))
    if reduction == "mean_token":
        mle, _ = MLE().generator_loss(generator, judge, texts, texts, 0.0)
        assert same(loss, mle)


@worlds
def test_without_a_prefix_it_is_the_basic_variant(space: TextSpace) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    judge = Judge(space, 3 * random_rewards(space))
    full = MaliGAN(variant="full", samples=len(texts))
    loss, figures = full.generator_loss(generator, judge, texts, texts, 0.5)
    right, basic = MaliGAN().generator_loss(generator, judge, texts, texts, 0.5)
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))
    assert same(figures["ess"], basic["ess"])


@worlds
@pytest.mark.parametrize("given", [1, 2])
def test_the_prefix_is_taught_as_by_a_teacher(space: TextSpace, given: int) -> None:
    # M4: where the discriminator is indifferent only the prefix is left, and its term is that of
    # cross-entropy, log p and not p
    generator, texts = small_generator(space), enumerate_texts(space)
    judge = Judge(space, torch.zeros(len(texts)).double())
    objective = MaliGAN(variant="full", samples=2)
    real = texts.repeat(2)
    fake = Text(real.tokens, real.lengths, prompt_length=given)
    loss, figures = objective.generator_loss(generator, judge, real, fake, 0.0)
    logits = generator(texts)[:, :given].flatten(0, 1)
    each = torch.nn.functional.cross_entropy(
        logits, texts.tokens[:, :given].flatten(), reduction="none"
    )
    right = each[texts.mask[:, :given].flatten()].sum() / len(texts)
    assert same(gradient(loss, generator), gradient(right, generator), 1e-9)
    assert figures["given"] == given


def test_continuations_of_one_prefix_are_compared_and_no_others() -> None:
    space = FIXED
    generator, texts = small_generator(space), enumerate_texts(space)
    objective = MaliGAN(variant="full", samples=3, reduction="sum", weight_clip=0)
    real = texts[:4].repeat(3)
    assert objective.group == 3
    fake = Text(texts.tokens[:12], texts.lengths[:12], prompt_length=1)
    scores = 3 * random_rewards(space)
    before = weights_of(objective, generator, Judge(space, scores), real, fake)
    scores[4] += 2  # of one of the second group
    after = weights_of(objective, generator, Judge(space, scores), real, fake)
    changed = (before != after).any(1).nonzero().flatten()
    assert changed.tolist() == [3, 4, 5]


@worlds
def test_fakes_continue_the_texts_that_they_answer(space: TextSpace) -> None:
    generator, objective = small_generator(space), MaliGAN(variant="full", samples=5, prefix_step=1)
    real = enumerate_texts(space).repeat(objective.group)
    for progress, given in ((0.0, 2), (0.4, 1), (0.7, 0)):
        fake = objective.sample(generator, real, progress)
        assert fake.prompt_length == given
        assert torch.equal(fake.tokens[:, :given], real.tokens[:, :given])
        assert not fake.tokens.requires_grad
        finished = real.lengths <= given
        assert torch.equal(fake.tokens[finished], real.tokens[finished])
        assert torch.equal(fake.lengths[finished], real.lengths[finished])
        if given < space.length:
            going_on = ~finished
            groups = fake.tokens[going_on].view(-1, 5, space.length)
            assert (groups != groups[:, :1]).any()  # continuations differ
    for variant in ("basic", "rollouts"):
        assert MaliGAN(variant=variant).sample(generator, real, 0.0).prompt_length == 0
        assert MaliGAN(variant=variant).group == 1


def test_a_real_text_that_ended_in_its_prefix_is_taught_and_no_more() -> None:
    generator, judge = small_generator(VARIABLE), Judge(VARIABLE, 5 * random_rewards(VARIABLE))
    texts = enumerate_texts(VARIABLE)
    short = texts[texts.lengths <= 2]
    assert len(short) == 3
    objective = MaliGAN(variant="full", samples=4, prefix_step=1)
    real = short.repeat(4)
    fake = objective.sample(generator, real, 0.0)  # N = 2
    assert fake.prompt_length == 2
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
    right = -log_probs(generator, short).mean()
    assert same(loss, right)
    assert same(gradient(loss, generator), gradient(right, generator))


# --- what can be told ---


@pytest.mark.parametrize(("progress", "baseline"), [(0.0, 0.2), (0.5, 0.6), (1.0, 1.0)])
@variants
def test_the_baseline_moves_from_its_start_to_its_end(
    variant: Any, progress: float, baseline: float
) -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    judge = Judge(FIXED, torch.zeros(len(texts)).double())
    objective = MaliGAN(variant=variant, baseline_start=0.2, rollouts=2, samples=3, reduction="sum")
    result = weights_of(objective, generator, judge, texts, texts, progress)
    assert same(result, torch.full_like(result, 1 - baseline))


@variants
def test_no_weight_is_larger_than_the_clip(variant: Any) -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    scores = torch.zeros(len(texts)).double()
    scores[4] = 9.0
    judge = Judge(FIXED, scores)
    settings = {"variant": variant, "rollouts": 1, "samples": 27, "reduction": "sum"}
    clipped = MaliGAN(weight_clip=3, **settings)
    free = MaliGAN(weight_clip=0, **settings)
    torch.manual_seed(1)
    below = weights_of(clipped, generator, judge, texts, texts) + 1
    torch.manual_seed(1)
    above = weights_of(free, generator, judge, texts, texts) + 1
    assert above.max() > 20
    assert same(below, above.clamp(max=3))


@worlds
@variants
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sure", ["both", "real", "fake"])
def test_a_discriminator_that_is_sure_breaks_nothing(
    space: TextSpace, variant: Any, dtype: torch.dtype, sure: str
) -> None:
    generator, texts = small_generator(space).to(dtype), enumerate_texts(space)
    signs = torch.ones(len(texts))
    signs[::2] = -1
    scores = {"both": signs, "real": signs.abs(), "fake": -signs.abs()}[sure] * 1e4
    judge = Judge(space, scores.double()).to(dtype)
    objective = MaliGAN(variant=variant, samples=3, rollouts=2)
    real = texts.repeat(objective.group)
    for progress in (0.0, 0.5, 0.99):
        fake = objective.sample(generator, real, progress)
        loss, figures = objective.generator_loss(generator, judge, real, fake, progress)
        assert loss.isfinite()
        assert gradient(loss, generator).isfinite().all()
        assert all(figure.isfinite() for figure in figures.values())
        limit = objective.weight_clip * log_probs(generator, fake).abs().max()
        assert loss.abs() <= limit


@worlds
@variants
def test_no_gradient_reaches_the_discriminator_or_the_padding(
    space: TextSpace, variant: Any
) -> None:
    generator, judge = small_generator(space), small_discriminator(space)
    objective = MaliGAN(variant=variant, rollouts=1, samples=3, prefix_step=2)
    real = enumerate_texts(space).repeat(objective.group)
    fake = objective.sample(generator, real, 0.0)
    loss, _ = objective.generator_loss(generator, judge, real, fake, 0.0)
    loss.backward()
    assert all(parameter.grad is None for parameter in judge.parameters())
    result = weights_of(objective, generator, judge, real, fake)
    assert not result[~fake.mask].any()
    if variant == "rollouts" or space.eos is None:
        return  # completions are drawn at random; a text of fixed length has no padding
    wide = fake.pad_to(5)
    padded, _ = objective.generator_loss(generator, judge, real.pad_to(5), wide, 0.0)
    assert same(loss.detach(), padded.detach())


@pytest.mark.parametrize("length", range(1, 41))
def test_the_prefix_falls_from_the_first_step_to_nothing(length: int) -> None:
    for step in range(1, 46):
        stages = -(-length // step)
        for rounds in {stages, stages + 1, 2 * stages, 200}:
            result = [prefix_length(length, step, index / rounds) for index in range(rounds)]
            assert result[0] == max(0, length - step)
            assert result[-1] == 0 or rounds < stages
            falls = [before - after for before, after in pairwise(result)]
            assert all(fall >= 0 for fall in falls)
            if rounds == stages:  # one round a stage: every stage is seen, and N falls by K
                assert result == [max(0, length - step * (1 + index)) for index in range(stages)]
            if rounds >= stages:  # no stage is skipped
                assert all(fall <= step for fall in falls)
        assert prefix_length(length, step, 1.0) == 0


@worlds
def test_the_discriminator_minimises_cross_entropy(space: TextSpace) -> None:
    judge, texts = small_discriminator(space), enumerate_texts(space)
    real, fake = texts[:6], texts[6:12]
    loss, figures = MaliGAN().discriminator_loss(judge, real, fake)
    right = -(judge(real).sigmoid().log().mean() + (1 - judge(fake).sigmoid()).log().mean()) / 2
    assert same(loss, right)
    assert figures == {}


@worlds
def test_what_is_logged(space: TextSpace) -> None:
    generator, texts, scores = small_generator(space), enumerate_texts(space), random_rewards(space)
    _, figures = MaliGAN().generator_loss(generator, Judge(space, scores), texts, texts, 0.0)
    assert figures.keys() == {"reward", "ess", "given"}
    assert same(figures["reward"], scores.sigmoid().mean())
    shares = scores.softmax(0)
    assert same(figures["ess"], 1 / shares.square().sum() / len(texts))
    even = Judge(space, torch.zeros(len(texts)).double())
    assert same(MaliGAN().generator_loss(generator, even, texts, texts, 0.0)[1]["ess"], 1 + ZERO)


def test_uniform_rewards_of_a_uniform_generator_are_the_textbook_case() -> None:
    # by hand: two texts of which one is three times as real as the other
    generator, space = Uniform(FIXED), FIXED
    texts = enumerate_texts(space)[:2]
    scores = torch.zeros(27).double()
    scores[1] = torch.tensor(3.0).double().log()
    result = weights_of(
        MaliGAN(reduction="mean_sentence"), generator, Judge(space, scores), texts, texts
    )
    assert same(result[:, 0], torch.tensor([-0.25, 0.25]).double())


# --- sources ---


class Partial(Discriminator):
    """Scores that are known of each text and source, and a number added for each source."""

    def __init__(self, added: list[float]) -> None:
        super().__init__(ANSWERS)
        self.added = torch.tensor(added, dtype=torch.float64)

    def features(self, text: Text) -> Tensor:
        raise NotImplementedError

    def forward(self, text: Text) -> Tensor:
        first = text.condition.require_source().tokens[:, 0]
        own = (text_keys(text) % 1013 + 500 * first) % 1013
        return own.double() / 300 + self.added[first]


@pytest.mark.parametrize("variant", ["basic", "rollouts", "full"])
def test_weights_are_relative_to_texts_of_the_same_source(variant: Any, exact: None) -> None:
    """So that it is no matter which sources a discriminator prefers."""
    generator, n = answering(), 6
    texts = concatenate([all_answers(which)[5 : 5 + n] for which in (0, 1)])
    objective = MaliGAN(variant=variant, samples=n, weight_clip=0.0)
    objective.connect(generator, small_discriminator(ANSWERS), texts)
    assert objective.group == n
    weights = []
    for added in (0.0, 3.0, -40.0):
        given = (generator, Partial([0, added, 0, 0]), texts, texts, 0.0)
        weights += weights_given(maligan, partial(objective.generator_loss, *given))
    assert same(weights[0], weights[1]) and same(weights[0], weights[2], 1e-9)
    # by mean 1 over each source, less a baseline of 1
    totals = torch.where(texts.mask, weights[0], 0.0)
    if variant != "rollouts":
        assert same(totals[:, 0].view(2, n).sum(1), torch.zeros(2).double())
        ratio = Partial([0, 0, 0, 0])(texts).view(2, n).softmax(1) * n - 1
        assert same(totals[:, 0], ratio.flatten())
    assert totals[:, 0].view(2, n).std(1).min() > 0.1


def test_without_sources_weights_are_relative_to_the_batch() -> None:
    objective = MaliGAN()
    objective.connect(small_generator(FIXED), small_discriminator(FIXED), enumerate_texts(FIXED))
    assert objective.group == 1
