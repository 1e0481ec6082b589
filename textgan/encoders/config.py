"""EncoderConfig: everything that decides an encoder but the file, the seed and where it starts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from textgan.core.settings import FROZEN
from textgan.data.settings import DataConfig

DEFAULT_NETWORK = "transformer"
SCRATCH_LR, PRETRAINED_LR = 1e-3, 3e-5


class EncoderConfig(BaseModel):
    """Settings of an encoder's training by Adam, whose rate rises from zero in a straight line and
    falls to it again."""

    model_config = FROZEN

    epochs: int = Field(10, ge=1, le=10**6, description="times that it reads the file")
    batch: int = Field(64, ge=2, le=10**6, description="sentences of an update, at most")
    lr: float = Field(0.0, ge=0, le=10, description="largest; 0: 1e-3, 3e-5 if pretrained")
    warmup: float = Field(0.1, ge=0, le=1, description="share of the updates in which it rises")
    clip: float = Field(1.0, ge=0, description="norm of the gradient at most; 0: any")
    every: int = Field(0, ge=0, description="updates between validations; 0: one each epoch")
    perturb: str = Field("", description="a perturbation, such as fgm(epsilon=1.0), or none")
    data: DataConfig = DataConfig()
    contrast: dict[str, Any] = Field({}, description="the method's settings, by name")
    network: dict[str, Any] = Field({}, description="the network's settings, by name")


def rate_at(update: int, updates: int, warmup: float) -> float:
    """Return the rate at an update, counted from 0, as a share of the largest: it rises in a
    straight line for the share `warmup` of all updates, then falls to nothing."""
    rise = round(warmup * updates)
    if update < rise:
        return (update + 1) / rise
    return (updates - update) / (updates - rise)
