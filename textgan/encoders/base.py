"""The interface of an encoder of lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from torch import Tensor

Progress = Callable[[Iterable[Tensor], str], Iterable[Tensor]]


class LineEncoder(ABC):
    """Whatever makes a vector of each line.

    name: for signatures; it changes whenever the vectors would. at_once: lines that are read
    together, which changes no vector.
    """

    name: str
    at_once: ClassVar[int] = 64

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @abstractmethod
    def encode_lines(
        self, lines: Sequence[str], progress: Progress = lambda steps, what: steps
    ) -> Tensor:
        """Encode each line as a vector, (N, F) float64, whatever else is in the batch."""


def by_size(sizes: Tensor, at_once: int) -> list[Tensor]:
    """Sort the indices of all lines into batches of similar sizes, at most so many at once."""
    return [rows for rows in sizes.argsort(stable=True).split(at_once) if len(rows)]
