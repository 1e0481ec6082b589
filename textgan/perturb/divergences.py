"""Divergences of a network's outputs for some texts from those for others.

Shapes: logits (N, C), or (N, 1) of yes and no. Each function gives the mean over the N rows, zero
where both are the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from textgan.core.errors import UserError
from textgan.core.optim import Outputs

Divergence = Callable[[Tensor, Tensor], Tensor]


def log_probabilities(logits: Tensor) -> Tensor:
    """Compute the log-probabilities of each class, (N, C); of yes and of no, (N, 2), where there is
    one column."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if wide.shape[-1] == 1:
        wide = torch.cat([wide, torch.zeros_like(wide)], -1)
    return wide.log_softmax(-1)


def kl(logits: Tensor, other: Tensor) -> Tensor:
    """Compute KL(p || q) in nats of the probabilities p and q of two logits."""
    log_p, log_q = log_probabilities(logits), log_probabilities(other)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1).mean()


def symmetric_kl(logits: Tensor, other: Tensor) -> Tensor:
    """Compute KL(p || q) + KL(q || p), as one sum whose terms are never negative."""
    log_p, log_q = log_probabilities(logits), log_probabilities(other)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1).mean()


def squared_error(first: Tensor, other: Tensor) -> Tensor:
    """Compute the squared Euclidean distance of the outputs themselves, for regression."""
    return (first - other).square().sum(-1).mean()


def halves(between: Divergence, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute a divergence, and its gradients in the outputs on either side, which are taken as
    constants: those of the weights follow from each without the other's graph."""
    sides = [side.detach().requires_grad_() for side in (first, second)]
    value = between(*sides)
    of_first, of_second = torch.autograd.grad(value, sides)
    return value.detach(), of_first, of_second


def checked_outputs(outputs: Outputs | None, who: str) -> Outputs:
    """Return the closure of the outputs, which checks that they are logits.

    Raises UserError where it is not, or does not.
    """
    if outputs is None:
        raise UserError(
            f"{who} compares outputs of the network: give outputs, which computes logits (N, C)"
        )

    def checked() -> Tensor:
        logits = outputs()
        if logits.dim() < 2:
            raise UserError(
                f"{who}: outputs gives a tensor of shape {tuple(logits.shape)}; "
                "give logits (N, C), or (N, 1)"
            )
        return logits

    return checked
