"""What an objective of encoders must return, tried before training."""

from typing import Any

import pytest
import torch
from contrast import batch, tokenizer, transformer
from torch import Tensor

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.optim import Backward, Loss, plain
from textgan.encoders.contrast.base import Batch
from textgan.encoders.contrast.contract import check_encoder_objective
from textgan.encoders.contrast.simcse import SimCSE


@pytest.mark.parametrize("name", registry.names("contrast"))
def test_what_is_kept_leaves_no_trace(name: str) -> None:
    objective = registry.build("contrast", name, {}, transformer(classes=2), tokenizer()).double()
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    random = torch.get_rng_state()
    check_encoder_objective(objective, batch([0, 1, 1, 0, 1]))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(weight.grad is None for weight in objective.parameters())
    assert all(torch.equal(before[key], now) for key, now in objective.state_dict().items())


class NotANumber(SimCSE):
    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        loss, figures = super().accumulate(batch, backward)
        return loss * torch.nan, figures


class NoGradient(SimCSE):
    def accumulate(self, batch: Batch, backward: Backward = plain) -> Loss:
        with torch.no_grad():
            return self.validation_step(batch), {}


class NoLoss(SimCSE):
    def accumulate(self, batch: Batch, backward: Backward = plain) -> Any:
        super().accumulate(batch, backward)


class WithGradient(SimCSE):
    def validation_step(self, batch: Batch) -> Tensor:
        return next(self.parameters()).sum()


class OfEachSentence(SimCSE):
    def validation_step(self, batch: Batch) -> Tensor:
        return torch.zeros(len(batch.ids))


class NeverTheSame(SimCSE):
    calls = 0

    def validation_step(self, batch: Batch) -> Tensor:
        self.calls += 1
        return torch.tensor(float(self.calls))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (NotANumber, "NotANumber.accumulate returned a loss of nan; expected a number"),
        (NoGradient, "NoGradient.accumulate left no gradient in the network"),
        (NoLoss, "NoLoss.accumulate returned"),
        (WithGradient, "returned a Tensor with a gradient; expected a scalar tensor without"),
        (OfEachSentence, "OfEachSentence.validation_step returned"),
        (NeverTheSame, "validation_step is 1, then 2 of the same sentences, state and random"),
    ],
)
def test_what_is_broken_is_named(kind: type[SimCSE], message: str) -> None:
    with pytest.raises(UserError) as refused:
        check_encoder_objective(kind(transformer(), tokenizer()).double(), batch())
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
