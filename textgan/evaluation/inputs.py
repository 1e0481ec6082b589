"""The inputs of an evaluation, laid out so that the rows of a table compare.

A number that depends on how many texts it is taken on is only comparable among rows of as many, so
every row of a table has the same sizes, the row of real text too, and no real sentence is on both
sides of a comparison:

- A run: the real row is its validation part (fresh texts where there is an oracle), references are
  its test part, networks are trained on its training part.
- A run whose texts answer sources: every row answers the sources of the test part, in their order,
  and what people answered to them are aligned references; the real row is the validation part,
  which answers others.
- Files with the training text: the real row is a random part of the training text, at most half of
  it; networks are trained on the rest of it.
- Files with other real text (--real) alone: the real row is a random half of that, networks are
  trained on the other half.
- Files with references alone: these are parted into three at random, one for the real row, one that
  sets of texts are compared with, and one that networks are trained on; into two where there are
  too few of them to train a network on. BLEU takes all references, for the real row all but the
  sentence itself. Where sentences of one source are in several parts (captions of one picture),
  this row flatters real text, and so is a level that no generator can be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textgan.core.statistics import SUBSETS
from textgan.core.streams import SCHEME, Purpose, stream
from textgan.data.sentences import Sentences
from textgan.metrics.base import MetricInputs
from textgan.models.beam import BeamSearch


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of an evaluation.

    size: texts of a number that depends on how many there are, at most; 0: as many as all rows
    have. resamplings, subsets: of the intervals, 0 for none. equal: of every file as many texts as
    the smallest has, so that all of its numbers compare. search: of a run whose texts answer
    sources, what finds its answers; None: they are drawn.
    """

    seed: int = 0
    size: int = 0
    resamplings: int = 1000
    subsets: int = SUBSETS
    quiet: bool = True
    equal: bool = False
    search: BeamSearch | None = None


@dataclass(frozen=True)
class EvaluationInputs:
    """The rows of a table before they are measured.

    real: the name of the row of real text, None where there is too little of it.
    facts: what was read. warnings: what was odd about it.
    """

    rows: dict[str, MetricInputs]
    real: str | None
    facts: dict[str, Any]
    warnings: list[str] = field(default_factory=list)

    @property
    def same(self) -> dict[str, str]:
        """The rows that are another one, with the name of that."""
        same: dict[str, str] = self.facts.get("same", {})
        return same

    @property
    def measured(self) -> dict[str, MetricInputs]:
        """The rows that are neither the real one nor the same as another."""
        return {
            name: row
            for name, row in self.rows.items()
            if name != self.real and name not in self.same
        }


@dataclass(frozen=True)
class Parts:
    """The roles of real text where files hold it.

    real: the row of real text, None where there is too little; origin: its name. own: where its
    texts are among the references. opposite: what sets are compared with. train: what networks are
    trained on; train_source: what that is a part of. alone: what the real row's numbers of one set
    are of, which compare with nothing: all references, where the row is a part of them.
    """

    opposite: Sentences
    train: Sentences | None
    real: Sentences | None = None
    origin: str = "other text"
    train_source: str = "train"
    own: Tensor | None = None
    alone: Sentences | None = None

    def facts(self) -> dict[str, Any]:
        """Return the training data of metrics' networks, for the facts of the table."""
        if self.train is None:
            return {}
        return {"networks": {"of": self.train_source, "texts": len(self.train)}}


@dataclass(frozen=True)
class RowMaker:
    """Makes the rows of one table, whose numbers are taken on equally many texts.

    sample: texts of a number of one set. paired_sample: of each of two sets that are compared.
    make: MetricInputs with what all rows share.
    """

    seed: int
    sample: int
    paired_sample: int
    make: Callable[..., MetricInputs]

    @classmethod
    def of(
        cls,
        options: EvaluationOptions,
        fewest: int,
        parts: Parts,
        **common: Any,
    ) -> RowMaker:
        """fewest: texts of the smallest row that is not real."""
        most = min(fewest, options.size or fewest)
        sample = most if parts.alone is None else min(most, len(parts.alone))
        paired_sample = min(most, len(parts.opposite))
        if parts.real is not None:
            paired_sample = min(paired_sample, len(parts.real))
        make = partial(
            MetricInputs,
            paired_references=some_of(
                parts.opposite, paired_sample, Purpose.CHOSEN_REAL, options.seed
            ),
            train=parts.train,
            train_source=parts.train_source,
            seed=options.seed,
            resamplings=options.resamplings,
            subsets=options.subsets,
            quiet=options.quiet,
            **{"memory": {}} | common,
        )
        return cls(options.seed, sample, paired_sample, make)

    def __call__(
        self,
        predictions: Sentences,
        lines: list[str],
        *,
        alone: Sentences | None = None,
        **others: Any,
    ) -> MetricInputs:
        """A row of these texts. alone: what numbers of one set are of, where not of these."""
        pool = predictions if alone is None else alone
        return self.make(
            predictions=predictions,
            lines=lines,
            sample=some_of(pool, self.sample, Purpose.CHOSEN_ALONE, self.seed),
            paired_sample=some_of(
                predictions, self.paired_sample, Purpose.CHOSEN_PAIRED, self.seed
            ),
            **others,
        )

    def facts(self, samples: int) -> dict[str, Any]:
        """Describe how the rows were made, for the facts of the table."""
        return {
            "samples": samples,
            "sample": self.sample,
            "paired_sample": self.paired_sample,
            "seed": self.seed,
            "streams": SCHEME,
        }


def parted(n: int, first: int, purpose: Purpose, seed: int) -> tuple[Tensor, Tensor]:
    """A random `first` of n indices and the others, both in order."""
    order = np.random.default_rng(stream(purpose, seed)).permutation(n)
    some, others = (torch.from_numpy(np.sort(part)) for part in (order[:first], order[first:]))
    return some, others


def some_of(sentences: Sentences, n: int, purpose: Purpose, seed: int) -> Sentences:
    """n of the sentences, drawn at random unless those are all, in their order."""
    if n >= len(sentences):
        return sentences
    return sentences[parted(len(sentences), n, purpose, seed)[0]]
