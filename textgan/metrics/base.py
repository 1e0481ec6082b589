"""Metrics: what texts are measured by.

A metric is a class: its constructor's keyword-only parameters are its settings, its docstring says
what the number means and how it misleads, and every number it gives carries a signature, see
`textgan.core.score`. Two numbers whose signatures differ do not compare.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from textgan.core.progress import bar
from textgan.core.registry import register
from textgan.core.score import Better as Better
from textgan.core.score import Score as Score
from textgan.core.score import sign
from textgan.core.statistics import (
    SUBSETS,
    UNBOUNDED,
    Estimate,
    Floats,
    of_sources,
    over_subsets,
    percentiles,
    resampled_ratio,
    spread,
)
from textgan.data.sentences import Sentences
from textgan.data.text import Text
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.functional.nearest import places
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.resample import ResampledGenerator
from textgan.models.tempering import Tempering

Made = TypeVar("Made")
OLD_NAMES = {
    "hypotheses": "predictions",
    "alone": "sample",
    "paired": "paired_sample",
    "real": "paired_references",
    "known": "generator_train",
    "own": "reference_index",
    "learnt": "train_source",
}


class Unavailable(Exception):
    """This metric cannot be measured on these inputs; the message says what it would need."""


@dataclass(frozen=True)
class Models:
    """The models behind texts, where they are at hand: what likelihoods are taken of.

    generator: wrote `drawn`; None where it has no likelihood. oracle: the true language, where it
    is known. drawn: texts of the generator at `temperature`, as it draws them (or of a mixture, see
    `textgan.models.tempering`). test: held-out real texts (of the oracle, where there is one).
    valid: other held-out real texts, by which training is watched; None for no number of them.
    copies: (B,) which of the drawn texts are copies of one, by a number, for these are resampled
    together; None where each was drawn for itself. resampled: wrote `drawn`, in the
    generator's place.
    """

    generator: AutoregressiveGenerator | None
    oracle: AutoregressiveGenerator | None
    drawn: Text
    test: Text
    temperature: Tempering = 1.0
    valid: Text | None = None
    copies: Tensor | None = None
    resampled: ResampledGenerator | None = None


@dataclass(frozen=True)
class Pairs:
    """Texts with the source that each of them answers or translates, B of each.

    following: the utterance that came after each answer; conversations: (B,) int64, the number of
    the conversation that each pair is of. None where that is not known.
    """

    sources: Sentences
    answers: Sentences
    following: Sentences | None = None
    conversations: Tensor | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: Tensor) -> Pairs:
        """The pairs at these indices, in their order."""
        following = None if self.following is None else self.following[index]
        conversations = None if self.conversations is None else self.conversations[index]
        return Pairs(self.sources[index], self.answers[index], following, conversations)

    def digest(self) -> str:
        """Return a hash that is equal for the same pairs in the same order."""
        whole = [one.digest() for one in (self.sources, self.answers, self.following) if one]
        numbers = None if self.conversations is None else self.conversations.tolist()
        return sha256(repr((whole, numbers)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class MetricInputs:
    """The inputs of metrics: all that is known of one set of texts, which may be real (the
    real-data row).

    All sentences are of ids of `tokenizer`. Every metric measures the same object, and the rows of
    one table differ in as little as they can: the references and the training text are the same.

    tokenizer: of all texts; it knows every word of theirs. Its kind is in the signature.
    counted: special tokens that count as words here, such as "+unknown", for the signature too.
    predictions: every text that is measured, empty ones included, in the file's order.
    lines: the same as lines. aligned: for each reference file as many lines, or none; None in the
    place of a line is no reference, where some texts have fewer than others.
    sources: the source that each of the predictions answers, in ids of `source_tokenizer`; None
    where they answer none. conversations: (B,) int64, the numbers of those that they are of; None
    where that is not known. real_pairs: held-out real texts with their sources, for comparison.
    references: every held-out real text. reference_index: (B,) where each of the predictions is
    among the references, where they are some of them; else None.
    sample: some of the predictions, for numbers that depend on how many there are (as many in every
    row of a table).
    paired_sample, paired_references: as many predictions as real texts, for comparing sets; none of
    the predictions is among these references.
    train: other real texts, on which networks may be trained, disjoint from `paired_references` and
    from the predictions of every row of real text; None where there are none.
    train_source: what `train` is a part of: "train", what the generator was trained on, or "real"
    or "references", for signatures.
    generator_train: what the generator was trained on, None where that is not known.
    models: None where there is only text.
    resamplings: of a bootstrap; subsets: of a set, see `textgan.core.statistics`; 0 for no
    intervals.
    memory: what metrics of one evaluation share, such as trained networks; see `remember`.
    """

    tokenizer: WordTokenizer
    counted: str = ""
    predictions: Sentences
    lines: list[str]
    references: Sentences
    sample: Sentences
    paired_sample: Sentences
    paired_references: Sentences
    train: Sentences | None = None
    train_source: str = "train"
    generator_train: Sentences | None = None
    reference_index: Tensor | None = None
    aligned: Sequence[Sequence[str | None]] = ()
    sources: Sentences | None = None
    source_tokenizer: WordTokenizer | None = None
    conversations: Tensor | None = None
    real_pairs: Pairs | None = None
    models: Models | None = None
    seed: int = 0
    resamplings: int = 1000
    subsets: int = SUBSETS
    quiet: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    memory: dict[Hashable, Any] = field(default_factory=dict)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a field by its name in version 0.1, for metrics in files of one's own."""
            if name in OLD_NAMES:
                return getattr(self, OLD_NAMES[name])
            raise AttributeError(f"MetricInputs has no {name}")

    def remember(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` makes, which is called once for all that ask for the same key."""
        if key not in self.memory:
            self.memory[key] = make()
        made: Made = self.memory[key]
        return made

    @property
    def token_kind(self) -> str:
        """The kind of words, for signatures."""
        return self.tokenizer.kind + self.counted

    def words(self, sentences: Sentences) -> list[list[str]]:
        """Return the words of each sentence."""
        return [self.tokenizer.convert_ids_to_tokens(ids) for ids in sentences.tolist()]

    def progress(self, steps: Iterable[Made], what: str) -> Iterable[Made]:
        """Yield the same steps, with a bar once they have taken two seconds."""
        return bar(steps, what, self.quiet)

    def sign(self, name: str, **facts: object) -> str:
        """Make a signature: the metric, everything that would change the number, and this
        version."""
        return sign(name, **facts)

    @cached_property
    def groups(self) -> Tensor | None:
        """(B,) int64: which source each of the predictions answers, numbered as they first occur;
        None where they answer none."""
        if self.sources is None:
            return None
        which: Tensor = torch.unique(places(self.sources, self.sources), return_inverse=True)[1]
        return which

    def mean(
        self, values: Tensor, side: int = 0, sources: Tensor | None = None
    ) -> tuple[Estimate, Floats]:
        """Return the mean over texts (B,), with a bootstrap interval and its replicates."""
        return self.ratio(values, torch.ones_like(values), side, sources)

    def ratio(
        self, totals: Tensor, counts: Tensor, side: int = 0, sources: Tensor | None = None
    ) -> tuple[Estimate, Floats]:
        """Return sum(totals) / sum(counts) over texts (B,), with a bootstrap interval and its
        replicates.

        side: another number for texts that are resampled apart from the first ones. sources: (B,)
        which source each text answers; those of one are resampled together.
        """
        above, below = (part.double().cpu().numpy() for part in (totals, counts))
        if sources is not None:
            above, below = (of_sources(part, sources.cpu().numpy()) for part in (above, below))
        value = float(above.sum() / below.sum())
        if not self.resamplings or len(above) < 2:
            return Estimate(value), np.empty(0)
        replicates = resampled_ratio(above, below, self.resamplings, self.seed, side)
        return percentiles(value, replicates), replicates

    def of_set(
        self,
        value: float,
        statistic: Callable[[Tensor], float],
        n: int,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> tuple[Estimate, Floats]:
        """Return a number of a set of n texts with its spread; `statistic` computes it from those
        at some indices.

        bounds: what the number can be; an interval ends there.
        """
        return self.of_sets([value], lambda some: [statistic(some)], n, bounds)[0]

    def of_sets(
        self,
        values: Sequence[float],
        statistic: Callable[[Tensor], Sequence[float]],
        n: int,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> list[tuple[Estimate, Floats]]:
        """Return several numbers of a set of n texts that are computed together, with their
        spread."""
        if not self.subsets or n < 4:
            return [(Estimate(value), np.empty(0)) for value in values]
        parts = over_subsets(values, statistic, n, self.subsets, self.seed)
        return [
            (spread(value, replicates, bounds), replicates)
            for value, replicates in zip(values, parts.T, strict=True)
        ]


class Metric(ABC):
    """A family of numbers that are computed together.

    trains: whether networks are trained for it, which takes minutes rather than seconds.
    aligned: whether it is of texts that have references of their own. pairs_only: whether "all"
    leaves it out where texts answer no source.
    """

    name: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    trains: ClassVar[bool] = False
    aligned: ClassVar[bool] = False
    pairs_only: ClassVar[bool] = False

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            cls.name = name
            register("metric", name, cls)

    def check(self, inputs: MetricInputs) -> None:  # noqa: B027 - most metrics take any inputs
        """Raise Unavailable for what can be seen, without any work, to be lacking.

        Of all metrics and rows this is asked before anything is measured.
        """

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        """Estimate the seconds that `measure` takes on one core, for the time left; right within a
        factor of a few.

        By what is done: "" for this row alone, other names for what is done once for all metrics
        and rows that name it.
        """
        return {"": 2e-6 * len(inputs.predictions.words)}

    @abstractmethod
    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        """Compute the scores by name, in the order of a table.

        Raises Unavailable where the inputs lack what it takes.
        """


def finite(scores: dict[str, Score]) -> dict[str, Score]:
    """Return the same scores. Raises Unavailable, which names the first that is not a number."""
    for name, score in scores.items():
        if not math.isfinite(score.value):
            raise Unavailable(f"{name} is not a number for these texts")
    return scores
