"""The base class of perturbations: where vectors are shifted, how far, and the passes of one
update.

Shapes: B sentences, T positions, E embedding, V vocabulary. Shifts are a list, for a loss may read
the embedding several times (real and fake texts): with placement "output" one tensor (B, T, E) for
each time, with "matrix" one of the table (V, E). A ball is one sentence's with the first, the whole
table's with the second.
"""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.moved import FormerName, adopt_former_names
from textgan.core.names import Kind
from textgan.core.optim import Loss, Outputs
from textgan.core.own_code import Code
from textgan.core.registry import register
from textgan.core.settings import CheckedSettings, check_settings, parse_setting
from textgan.perturb.shifts import find_embedding

Placement = Literal["output", "matrix"]


@dataclass(kw_only=True)
class Perturbation(CheckedSettings, ABC):
    """A `Backward` that trains a network through shifted embeddings.

    Raises UserError where the network has no embedding of that name, or several; ValueError for
    settings that cannot be.
    """

    part_kind: ClassVar[Kind] = "perturbation"
    paper: ClassVar[str] = ""

    placement: Annotated[
        Placement,
        Field(
            description="output: what the embedding reads out, every occurrence by itself; matrix: "
            "its table, all occurrences of a token alike"
        ),
    ] = "output"
    embedding: Annotated[
        str, Field(description="part of the embedding's name; needed where there are several")
    ] = ""
    same_dropout: Annotated[bool, Field(description="one draw of dropout for all passes")] = True

    # what it keeps from one call to the next, for checkpoints too
    state: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    # as version 0.1 called them
    memory = FormerName("state")
    keeps = FormerName("is_stateful")

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        adopt_former_names(cls)
        if name:
            register("perturbation", name, cls)

    @property
    def is_stateful(self) -> bool:
        """Whether it remembers something from one call to the next."""
        return False

    @property
    def replays(self) -> int:
        """The number of updates in a row that each batch is for."""
        return 1

    def check(self, network: nn.Module) -> None:
        """Raise UserError where the network lacks what is named in the settings."""
        find_embedding(network, self.embedding)

    @abstractmethod
    def __call__(
        self,
        network: nn.Module,
        loss: Callable[[], Loss],
        outputs: Outputs | None = None,
        scale: float | Tensor = 1.0,
        /,
    ) -> Loss:
        """Add the gradient to that of the network's weights; the loss and what is logged of it."""


def perturbation(text: str, key: str = "perturb", code: Code | None = None) -> Perturbation | None:
    """Build the perturbation of a text: `fgm`, `fgm(epsilon=0.5, placement=matrix)` or
    `path/to/file.py:Class`; None for an empty text or `none`.

    code: which files may be imported, None for none. Raises UserError, which names the key, for
    what it cannot be.
    """
    if text in ("", "none"):
        return None
    name, _ = _parsed(text, key)
    part: type[Perturbation] = registry.find("perturbation", name, key, code)
    try:
        return part.from_checked(**_settings_in(text, key, part))
    except ValueError as error:
        raise UserError(f"{key} = {text!r}: {error}") from None


def _parsed(text: str, key: str) -> tuple[str, dict[str, Any]]:
    """The name and the settings in a text; UserError for what has another form."""
    match = re.fullmatch(r"\s*([^()]+?)\s*(?:\((.*)\))?\s*", text)
    if match is None:
        raise UserError(f"{key} = {text!r}: give a name and settings, such as fgm(epsilon=1.0)")
    name, inside = match.groups()
    settings: dict[str, Any] = {}
    for pair in filter(None, map(str.strip, (inside or "").split(","))):
        setting, equals, value = map(str.strip, pair.partition("="))
        if not equals or not setting or setting in settings:
            wrong = "is there twice" if setting in settings else "is not a setting"
            raise UserError(
                f"{key} = {text!r}: {pair!r} {wrong}; write each once, such as epsilon=1.0"
            )
        settings |= [parse_setting(f"{setting}={value}")]
    return name, settings


@functools.lru_cache(maxsize=64)  # a run builds what its config names several times
def _settings_in(text: str, key: str, part: type[Perturbation]) -> dict[str, Any]:
    """All settings of the part that a text names, checked."""
    return check_settings("perturbation", part, _parsed(text, key)[1], key)
