"""Pairs from the file to the run: what is read, divided, refused, kept."""

import hashlib
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import corpus_of
from dialogues import QUESTIONS, chained, dialogues, tsv, written
from hypothesis import given
from hypothesis import strategies as st
from interrupted import assert_resumes, stop_at
from interrupted import everything as run_files
from toys import TOY_TEXT, Cli, in_0_1s_way, refused

import textgan
from textgan.core.errors import Interrupted, UserError
from textgan.core.tensors import load_tensors, save_tensors
from textgan.data.corpus import Corpus
from textgan.data.pairs import conversations, goes_on, with_history
from textgan.data.splits import PARTS
from textgan.data.texts import Form, Row, read_rows
from textgan.data.tokenizers import FIRST, UNKNOWN
from textgan.training.config import make_config
from textgan.training.run import create_run, open_run


def read(**settings: Any) -> Corpus:
    """The corpus of pairs in one file or two."""
    return corpus_of(settings.pop("file", ""), **settings)


def everything(corpus: Corpus) -> list[str]:
    return [line for part in PARTS for line in corpus.decode(getattr(corpus, part))]


def sides(corpus: Corpus, side: int) -> list[set[str]]:
    """The sources (0) or targets (1) of each part."""
    parts = [corpus.decode(getattr(corpus, part)) for part in PARTS]
    return [{line.split("\t")[side] for line in lines} for lines in parts]


# --- reading ---


plain = st.characters(codec="utf-8", exclude_characters="\t\r\n\0")
parts = st.text(plain, min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.tuples(parts, parts), min_size=1, max_size=6))
def test_sources_and_targets_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    pairs = [("x", "y y"), *pairs]
    folder = tmp_path_factory.mktemp("pairs")
    rows = read_rows(tsv(folder, pairs), "x", Form(pairs=True)).rows
    assert [(row.source, row.text) for row in rows] == pairs
    assert [row.line for row in rows] == list(range(1, len(pairs) + 1))


def test_one_corpus_however_the_pairs_are_written(tmp_path: Path) -> None:
    """In one file, in two, in a table, in JSON lines, with empty lines between them."""
    table = ["source,target", *(f'"{a}","{b}"' for a, b in QUESTIONS)]
    objects = [json.dumps({"source": a, "target": b}) for a, b in QUESTIONS]
    fields = {"field": "target", "source_field": "source"}
    pairs = tsv(tmp_path, QUESTIONS)
    targets = written(tmp_path, [b for _, b in QUESTIONS], "targets.txt")
    sources = written(tmp_path, [a for a, _ in QUESTIONS], "sources.txt")
    ways = [
        read(pairs=str(pairs)),
        read(file=targets, source=str(sources)),
        read(file=written(tmp_path, table, "table.csv"), **fields),
        read(file="", pairs=str(written(tmp_path, table, "table.csv")), **fields),
        read(file=written(tmp_path, objects, "table.jsonl"), **fields),
        read(file=written(tmp_path, "source\ttarget\n" + pairs.read_text(), "t.tsv"), **fields),
        read(pairs=str(written(tmp_path, pairs.read_text().replace("\n", "\r\n\r\n"), "b.tsv"))),
    ]
    first = ways[0]
    assert Counter(everything(first)) == Counter(f"{a}\t{b}" for a, b in QUESTIONS)
    for way in ways[1:]:
        assert way.space == first.space
        assert (way.tokenizer, way.source_tokenizer) == (first.tokenizer, first.source_tokenizer)
        for part in PARTS:
            assert way.decode(getattr(way, part)) == first.decode(getattr(first, part))
    assert first.space.source is not None
    assert (first.space.length, first.space.source.length) == (4, 4)
    assert (first.space.vocabulary, first.space.source.vocabulary) == (6 + FIRST, 7 + FIRST)


def test_both_sides_are_treated_alike(tmp_path: Path) -> None:
    lines = [*QUESTIONS, *[("seldom asked", "seldom told")], ("one", "one two three four five")]
    pairs = str(tsv(tmp_path, [*lines, ("one and two and three", "one"), ("two", "one")]))
    corpus = read(pairs=pairs, length=4, min_length=2, source_length=3, min_count=2)
    assert corpus.facts["too_long"] == 1
    assert corpus.facts["too_short"] == 2
    assert corpus.facts["source_too_long"] == 0  # a row is left out for its first reason
    assert corpus.facts["sentences"] == 40
    longer = read(pairs=pairs, length=5, source_length=3)
    assert longer.facts["source_too_long"] == 1
    assert sum(longer.facts["split"].values()) == 39
    assert corpus.source_tokenizer is not None
    assert "seldom" not in {*corpus.tokenizer.words, *corpus.source_tokenizer.words}
    few = read(pairs=pairs, vocabulary=4, source_vocabulary=5)
    assert few.source_tokenizer is not None
    assert (len(few.tokenizer.words), len(few.source_tokenizer.words)) == (4, 5)
    assert few.facts["sources"]["vocabulary"] == 5 + FIRST
    assert few.facts["sources"]["unknown_in_train"] > 0 < few.facts["unknown_in_train"]
    alike = read(pairs=pairs, vocabulary=4)
    assert alike.source_tokenizer is not None and len(alike.source_tokenizer.words) == 4


def test_one_vocabulary_for_both_sides(tmp_path: Path) -> None:
    pairs = str(tsv(tmp_path, [(a.replace("and", "<turn>"), b) for a, b in QUESTIONS]))
    corpus = read(pairs=pairs, share_vocabulary=True)
    source = corpus.space.source
    assert source is not None and corpus.source_tokenizer is not None
    assert corpus.space.shares_vocabulary
    assert corpus.tokenizer.words == corpus.source_tokenizer.words
    assert corpus.space.turn == source.turn == corpus.tokenizer.ids["<turn>"]
    assert corpus.space.turn in corpus.space.unwritten
    assert corpus.train.source is not None
    assert (corpus.train.source.tokens == source.turn).sum() == len(corpus.train)
    assert not (corpus.train.tokens == source.turn).any()
    apart = read(pairs=pairs)
    assert apart.space.turn is None and not apart.space.shares_vocabulary
    assert apart.space.source is not None and apart.space.source.turn is not None


@pytest.mark.parametrize("tokens", ["word", "char"])
@pytest.mark.parametrize(
    "spelt", ["a <turn> b", "a<turn>b", "a  <turn>b", "<turn> a <turn><turn> b"]
)
def test_a_turn_is_one_token(tmp_path: Path, tokens: str, spelt: str) -> None:
    lines = [(spelt, f"{b} {b}") for _, b in QUESTIONS]
    lines = [(f"{a} {i}", b) for i, (a, b) in enumerate(lines)]
    corpus = read(pairs=str(tsv(tmp_path, lines)), tokens=tokens)
    assert corpus.train.source is not None and corpus.space.source is not None
    turns = corpus.train.source.tokens == corpus.space.source.turn
    assert (turns.sum(1) == 1).all()
    assert corpus.space.source.turn != UNKNOWN
    between = " <turn> " if tokens == "word" else "<turn>"
    assert all(line.startswith(f"a{between}b") for line in corpus.decode(corpus.train))
    # what was decoded is encoded to the same
    assert corpus.source_tokenizer is not None
    some = corpus.train.source[:5]
    again = corpus.source_tokenizer(corpus.source_tokenizer.decode(some.tolist()))
    assert again.tolist() == some.tolist()


def test_labels_and_sources_together(tmp_path: Path) -> None:
    labels = ["even" if i % 2 else "odd" for i in range(len(QUESTIONS))]
    table = [
        "source,target,kind",
        *(f'"{a}","{b}",{kind}' for (a, b), kind in zip(QUESTIONS, labels, strict=True)),
    ]
    fields = {"field": "target", "source_field": "source", "label_field": "kind"}
    one = read(file=written(tmp_path, table, "table.csv"), **fields)
    lines = [f"{kind}\t{b}" for (_, b), kind in zip(QUESTIONS, labels, strict=True)]
    source = str(written(tmp_path, [a for a, _ in QUESTIONS], "source.txt"))
    two = read(file=written(tmp_path, lines, "labels.tsv"), source=source)
    expected = Counter(f"{k}\t{a}\t{b}" for (a, b), k in zip(QUESTIONS, labels, strict=True))
    assert Counter(everything(one)) == Counter(everything(two)) == expected
    assert one.label_names == ("even", "odd") and one.space.classes == 2
    assert two.facts["labels"] == one.facts["labels"]


# --- who answers whom ---


def rows_of(text: str, folder: Path) -> list[Row]:
    return read_rows(written(folder, text, "rows.tsv"), "x", Form(pairs=True)).rows


def test_a_row_goes_on_where_its_source_is_the_target_before(tmp_path: Path) -> None:
    text = "a\tb\nb\tc\nx <turn> c\td\n\nd\te\ne\tf\ng\th\n"
    rows = rows_of(text, tmp_path)
    assert goes_on(rows) == [False, True, True, False, True, False]
    assert conversations(goes_on(rows)) == [0, 0, 0, 1, 1, 2]


def test_the_utterances_before_a_response_are_its_source(tmp_path: Path) -> None:
    rows = rows_of("z <turn> a\tb\nb\tc\nc\td\n\nx\ty\n", tmp_path)
    filled, on = [row for row in rows if row.text], goes_on(rows)

    def sources(turns: int) -> list[str | None]:
        return [row.source for row in with_history(filled, on, turns)]

    assert sources(1) == ["a", "b", "c", "x"]
    assert sources(2) == ["z <turn> a", "a <turn> b", "b <turn> c", "x"]
    assert sources(9)[2] == "z <turn> a <turn> b <turn> c"


@given(st.integers(0, 50), st.booleans(), st.floats(0.1, 0.4))
def test_no_source_and_no_conversation_is_in_two_parts(
    tmp_path_factory: pytest.TempPathFactory, seed: int, by_source: bool, share: float
) -> None:
    folder = tmp_path_factory.mktemp("split")
    if by_source:
        # every question thrice, each time with another answer
        pairs = [(a, f"{b} {i}") for i in range(3) for a, b in QUESTIONS]
        path = tsv(folder, pairs)
    else:
        path = written(folder, chained(dialogues()), "pairs.tsv")
    corpus = read(pairs=str(path), split_seed=seed, valid=share, test=share)
    key = (lambda s: s) if by_source else (lambda s: s[:-5])
    parts = [{key(source) for source in part} for part in sides(corpus, 0)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts)) == (36 if by_source else 30)
    assert corpus.facts["split_by"] == ("source" if by_source else "conversation")
    assert corpus.facts["also_in_train"]["test"]["sources"] == 0


def test_whether_lines_go_on_decides_what_is_divided(tmp_path: Path) -> None:
    path = str(written(tmp_path, chained(dialogues()), "dialogue.tsv"))
    auto = read(pairs=path)
    assert (auto.facts["split_by"], auto.facts["goes_on"]) == ("conversation", 90)
    assert read(pairs=path, split_by="source").facts["split_by"] == "source"
    by_source = read(pairs=path, split_by="source")
    assert by_source.following == by_source.conversations == {}
    # without an empty line, too, unless one conversation begins as another ended
    bare = str(written(tmp_path, chained(dialogues(), ""), "bare.tsv"))
    assert Counter(everything(read(pairs=bare))) == Counter(everything(auto))
    assert read(pairs=bare).facts["split"] == auto.facts["split"]


def test_conversations_are_known_before_pairs_are_dropped(tmp_path: Path) -> None:
    """A long utterance in the middle parts no conversation."""
    long = [[*one[:2], one[2] + " and more", *one[3:]] for one in dialogues()]
    path = str(written(tmp_path, chained(long), "pairs.tsv"))
    corpus = read(pairs=path, length=3, source_length=3)
    assert corpus.facts["too_long"] == corpus.facts["source_too_long"] == 30
    talks = [{source[:-5] for source in part} for part in sides(corpus, 0)]
    assert sum(map(len, talks)) == len(set.union(*talks)) == 30
    for part in PARTS:
        source = getattr(corpus, part).source
        assert source is not None and corpus.source_tokenizer is not None
        of = [one[:-5] for one in corpus.source_tokenizer.decode(source.tolist())]
        numbers = corpus.conversations[part].tolist()
        assert len({*zip(of, numbers, strict=True)}) == len({*of}) == len({*numbers})


def test_what_follows_a_response_is_kept(tmp_path: Path) -> None:
    talks = dialogues()
    path = str(written(tmp_path, chained(talks), "pairs.tsv"))
    corpus = read(pairs=path)
    after = {b: c for one in talks for b, c in pairwise(one[1:])}
    for part in PARTS:
        one, text = corpus.following[part], getattr(corpus, part)
        responses = corpus.tokenizer.decode(text[one.rows].tolist())
        assert corpus.tokenizer.decode(one.text.tolist()) == [after[line] for line in responses]
        rest = set(range(len(text))) - set(one.rows.tolist())
        last = corpus.tokenizer.decode(text[torch.tensor(sorted(rest))].tolist())
        assert not after.keys() & set(last)
        assert one.text.source is not None and text.source is not None
        assert torch.equal(one.text.source.tokens, text.source.tokens[one.rows])
    counted = {part: len(one.rows) for part, one in corpus.following.items()}
    assert corpus.facts["following"] == counted
    assert sum(counted.values()) == 90


def test_what_follows_could_be_a_response(tmp_path: Path) -> None:
    talks = [[*one[:3], " ".join(one[3].split()[:2]), one[4]] for one in dialogues()]
    path = str(written(tmp_path, chained(talks), "pairs.tsv"))
    assert sum(read(pairs=path).facts["following"].values()) == 90
    corpus = read(pairs=path, min_length=3)
    # after the second utterance alone: the third's successor is short, the fourth is dropped
    assert sum(corpus.facts["following"].values()) == 30
    assert all(int(one.text.lengths.min()) == 4 for one in corpus.following.values())


def test_what_follows_is_no_longer_than_the_responses(tmp_path: Path) -> None:
    """The last pair is left out for its source, so its target decides no length."""
    talks = [[one[0], f"{one[1]} more", f"{one[2]} and much more"] for one in dialogues()]
    corpus = read(pairs=str(written(tmp_path, chained(talks), "pairs.tsv")), source_length=3)
    assert (corpus.facts["source_too_long"], corpus.space.length) == (30, 5)
    assert [len(one.rows) for one in corpus.following.values()] == [0, 0, 0]


def test_the_setting_that_leaves_all_pairs_out_is_named(tmp_path: Path) -> None:
    path = str(written(tmp_path, LINES, "pairs.tsv"))
    with pytest.raises(UserError, match=r"; data.source_length = 2 leaves out 36; raise it$"):
        read(pairs=path, source_length=2)


def test_a_carriage_return_within_a_line_shifts_no_pair(tmp_path: Path) -> None:
    targets, sources = tmp_path / "t.en", tmp_path / "t.de"
    sources.write_text("".join(f"{one}\n" for one, _ in QUESTIONS))
    targets.write_bytes("".join(f"{one}\n" for _, one in QUESTIONS).replace(" ", "\r").encode())
    there = {"file": str(targets), "source": str(sources)}
    expected = read(pairs=str(written(tmp_path, LINES, "pairs.tsv")))
    assert everything(read(**there)) == everything(expected)


# --- parts of their own ---


def test_parts_in_files_of_their_own(tmp_path: Path) -> None:
    def file(some: list[tuple[str, str]], name: str) -> dict[str, str]:
        return {
            "file": str(written(tmp_path, [b for _, b in some], f"{name}.en")),
            "source": str(written(tmp_path, [a for a, _ in some], f"{name}.de")),
        }

    held = [("one and new", "one new"), QUESTIONS[0], ("two and two and two", "two")]
    main, valid, test = file(QUESTIONS, "train"), file(held, "valid"), file(held[:2], "test")
    files = {f"valid_{key}": value for key, value in valid.items()}
    files |= {f"test_{key}": value for key, value in test.items()}
    corpus = read(**main, **files, source_length=3)
    assert corpus.facts["split"] == {"train": 36, "valid": 2, "test": 2}
    assert corpus.decode(corpus.valid) == ["one and <unk>\tone <unk>", "one and one\tone one one"]
    assert corpus.facts["files"]["valid"]["source_too_long"] == 1
    assert corpus.facts["also_in_train"]["test"] == {
        "targets": 1,
        "sources": 1,
        "pairs": 1,
    }
    assert corpus.facts["files"]["test"]["sources"]["source"] == "test.de"
    three = file([*[(a, b) for a, b in QUESTIONS if len(b) < 12] * 2, ("a", "b")], "short")
    with pytest.raises(UserError, match=r"data.valid_file = .* has 0 usable pairs of 1 \(of at"):
        read(**three, valid_file=str(written(tmp_path, ["a b c d e f"], "v")),
             valid_source=str(written(tmp_path, ["a"], "w")))  # fmt: skip
    one = {key: value for key, value in files.items() if key.startswith("test")}
    again = read(**main, **one)
    assert again.facts["split"] == {"train": 32, "valid": 4, "test": 2}
    whole = read(
        pairs=str(tsv(tmp_path, QUESTIONS)),
        valid_file=str(tsv(tmp_path, held, "v.tsv")),
        source_length=5,
    )
    assert whole.facts["split"] == {"train": 32, "valid": 3, "test": 4}


def test_sentences_without_sources_may_have_such_files_too(tmp_path: Path) -> None:
    lines = written(tmp_path, [b for _, b in QUESTIONS], "train.txt")
    held = written(tmp_path, ["one new", "one one one"], "test.txt")
    corpus = read(file=lines, test_file=str(held))
    assert corpus.decode(corpus.test) == ["one <unk>", "one one one"]
    assert corpus.facts["also_in_train"]["test"] == {"sentences": 1}
    labelled = written(tmp_path, [f"{'ab'[len(b) % 2]}\t{b}" for _, b in QUESTIONS], "l.tsv")
    with pytest.raises(UserError, match=r"test.txt' has no labels, unlike data.file = .*l.tsv'"):
        read(file=labelled, test_file=str(held))
    other = written(tmp_path, ["c\tone two"], "c.tsv")
    with pytest.raises(UserError, match=r"line 1 has the label 'c', which data.file = .* lacks"):
        read(file=labelled, test_file=str(other))


# --- what cannot be meant ---

LINES = [f"{a}\t{b}" for a, b in QUESTIONS]
TARGETS, SOURCES = [b for _, b in QUESTIONS], [a for a, _ in QUESTIONS]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*LINES[:4], "no tab"], r"line 5 has no tab; give source, one tab, target in every line"),
        ([*LINES[:4], "a\tb\tc"], r"line 5 has 2 tabs; .* or data.field=NAME of a table"),
        ([*LINES[:4], "\tb"], r"line 5 has an empty source; give both, or leave the line out"),
        ([*LINES[:4], "a\t "], r"line 5 has an empty target; give both"),
        ([*LINES[:4], "<turn>\tb"], r"line 5 has an empty source"),
        ([*LINES[:4], "a\tb <turn> c"], r"the target of line 5 has <turn>, which is between the"),
        (["Source\tTarget", *LINES], r"line 1 names fields, .* and data.source_field=NAME"),
        ([f"{'ab'[i % 2]}\t{b}" for i, b in enumerate(TARGETS)], r"like labels; give data.file"),
        ([f'{a}\t"{b}"' for a, b in QUESTIONS], r"36 of 36 sentences are in quotes"),
        (LINES[:9], r"has 9 usable pairs of 9 \(of at most \d tokens, and sources of at most 3\)"),
        (["one and one\tone"] * 30, r"has 1 different sources, too few for data.valid = 0.1"),
        ([f"{a}\tone" for a in SOURCES], r"has a vocabulary of 1 words seen 1 times"),
        ([f"{i}\t{b}" for i, b in enumerate(["a b"] * 20)], r"of 0 words on the side of"),
        ("", r"is empty"),
        ("a\tb\0", r"is binary"),
        ("PK\x03\x04", r"is a zip archive"),
    ],
)  # fmt: skip
def test_files_that_are_no_pairs_are_refused_in_one_line(
    tmp_path: Path, lines: Any, message: str, cli: Cli
) -> None:
    path = written(tmp_path, lines, "pairs.tsv")
    with pytest.raises(UserError, match=message) as caught:
        read(pairs=str(path), min_count=2 if "side of" in message else 1)
    assert str(caught.value).startswith(f"data.pairs = {str(path)!r}")
    assert len(str(caught.value)) < 300
    if "vocabulary" not in message:
        assert str(caught.value) in refused(cli, "train", "mle", "--pairs", path)


@pytest.mark.parametrize(
    ("targets", "sources", "message"),
    [
        (TARGETS[:-1], SOURCES, r"source.txt' has 36 lines and data.file = .* 35, so line 36 has"),
        (TARGETS, SOURCES[:-2], r"target.txt' has 36 lines and data.source = .* 34, so line 35 "),
        ([*TARGETS[:6], " ", *TARGETS[7:]], SOURCES, r"source.txt': line 7 has an empty target"),
        (TARGETS, [*SOURCES[:6], "", *SOURCES[7:]], r"source.txt': line 7 has an empty source"),
        (TARGETS, "", r"data.source = .*source.txt' is empty"),
        (TARGETS, "a\0", r"data.source = .*source.txt' is binary"),
        (TARGETS, ['{"a": "b"}'] * 36, r"data.source = .*source.txt' holds JSON lines"),
    ],
)  # fmt: skip
def test_files_that_are_not_aligned_are_refused_in_one_line(
    tmp_path: Path, targets: Any, sources: Any, message: str, cli: Cli
) -> None:
    target = written(tmp_path, targets, "target.txt")
    source = written(tmp_path, sources, "source.txt")
    with pytest.raises(UserError, match=message) as caught:
        read(file=target, source=str(source))
    line = refused(cli, "train", "mle", "--data", target, "--source", source)
    assert line == f"textgan: {caught.value}"


def test_labels_that_are_all_different_may_be_sources(tmp_path: Path, cli: Cli) -> None:
    path = tsv(tmp_path, QUESTIONS)
    line = refused(cli, "train", "mle", "--data", path)
    assert "has 36 different labels in 36 lines" in line
    assert line.endswith("or are these pairs of source and target (data.pairs)?")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "x"}, "data.source = 'x': it goes with data.file"),
        ({"pairs": "x", "file": "y"}, "data.pairs = 'x': it has both sides; leave data.file out"),
        ({"pairs": "x", "source": "y"}, "data.source = 'y': data.pairs has the sources, too"),
        ({"file": "x", "source": "y", "source_field": "z"}, "data.source_field has the sources"),
        ({"file": "x", "valid_source": "y"}, "data.valid_source = 'y': it goes with data.valid_fi"),
        ({"file": "x", "source": "y", "test_file": "z"}, "its sources are lacking; give data.test"),
        ({"file": "x", "turns": 2}, "data.turns = 2: there are no sources; give data.pairs"),
        ({"file": "x", "split_by": "source"}, "data.split_by = 'source': there are no sources"),
        (
            {"pairs": "x", "length": 3, "min_length": 4},
            "data.min_length = 4: it is more than data.",
        ),
        (
            {"pairs": "x", "source_vocabulary": 4, "share_vocabulary": True},
            "data.source_vocabulary = 4: data.share_vocabulary has one size",
        ),
    ],
)
def test_settings_that_contradict_each_other(
    settings: dict[str, Any], message: str, cli: Cli
) -> None:
    flags = [f"data.{key}={json.dumps(value)}" for key, value in settings.items()]
    assert message in refused(cli, "train", "mle", *flags)


def test_turns_that_no_file_has_are_refused(tmp_path: Path) -> None:
    path = tsv(tmp_path, QUESTIONS)
    with pytest.raises(UserError, match=r"data.turns = 2: no line of .* goes on from the one"):
        read(pairs=str(path), turns=2)


# --- runs ---

SMALL = TOY_TEXT | {
    "data.min_count": 1,
    "generator": "attention",
    "generator.embedding": 4,
    "generator.hidden": 6,
    "discriminator": "pair_cnn",
    "discriminator.embedding": 4,
    "discriminator.sizes": [1, 2],
    "discriminator.counts": [4, 4],
}


def same_corpora(one: Corpus, other: Corpus) -> None:
    assert one.space == other.space
    assert (one.tokenizer, one.source_tokenizer) == (other.tokenizer, other.source_tokenizer)
    assert (one.facts, one.label_names) == (other.facts, other.label_names)
    for part in PARTS:
        a, b = getattr(one, part).to_tensors(), getattr(other, part).to_tensors()
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert one.conversations.keys() == other.conversations.keys()
    for part, numbers in other.conversations.items():
        assert torch.equal(one.conversations[part], numbers)
    assert one.following.keys() == other.following.keys()
    for part, expected in other.following.items():
        result = one.following[part]
        assert torch.equal(result.rows, expected.rows)
        a, b = result.text.to_tensors(), expected.text.to_tensors()
        assert all(torch.equal(a[name], b[name]) for name in {*a, *b})


@pytest.mark.parametrize("tokens", ["word", "char"])
@pytest.mark.parametrize("share", [False, True])
def test_a_runs_folder_holds_the_pairs(tmp_path: Path, tokens: str, share: bool) -> None:
    path = str(written(tmp_path, chained(dialogues()), "dialogue.tsv"))
    settings = {"tokens": tokens, "share_vocabulary": share, "turns": 2, "min_length": 2}
    told = {f"data.{key}": value for key, value in settings.items()} | {"data.pairs": path}
    run = create_run(make_config("seqgan", SMALL | told), tmp_path / "run")
    same_corpora(run.corpus, read(pairs=path, **settings))
    same_corpora(open_run(tmp_path / "run").corpus, run.corpus)
    facts = json.loads((tmp_path / "run/run.json").read_text())["data"]
    assert facts.items() >= json.loads(json.dumps(run.corpus.facts)).items()
    assert facts["sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_pairs_are_trained_killed_and_resumed_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    again = [(f"{a} please", b) for a, b in QUESTIONS[::2]]
    path = tsv(tmp_path, QUESTIONS + again)
    whole = assert_resumes("seqgan", tmp_path, monkeypatch, before_end=4, pairs=path, **SMALL)
    lines = (whole / "samples.txt").read_text().splitlines()
    corpus = open_run(whole).corpus
    assert {line.split("\t")[0] for line in lines} <= sides(corpus, 0)[2]
    with monkeypatch.context() as patch:  # among the MLE epochs, too
        stop_at(3, patch)
        with pytest.raises(Interrupted):
            textgan.train("seqgan", pairs=path, out=tmp_path / "early", **SMALL)
    shown = capsys.readouterr().err
    assert "data       pairs.tsv: 44 train, 5 valid, 5 test targets of at most 4 tokens" in shown
    assert "sources    pairs.tsv: at most 5 tokens, vocabulary 11, 0.0% of them <unk>" in shown
    assert "divided by source (data.split_by); 0 of 54 pairs go on" in shown
    assert "targets of the test part are in training, too" in shown
    textgan.resume(tmp_path / "early", quiet=True, plot=False)
    assert run_files(tmp_path / "early") == run_files(whole)


def test_what_follows_must_be_the_runs_own(tmp_path: Path) -> None:
    path = str(written(tmp_path, chained(dialogues()), "dialogue.tsv"))
    config = make_config("seqgan", SMALL | {"data.pairs": path})
    for change in ({"of": torch.tensor([3, 2])}, {"of": torch.tensor([0, 900])}, {"tokens": -1}):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        create_run(config, folder)
        in_0_1s_way(folder)  # no hash protects it
        tensors, facts = load_tensors(folder / "data.safetensors")
        for name, value in change.items():
            for key, tensor in tensors.items():
                if key.startswith("following.train."):
                    tensors[key] = tensor[:2]
            key = f"following.train.{name}"
            tensors[key] = value.int() if isinstance(value, torch.Tensor) else tensors[key] - 9
        save_tensors(folder / "data.safetensors", tensors, facts)
        with pytest.raises(UserError, match=r"is damaged \(ValueError: (what follows|the train f)"):
            open_run(folder)


def test_conversations_must_be_the_runs_own_and_may_be_unknown(tmp_path: Path) -> None:
    path = str(written(tmp_path, chained(dialogues()), "dialogue.tsv"))
    create_run(make_config("seqgan", SMALL | {"data.pairs": path}), tmp_path / "run")
    assert open_run(tmp_path / "run").corpus.conversations.keys() == {*PARTS}
    in_0_1s_way(tmp_path / "run")  # no hash protects it
    tensors, facts = load_tensors(tmp_path / "run" / "data.safetensors")
    key = "conversations.test"
    for wrong in ({key: tensors[key][1:].clone()}, {key: None}):
        kept = {name: one for name, one in (tensors | wrong).items() if one is not None}
        save_tensors(tmp_path / "run" / "data.safetensors", kept, facts)
        with pytest.raises(UserError, match=r"is damaged \(ValueError: conversations of the test"):
            open_run(tmp_path / "run")
    kept = {name: one for name, one in tensors.items() if not name.startswith("conversations")}
    save_tensors(tmp_path / "run" / "data.safetensors", kept, facts)
    assert open_run(tmp_path / "run").corpus.conversations == {}
