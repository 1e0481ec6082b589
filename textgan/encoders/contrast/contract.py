"""The contract of an EncoderObjective, tried on a few sentences."""

from __future__ import annotations

import torch
from torch import Tensor

from textgan.core.contract import called, name_of, undisturbed
from textgan.core.errors import UserError, described
from textgan.core.optim import as_loss, plain
from textgan.encoders.contrast.base import Batch, EncoderObjective

BEFORE = "in a dry run of an update, before training"


def check_encoder_objective(objective: EncoderObjective, batch: Batch) -> None:
    """Raise UserError unless an objective leaves a gradient in its network, and validates.

    Its gradients are cleared; nothing is trained, and no random number of the caller's is drawn.
    """
    who = name_of(objective, "accumulate")
    objective.zero_grad()
    with undisturbed():
        returned = called(objective, "accumulate", batch, backward=plain, when=BEFORE)
    pair = isinstance(returned, tuple) and len(returned) == 2
    if pair and isinstance(returned[0], Tensor):
        # the value may be detached, for the gradient is in the network already
        returned = (returned[0].detach().requires_grad_(), returned[1])
    value, _ = as_loss(returned, who)
    if not bool(value.isfinite()):
        raise UserError(f"{who} returned a loss of {float(value.detach()):g}; expected a number")
    if all(weight.grad is None for weight in objective.network.parameters()):
        raise UserError(f"{who} left no gradient in the network; expected it to add one (backward)")
    objective.zero_grad()
    who = name_of(objective, "validation_step")
    values = []
    for _ in range(2):
        with undisturbed(1):
            value = called(objective, "validation_step", batch, when=BEFORE)
        if not isinstance(value, Tensor) or value.numel() != 1 or value.requires_grad:
            kind = "a Tensor with a gradient" if getattr(value, "requires_grad", 0) else (
                described(value)
            )  # fmt: skip
            raise UserError(f"{who} returned {kind}; expected a scalar tensor without a gradient")
        values.append(value.detach().clone())
    if not torch.equal(values[0], values[1]):
        raise UserError(
            f"{who} is {float(values[0]):g}, then {float(values[1]):g} of the same sentences, "
            "state and random numbers"
        )
