"""Runs that take a second."""

from pathlib import Path
from typing import Any

TOY: dict[str, Any] = {
    "seed": 1,
    "oracle.vocabulary": 20,
    "oracle.length": 6,
    "oracle.hidden": 8,
    "oracle.positives": 40,
    "oracle.held_out": 40,
    "generator.hidden": 8,
    "discriminator.sizes": [1, 2, 3],
    "discriminator.counts": [4, 4, 4],
    "objective.rollouts": 2,
    "schedule.batch_size": 8,
    "schedule.mle_epochs": 2,
    "schedule.discriminator_turns": 1,
    "schedule.rounds": 2,
    "schedule.d_steps": 1,
    "schedule.k": 1,
    "schedule.fakes": 0,
    "evaluation.samples": 20,
    "evaluation.final_samples": 50,
    "evaluation.bootstrap": 100,
}

TOY_TEXT = {key: value for key, value in TOY.items() if not key.startswith("oracle.")}


def toy_text(folder: Path, sentences: int = 60) -> Path:
    """A file of short sentences of one to six words."""
    words = ["a", "the", "cat", "dog", "sees", "likes", "old", "red", "tree", "house"]
    lines = [" ".join(words[(i * j) % 10] for j in range(1, 2 + i % 6)) for i in range(sentences)]
    path = folder / "toy.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
