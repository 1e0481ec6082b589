"""The formulas that methods share, as pure functions.

Shapes: B sentences, T positions. `mask` (B, T) is true at real tokens; nothing at padding ever
reaches a loss or a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from textgan.core.device import is_asynchronous
from textgan.core.errors import UserError
from textgan.core.optim import Reduction
from textgan.core.streams import OldSeed, Purpose, stream


def reduce(values: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """Reduce values (B, T) to one number: their sum, the mean of sentences' sums, or of tokens.

    Raises UserError for another reduction.
    """
    if reduction not in get_args(Reduction):
        raise UserError(
            f"reduction = {reduction!r} is unknown; give {', '.join(get_args(Reduction))}"
        )
    total = torch.where(mask, values, values.new_zeros(())).sum()
    if reduction == "sum":
        return total
    return total / (mask.shape[0] if reduction == "mean_sentence" else mask.sum())


def nll(log_prob: Tensor, mask: Tensor, reduction: Reduction = "mean_token") -> Tensor:
    """Compute the negative log-likelihood in nats of texts whose tokens have log-probabilities (B,
    T)."""
    return reduce(-log_prob, mask, reduction)


def policy_gradient(
    log_prob: Tensor, weights: Tensor, mask: Tensor, reduction: Reduction
) -> Tensor:
    """-sum_t w_t log p(y_t | y_<t): its gradient is the REINFORCE estimate for weights (B, T).

    The weights are constants; gradients do not flow into them (Williams 1992).
    """
    return reduce(-log_prob * weights.detach(), mask, reduction)


def mean_of_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean of values (B, T) at real tokens, a scalar, without waiting for a device."""
    return reduce(values, mask, "mean_token") if is_asynchronous(values) else values[mask].mean()


def deviation_of_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """Compute the standard deviation of values (B, T) at real tokens, as `mean_of_tokens` does."""
    if not is_asynchronous(values):
        return values[mask].std(unbiased=False)
    return mean_of_tokens((values - mean_of_tokens(values, mask)).square(), mask).sqrt()


def leave_one_out(values: Tensor, mask: Tensor) -> Tensor:
    """Compute for every (b, t) the mean value at t of the *other* sentences that reach t, (B, T).

    It does not depend on what sentence b wrote at t, so subtracting it leaves the expected policy
    gradient unchanged (which a mean that includes b does not). Zero where b is alone.
    """
    alive = torch.where(mask, values, values.new_zeros(()))
    others = (mask.sum(0, keepdim=True) - mask.long()).clamp(min=1)
    return (alive.sum(0, keepdim=True) - alive) / others


def importance(scores: Tensor) -> Tensor:
    """Compute exp(score) over its mean, along the last dimension: weights of mean 1.

    Of logits of an optimal discriminator these are the self-normalised ratios p_real / p_fake =
    D / (1 - D) (MaliGAN, arXiv 1702.07983, section 3; BGAN, arXiv 1702.08431, eq. 9). A softmax:
    nothing overflows where D is sure, and a constant added to the scores changes nothing.
    """
    return scores.softmax(-1) * scores.shape[-1]


def effective_share(weights: Tensor) -> Tensor:
    """Compute the effective sample size of non-negative weights over their number, by the last
    dimension.

    1 where all weigh the same, 1 / n where one of n has all the weight (Kish 1965).
    """
    return weights.sum(-1).square() / (weights.square().sum(-1) * weights.shape[-1])


def logistic(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the mean cross-entropy of scores (logits) of real and of fake texts, half the weight
    each.

    Its minimum over all scores is attained at log p_real / p_fake (Goodfellow et al. 2014).
    """
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


def shares_of(rows: Tensor, seed: Tensor) -> Tensor:
    """Draw how far each text of a batch (B, T, V) lies towards its fake, (B, 1, 1), uniform in [0,
    1).

    The same seed, a scalar, gives the same shares: a loss may be computed several times an update.
    """
    generator = torch.Generator(rows.device).manual_seed(int(seed))
    size = (len(rows), 1, 1)
    return torch.rand(size, generator=generator, dtype=rows.dtype, device=rows.device)


def next_shares(seed: Tensor, old: bool = False) -> Tensor:
    """Return the seed, a scalar, of the next update's shares. old: of a run of the first
    version."""
    before = OldSeed(seed) if old else int(seed)
    return torch.tensor(stream(Purpose.PENALTY_LINES, before), device=seed.device)


def gradient_penalty(
    score: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, shares: Tensor
) -> Tensor:
    """Compute the mean (|grad score| - 1)^2 at the points a + shares (b - a), (B, T, V); shares:
    (B, 1, 1).

    The norm is that of a whole text. The points are constants; the penalty has a gradient for what
    is inside `score` (Gulrajani et al. 2017, arXiv 1704.00028).
    """
    points = torch.lerp(a, b, shares).detach().requires_grad_()
    with torch.backends.cudnn.flags(enabled=False):  # its recurrent layers have no second gradient
        (slopes,) = torch.autograd.grad(score(points).sum(), points, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(slopes, dim=(1, 2))
    return (norms - 1).square().mean()
