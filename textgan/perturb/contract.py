"""The contract of a perturbation, tried on one update."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from textgan.core.contract import BEFORE, called, checked_state, name_of, refuse_reserved
from textgan.core.errors import UserError
from textgan.core.names import title
from textgan.core.optim import Loss, as_loss
from textgan.perturb.base import Perturbation


def check_perturbation(
    perturbation: Perturbation,
    network: nn.Module,
    loss: Callable[[], Loss],
    outputs: Callable[[], torch.Tensor],
) -> None:
    """Raise UserError unless a perturbation leaves a gradient in the network and returns its
    loss."""
    when = BEFORE.format("a perturbed update")
    who = name_of(perturbation, "__call__")
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    network.zero_grad()
    returned = called(perturbation, "__call__", network, loss, outputs, 1.0, when=when)
    if (
        isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], torch.Tensor)
    ):  # the value is detached, for the gradient is in the network already
        returned = (returned[0].detach().requires_grad_(), returned[1])
    _, metrics = as_loss(returned, who)
    refuse_reserved(metrics, who)
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    if not gradients:
        raise UserError(f"{who} left no gradient in the network; expected it to add one (backward)")
    for name, weight in network.named_parameters():
        if not torch.equal(weight, before[name]):
            raise UserError(f"{who} changed the weight {name}; expected only gradients")
    network.zero_grad()
    checked_state(perturbation.state, f"{title(type(perturbation))}.state")
