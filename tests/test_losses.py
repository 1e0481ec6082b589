"""The identities behind every policy gradient, by enumeration.

G(y) is the probability of a text, R(y) an arbitrary reward, Q(s_t, y_t) = E[R | y_1..t].
"""

import pytest
import torch
from answers import ANSWERS, all_answers, answering
from torch import Tensor
from worlds import (
    WORLDS,
    enumerate_texts,
    exact_values,
    gradient,
    log_probs,
    probabilities,
    random_rewards,
    same,
    small_generator,
)

from textgan.data.text import Text, TextSpace, concatenate
from textgan.losses import leave_one_out, logistic, nll, policy_gradient, reduce
from textgan.models.generators.base import AutoregressiveGenerator

VALUES = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, float("nan")]], dtype=torch.float64)
MASK = torch.tensor([[True, True, True], [True, True, False]])

worlds = pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
networks = pytest.mark.parametrize("name", ["lstm", "gru"])


def gradient_of_expected_reward(generator: AutoregressiveGenerator, rewards: Tensor) -> Tensor:
    texts = enumerate_texts(generator.space)
    return gradient((log_probs(generator, texts).exp() * rewards).sum(), generator)


def expected_policy_gradient(
    generator: AutoregressiveGenerator, texts: Text, weights: Tensor
) -> Tensor:
    """E_y sum_t w_t grad log p(y_t | s_t): what descending `policy_gradient` climbs."""
    chances = probabilities(generator, texts).unsqueeze(1)
    loss = policy_gradient(generator.log_prob(texts), weights * chances, texts.mask, "sum")
    return -gradient(loss, generator)


@worlds
@networks
def test_probabilities_of_all_texts_sum_to_one(space: TextSpace, name: str) -> None:
    chances = probabilities(small_generator(space, name), enumerate_texts(space))
    assert abs(chances.sum().item() - 1) < 1e-12


@worlds
@networks
def test_the_expected_score_is_zero(space: TextSpace, name: str) -> None:
    generator, texts = small_generator(space, name), enumerate_texts(space)
    result = expected_policy_gradient(generator, texts, torch.ones(texts.tokens.shape))
    assert result.abs().max() < 1e-12
    # each text alone does pull
    alone = gradient(log_probs(generator, texts)[0], generator)
    assert alone.abs().max() > 1e-3


@worlds
@networks
def test_rewarding_sentences_climbs_the_expected_reward(space: TextSpace, name: str) -> None:
    generator, texts, rewards = (
        small_generator(space, name),
        enumerate_texts(space),
        random_rewards(space),
    )
    right = gradient_of_expected_reward(generator, rewards)
    weights = rewards.unsqueeze(1).expand(texts.tokens.shape)
    assert right.norm() > 1e-2
    assert same(expected_policy_gradient(generator, texts, weights), right)
    # adding a constant to the reward changes nothing
    assert same(expected_policy_gradient(generator, texts, weights + 7), right)


@worlds
@networks
def test_rewarding_tokens_by_their_value_climbs_the_expected_reward(
    space: TextSpace, name: str
) -> None:
    generator, texts, rewards = (
        small_generator(space, name),
        enumerate_texts(space),
        random_rewards(space),
    )
    values = exact_values(generator, texts, rewards)
    right = gradient_of_expected_reward(generator, rewards)
    assert same(expected_policy_gradient(generator, texts, values), right)


@worlds
def test_what_only_the_prefix_decides_may_be_subtracted(space: TextSpace) -> None:
    generator, texts, rewards = (
        small_generator(space),
        enumerate_texts(space),
        random_rewards(space),
    )
    values = exact_values(generator, texts, rewards)
    right = gradient_of_expected_reward(generator, rewards)
    radix = space.vocabulary ** torch.arange(space.length)
    # an arbitrary number for each prefix y_1..t-1 and place t
    prefix = torch.stack([texts.tokens[:, :t] @ radix[:t] for t in range(space.length)], 1)
    baseline = torch.sin(1 + 3.0 * prefix + 5.0 * torch.arange(space.length))
    assert same(expected_policy_gradient(generator, texts, values - baseline), right)
    # not so if it looks at the token itself
    peeking = torch.sin(1 + 3.0 * texts.tokens)
    wrong = expected_policy_gradient(generator, texts, values - peeking)
    assert (wrong - right).norm() > 0.1 * right.norm()


@worlds
def test_leaving_oneself_out_leaves_the_expected_gradient(space: TextSpace) -> None:
    generator, texts, rewards = (
        small_generator(space),
        enumerate_texts(space),
        random_rewards(space),
    )
    values = exact_values(generator, texts, rewards)
    chances = probabilities(generator, texts)
    weights = torch.zeros_like(values)  # of each text, over all batches of two texts
    with_oneself = torch.zeros_like(values)
    for first in range(len(texts)):
        for second in range(len(texts)):
            pair = torch.tensor([first, second])
            # a text's own probability comes with its gradient, so only its partner's is here
            partner = chances[pair.flip(0)].unsqueeze(1)
            advantages = values[pair] - leave_one_out(values[pair], texts.mask[pair])
            weights.index_add_(0, pair, advantages * partner)
            mean = values[pair].sum(0) / texts.mask[pair].sum(0).clamp(min=1)
            with_oneself.index_add_(0, pair, (values[pair] - mean) * partner)
    right = 2 * gradient_of_expected_reward(generator, rewards)
    assert same(expected_policy_gradient(generator, texts, weights), right)
    wrong = expected_policy_gradient(generator, texts, with_oneself)
    assert (wrong - right).norm() > 0.1 * right.norm()


def test_leave_one_out_by_hand() -> None:
    values = torch.tensor([[1.0, 10.0, 5.0], [2.0, 20.0, 0.0], [6.0, 99.0, 0.0]])
    mask = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    # 99 stands at padding; the last token of the longest sentence is alone at its place
    right = [[4.0, 20.0, 0.0], [3.5, 10.0, 5.0], [1.5, 15.0, 5.0]]
    assert leave_one_out(values, mask).tolist() == right


def test_leave_one_out_of_one_sentence_is_zero() -> None:
    values = torch.tensor([[0.3, 0.7]])
    assert leave_one_out(values, torch.ones(1, 2, dtype=torch.bool)).tolist() == [[0, 0]]


def test_leave_one_out_does_not_see_the_sentence_itself() -> None:
    values = torch.rand(5, 4, dtype=torch.float64)
    mask = torch.arange(4) < torch.tensor([4, 2, 3, 1, 4]).unsqueeze(1)
    before = leave_one_out(values, mask)
    for row in range(5):
        changed = values.clone()
        changed[row] = 1000 * torch.rand(4, dtype=torch.float64)
        assert same(leave_one_out(changed, mask)[row], before[row])
        others = torch.arange(5) != row
        assert not same(leave_one_out(changed, mask)[others], before[others])


@pytest.mark.parametrize(
    ("reduction", "right"), [("sum", 31.0), ("mean_sentence", 31 / 2), ("mean_token", 31 / 5)]
)
def test_reductions_leave_padding_out(reduction: str, right: float) -> None:
    # what stands at padding is not a number, and would be seen
    assert reduce(VALUES, MASK, reduction).item() == right
    assert nll(-VALUES, MASK, reduction).item() == right
    weights = torch.full_like(VALUES, -2.0)
    assert policy_gradient(VALUES, weights, MASK, reduction).item() == 2 * right


def test_nll_is_nats_per_token_unless_told() -> None:
    assert nll(-VALUES, MASK).item() == 31 / 5


@pytest.mark.parametrize("reduction", ["sum", "mean_sentence", "mean_token"])
def test_padding_has_no_gradient(reduction: str) -> None:
    log_prob = VALUES.clone().requires_grad_()
    weights = torch.tensor([[3.0, 5.0, 7.0], [2.0, 4.0, 6.0]], dtype=torch.float64)
    policy_gradient(log_prob, weights, MASK, reduction).backward()
    count = {"sum": 1, "mean_sentence": 2, "mean_token": 5}[reduction]
    assert log_prob.grad is not None
    assert same(log_prob.grad, -weights * MASK / count)


def test_weights_of_a_policy_gradient_are_constants() -> None:
    log_prob = torch.randn(2, 3, requires_grad=True)
    weights = torch.randn(2, 3, requires_grad=True)
    policy_gradient(log_prob, weights, MASK, "sum").backward()
    assert weights.grad is None
    assert log_prob.grad is not None


def test_logistic_by_hand() -> None:
    real = torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64)
    fake = torch.tensor([1.0, -3.0], dtype=torch.float64)
    of_real = -real.sigmoid().log().mean()
    of_fake = -(1 - fake.sigmoid()).log().mean()
    assert same(logistic(real, fake), (of_real + of_fake) / 2)
    assert same(logistic(real * 0, fake * 0), torch.tensor(2.0, dtype=torch.float64).log())


def test_logistic_does_not_overflow() -> None:
    far = torch.tensor([1e4])
    assert logistic(far, -far).item() == 0
    assert logistic(-far, far).item() == 1e4


def test_the_best_score_is_the_log_ratio_of_densities() -> None:
    real = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    fake = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
    score = (real / fake).log().requires_grad_()
    # each token as often as it occurs among ten texts of either kind
    as_real = score.repeat_interleave(torch.tensor([5, 3, 2]))
    as_fake = score.repeat_interleave(torch.tensor([1, 6, 3]))
    (at_best,) = torch.autograd.grad(logistic(as_real, as_fake), score)
    assert at_best.abs().max() < 1e-12


def test_policy_gradient_given_sources_is_that_of_the_expected_reward() -> None:
    generator, rewards = answering(), random_rewards(ANSWERS)
    texts = concatenate([all_answers(0), all_answers(1)])
    chances, twice = log_probs(generator, texts).exp(), torch.cat([rewards, rewards])
    exact = gradient(-(chances * twice).sum() / 2, generator)
    # the loss of a batch is a mean: so the law is a weight
    weights = (2 * len(rewards) * chances.detach() * twice / 2).unsqueeze(1)
    loss = policy_gradient(
        generator.log_prob(texts), weights.expand_as(texts.tokens), texts.mask, "mean_sentence"
    )
    assert same(gradient(loss, generator), exact)
