"""SentiGAN by enumeration: two classes and none, texts of fixed and of variable length."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from worlds import (
    FIXED,
    VARIABLE,
    Uniform,
    agree,
    counts_of,
    enumerate_texts,
    gradient,
    log_probs,
    probabilities,
    same,
    small_discriminator,
    small_generator,
)

from textgan.core.optim import Reduction
from textgan.data.text import Condition, Text, TextSpace, concatenate
from textgan.losses import logistic, policy_gradient
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.rollout import roll_out
from textgan.objectives import sentigan
from textgan.objectives.sentigan import SentiGAN
from textgan.training.monitor import accuracy

TWO = (replace(FIXED, classes=2), replace(VARIABLE, classes=2))
worlds = pytest.mark.parametrize(
    "space", [*TWO, FIXED, VARIABLE], ids=["fixed", "variable", "fixed-k1", "variable-k1"]
)
labelled_worlds = pytest.mark.parametrize("space", TWO, ids=["fixed", "variable"])


class Table(Discriminator):
    """A discriminator whose score of each text of the space (N) as one of each class is given."""

    def __init__(self, space: TextSpace, scores: Tensor) -> None:
        super().__init__(space)
        self.radix = space.vocabulary ** torch.arange(space.length)
        table = torch.full((space.vocabulary**space.length, scores.shape[1]), torch.nan).double()
        table[enumerate_texts(space).tokens @ self.radix] = scores
        self.scores = nn.Parameter(table)

    def features(self, text: Text) -> Tensor:
        raise NotImplementedError

    def logits(self, text: Text) -> Tensor:
        return self.scores[text.tokens[:, : self.space.length] @ self.radix].unsqueeze(1)

    def output_penalty(self) -> Tensor:
        return torch.zeros(()).double()


def of_class(texts: Text, label: int) -> Text:
    return replace(texts, condition=Condition(torch.full_like(texts.lengths, label)))


def by_class(space: TextSpace) -> list[Text]:
    """Every text of the space as one of each class; once and without labels where none are."""
    texts = enumerate_texts(space)
    return [of_class(texts, label) for label in range(space.classes)] or [texts]


def some_scores(space: TextSpace, seed: int = 0) -> Tensor:
    """Arbitrary scores (N, k), those of the second class higher."""
    random = torch.Generator().manual_seed(seed)
    shape = (len(enumerate_texts(space)), max(1, space.classes))
    return torch.randn(shape, generator=random).double() + torch.arange(shape[1])


def penalties_of(scores: Tensor) -> Tensor:
    """1 - D (N, k), D the softmax over the classes' scores and 0 for fake, written out."""
    return 1 - scores.exp() / (1 + scores.exp().sum(1, keepdim=True))


def chances_of_prefixes(generator: AutoregressiveGenerator, texts: Text, t: int) -> Tensor:
    """(N, N): how probable text j is, given that it begins as text i does up to token t."""
    begins = (texts.tokens[:, None, : t + 1] == texts.tokens[None, :, : t + 1]).all(2)
    weights = begins * probabilities(generator, texts)
    return weights / weights.sum(1, keepdim=True)


def brute_force(generator: AutoregressiveGenerator, space: TextSpace, scores: Tensor) -> Tensor:
    """sum over classes and texts of P(y) sum_t V(s_t, y_t) G(y_t | s_t), P and V constants."""
    total = torch.zeros(()).double()
    for texts, penalties in zip(by_class(space), penalties_of(scores).t(), strict=True):
        token = generator.log_prob(texts).exp()
        for t in range(space.length):
            value = chances_of_prefixes(generator, texts, t) @ penalties
            terms = probabilities(generator, texts) * value * token[:, t]
            total = total + terms[texts.lengths > t].sum()
    return total


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rollouts give exact values: the reward of every text of the class, rightly weighted."""

    def values(
        generator: AutoregressiveGenerator,
        fake: Text,
        reward: Callable[[Text, Tensor], Tensor],
        n: int,
        chunk: int,
    ) -> Tensor:
        rows = []
        for i in range(len(fake)):
            one = fake[i : i + 1]
            texts = enumerate_texts(generator.space)
            if one.labels is not None:
                texts = of_class(texts, int(one.labels))
            scores = reward(texts, torch.zeros_like(texts.lengths))
            at = int((texts.tokens == one.tokens[:, : texts.tokens.shape[1]]).all(1).nonzero())
            rows.append(
                torch.stack(
                    [
                        chances_of_prefixes(generator, texts, t)[at] @ scores
                        for t in range(texts.tokens.shape[1])
                    ]
                )
            )
        result = torch.stack(rows).detach() * fake.mask[:, : generator.space.length]
        return F.pad(result, (0, fake.tokens.shape[1] - result.shape[1]))

    monkeypatch.setattr(sentigan, "rollout_values", values)


# --- the generator ---


@worlds
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_expected_gradient_is_that_of_the_penalised_probabilities(
    space: TextSpace, name: str, exact: None
) -> None:
    generator, scores = small_generator(space, name), some_scores(space)
    judge, objective = Table(space, scores), SentiGAN()
    expected = torch.zeros(()).double()
    for texts in by_class(space):
        for i, chance in enumerate(probabilities(generator, texts)):
            text = texts[i : i + 1]
            expected = (
                expected + chance * objective.generator_loss(generator, judge, text, text, 0.0)[0]
            )
    right = brute_force(generator, space, scores)
    assert same(expected, right)
    assert same(gradient(expected, generator), gradient(right, generator))


@worlds
def test_sampled_fakes_and_rollouts_have_that_gradient(space: TextSpace) -> None:
    generator, scores = small_generator(space), some_scores(space)
    objective = SentiGAN(rollouts=2)
    real = concatenate(by_class(space)).repeat(400)
    fake = objective.sample(generator, real, 0.0)
    loss, _ = objective.generator_loss(generator, Table(space, scores), fake, fake, 0.0)
    result = gradient(loss, generator) / len(real) * max(1, space.classes)
    right = gradient(brute_force(generator, space, scores), generator)
    assert torch.cosine_similarity(result, right, 0) > 0.98
    assert abs((result.norm() / right.norm()).item() - 1) < 0.1


@labelled_worlds
def test_it_is_reinforce_for_minus_the_penalty_times_the_probability(
    space: TextSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """grad G = G grad log G."""
    generator, judge = small_generator(space), small_discriminator(space)
    fake = concatenate(by_class(space))
    values = torch.rand(fake.tokens.shape, dtype=torch.float64)
    monkeypatch.setattr(sentigan, "rollout_values", lambda *_: values)
    reductions: tuple[Reduction, ...] = ("sum", "mean_sentence", "mean_token")
    for reduction in reductions:
        loss, _ = SentiGAN(reduction=reduction).generator_loss(generator, judge, fake, fake, 0.0)
        log_prob = generator.log_prob(fake)
        as_reward = policy_gradient(log_prob, -values * log_prob.exp(), fake.mask, reduction)
        assert same(gradient(loss, generator), gradient(as_reward, generator))


@labelled_worlds
def test_what_is_penalised_more_becomes_less_probable(space: TextSpace, exact: None) -> None:
    texts = enumerate_texts(space)
    bad = texts.tokens[:, 0] == 2
    scores = torch.where(bad, -2.0, 2.0).double().unsqueeze(1).repeat(1, 2)
    generator, fake = Uniform(space), of_class(texts, 1)
    loss, _ = SentiGAN().generator_loss(generator, Table(space, scores), fake, fake, 0.0)
    before = probabilities(generator, texts)[bad].sum()
    with torch.no_grad():
        generator.bias.sub_(0.01 * torch.autograd.grad(loss, generator.bias)[0])
    after = probabilities(generator, texts)[bad].sum()
    assert after < before


def test_the_rest_point_is_one_over_the_penalty() -> None:
    """After one prefix, sum_y V G^2 / 2 is least where V G is the same for all tokens."""
    space = TextSpace(3, 1)
    generator, scores = Uniform(space), torch.tensor([[-1.0], [0.5], [2.0]]).double()
    texts, penalties = enumerate_texts(space), penalties_of(scores)[:, 0]

    def pull() -> Tensor:
        chances = probabilities(generator, texts)
        losses = [
            SentiGAN().generator_loss(generator, Table(space, scores), text, text, 0.0)[0]
            for text in (texts[i : i + 1] for i in range(3))
        ]
        return torch.autograd.grad(torch.stack(losses) @ chances, generator.bias)[0]

    assert pull().abs().max() > 1e-2
    with torch.no_grad():
        generator.bias.copy_(-penalties.log())
    assert pull().abs().max() < 1e-12


@pytest.mark.parametrize("certain", [0, 1])
@labelled_worlds
def test_each_text_pays_the_penalty_of_its_own_class(space: TextSpace, certain: int) -> None:
    generator, texts = small_generator(space), enumerate_texts(space)
    scores = torch.zeros(len(texts), 2).double()
    scores[:, certain] = 2.0  # constant, so that nothing is left to luck
    judge, objective = Table(space, scores), SentiGAN(rollouts=1)
    total = 2 + torch.tensor(2.0).double().exp()
    for label, penalty in ((certain, 2 / total), (1 - certain, (total - 1) / total)):
        fake = of_class(texts, label)
        loss, metrics = objective.generator_loss(generator, judge, fake, fake, 0.0)
        token = generator.log_prob(fake).exp()
        assert same(loss, penalty * token[fake.mask].sum())
        assert same(metrics["penalty"], penalty)
        assert same(metrics["reward"], 1 - penalty)
        assert same(metrics["probability"], token[fake.mask].mean().detach())
        assert not any(value.requires_grad for value in metrics.values())


def test_without_labels_there_is_one_class() -> None:
    generator, texts = small_generator(FIXED), enumerate_texts(FIXED)
    judge = small_discriminator(FIXED)
    _, metrics = SentiGAN(rollouts=1).generator_loss(generator, judge, texts, texts, 0.0)
    assert same(metrics["reward"], judge(texts).sigmoid().mean().detach())


@labelled_worlds
def test_completions_are_of_the_class_of_their_prefix(space: TextSpace) -> None:
    generator = small_generator(space)
    assert isinstance(generator, LSTMGenerator)
    generator.classes.weight.data *= 5  # so that classes differ enough to be told by counting
    torch.manual_seed(0)
    texts = by_class(space)
    chances = [chances_of_prefixes(generator, of, 0)[-1] for of in texts]  # given the first token
    fake = concatenate([of[-1:] for of in texts])
    grown = roll_out(generator, fake, 3000)
    assert grown.text.labels is not None
    assert fake.labels is not None
    assert torch.equal(grown.text.labels, fake.labels[grown.origin])
    for label in (0, 1):
        rows = (grown.origin == label) & (grown.kept == 1)
        counts = counts_of(grown.text[rows], space)
        assert agree(counts, chances[label])
        assert not agree(counts, chances[1 - label])


def test_padding_changes_nothing() -> None:
    space = TWO[1]
    generator, judge = small_generator(space), small_discriminator(space)
    nn.init.zeros_(judge.output.weight)
    nn.init.constant_(judge.output.bias, 0.4)
    fake = concatenate(by_class(space))
    longer = fake.pad_to(5)
    reductions: tuple[Reduction, ...] = ("sum", "mean_sentence", "mean_token")
    for reduction in reductions:
        objective = SentiGAN(rollouts=2, reduction=reduction)
        plain, figures = objective.generator_loss(generator, judge, fake, fake, 0.0)
        padded, padded_figures = objective.generator_loss(generator, judge, longer, longer, 0.0)
        assert same(plain, padded)
        assert same(gradient(plain, generator), gradient(padded, generator))
        assert all(same(figures[name], padded_figures[name]) for name in figures)
        plain, _ = objective.discriminator_loss(judge, fake[:9], fake[9:])
        padded, _ = objective.discriminator_loss(judge, longer[:9], longer[9:])
        assert same(gradient(plain, judge), gradient(padded, judge))


@labelled_worlds
def test_each_class_learns_to_write_what_is_real_in_it(space: TextSpace) -> None:
    torch.manual_seed(0)
    generator, texts = small_generator(space), enumerate_texts(space)
    # as one of class 0 a text is real if its first token is 2, as one of class 1 if it is 3 or 0
    other = space.vocabulary - 1 if space.eos is not None else 0
    wanted = torch.stack([texts.tokens[:, 0] == 2, texts.tokens[:, 0] == other], 1)
    judge, objective = Table(space, torch.where(wanted, 3.0, -3.0).double()), SentiGAN(rollouts=2)
    real = concatenate(by_class(space))

    def share(label: int, column: int) -> float:
        return float(probabilities(generator, of_class(texts, label)) @ wanted[:, column].double())

    before = [share(0, 0), share(1, 1)]
    trained = [part for part in generator.parameters() if part.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=0.1)
    for _ in range(40):
        fake = objective.sample(generator, real, 0.0)
        optimiser.zero_grad()
        objective.generator_loss(generator, judge, real, fake, 0.0)[0].backward()
        optimiser.step()
    after = [share(0, 0), share(1, 1)]
    assert all(1 - new < (1 - old) / 2 for new, old in zip(after, before, strict=True))
    assert share(0, 1) < 0.3
    assert share(1, 0) < 0.3


# --- the discriminator ---


def text_labels(texts: Text) -> Tensor:
    return torch.zeros_like(texts.lengths) if texts.labels is None else texts.labels


@worlds
@pytest.mark.parametrize("name", ["cnn", "rnn"])
def test_the_discriminator_minimises_cross_entropy_over_classes_and_fake(
    space: TextSpace, name: str
) -> None:
    judge, everything = small_discriminator(space, name), concatenate(by_class(space))
    real, fake = everything[::2], everything[1::2]
    loss, metrics = SentiGAN(l2=0).discriminator_loss(judge, real, fake)
    right, hits = torch.zeros(()).double(), 0
    for texts, weight in ((real, 0.5 / len(real)), (fake, 0.5 / len(fake))):
        for scores, label in zip(judge.class_logits(texts), text_labels(texts), strict=True):
            columns = torch.cat([scores, torch.zeros(1).double()]).softmax(0)
            target = -1 if texts is fake else int(label)
            right = right - weight * columns[target].log()
            hits += int(columns.argmax() == range(len(columns))[target])
    assert same(loss, right)
    assert same(gradient(loss, judge), gradient(right, judge))
    assert same(metrics["classified"], torch.tensor(hits / len(everything), dtype=torch.float64))
    if not space.classes:
        assert same(loss, logistic(*judge.score_pair(real, fake)))


@worlds
def test_the_penalty_on_the_output_layer_is_added(space: TextSpace) -> None:
    judge, texts = small_discriminator(space), concatenate(by_class(space))
    plain, _ = SentiGAN(l2=0).discriminator_loss(judge, texts[:5], texts[5:])
    penalised, _ = SentiGAN(l2=0.2).discriminator_loss(judge, texts[:5], texts[5:])
    assert same(penalised - plain, 0.2 * judge.output_penalty())


@labelled_worlds
def test_the_best_scores_are_log_ratios_to_the_fakes(space: TextSpace) -> None:
    """score_i(y) = log of how often y is real and of class i, over how often it is fake."""
    one, other = enumerate_texts(space)[:1], enumerate_texts(space)[1:2]
    real = concatenate(
        [of_class(one.repeat(3), 0), of_class(one, 1), of_class(other, 0), of_class(other, 1)]
    )
    fake = concatenate([of_class(one.repeat(2), 0), of_class(other.repeat(4), 1)])
    scores = torch.zeros(len(enumerate_texts(space)), 2).double()
    scores[:2] = torch.tensor([[3 / 2, 1 / 2], [1 / 4, 1 / 4]]).double().log()
    judge = Table(space, scores)
    loss, _ = SentiGAN(l2=0).discriminator_loss(judge, real, fake)
    assert torch.autograd.grad(loss, judge.scores)[0].abs().max() < 1e-12
    judge = Table(space, torch.zeros_like(scores))
    loss, _ = SentiGAN(l2=0).discriminator_loss(judge, real, fake)
    assert torch.autograd.grad(loss, judge.scores)[0].abs().max() > 1e-2


@worlds
def test_the_sign_of_the_score_is_the_verdict_real_or_fake(space: TextSpace) -> None:
    """P(own class) > P(fake), which is what the logged accuracy counts."""
    judge = Table(space, some_scores(space) - 0.5)
    for texts in by_class(space):
        columns = F.pad(judge.class_logits(texts), (0, 1)).softmax(1)
        own = columns[torch.arange(len(texts)), text_labels(texts)]
        result = judge(texts)
        assert torch.equal(result > 0, own > columns[:, -1])
        assert 0.1 < accuracy(result, torch.ones(1)) * 2 < 0.9  # both verdicts are there


@worlds
def test_each_loss_trains_its_own_network(space: TextSpace) -> None:
    generator, judge = small_generator(space), small_discriminator(space)
    texts, objective = concatenate(by_class(space)), SentiGAN(rollouts=1)
    fake = objective.sample(generator, texts, 0.5)
    assert fake.labels is texts.labels
    assert not log_probs(generator, fake).isnan().any()
    objective.generator_loss(generator, judge, texts, fake, 0.0)[0].backward()
    assert all(parameter.grad is None for parameter in judge.parameters())
    assert all(part.grad is not None for part in generator.parameters() if part.requires_grad)
    generator.zero_grad()
    objective.discriminator_loss(judge, texts, fake)[0].backward()
    assert all(parameter.grad is not None for parameter in judge.parameters())
    assert all(parameter.grad is None for parameter in generator.parameters())
