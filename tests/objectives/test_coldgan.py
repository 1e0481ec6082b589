"""ColdGAN: texts of a colder policy, their importance weights, and the memory."""

from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import assert_resumes
from torch import Tensor
from toys import TOY, TOY_TEXT, toy_text
from worlds import (
    FIXED,
    VARIABLE,
    agree,
    assert_padding_changes_no_loss,
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

import textgan
from textgan.core.errors import UserError
from textgan.core.tensors import load_tensors
from textgan.data.text import Condition, Text, TextSpace, concatenate
from textgan.losses import logistic
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.objectives.coldgan import ColdGAN, cautious, log_ratio, nucleus_of
from textgan.training.checkpoint import checkpoints

policies = pytest.mark.parametrize(
    ("temperature", "epsilon"), [(0.5, 0.0), (0.5, 0.3), (0.7, 0.1), (1.0, 0.0), (0.3, 1.0)]
)


def mixture(logits: Tensor, temperature: float, epsilon: float, nucleus: float = 1.0) -> Tensor:
    """Chances (..., V) of the tokens."""
    cold = (logits / temperature).exp()
    if nucleus < 1:
        for row in cold.view(-1, cold.shape[-1]):
            row /= row.sum()
            kept = 0.0
            for token in sorted(range(len(row)), key=lambda token: -float(row[token])):
                if kept >= nucleus:
                    row[token] = 0
                kept += float(row[token])
    warm = logits.exp()
    return (1 - epsilon) * cold / cold.sum(-1, keepdim=True) + epsilon * warm / warm.sum(
        -1, keepdim=True
    )


def cold_probabilities(
    generator: AutoregressiveGenerator, texts: Text, temperature: float, epsilon: float
) -> Tensor:
    """H of every sentence, (B,)."""
    each = mixture(generator(texts).detach().clamp(min=-700), temperature, epsilon)
    chosen = each.gather(2, texts.tokens.unsqueeze(2)).squeeze(2)
    return torch.where(texts.mask, chosen, 1.0).prod(1)


# --- the policy ---


@policies
def test_tokens_are_drawn_from_the_mixture(temperature: float, epsilon: float) -> None:
    logits = torch.tensor([[1.0, -0.5, 2.0, -1e9, 0.3]], dtype=torch.float64)
    drawn = cautious(temperature, epsilon)(logits.repeat(20_000, 1))
    assert agree(drawn.bincount(minlength=5), mixture(logits, temperature, epsilon)[0])


@worlds
@policies
def test_texts_are_drawn_from_the_mixture(
    space: TextSpace, temperature: float, epsilon: float
) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    chances = cold_probabilities(generator, texts, temperature, epsilon)
    assert same(chances.sum(), torch.ones((), dtype=torch.float64), 1e-9)
    objective = ColdGAN(temperature=temperature, epsilon=epsilon)
    fake = objective.sample(generator, texts.repeat(400), 0.0)
    assert agree(counts_of(fake, space), chances)


@policies
def test_a_ratio_is_the_policys_over_the_mixture(temperature: float, epsilon: float) -> None:
    logits = 3 * torch.randn(4, 6, 5, dtype=torch.float64)
    tokens = torch.randint(5, (4, 6))
    right = logits.softmax(2) / mixture(logits, temperature, epsilon)
    result = log_ratio(logits, tokens, temperature, epsilon).exp()
    assert same(result, right.gather(2, tokens.unsqueeze(2)).squeeze(2))
    if epsilon:
        assert (result <= 1 / epsilon + 1e-12).all()


nuclei = pytest.mark.parametrize(
    ("temperature", "epsilon", "nucleus"),
    [(0.5, 0.3, 0.9), (0.7, 0.1, 0.6), (1.0, 0.2, 0.7), (0.5, 0.4, 1e-6), (0.3, 1.0, 0.5)],
)


@nuclei
def test_a_nucleus_is_drawn_and_weighted_as_it_is(
    temperature: float, epsilon: float, nucleus: float
) -> None:
    logits = torch.tensor([[1.0, -0.5, 2.0, -1e9, 0.3]], dtype=torch.float64)
    drawn = cautious(temperature, epsilon, nucleus)(logits.repeat(20_000, 1))
    chances = mixture(logits, temperature, epsilon, nucleus)[0]
    assert agree(drawn.bincount(minlength=5), chances)
    tokens = torch.tensor([[0, 1, 2, 4]])
    rows = logits.repeat(4, 1).unsqueeze(0)
    result = log_ratio(rows, tokens, temperature, epsilon, nucleus).exp()
    right = logits.softmax(1)[0, tokens] / chances[tokens]
    assert same(result, right, 1e-10)
    assert (result <= 1 / epsilon + 1e-12).all()
    assert same((chances[tokens] * result).sum(), torch.ones((), dtype=torch.float64), 1e-10)


def test_a_nucleus_is_as_small_as_it_can_be() -> None:
    chances = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.125, 0.125, 0.5, 0.25]]).double()

    def kept(share: float) -> list[list[int]]:
        return [row.nonzero().flatten().tolist() for row in nucleus_of(chances.log(), share)]

    assert kept(0.4) == kept(0.5) == [[0], [2]]
    assert kept(0.6) == kept(0.75) == [[0, 1], [2, 3]]
    assert kept(0.8) == [[0, 1, 2], [0, 2, 3]]  # of equals the first
    assert kept(0.9) == kept(1.0) == [[0, 1, 2, 3], [0, 1, 2, 3]]


@pytest.mark.torch_random
@worlds
@nuclei
def test_with_a_nucleus_it_climbs_the_same_reward(
    space: TextSpace, temperature: float, epsilon: float, nucleus: float
) -> None:
    generator, judge = small_generator(space), small_discriminator(space)
    texts = enumerate_texts(space)
    each = mixture(generator(texts).detach().clamp(min=-700), temperature, epsilon, nucleus)
    chosen = each.gather(2, texts.tokens.unsqueeze(2)).squeeze(2)
    chances = torch.where(texts.mask, chosen, 1.0).prod(1)
    assert same(chances.sum(), torch.ones((), dtype=torch.float64), 1e-9)
    objective = ColdGAN(
        temperature=temperature, epsilon=epsilon, nucleus=nucleus, clip=0, baseline="none", replay=0
    )
    fake = objective.sample(generator, texts.repeat(400), 0.0)
    assert agree(counts_of(fake, space), chances)
    right = climbed(generator, judge)
    assert right.abs().max() > 1e-3
    assert same(-gradient(expected(objective, generator, judge, chances), generator), right, 1e-10)


def test_a_nucleus_without_epsilon_is_refused_in_one_line(tmp_path: Path) -> None:
    settings = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
    settings |= {"objective.nucleus": 0.9, "objective.epsilon": 0.0}
    with pytest.raises(UserError) as refused:
        textgan.train("coldgan", out=tmp_path / "run", quiet=True, **settings)
    assert "nucleus = 0.9 needs an epsilon above 0" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


# --- the generator ---


def expected(
    objective: ColdGAN, generator: AutoregressiveGenerator, judge: Any, chances: Tensor
) -> Tensor:
    """The mean of the loss of one text."""
    texts = enumerate_texts(generator.space)
    total = torch.zeros((), dtype=torch.float64)
    for i, chance in enumerate(chances):
        text = texts[i : i + 1]
        total = total + chance * objective.generator_loss(generator, judge, text, text, 0.0)[0]
    return total


def climbed(generator: AutoregressiveGenerator, judge: Any) -> Tensor:
    """The gradient of the expected D."""
    texts = enumerate_texts(generator.space)
    rewards = judge(texts).sigmoid().detach()
    return gradient((log_probs(generator, texts).exp() * rewards).sum(), generator)


@pytest.mark.torch_random
@worlds
@policies
def test_it_climbs_the_expected_reward_of_the_generator_itself(
    space: TextSpace, temperature: float, epsilon: float
) -> None:
    generator, judge = small_generator(space), small_discriminator(space)
    chances = cold_probabilities(generator, enumerate_texts(space), temperature, epsilon)
    objective = ColdGAN(temperature=temperature, epsilon=epsilon, clip=0, baseline="none", replay=0)
    right = climbed(generator, judge)
    assert right.abs().max() > 1e-3
    assert same(-gradient(expected(objective, generator, judge, chances), generator), right, 1e-10)


@worlds
def test_the_batch_baseline_leaves_what_is_climbed(space: TextSpace) -> None:
    generator, judge, texts = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = ColdGAN(temperature=0.5, epsilon=0.2, clip=0, replay=0)
    chances = cold_probabilities(generator, texts, 0.5, 0.2)
    total = torch.zeros((), dtype=torch.float64)
    for first in range(len(texts)):
        for second in range(first, len(texts)):
            pair = texts[torch.tensor([first, second])]
            ways = 1 if first == second else 2
            loss, _ = objective.generator_loss(generator, judge, pair, pair, 0.0)
            total = total + ways * chances[first] * chances[second] * loss
    assert same(-gradient(total, generator), climbed(generator, judge), 1e-10)


@worlds
@pytest.mark.parametrize(("temperature", "epsilon"), [(1.0, 0.0), (1.0, 0.4), (0.2, 1.0)])
def test_without_cold_it_is_reinforce(space: TextSpace, temperature: float, epsilon: float) -> None:
    generator, judge, texts = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = ColdGAN(temperature=temperature, epsilon=epsilon, baseline="none")
    loss, metrics = objective.generator_loss(generator, judge, texts, texts, 0.0)
    rewards = judge(texts).sigmoid().detach()
    assert same(loss, -(rewards * log_probs(generator, texts)).mean())
    assert same(metrics["weight"], torch.ones((), dtype=torch.float64))
    assert metrics["clipped"] == 0
    assert same(metrics["reward"], rewards.mean())


@worlds
@pytest.mark.parametrize("reduction", ["sum", "mean_sentence", "mean_token"])
def test_large_weights_are_clipped(space: TextSpace, reduction: Any) -> None:
    generator, judge, texts = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    ratios = probabilities(generator, texts) / cold_probabilities(generator, texts, 0.4, 0.1)
    clip = 1.01 * float(ratios.median())
    objective = ColdGAN(temperature=0.4, epsilon=0.1, clip=clip, reduction=reduction)
    loss, metrics = objective.generator_loss(generator, judge, texts, texts, 0.0)
    rewards = judge(texts).sigmoid().detach()
    others = (rewards.sum() - rewards) / (len(texts) - 1)
    weights = torch.minimum(ratios, torch.full_like(ratios, clip)) * (rewards - others)
    count = {"sum": 1, "mean_sentence": len(texts), "mean_token": int(texts.lengths.sum())}[
        reduction
    ]
    assert same(loss, -(weights * log_probs(generator, texts)).sum() / count, 1e-10)
    assert same(metrics["clipped"], (ratios > clip).double().mean())
    assert 0.3 < metrics["clipped"] < 0.7


@worlds
def test_a_constant_discriminator_teaches_nothing_on_average(space: TextSpace) -> None:
    generator, judge = small_generator(space), small_discriminator(space)
    torch.nn.init.zeros_(judge.output.weight)
    torch.nn.init.constant_(judge.output.bias, 0.4)
    objective = ColdGAN(temperature=0.5, epsilon=0.2, clip=0, baseline="none")
    chances = cold_probabilities(generator, enumerate_texts(space), 0.5, 0.2)
    assert gradient(expected(objective, generator, judge, chances), generator).abs().max() < 1e-12


def test_padding_changes_no_loss() -> None:
    objectives = [ColdGAN(reduction=name) for name in ("sum", "mean_sentence", "mean_token")]
    judge = small_discriminator(VARIABLE)
    assert_padding_changes_no_loss(objectives, small_generator(VARIABLE), judge)


@worlds
def test_each_loss_reaches_its_own_network_alone(space: TextSpace) -> None:
    generator, judge, texts = (
        small_generator(space),
        small_discriminator(space),
        enumerate_texts(space),
    )
    objective = ColdGAN()
    loss, metrics = objective.generator_loss(generator, judge, texts, texts, 0.0)
    loss.backward()
    assert not any(value.requires_grad for value in (*metrics.values(), *objective.state.values()))
    assert all(part.grad is None for part in judge.parameters())
    trained = [part for part in generator.parameters() if part.requires_grad]
    assert all(part.grad is not None and part.grad.any() for part in trained)
    generator.zero_grad()
    objective.discriminator_loss(judge, texts[:5], texts[5:])[0].backward()
    assert all(part.grad is not None and part.grad.any() for part in judge.parameters())
    assert all(part.grad is None for part in generator.parameters())


# --- the memory ---


def rows(text: Text) -> set[tuple[int, ...]]:
    return {tuple(row) for row in text.tokens.tolist()}


@worlds
def test_the_discriminator_sees_remembered_fakes(space: TextSpace) -> None:
    judge, texts = small_discriminator(space), enumerate_texts(space)
    real, fake, old = texts[:4], texts[10:14], texts[:6]  # of all sizes
    assert space.eos is None or len(old.lengths.unique()) == 3
    objective = ColdGAN(replay=0.5, remembered=6)
    first, _ = objective.discriminator_loss(judge, real, fake)
    assert same(first, logistic(judge(real), judge(fake)))  # nothing to remember yet
    objective.on_fakes(old)
    state, before = torch.get_rng_state(), {k: v.clone() for k, v in objective.state.items()}
    loss, _ = objective.discriminator_loss(judge, real, fake)
    shown = objective.replayed(fake)
    assert len(shown) == 4
    assert same(shown.tokens[:2], fake.tokens[:2])
    assert len(rows(shown[2:])) == 2
    assert rows(shown[2:]) <= rows(old)
    assert same(loss, logistic(judge(real), judge(shown)))
    # the sizes are those of the texts
    assert all(
        any(
            torch.equal(row.tokens, was.tokens) and row.lengths == was.lengths
            for was in old.split(1)
        )
        for row in shown[2:].split(1)
    )
    # pure: the same again, and nothing drawn or remembered
    assert torch.equal(objective.discriminator_loss(judge, real, fake)[0], loss)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(objective.state[name], before[name]) for name in before)


def test_different_batches_see_different_memories() -> None:
    texts = enumerate_texts(FIXED)
    objective = ColdGAN(replay=0.5, remembered=20)
    objective.on_fakes(texts[:20])
    shown = [objective.replayed(texts[start : start + 2])[1:] for start in range(20, 26)]
    assert len(rows(concatenate(shown))) > 2


def test_the_memory_forgets_at_random() -> None:
    texts = enumerate_texts(FIXED)
    objective = ColdGAN(remembered=10)
    for number, part in enumerate(texts[:24].split(4)):
        before = dict(objective.state)
        old = rows(Text.full(objective.state["tokens"])) if number else set()
        objective.on_fakes(part)
        now = rows(Text.full(objective.state["tokens"]))
        assert len(objective.state["tokens"]) == len(now) == min(10, 4 * (number + 1))
        assert rows(part) <= now <= old | rows(part)
    assert set(objective.state) == {"tokens", "sizes"}
    ways = set()  # which of the old ones stay is a matter of luck
    for _ in range(5):
        objective.state = dict(before)
        objective.on_fakes(part)
        ways.add(frozenset(rows(Text.full(objective.state["tokens"]))))
    assert len(ways) > 1
    objective.on_fakes(texts[:15])  # more than it holds
    assert same(objective.state["tokens"], texts.tokens[5:15])


def test_without_replay_nothing_is_remembered() -> None:
    texts = enumerate_texts(FIXED)
    objective = ColdGAN(replay=0)
    objective.on_fakes(texts)
    assert objective.state == {}


def test_pairs_that_do_not_fit_are_refused() -> None:
    generator, judge, texts = (
        small_generator(FIXED),
        small_discriminator(FIXED),
        enumerate_texts(FIXED),
    )
    ColdGAN().connect(generator, judge, texts)
    with pytest.raises(ValueError, match="coldgan needs a discriminator"):
        ColdGAN().connect(generator, None, texts)
    for settings in ({"temperature": 0.0}, {"epsilon": 1.1}, {"replay": 1.0}, {"clip": -1.0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            ColdGAN(**settings)


# --- together ---


@pytest.mark.parametrize("words", [False, True], ids=["oracle", "text"])
def test_stopped_and_resumed_is_bit_identical(
    words: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = TOY_TEXT | {"data.file": str(toy_text(tmp_path))} if words else TOY
    settings = {key: value for key, value in toy.items() if not key.startswith("objective.")}
    settings |= {"objective.remembered": 12, "objective.replay": 0.5, "schedule.rounds": 4}
    whole = assert_resumes("coldgan", tmp_path, monkeypatch, before_end=20, **settings)
    tensors, _ = load_tensors(checkpoints(whole)[-1])
    assert tensors["objective.tokens"].shape[0] == 12


def test_remembered_fakes_keep_their_labels() -> None:
    space = TextSpace(3, 3, classes=2)
    generator, judge = small_generator(space), small_discriminator(space)
    texts = enumerate_texts(space)
    real = Text(texts.tokens, texts.lengths, condition=Condition(texts.tokens[:, 0] % 2))
    objective = ColdGAN(replay=0.5, remembered=20)
    objective.connect(generator, judge, real)
    for _ in range(3):
        # what is written says what its label is, so that a mixture would show
        fake = Text(real.tokens, real.lengths, condition=real.condition)
        objective.on_fakes(fake)
    assert len(objective.state["labels"]) == 20
    assert torch.equal(objective.state["labels"], objective.state["tokens"][:, 0] % 2)
    shown = objective.replayed(real)
    assert len(shown) == len(real)
    assert torch.equal(shown.labels, shown.tokens[:, 0] % 2)  # type: ignore[arg-type]
    assert objective.discriminator_loss(judge, real, real)[0].isfinite()


def test_remembered_fakes_keep_their_sources() -> None:
    texts = enumerate_texts(FIXED)
    # what is written is its source backwards, so that a mixture would show
    source = Text.full(texts.tokens.flip(1))
    fake = Text(texts.tokens, texts.lengths, condition=Condition(source=source))
    objective = ColdGAN(replay=0.5, remembered=20)
    objective.on_fakes(fake)
    objective.on_fakes(fake)
    assert len(objective.state["source.tokens"]) == 20
    shown = objective.replayed(fake)
    assert shown.source is not None
    assert torch.equal(shown.source.tokens, shown.tokens.flip(1))
    assert torch.equal(shown.source.lengths, shown.lengths)
