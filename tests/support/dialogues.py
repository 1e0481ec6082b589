"""Files of pairs: a language in which the answer depends on the question, and dialogues."""

from itertools import pairwise
from pathlib import Path

NUMBERS = ("one", "two", "three", "four", "five", "six")
# 36 questions, each with one answer
QUESTIONS = [
    (f"{a} and {b}", " ".join([b, a] if i % 2 else [a, b, a]))
    for i, a in enumerate(NUMBERS)
    for b in NUMBERS
]


def tsv(folder: Path, pairs: list[tuple[str, str]], name: str = "pairs.tsv") -> Path:
    """A file of pairs, one a line."""
    return written(folder, [f"{source}\t{target}" for source, target in pairs], name)


def written(folder: Path, lines: list[str] | str, name: str) -> Path:
    """A file of these lines."""
    path = folder / name
    path.write_text(lines if isinstance(lines, str) else "\n".join(lines) + "\n", "utf-8")
    return path


def dialogues(n: int = 30, turns: int = 5) -> list[list[str]]:
    """Conversations, 36 at most, of as many utterances; none is equal to another, and all of one
    begin with the same two words."""
    return [[f"{NUMBERS[i % 6]} {NUMBERS[i // 6]} say{j}" for j in range(turns)] for i in range(n)]


def chained(conversations: list[list[str]], between: str = "\n") -> str:
    """The text of a file of pairs: each utterance with what answers it, an empty line between."""
    blocks = ("".join(f"{a}\t{b}\n" for a, b in pairwise(one)) for one in conversations)
    return between.join(blocks)
