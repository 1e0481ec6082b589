"""Subwords: learnt, split and joined, from the corpus to the evaluation."""

import builtins
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import corpus_of
from dialogues import QUESTIONS, chained, dialogues, tsv, written
from hypothesis import given
from hypothesis import strategies as st
from lines import ENGLISH, POEMS
from toys import TOY_TEXT, Cli

import textgan
from textgan.core.errors import UserError
from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.splits import PARTS
from textgan.data.subwords import SPACE, Subwords
from textgan.data.tokenizers import EOS, FIRST, UNKNOWN, WordTokenizer
from textgan.training.run import open_run

pytest.importorskip("tokenizers")

WHOLE = ("<unk>", "<turn>")
LOW = ["low lower lowest", "new newer newest", "wide wider", "slow slower"] * 4


def learnt(lines: list[str], vocabulary: int = 0, min_count: int = 1, turn: str = "") -> Any:
    subwords = Subwords.train(lines, vocabulary, min_count, WHOLE)
    return PreTokenizer("bpe", "", turn=turn, subwords=subwords)


def test_frequent_neighbours_are_merged_first() -> None:
    split = learnt(["aab aab aab", "ab"], vocabulary=5)
    # SPACE a b; then ab, which occurs four times as all pairs do or more often, then aab
    assert split.subwords.merges[0] == ("a", "b")
    assert set(split.subwords.pieces) == {SPACE, "a", "b", "ab", split.subwords.pieces[-1]}
    assert split("ab") == [SPACE, "ab"]
    for line in LOW:
        assert learnt(LOW)(line) == [f"{SPACE}{word}" for word in line.split()]


@given(st.text(st.characters(codec="utf-8", exclude_characters=f"\r\n\0{SPACE}"), max_size=30))
def test_pieces_joined_are_the_line(line: str) -> None:
    line = line.strip()
    split = learnt([line, *LOW], vocabulary=400)
    assert split.join(split(line)) == line
    for size in (40, 5):
        few = learnt(LOW, vocabulary=size)
        known = {character for line in LOW for character in line}
        result = few.join(few(line))
        if set(line) <= known and size == 40:
            assert result == line
        assert len(result.replace("<unk>", "?")) == len(line.replace("<unk>", "?").strip())


def test_punctuation_and_spaces_are_pieces_of_their_own() -> None:
    split = learnt(["a dog's park. , ( well )", "a  b"] * 9)
    assert split("a dog's park. ,  b") == [
        f"{SPACE}a", f"{SPACE}dog", "'", "s", f"{SPACE}park", ".", f"{SPACE},", SPACE, f"{SPACE}b",
    ]  # fmt: skip
    assert split("park.,,")[1:] == [".", ",", ","]


def test_whole_words_are_no_text() -> None:
    split = learnt([*LOW, "low <unk> lower", "low <turn> lower"], turn="<turn>")
    assert not any("unk" in piece or "turn" in piece for piece in split.subwords.pieces)
    for line in ("low<turn>lower", "low <turn> lower", "low  <turn>lower"):
        assert split(line) == [f"{SPACE}low", "<turn>", f"{SPACE}lower"]
        assert split.join(split(line)) == "low <turn> lower"
    assert split("low <unk> low") == [f"{SPACE}low", SPACE, "<unk>", f"{SPACE}low"]
    assert split.join(split("<unk> a<unk>b")) == "<unk> <unk><unk><unk>"  # nor are a and b known


def test_rare_characters_are_unknown() -> None:
    split = learnt([*LOW, "lox"], min_count=2)
    assert "x" not in split.subwords.pieces
    assert split("lox")[-1] == "<unk>"
    # more characters than pieces: the commonest stay, and of equally frequent ones the first
    few = learnt(["bca"] * 3 + ["a"], vocabulary=3)
    assert few.subwords == Subwords(tuple(sorted((SPACE, "a", "b"))), ())


def test_learning_is_a_function_of_the_lines() -> None:
    lines = [f"{a}{b} {b}{a}" for a in "abcdefg" for b in "hijklmn"]
    first = learnt(lines, vocabulary=60).subwords
    assert all(learnt(lines, vocabulary=60).subwords == first for _ in range(5))
    assert learnt(lines[::-1], vocabulary=60).subwords == first


def test_a_tokenizer_of_subwords_is_kept_as_json() -> None:
    split = learnt(LOW, vocabulary=30, turn="<turn>")
    tokenizer = WordTokenizer(("<turn>", *split.subwords.pieces), split, 20)
    assert tokenizer.kind == "bpe" and tokenizer.space.turn == FIRST
    again = WordTokenizer.from_json(tokenizer.to_json(), 20)
    assert again == tokenizer
    ids = again.encode(["low newest <turn> lox"])
    assert ids == tokenizer.encode(["low newest <turn> lox"]) and ids[0][-1] == UNKNOWN
    assert again.decode([[*ids[0], EOS]]) == ["low newest <turn> lo<unk>"]
    content = json.loads(tokenizer.to_json())
    for merges in ([["l"]], [["l", "zz"]], [["l", 3]], [3], None):
        with pytest.raises((ValueError, TypeError)):
            WordTokenizer.from_json(json.dumps(content | {"merges": merges}), 20)


def everything(corpus: Any) -> Counter[str]:
    return Counter(line for part in PARTS for line in corpus.decode(getattr(corpus, part)))


@pytest.mark.parametrize("share", [False, True])
def test_a_corpus_of_subwords(tmp_path: Path, share: bool) -> None:
    path = tsv(tmp_path, [(f"{a} and then some", b) for a, b in QUESTIONS])
    settings: dict[str, Any] = {"pairs": str(path), "share_vocabulary": share}
    corpus = corpus_of(Path(), file="", tokens="bpe", vocabulary=24, **settings)
    assert everything(corpus) == Counter(path.read_text().splitlines())
    assert corpus.facts["tokens"] == "bpe"
    assert corpus.source_tokenizer is not None
    assert len(corpus.tokenizer) == 24 + FIRST
    assert (corpus.tokenizer.words == corpus.source_tokenizer.words) is share
    assert corpus.space.shares_vocabulary is share
    # the parts are those that words have
    words = corpus_of(Path(), file="", **settings)
    for part in PARTS:
        assert corpus.decode(getattr(corpus, part)) == words.decode(getattr(words, part))


def test_subwords_are_those_of_the_training_part(tmp_path: Path) -> None:
    held = written(tmp_path, ["zzz one", "one two"], "test.txt")
    lines = written(tmp_path, [b for _, b in QUESTIONS], "train.txt")
    corpus = corpus_of(lines, tokens="bpe", test_file=str(held), length=9)
    assert not any("z" in piece for piece in corpus.tokenizer.words)
    assert corpus.decode(corpus.test) == ["<unk><unk><unk> one", "one two"]
    # each line has a character of its own, which is known where the line is trained on
    own = written(tmp_path, [f"word {chr(0x4E00 + i)}" for i in range(40)], "own.txt")
    corpus = corpus_of(own, tokens="bpe")
    assert "<unk>" not in " ".join(corpus.decode(corpus.train))
    assert {*corpus.decode(corpus.valid), *corpus.decode(corpus.test)} == {"word <unk>"}


def test_lengths_are_of_subwords(tmp_path: Path) -> None:
    talks = [[f"{line} abcdefgh" if i == 2 else line for i, line in enumerate(one)] for one in
             dialogues()]  # fmt: skip
    path = str(written(tmp_path, chained(talks), "pairs.tsv"))
    usual: dict[str, Any] = {"pairs": path, "tokens": "bpe", "turns": 2, "min_length": 2}
    corpus = corpus_of(Path(), file="", vocabulary=40, length=8, **usual)
    assert corpus.facts["too_long"] == 30
    assert int(corpus.train.lengths.max()) <= 9
    assert corpus.following["train"].text.tokens.shape[1] == corpus.space.length
    source = corpus.space.source
    assert source is not None and corpus.train.source is not None
    assert (corpus.train.source.tokens == source.turn).any()
    with pytest.raises(
        UserError, match=r"has 0 usable pairs of 120 .*; data.length = 2 leaves out"
    ):
        corpus_of(Path(), file="", vocabulary=20, length=2, **usual)


def test_without_the_library_one_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, ENGLISH, "a.txt")
    corpus = corpus_of(path, tokens="bpe")
    real = builtins.__import__

    def without(name: str, *more: Any, **others: Any) -> Any:
        if name.split(".")[0] == "tokenizers":
            raise ImportError(name)
        return real(name, *more, **others)

    for name in [name for name in sys.modules if name.split(".")[0] == "tokenizers"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"^data.tokens = bpe needs tokenizers: pip install 'textg"):
        corpus_of(path, tokens="bpe")
    # what a run wrote can be read all the same
    kept = WordTokenizer.from_json(corpus.tokenizer.to_json(), corpus.space.length)
    assert kept.decode(corpus.test.tolist()) == corpus.decode(corpus.test)


@pytest.mark.parametrize("lines", [ENGLISH * 2, POEMS])
def test_a_run_of_subwords_is_trained_sampled_and_evaluated(
    tmp_path: Path, cli: Cli, lines: list[str]
) -> None:
    data = written(tmp_path, lines, "text.txt")
    settings = TOY_TEXT | {"data.tokens": "bpe", "data.vocabulary": 30, "schedule.mle_epochs": 1}
    textgan.train("seqgan", data=data, out=tmp_path / "run", quiet=True, plot=False, **settings)
    run = open_run(tmp_path / "run")
    again = corpus_of(data, tokens="bpe", vocabulary=30, min_count=2)
    assert run.corpus.tokenizer == again.tokenizer
    assert torch.equal(run.corpus.train.tokens, again.train.tokens)
    code, out, err = cli("sample", tmp_path / "run", "-n", 5)
    assert code == 0, err
    assert SPACE not in out and len(out.splitlines()) == 5
    code, out, err = cli("evaluate", tmp_path / "run", "--metrics", "length,distinct", "--json")
    assert code == 0, err
    real = json.loads(out)["rows"]["real, held out"]
    words = [len(line.split() if " " in line else line) for line in run.corpus.decode(again.valid)]
    assert real["length"]["value"] == pytest.approx(sum(words) / len(words))
    assert f"tok:{'whitespace' if ' ' in lines[0] else 'char'}" in real["length"]["signature"]
