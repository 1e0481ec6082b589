"""What a way to train an encoder must give back."""

from __future__ import annotations

import torch
from torch import Tensor

from textgan.core.contract import called, name_of, undisturbed
from textgan.core.errors import UserError, described
from textgan.core.optim import as_loss
from textgan.encoders.contrast.base import Batch, EncoderObjective

BEFORE = "in a dry run of an update, before training"


def check_contrast(method: EncoderObjective, batch: Batch) -> None:
    """UserError unless a method leaves a gradient in its network, and measures other sentences.

    Its gradients are cleared; nothing is learnt, and no random number of the caller's is drawn.
    """
    who = name_of(method, "accumulate")
    method.zero_grad()
    with undisturbed():
        returned = called(method, "accumulate", batch, when=BEFORE)
    pair = isinstance(returned, tuple) and len(returned) == 2
    if pair and isinstance(returned[0], Tensor):
        # the value may be detached, for the gradient is in the network already
        returned = (returned[0].detach().requires_grad_(), returned[1])
    value, _ = as_loss(returned, who)
    if not bool(value.isfinite()):
        raise UserError(f"{who} returned a loss of {float(value.detach()):g}; expected a number")
    if all(weight.grad is None for weight in method.network.parameters()):
        raise UserError(f"{who} left no gradient in the network; expected it to add one (backward)")
    method.zero_grad()
    who = name_of(method, "held_out")
    losses = []
    for _ in range(2):
        with undisturbed(1):
            value = called(method, "held_out", batch, when=BEFORE)
        if not isinstance(value, Tensor) or value.numel() != 1 or value.requires_grad:
            kind = "a Tensor with a gradient" if getattr(value, "requires_grad", 0) else (
                described(value)
            )  # fmt: skip
            raise UserError(f"{who} returned {kind}; expected a scalar tensor without a gradient")
        losses.append(value.detach().clone())
    if not torch.equal(losses[0], losses[1]):
        raise UserError(
            f"{who} is {float(losses[0]):g}, then {float(losses[1]):g} of the same sentences, "
            "state and random numbers"
        )
