"""Made-up scores, and rows of them."""

import numpy as np

from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate


def score(value: float, better: Better = "higher", title: str = "BLEU-2", unit: str = "") -> Score:
    noise = np.random.default_rng(int(value * 1000)).normal(size=1000) * 0.01
    estimate = Estimate(value, value - 0.02, value + 0.02)
    return Score(title, estimate, "bleu|v:1", better, unit, value + noise)


def row(shift: float) -> dict[str, Score]:
    titles = ["BLEU-2", "Self-BLEU-2", "NLL_test", "Length distance", "MAUVE*"]
    ways: list[Better] = ["higher", "like real text", "lower", "lower", "higher"]
    return {
        title: score(0.3 + shift + i / 10, way, title, "nats per token" if i == 2 else "")
        for i, (title, way) in enumerate(zip(titles, ways, strict=True))
    }


ROWS = {"real, held out": row(0), "MLE, best epoch": row(0.05), "seqgan, last": row(0.2)}
