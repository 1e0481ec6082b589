"""Settings of runs that are evaluated in a second, and texts that are."""

import random
from pathlib import Path

from toys import TOY

from textgan.data.sentences import Sentences
from textgan.evaluation.inputs import EvaluationInputs
from textgan.metrics.base import MetricInputs

QUICK = ["bleu", "self_bleu", "unique", "likelihood"]
SHORT = TOY | {"schedule.rounds": 1, "evaluation.final_samples": 60}
WORDS = ["the", "a", "cat", "dog", "sees", "likes", "red", "old", "tree", "house", "sun", "sea"]


def sentences(n: int, seed: int, size: int = 6) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=size)) + f" {i % 9}" for i in range(n)]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def numbered(word: str, n: int) -> list[str]:
    return [f"{word} number {i}" for i in range(n)]


def spelt(row: MetricInputs, texts: Sentences) -> list[str]:
    return [" ".join(words) for words in row.words(texts)]


def real_row(inputs: EvaluationInputs) -> MetricInputs:
    assert inputs.real is not None
    return inputs.rows[inputs.real]
