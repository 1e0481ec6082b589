"""A file in three parts, and lines as a network reads them."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from textgan.core.errors import UserError
from textgan.data.corpus import read_corpus
from textgan.data.splits import split_file
from textgan.data.texts import Form
from textgan.data.tokenizers import EOS, MASK_WORD, UNKNOWN, WordTokenizer, build_tokenizer

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
    corpus = read_corpus(
        path, tokens="word", vocabulary=0, min_count=1, length=0, valid=0.2, test=0.3, seed=5
    )
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
        (["a b"] * 30, {}, "has 1 different sentences, too few for"),
        (some_lines(), {"valid": 0.6, "test": 0.6}, "too few for data.valid = 0.6"),
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


LINES = ["the cat sees the dog", "the dog sees a cat", "the house"]


def test_words() -> None:
    tokenizer = WordTokenizer.train(LINES, length=5)
    assert tokenizer.words == ("the", "cat", "dog", "sees", MASK_WORD)  # the frequent ones
    assert tokenizer.mask_id == 7
    assert (tokenizer.space.vocabulary, tokenizer.space.length, tokenizer.space.eos) == (8, 5, EOS)
    text = tokenizer(["the cat", "", "a cat sees the dog", "the <mask> <unk> dog", "  the  "])
    assert text.tokens.tolist() == [
        [3, 4, EOS, 0, 0],
        [EOS, 0, 0, 0, 0],
        [UNKNOWN, 4, 6, 3, 5],  # its end is not seen
        [3, 7, UNKNOWN, 5, EOS],
        [3, EOS, 0, 0, 0],
    ]
    assert text.lengths.tolist() == [3, 1, 5, 5, 2]
    assert torch.equal(tokenizer.pad([[3, 4]]).tokens, torch.tensor([[3, 4, EOS]]))
    assert tokenizer.decode(text.tolist()) == [
        "the cat", "", "<unk> cat sees the dog", "the <mask> <unk> dog", "the",
    ]  # fmt: skip
    empty = tokenizer([])
    assert len(empty) == 0 and empty.tokens.dim() == 2


def test_characters() -> None:
    tokenizer = WordTokenizer.train(["春江花月", "花月夜"], tokens="char", min_count=1)
    assert tokenizer(["花江"]).tokens.shape == (1, 3)
    assert tokenizer.decode(tokenizer(["花江"]).tolist()) == ["花江"]
    spaced = WordTokenizer.train(["春 江 花 月", "花 月 夜"], tokens="char", min_count=1)
    assert torch.equal(spaced(["花 江"]).tokens, tokenizer(["花江"]).tokens)


def test_extra_words_are_known_once() -> None:
    tokenizer = WordTokenizer.train(LINES, extra=(MASK_WORD, "means", "the", "means"))
    assert tokenizer.words == ("cat", "dog", "sees", MASK_WORD, "means", "the")
    assert WordTokenizer.train(LINES, extra=()).mask_id is None
    assert WordTokenizer.train(LINES, vocabulary=2).words == ("the", "cat", MASK_WORD)


def test_a_vocabulary_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"vocabulary is 0 words seen 9 times.*min_count = 1"):
        WordTokenizer.train(LINES, min_count=9)


def test_a_length_in_which_nothing_fits_is_refused() -> None:
    with pytest.raises(UserError, match="length = 1: give at least 2 tokens"):
        WordTokenizer.train(LINES, length=1)


def test_a_name_says_how_it_reads() -> None:
    told = [({}, LINES), ({"length": 9}, LINES), ({"min_count": 1}, LINES), ({}, [*LINES, "a a"])]
    found = {build_tokenizer("transformer", lines, **more).name for more, lines in told}  # type: ignore[arg-type]
    assert len(found) == 4
    assert build_tokenizer("cnn", LINES).name == build_tokenizer("rnn", LINES[::-1]).name
