"""A file of lines, split into training, validation and test."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import corpus_of

from textgan.core.errors import UserError
from textgan.data.splits import split_file
from textgan.data.texts import Form

WORDS = ["a", "the", "cat", "dog", "sees", "likes", "old", "red", "tree", "house"]


def written(folder: Path, lines: list[str], name: str = "lines.txt") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def some_lines(n: int = 80) -> list[str]:
    """Sentences of one to six words, many of them several times."""
    return [" ".join(WORDS[(i * j) % 10] for j in range(1, 2 + i % 6)) for i in range(n)]


def test_parts_are_those_of_a_corpus(tmp_path: Path) -> None:
    path = written(tmp_path, some_lines())
    split = split_file(path, valid=0.2, test=0.3, seed=5)
    corpus = corpus_of(path, valid=0.2, test=0.3, split_seed=5)
    for name in ("train", "valid", "test"):
        assert getattr(split, name).lines == corpus.decode(getattr(corpus, name))
        assert getattr(split, name).labels is None
        assert split.facts["split"][name] == len(getattr(split, name).lines)
    assert split.names == ()
    assert split.facts["sha256"] == corpus.facts["sha256"]
    assert split.facts["sentences"] == 80


def test_equal_lines_are_on_one_side(tmp_path: Path) -> None:
    lines = [
        f"{word}  {i % 12}" if i % 2 else f"{word} {i % 12}" for i in range(60) for word in "ab"
    ]
    for seed in range(5):
        split = split_file(written(tmp_path, lines), valid=0.3, test=0.3, seed=seed)
        sides = [{" ".join(line.split()) for line in part.lines} for part in split_parts(split)]
        assert all(sides)
        assert len(set.union(*sides)) == sum(map(len, sides))
        assert sum(len(part.lines) for part in split_parts(split)) == 120
    assert split_file(written(tmp_path, lines), seed=1) != split_file(
        tmp_path / "lines.txt", seed=2
    )


def split_parts(split: object) -> list[object]:
    return [getattr(split, name) for name in ("train", "valid", "test")]


def test_labels_go_with_their_lines(tmp_path: Path) -> None:
    names = ["odd", "even"]
    lines = [f"{names[i % 2 == 0]}\tnumber {i}" for i in range(1, 61)]
    split = split_file(written(tmp_path, lines, "lines.tsv"))
    assert split.names == ("even", "odd")  # in alphabetical order
    for part in (split.train, split.valid, split.test):
        assert part.labels is not None and part.labels.dtype == torch.int64
        assert [int(line.split()[1]) % 2 for line in part.lines] == part.labels.tolist()
    assert split.facts["labels"] == {
        name: split.train.labels.tolist().count(i)  # type: ignore[union-attr]
        for i, name in enumerate(split.names)
    }
    plain = split_file(tmp_path / "lines.tsv", form=Form(labels="no"))
    assert plain.names == () and plain.train.lines[0].startswith(("odd\t", "even\t"))


@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        (["a b"] * 19, {}, "has 19 sentences; at least 20 are needed"),
        (["a b"] * 30, {}, "of them; at least 3 are needed"),
        (some_lines(), {"valid": 0.6, "test": 0.6}, "data.test = 0.6 of them; give smaller shares"),
        (some_lines(), {"form": Form("yes")}, "line 1 has no tab"),
        ([f"{'ab'[i > 0]}\tline {i}" for i in range(30)], {"form": Form("yes")}, "the label 'a'"),
    ],
)
def test_files_that_cannot_be_split(
    lines: list[str], settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as refused:
        split_file(written(tmp_path, lines), **settings)
    assert "lines.txt" in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(UserError, match="there is no such file"):
        split_file(tmp_path / "nowhere.txt")
