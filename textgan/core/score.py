"""A Score: one number of one row, its interval, and the signature of how it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pydantic
import torch

from textgan.core.statistics import Estimate, Floats

Better = Literal["higher", "lower", "like real text"]


@dataclass(frozen=True, eq=False)
class Score:
    """One number of one set of texts.

    title: as in a table. replicates: the number in each resampling, none where it has no interval.
    """

    title: str
    estimate: Estimate
    signature: str
    better: Better
    unit: str = ""
    replicates: Floats = field(default_factory=lambda: np.empty(0), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the replicates."""
        return {
            **self.estimate.to_dict(),
            "title": self.title,
            "better": self.better,
            "unit": self.unit,
            "signature": self.signature,
        }


Scores = dict[str, Score]


_NUMBERS: dict[str, Any] = {"value": float, "low": float | None, "high": float | None}


def checked_value(content: Mapping[str, Any], key: str, kind: Any) -> Any:
    """What stands under a key, which must be of that kind."""
    try:
        return pydantic.TypeAdapter(kind).validate_python(content[key], strict=True)
    except pydantic.ValidationError as error:
        raise ValueError(f"{key}: {error.errors()[0]['msg']}") from None


def read_score(content: Mapping[str, Any], replicates: torch.Tensor | None = None) -> Score:
    """The score that `Score.to_dict` wrote, with its replicates where they were kept.

    Raises KeyError or ValueError for what it did not write.
    """
    return Score(
        checked_value(content, "title", str),
        Estimate(*(checked_value(content, key, kind) for key, kind in _NUMBERS.items())),
        checked_value(content, "signature", str),
        checked_value(content, "better", Better),
        checked_value(content, "unit", str),
        np.empty(0) if replicates is None else replicates.double().flatten().numpy(),
    )
