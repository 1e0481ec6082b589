"""Two sets of texts compared by the vectors that an encoder makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from textgan.core.score import Score
from textgan.core.statistics import POSITIVE, SHARE, Floats, spread
from textgan.core.streams import Purpose, stream
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.functional.frechet import Moments, frechet_distance
from textgan.metrics.functional.mauve import POINTS, SCALE, histogram, kmeans, overlap, prepared
from textgan.metrics.networks import (
    REAL_MODEL,
    LanguageModelSettings,
    reading_seconds,
    text_to_train_on,
    training_seconds,
)
from textgan.metrics.vectors import Encoder, encoded, find_encoder

FEWEST = 100  # texts on each side; fewer say nothing about a distribution
MOST_BUCKETS = 500  # more take long and change little
VARIANCE = 0.9  # that clustered vectors keep
KRICHEVSKY_TROFIMOV = 0.5

Encoding = Annotated[
    str,
    Field(
        min_length=1,
        description="lm, trained here on real text; hf:FOLDER of a sentence encoder; or a FOLDER "
        "that textgan encode wrote",
    ),
]


def comparable(name: str, inputs: MetricInputs) -> None:
    """Raise Unavailable for too few texts, or none to train the encoder on; UserError for a folder
    without an encoder."""
    if name != "lm":
        find_encoder(name, inputs)  # a wrong folder is not to hide behind too few texts
    fewest = min(len(inputs.paired_sample), len(inputs.paired_references))
    if fewest < FEWEST:
        raise Unavailable(f"needs at least {FEWEST} texts on each side; there are {fewest}")
    if trained_here(name, inputs):
        text_to_train_on(inputs)


def trained_here(name: str, inputs: MetricInputs) -> bool:
    """Return whether the encoder is a language model that is still to be trained."""
    return name == "lm" and ("encoder", name) not in inputs.memory


def embedding_cost(name: str, inputs: MetricInputs) -> dict[str, float]:
    """Estimate the seconds that the vectors take on one core: most is the training of the
    encoder."""
    usual = LanguageModelSettings()
    times = 1 if name == "lm" else 30  # what a pretrained network takes longer
    cost = {
        f"vectors of {side.digest()} by {name}": times * reading_seconds(side, usual)
        for side in (inputs.paired_sample, inputs.paired_references)
    }
    return cost | ({REAL_MODEL: training_seconds(inputs.train, usual)} if name == "lm" else {})


def compared(name: str, inputs: MetricInputs) -> tuple[Encoder, Tensor, Tensor]:
    """Return the encoder, and the vectors of the texts and of the real ones, (B, F) each."""
    encoder = find_encoder(name, inputs)
    return (
        encoder,
        encoded(encoder, inputs.paired_sample, inputs),
        encoded(encoder, inputs.paired_references, inputs),
    )


@dataclass(kw_only=True)
class Frechet(Metric, name="frechet"):
    """Fréchet distance between the vectors of texts and of real texts.

    That of two normal distributions with the sets' means and covariances; 0 where these are the
    same. Lower is better.

    The interval is over random subsets of both sets. Where the sets are alike, as in the row of
    real text, it is up to 1.7 times too wide, since the distance is then quadratic in what differs.

    Pitfalls: it is biased upwards, the more so the fewer the texts and the more the dimensions, so
    it takes at least twice as many texts as dimensions on each side, and the floor is not 0 but the
    row of real text at the same sizes. Values over different encoders do not compare, and what the
    encoder does not see the distance does not: one that adds up words is blind to their order.
    Memorised training text has the best value of all.
    """

    paper: ClassVar[str] = "Semeniuta et al. 2018, arXiv 1806.04936"
    trains: ClassVar[bool] = True

    encoder: Encoding = "lm"

    def check(self, inputs: MetricInputs) -> None:
        comparable(self.encoder, inputs)
        fewest, size = (
            min(len(inputs.paired_sample), len(inputs.paired_references)),
            LanguageModelSettings().hidden,
        )
        if trained_here(self.encoder, inputs) and fewest < 2 * size:
            raise Unavailable(
                f"needs at least {2 * size} texts on each side, twice the dimensions of the "
                f"encoder; there are {fewest}"
            )

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        return {"": 0.03 * inputs.subsets} | embedding_cost(self.encoder, inputs)

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        encoder, texts, real = compared(self.encoder, inputs)
        size, fewest = texts.shape[1], min(len(texts), len(real))
        if fewest < 2 * size:
            raise Unavailable(
                f"needs at least {2 * size} texts on each side, twice the dimensions of "
                f"{encoder.name}; there are {fewest}"
            )

        def distance(some: Tensor) -> float:
            return frechet_distance(Moments.of(texts[some]), Moments.of(real[some]))

        value = frechet_distance(Moments.of(texts), Moments.of(real))
        estimate, replicates = inputs.of_set(value, distance, fewest, POSITIVE)
        signature = inputs.sign(
            "frechet",
            enc=encoder.name,
            texts=len(texts),
            real=len(real),
            tok=inputs.token_kind,
        )
        score = Score("Fréchet distance", estimate, signature, "lower", replicates=replicates)
        return {"frechet": score}


def overlaps(
    clusterings: Sequence[Sequence[Tensor]],
    buckets: int,
    added: float = 0.0,
    chosen: Tensor | slice = slice(None),
) -> Floats:
    """Compute how far the chosen texts of two sets overlap in each clustering, (S,).

    clusterings: for each, the buckets of the texts of both sets.
    """
    areas = [
        overlap(histogram(texts[chosen], buckets, added), histogram(real[chosen], buckets, added))
        for texts, real in clusterings
    ]
    return np.array(areas)


@dataclass(kw_only=True)
class Mauve(Metric, name="mauve"):
    """MAUVE: how far the distributions of texts and of real texts overlap.

    Of their vectors, sorted into buckets; from 0.004 (nothing in common) to 1 (the same). Higher is
    better.

    The mean over several clusterings; MAUVE* is the same with half a text more in every bucket of
    each side (Krichevsky-Trofimov), which forgives buckets that are empty by chance. The interval
    is over random subsets of both sets and over the clusterings.

    Pitfalls: a value means nothing without its signature, for it depends on the encoder, the number
    of buckets and of texts (which sets the number of buckets), so read it beside the row of real
    text at the same sizes. Small sets have few and coarse buckets and look too good: take a few
    thousand texts. One clustering differs from the next by as much as models do, which is why there
    are several. Memorised training text has the best value of all.
    """

    paper: ClassVar[str] = "Pillutla et al. 2021, arXiv 2102.01454"
    trains: ClassVar[bool] = True

    encoder: Encoding = "lm"
    buckets: Annotated[
        int, Field(ge=0, description="0: a tenth of the texts of one side, at most 500")
    ] = 0
    seeds: Annotated[int, Field(ge=1, description="clusterings, averaged")] = 5
    # the mean of five best of five is that of five, at five times the cost
    restarts: Annotated[int, Field(ge=1, description="tries of a clustering, the best taken")] = 1

    def check(self, inputs: MetricInputs) -> None:
        comparable(self.encoder, inputs)

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        texts = len(inputs.paired_sample) + len(inputs.paired_references)
        clustered = self.seeds * self.restarts * texts * self.buckets_of(texts // 2) * 2e-6
        return {"": clustered} | embedding_cost(self.encoder, inputs)

    def buckets_of(self, fewest: int) -> int:
        """Return the number of buckets for so many texts of one side."""
        return self.buckets or min(MOST_BUCKETS, fewest // 10)

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        encoder, texts, real = compared(self.encoder, inputs)
        fewest = min(len(texts), len(real))
        buckets = self.buckets_of(fewest)
        if buckets < 2 or buckets > fewest:
            raise Unavailable(f"needs 2 to {fewest} buckets for {fewest} texts; given {buckets}")
        vectors = prepared(torch.cat([texts, real]), VARIANCE)
        sizes = [len(texts), len(real)]
        clusterings = [
            kmeans(vectors, buckets, inputs.seed, self.restarts, number).split(sizes)
            for number in inputs.progress(range(self.seeds), "clustering for MAUVE")
        ]
        facts = {
            "enc": encoder.name, "texts": sizes[0], "real": sizes[1], "buckets": buckets,
            "pca": VARIANCE, "c": f"{SCALE:g}", "points": POINTS, "seeds": self.seeds,
            "restarts": self.restarts, "tok": inputs.token_kind, "seed": inputs.seed,
        }  # fmt: skip

        def score(name: str, title: str, added: float, **more: object) -> Score:
            areas = overlaps(clusterings, buckets, added)
            value = float(areas.mean())
            estimate, replicates = inputs.of_set(
                value,
                lambda some: float(overlaps(clusterings, buckets, added, some).mean()),
                fewest,
                SHARE,
            )
            if len(replicates):
                # other texts would also have been clustered from other random numbers
                random = np.random.default_rng(stream(Purpose.CLUSTERINGS_DRAWN, inputs.seed))
                drawn = random.integers(self.seeds, size=(len(replicates), self.seeds))
                replicates = replicates + areas[drawn].mean(1) - value
                estimate = spread(value, replicates, SHARE)
            signature = inputs.sign(name, **facts, **more)
            return Score(title, estimate, signature, "higher", replicates=replicates)

        return {
            "mauve": score("mauve", "MAUVE", 0.0),
            "mauve_star": score("mauve_star", "MAUVE*", KRICHEVSKY_TROFIMOV, smooth="kt"),
        }
