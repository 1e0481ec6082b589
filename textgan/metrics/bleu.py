"""BLEU against all references, and Self-BLEU of texts against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from textgan.core.score import Score
from textgan.core.statistics import SHARE
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.functional.bleu import LeaveOneOut, References

Largest = Annotated[int, Field(ge=2, le=9, description="words in the longest n-grams")]


@dataclass(kw_only=True)
class BLEU(Metric, name="bleu"):
    """BLEU-n as the field computes it: how much of each text occurs in some reference, on average.

    The mean over texts of sentence BLEU, nltk's with method1, against all references at once, with
    equal weights on orders 1 to n. From 0 to 1, higher is better: every short stretch of a text
    was written by someone. An empty text scores 0. A real text that is one of the references is
    compared with the others.

    Pitfalls: it is blind to diversity, and one good caption repeated scores above real text, whose
    row is the level to reach and not to exceed. It grows with the number of references (BLEU-4 of
    real COCO captions, split at white space: 0.144 with 500, 0.301 with 10,000) and depends on the
    tokenizer (0.329 of the same captions with nltk's), so only equal signatures compare. Without
    smoothing, nltk before 3.3 puts random words above real text. Of 100 texts the standard
    deviation is 0.02 to 0.03.
    """

    paper: ClassVar[str] = "Papineni et al., ACL 2002; Yu et al. 2017, arXiv 1609.05473"

    largest: Largest = 5

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        texts, references, own = inputs.predictions, inputs.references, inputs.reference_index
        needed = 1 if own is None else 2
        if len(texts) < 1 or len(references) < needed:
            raise Unavailable(
                f"needs texts and references, at least 1 and {needed}; there are {len(texts)} and "
                f"{len(references)}"
            )
        known = inputs.remember(
            ("bleu", references.digest(), self.largest),
            lambda: References(references, self.largest),
        )
        each = known.score(texts, own)
        left_out = {} if own is None else {"own": "out"}
        scores = {}
        for n in range(2, self.largest + 1):
            estimate, replicates = inputs.mean(each[:, n - 1], sources=inputs.groups)
            signature = inputs.sign(
                "bleu", n=n, cum=None, refs=len(references), **left_out, hyps=len(texts),
                tok=inputs.token_kind, smooth="m1",
            )  # fmt: skip
            scores[f"bleu{n}"] = Score(
                f"BLEU-{n}", estimate, signature, "higher", replicates=replicates
            )
        return scores


@dataclass(kw_only=True)
class SelfBLEU(Metric, name="self_bleu"):
    """Self-BLEU-n: BLEU-n of each text against all the others, how much they repeat each other.

    From 0 (no word in common) to 1 (every text occurs in another); lower is more diverse, and good
    texts are as diverse as real ones. Each text is left out of its own references, its duplicates
    are not. The interval comes of random subsets, in which each text is compared with the others of
    its subset.

    Pitfalls: random words have the lowest, so it means something only beside a measure of quality,
    and below the row of real text lower is no longer better. It grows with the number of texts
    (Self-BLEU-4 of real COCO captions, split at white space: 0.286 of 500, 0.572 of 10,000), so
    only equal signatures compare. Texygen's and RelGAN's code compares a text with itself too,
    which gives 1, or with texts of an earlier epoch.
    """

    paper: ClassVar[str] = "Zhu et al. 2018 (Texygen), arXiv 1802.01886"

    largest: Largest = 5

    def check(self, inputs: MetricInputs) -> None:
        if len(inputs.sample) < 2:
            raise Unavailable(f"needs at least 2 texts; there are {len(inputs.sample)}")

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        return {"": 1e-6 * len(inputs.sample.words) * (4 + inputs.subsets)}

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        texts = inputs.sample
        counted = LeaveOneOut(texts, self.largest)
        estimates = inputs.of_sets(
            counted.score().mean(0)[1:].tolist(),
            lambda some: counted.score(some).mean(0)[1:].tolist(),
            len(texts),
            SHARE,
        )
        scores = {}
        for n, (estimate, replicates) in enumerate(estimates, start=2):
            signature = inputs.sign(
                "self_bleu", n=n, cum=None, loo=None, hyps=len(texts), tok=inputs.token_kind,
                smooth="m1",
            )  # fmt: skip
            scores[f"self_bleu{n}"] = Score(
                f"Self-BLEU-{n}", estimate, signature, "like real text", replicates=replicates
            )
        return scores
