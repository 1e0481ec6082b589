"""ClassifierConfig: how classifiers are trained, attacked and disturbed."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field

from textgan.core.settings import FROZEN
from textgan.data.noise import Noise
from textgan.data.settings import DataConfig

Value = TypeVar("Value")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Several = Annotated[list[Value], BeforeValidator(_as_list), Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class ClassifierDataConfig(DataConfig):
    """The same with a larger test part."""

    test: float = Field(0.2, gt=0, lt=1, description="share of the sentences for the test")


class AttackConfig(BaseModel):
    """Settings of the attacks on classifiers; see `textgan.classifiers.attack`."""

    model_config = FROZEN

    epsilon: Several[Annotated[float, Field(ge=0)]] = Field(
        [0.02, 0.05, 0.1], description="radii: of the length of a sentence's vectors together"
    )
    absolute: bool = Field(False, description="radii are plain numbers instead")
    steps: int = Field(10, ge=1, description="of ascent; 1 with one start: FGM")
    restarts: int = Field(2, ge=1, description="starts: one at FGM's end, the others random")
    stride: float = Field(0.25, gt=0, description="length of a step, in radii")


class NoiseConfig(BaseModel):
    """Settings of the noise on words; see `textgan.data.noise`."""

    model_config = FROZEN

    kind: Several[Noise] = Field(["drop", "swap", "replace", "typo"], description="one or more")
    rate: Several[Share] = Field([0.1], description="shares of the words")
    seed: int = Field(0, ge=0, le=2**31, description="of the noise, the same for all classifiers")


class ClassifierConfig(BaseModel):
    """Settings of the training and the measures of classifiers; `network` has those of the
    network."""

    model_config = FROZEN

    epochs: int = Field(6, ge=1, le=10_000, description="updates replayed on a batch count as one")
    batch: int = Field(32, ge=1, description="sentences an update")
    lr: float = Field(1e-3, gt=0, le=10, description="learning rate of Adam")
    clip: float = Field(5.0, ge=0, description="norm of a gradient at most; 0: any")
    data: ClassifierDataConfig = ClassifierDataConfig()
    attack: AttackConfig = AttackConfig()
    noise: NoiseConfig = NoiseConfig()
    network: dict[str, Any] = Field(default_factory=dict, description="its settings, by name")

    def recorded(self) -> dict[str, Any]:
        """Return the settings for JSON, without those of how the file is read that are at their
        defaults: settings that later versions add there change nothing about a study that was
        begun."""
        reading = ("labels", "format", "field", "label_field", "spaced")
        defaults = {key: getattr(ClassifierDataConfig(), key) for key in reading}
        settings = self.model_dump()
        settings["data"] = {
            key: value
            for key, value in settings["data"].items()
            if key not in reading or value != defaults[key]
        }
        return settings
