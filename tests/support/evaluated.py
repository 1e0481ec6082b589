"""Settings of runs that are evaluated in a second, and texts that are."""

import random
from pathlib import Path

from toys import TOY

QUICK = ["bleu", "self_bleu", "unique", "likelihood"]
SHORT = TOY | {"schedule.rounds": 1, "evaluation.final_samples": 60}
WORDS = ["the", "a", "cat", "dog", "sees", "likes", "red", "old", "tree", "house", "sun", "sea"]


def sentences(n: int, seed: int, size: int = 6) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=size)) + f" {i % 9}" for i in range(n)]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path
