import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import corpus_of
from hypothesis import given
from hypothesis import strategies as st

from textgan.core.errors import UserError
from textgan.data.corpus import Corpus
from textgan.data.labelled import FEWEST, read_data
from textgan.data.sides import USUAL_LENGTH
from textgan.data.tokenizers import EOS, FIRST, UNKNOWN

# whatever a line of a UTF-8 file may hold
characters = st.characters(codec="utf-8", exclude_characters="\r\n\0")
lines = st.lists(st.text(characters, min_size=1, max_size=12), min_size=1, max_size=6)


def write(folder: Path, content: str | bytes, name: str = "corpus.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def everything(corpus: Corpus) -> list[str]:
    return [
        line for text in (corpus.train, corpus.valid, corpus.test) for line in corpus.decode(text)
    ]


# 60 different sentences of words that all occur often
COMMON = [f"{a} {b} {c}" for a in "abcd" for b in "efg" for c in "hijkl"]


# --- files ---


@given(lines)
def test_lines_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, written: list[str]
) -> None:
    path = write(tmp_path_factory.mktemp("lines"), "\n".join(["x", *written]))
    assert read_data(path).lines == ["x", *[line.strip() for line in written if line.strip()]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_are_no_text(tmp_path: Path, end: str, mark: bytes) -> None:
    content = mark + end.join(["ein Fuß", "", "  zwei\t", " ", "drei\u2028vier"]).encode()
    assert read_data(write(tmp_path, content)).lines == ["ein Fuß", "zwei", "drei\u2028vier"]


def test_files_that_are_no_corpus_are_named_with_a_remedy(tmp_path: Path) -> None:
    cases: list[tuple[Path, str]] = [
        (tmp_path / "missing.txt", "there is no such file"),
        (tmp_path, "is a folder, not a file"),
        (write(tmp_path, "", "empty.txt"), "is empty; give one sentence a line"),
        (write(tmp_path, " \n\t\r\n\n", "blank.txt"), "is empty; give one sentence a line"),
        (write(tmp_path, b"\xef\xbb\xbf", "mark.txt"), "is empty; give one sentence a line"),
        (write(tmp_path, b"PK\x03\x04\0\0", "zip.txt"), "is a zip archive; unpack it"),
        (write(tmp_path, "a b".encode("utf-16"), "utf16.txt"), "UTF-16.* iconv -f UTF-16"),
        (
            write(tmp_path, "eins\nzwei\nfünf\n".encode("latin-1"), "latin.txt"),
            r"not UTF-8 in line 3 \(byte 0xfc\); .* iconv",
        ),
    ]
    for path, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            read_data(path)
        assert str(caught.value).startswith(f"data.file = {str(path)!r}")


# --- corpora ---


def test_every_sentence_is_on_one_side_of_the_split(tmp_path: Path) -> None:
    lines = COMMON + COMMON[:30] + COMMON[:7]
    corpus = corpus_of(write(tmp_path, "\n".join(lines)), valid=0.2, test=0.1)
    sides = [set(corpus.decode(text)) for text in (corpus.train, corpus.valid, corpus.test)]
    assert [len(side) for side in sides] == [42, 12, 6]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert Counter(everything(corpus)) == Counter(lines)


def test_the_split_is_a_function_of_the_seed_and_not_of_the_order(tmp_path: Path) -> None:
    path = write(tmp_path, "\n".join(COMMON))
    first, again, other = (corpus_of(path, split_seed=seed) for seed in (1, 1, 2))
    for name in ("train", "valid", "test"):
        a, b, c = (getattr(corpus, name).tokens for corpus in (first, again, other))
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    backwards = corpus_of(
        write(tmp_path, "\n".join(reversed(COMMON)), "backwards.txt"), split_seed=1
    )
    assert set(backwards.decode(backwards.test)) == set(first.decode(first.test))


def test_what_is_recorded_of_a_corpus(tmp_path: Path) -> None:
    lines = [*COMMON, COMMON[0], "a " * 9]
    path = write(tmp_path, "\n".join(lines), "toy.txt")
    corpus = corpus_of(path, length=8, split_seed=5)
    assert corpus.facts == {
        "source": "toy.txt",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "sentences": 62,
        "too_long": 1,
        "split_seed": 5,
        "split": {"train": 48, "valid": 6, "test": 7},  # the repeated sentence is in the test
        "vocabulary": 12 + FIRST,
        "unknown_in_train": 0.0,
        "length": 4,  # the longest sentence that is left, and its end
        "known_as": None,
        "tokens": "word",
        "spaced_characters": False,
    }
    assert [len(text) for text in (corpus.train, corpus.valid, corpus.test)] == [48, 6, 7]
    assert corpus.name == "toy"
    assert corpus.space.vocabulary == 12 + FIRST
    assert (corpus.space.length, corpus.space.eos) == (4, EOS)
    assert corpus.train.tokens.shape[1] == 4


def test_frequent_words_come_first_and_rare_ones_are_unknown(tmp_path: Path) -> None:
    lines = [f"the {a} {b}" for a in "pqrst" for b in "uvwxy"] + ["the rare p", "the seldom p"] * 2
    path = write(tmp_path, "\n".join(lines))
    corpus = corpus_of(path, min_count=3, split_seed=1)
    counts = Counter(word for line in corpus.decode(corpus.train) for word in line.split())
    assert corpus.tokenizer.words[0] == "the"
    kept = [counts[word] for word in corpus.tokenizer.words]
    assert kept == sorted(kept, reverse=True)
    assert min(kept) >= 3
    assert set("pqrstuvwxy") | {"the"} == set(corpus.tokenizer.words)
    assert counts["<unk>"] > 0
    assert corpus.facts["unknown_in_train"] == round(counts["<unk>"] / counts.total(), 4)

    few = corpus_of(path, vocabulary=4, split_seed=1)
    assert few.tokenizer.words == corpus.tokenizer.words[:4]
    assert few.space.vocabulary == 4 + FIRST


def test_the_vocabulary_is_of_the_training_part_alone(tmp_path: Path) -> None:
    # each sentence has a word of its own, which is known where the sentence is trained on
    lines = [f"word w{i}" for i in range(40)]
    corpus = corpus_of(write(tmp_path, "\n".join(lines)))
    assert "<unk>" not in " ".join(corpus.decode(corpus.train))
    assert set(corpus.decode(corpus.valid) + corpus.decode(corpus.test)) == {"word <unk>"}


def test_unk_in_the_data_is_the_unknown_word(tmp_path: Path) -> None:
    lines = [f"<unk> {line}" for line in COMMON]
    corpus = corpus_of(write(tmp_path, "\n".join(lines)))
    assert "<unk>" not in corpus.tokenizer.words
    assert (corpus.train.tokens[:, 0] == UNKNOWN).all()
    assert Counter(everything(corpus)) == Counter(lines)
    assert corpus.facts["unknown_in_train"] == 0.25


@pytest.mark.parametrize("spaced", [False, True])
def test_characters_are_tokens_whether_or_not_they_are_spaced(tmp_path: Path, spaced: bool) -> None:
    poems = [f"{a}{b}{c}" for a in "春夏秋冬" for b in "山水風" for c in "月花鳥"]
    lines = [" ".join(poem) for poem in poems] if spaced else poems
    corpus = corpus_of(write(tmp_path, "\n".join(lines)), tokens="char")
    assert corpus.facts["spaced_characters"] is spaced
    assert set(corpus.tokenizer.words) == set("春夏秋冬山水風月花鳥")
    assert (corpus.train.lengths == 4).all()
    assert Counter(everything(corpus)) == Counter(lines)


def test_a_space_is_a_character_among_words(tmp_path: Path) -> None:
    lines = [f"{a}x {b}" for a in "abcdef" for b in "ghijk"]
    corpus = corpus_of(write(tmp_path, "\n".join(lines)), tokens="char")
    assert corpus.facts["spaced_characters"] is False
    assert " " in corpus.tokenizer.words
    assert Counter(everything(corpus)) == Counter(lines)


def test_sentences_that_are_too_long_are_dropped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "\n".join([*COMMON, "a e h i", "a e h i j k"]))
    assert corpus_of(path).space.length == 7  # six words and an end
    assert corpus_of(path).facts["too_long"] == 0
    shorter = corpus_of(path, length=3)
    assert shorter.facts["too_long"] == 2
    assert shorter.space.length == 4
    assert Counter(everything(shorter)) == Counter(COMMON)


def test_very_long_sentences_do_not_decide_the_length(tmp_path: Path) -> None:
    lines = [*COMMON * 4, *["a " * USUAL_LENGTH + "b"] * 2]
    corpus = corpus_of(write(tmp_path, "\n".join(lines)))
    assert corpus.facts["too_long"] == 2
    assert corpus.space.length == 4
    usual = corpus_of(write(tmp_path, "\n".join([*COMMON, "a " * USUAL_LENGTH])))
    assert usual.facts["too_long"] == 0
    assert usual.space.length == USUAL_LENGTH + 1


def test_too_little_to_train_on_is_refused(tmp_path: Path) -> None:
    few = COMMON[: FEWEST - 1]
    one_word = ["a " * n for n in range(1, 31)]
    cases: list[tuple[list[str], dict[str, Any], str]] = [
        (few, {}, f"has 19 usable sentences of 19 .*at least {FEWEST} are needed"),
        (COMMON, {"length": 2}, "needed; data.length = 2 leaves out 60; raise it"),
        (COMMON[:2] * 30, {}, "has 2 different sentences, too few for data.valid = 0.1"),
        (COMMON, {"valid": 0.6, "test": 0.5}, "too few for data.valid = 0.6 and data.test = 0.5"),
        (one_word, {}, "vocabulary of 1 words .*is data.tokens right.*try data.min_count = 1"),
        (COMMON, {"min_count": 900}, "vocabulary of 0 words seen 900 times"),
        (["a" * n for n in range(1, 31)], {"tokens": "char"}, "vocabulary of 1 characters"),
    ]
    for lines, settings, message in cases:
        path = write(tmp_path, "\n".join(lines))
        with pytest.raises(UserError, match=message) as caught:
            corpus_of(path, **settings)
        assert str(caught.value).startswith(f"data.file = {str(path)!r}")


def test_reading_shows_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("textgan.core.progress.LINE_SECONDS", -1.0)
    path = write(tmp_path, "\n".join(COMMON))
    corpus_of(path)
    assert capsys.readouterr().err == ""
    corpus_of(path, quiet=False)
    assert "reading corpus.txt: 30 of 60, about 0:00 left" in capsys.readouterr().err


def test_the_fewest_sentences_are_enough(tmp_path: Path) -> None:
    corpus = corpus_of(write(tmp_path, "\n".join(COMMON[:FEWEST])))
    assert corpus.facts["split"] == {"train": 16, "valid": 2, "test": 2}


def test_a_corpus_moves_to_a_device_as_a_whole(tmp_path: Path) -> None:
    corpus = corpus_of(write(tmp_path, "\n".join(COMMON)))
    moved = corpus.to(torch.device("meta"))
    assert {text.tokens.device.type for text in (moved.train, moved.valid, moved.test)} == {"meta"}
    assert (moved.name, moved.space, moved.tokenizer) == (
        corpus.name,
        corpus.space,
        corpus.tokenizer,
    )
    assert moved.facts == corpus.facts
