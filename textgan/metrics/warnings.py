"""Warnings that scores of texts give: collapse, memorising, and numbers too good to be better."""

from __future__ import annotations

from textgan.core.score import Score, Scores
from textgan.core.statistics import Estimate

UNIQUE_ALARM = 0.5  # share of different texts below which a generator has collapsed
ENTROPY_ALARM = 0.5  # share of MLE's entropy below which it has


def warnings_of_row(
    scores: Scores,
    real: Scores,
    *,
    mle_entropy: float | None = None,
    unique_alarm: float = UNIQUE_ALARM,
    entropy_alarm: float = ENTROPY_ALARM,
    aligned: bool = False,
) -> list[str]:
    """Warn of what a reader of the scores of one set of texts should know.

    real: the scores of real text; empty where there are none. mle_entropy: in nats per token, of
    the generator after MLE. aligned: each text answers an input of its own, so that it is close to
    its reference by right.
    """

    def against(name: str) -> str:
        level, of_real = scores[name].value, real[name].value
        return f"{scores[name].title} {level:.3f} against {of_real:.3f} of real text"

    def above_real(name: str, margin: float = 0.0) -> bool:
        return name in scores and name in real and above(scores[name], real[name], margin)

    warnings = []
    if "unique" in scores and scores["unique"].value < unique_alarm:
        share = scores["unique"].value
        warnings.append(f"collapse: only {share:.0%} of the texts are different")
    elif above_real("self_bleu4", margin=0.1):
        warnings.append(f"collapse: the texts repeat each other, {against('self_bleu4')}")
    entropy = scores["entropy"].value if "entropy" in scores else None
    if entropy is not None and mle_entropy is not None and entropy < entropy_alarm * mle_entropy:
        warnings.append(
            f"collapse: entropy {entropy:.2f} nats per token, {entropy / mle_entropy:.0%} of "
            f"MLE's {mle_entropy:.2f}"
        )
    if "novelty" in scores:
        # without real text beside it, half of the texts
        floor = real.get("novelty", Score("", Estimate(0.5, 0.5, 0.5), "", "higher"))
        if above(floor, scores["novelty"]):
            share = 1 - scores["novelty"].value
            level = f", {1 - real['novelty'].value:.1%} of real text" if "novelty" in real else ""
            warnings.append(f"memorised: {share:.1%} of the texts are in the training text{level}")
    exceeded = [name for name in ("bleu2", "bleu3", "bleu4", "bleu5") if above_real(name)]
    if exceeded and not aligned:
        shown = "; ".join(map(against, exceeded))
        warnings.append(f"above real text, so rather concentrated than better: {shown}")
    both = "nll_oracle" in scores and "nll_oracle" in real
    if both and above(real["nll_oracle"], scores["nll_oracle"]):
        warnings.append(
            f"{scores['nll_oracle'].title} {scores['nll_oracle'].value:.3f} is below the oracle's "
            f"own entropy {real['nll_oracle'].value:.3f}: the generator repeats the oracle's "
            "likeliest texts"
        )
    return warnings


def above(score: Score, other: Score, margin: float = 0.0) -> bool:
    """Return whether a number is above another by more than a margin, their intervals apart. A
    difference from a number without an interval may be chance, so it counts for nothing."""
    low, high = score.low, other.high
    return low is not None and high is not None and low > high + margin
