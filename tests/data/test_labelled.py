"""Labelled text from the file to the samples: what is read, refused, kept, conditioned on."""

import io
import json
from collections import Counter
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import corpus_of
from hypothesis import given
from hypothesis import strategies as st
from toys import TOY, TOY_TEXT, Cli, stop_when

import textgan
from textgan.core import registry
from textgan.core.errors import Interrupted, UserError
from textgan.core.tensors import load_tensors
from textgan.data.corpus import Corpus
from textgan.data.labelled import MOST_LABELS, read_data
from textgan.data.text import Condition, Text
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.likelihood import nll_per_token
from textgan.training.checkpoint import checkpoints
from textgan.training.config import make_config
from textgan.training.run import create_run, open_run
from textgan.training.state import TrainingState

# two classes that share one word alone: 40 different sentences of each
GOOD = [f"{a} and {b}" for a in ("cake", "tea", "song", "sun", "day") for b in "abcdefgh"]
BAD = [f"{a} and {b}" for a in ("mud", "cold", "bill", "rain", "queue") for b in "stuvwxyz"]
LINES = [f"good\t{s}" for s in GOOD] + [f"bad\t{s}" for s in BAD]
SKEWED = LINES + LINES[:40] * 3  # four times as many good ones


def write(folder: Path, content: str | bytes | list[str], name: str = "reviews.tsv") -> Path:
    path = folder / name
    if isinstance(content, list):
        content = "\n".join(content) + "\n"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def sides(corpus: Corpus) -> list[list[str]]:
    return [corpus.decode(text) for text in (corpus.train, corpus.valid, corpus.test)]


# --- reading ---

plain = st.characters(codec="utf-8", exclude_characters="\t\r\n\0")
parts = st.text(plain, min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.tuples(parts, parts), min_size=1, max_size=6))
def test_labels_and_sentences_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    pairs = [("x", "y"), *pairs, ("another", "y")]
    folder = tmp_path_factory.mktemp("labelled")
    path = write(folder, [f"{label}\t{sentence}" for label, sentence in pairs])
    result = read_data(path).labelled
    assert [(one.label, one.sentence) for one in result] == pairs
    assert [one.line for one in result] == list(range(1, len(pairs) + 1))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_marks_and_empty_lines_are_no_text(tmp_path: Path, end: str, mark: bytes) -> None:
    content = (
        mark + end.join(["gut \t ein Fuß ", "", " ", "schlecht\tkein Fuß", "gut\t", ""]).encode()
    )
    result = read_data(write(tmp_path, content)).labelled
    assert result == [(1, "gut", "ein Fuß"), (4, "schlecht", "kein Fuß")]


def test_a_corpus_knows_the_label_of_each_sentence(tmp_path: Path) -> None:
    corpus = corpus_of(write(tmp_path, LINES))
    assert corpus.label_names == ("bad", "good")
    assert corpus.space.classes == 2
    assert Counter(line for side in sides(corpus) for line in side) == Counter(LINES)
    for text in (corpus.train, corpus.valid, corpus.test):
        assert text.labels is not None
        assert text.labels.dtype == torch.long
        of_word = ["good" if line.split("\t")[1] in GOOD else "bad" for line in corpus.decode(text)]
        assert [corpus.label_names[label] for label in text.labels] == of_word
    assert corpus.train.labels is not None
    counts = torch.bincount(corpus.train.labels).tolist()
    assert corpus.facts["labels"] == dict(zip(("bad", "good"), counts, strict=True))
    moved = corpus.to(torch.device("meta"))
    assert moved.train.labels is not None
    assert (moved.train.labels.device.type, moved.label_names) == ("meta", ("bad", "good"))


def test_the_order_of_the_lines_decides_no_number(tmp_path: Path) -> None:
    forth = corpus_of(write(tmp_path, LINES))
    back = corpus_of(write(tmp_path, LINES[::-1], "back.tsv"))
    assert forth.label_names == back.label_names
    assert [set(side) for side in sides(forth)] == [set(side) for side in sides(back)]


def test_the_split_is_that_of_the_sentences_alone(tmp_path: Path) -> None:
    """So a sentence of two labels is on one side, and labels cost no comparison."""
    lines = LINES + [f"bad\t{sentence}" for sentence in GOOD[:20]] + LINES[:9]
    labelled = corpus_of(write(tmp_path, lines))
    bare = corpus_of(write(tmp_path, [line.split("\t")[1] for line in lines], "bare.txt"))
    for with_labels, without in zip(sides(labelled), sides(bare), strict=True):
        assert [line.split("\t")[1] for line in with_labels] == without
    assert torch.equal(labelled.train.tokens, bare.train.tokens)
    result = [{line.split("\t")[1] for line in side} for side in sides(labelled)]
    assert not (result[0] & result[1] or result[0] & result[2] or result[1] & result[2])
    assert Counter(line for side in sides(labelled) for line in side) == Counter(lines)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("a.tsv", "auto", 2),
        ("a.TSV", "auto", 2),
        ("a.txt", "yes", 2),
        ("a.tsv", "no", 0),
    ],
)
def test_which_files_have_labels(tmp_path: Path, name: str, labels: Any, expected: int) -> None:
    corpus = corpus_of(write(tmp_path, LINES, name), labels=labels)
    assert corpus.space.classes == len(corpus.label_names) == expected
    assert (corpus.train.labels is None) == (expected == 0)
    assert ("labels" in corpus.facts) == (expected > 0)
    if not expected:  # then the label is a word like the others
        assert Counter(line for side in sides(corpus) for line in side) == Counter(
            line.replace("\t", " ") for line in LINES
        )


def test_characters_and_lengths_are_those_of_the_sentences(tmp_path: Path) -> None:
    poems = [f"{a}{b}{c}" for a in "春夏秋冬" for b in "山水風" for c in "月花鳥"]
    lines = [f"season of {poem[0]}\t{' '.join(poem)}" for poem in poems]
    corpus = corpus_of(write(tmp_path, lines), tokens="char")
    assert corpus.facts["spaced_characters"] is True
    assert corpus.space.length == 4
    assert set(corpus.tokenizer.words) == set("春夏秋冬山水風月花鳥")
    long = corpus_of(
        write(tmp_path, [*LINES, "good\tthe cake a b c d e", "bad\tthe mud"]), length=3
    )
    assert long.facts["too_long"] == 1
    assert Counter(line for side in sides(long) for line in side) == Counter(
        [*LINES, "bad\tthe mud"]
    )


# --- files that cannot be meant ---


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([*LINES, "no tab here"], r"line 81 has no tab; give label, one tab, sentence"),
        ([LINES[0], "", "a\tb\tc", *LINES], r"line 3 has 2 tabs; give label"),
        (["good\tthe cake\t", *LINES], r"line 1 has 2 tabs"),
        ([*LINES[:5], "\tthe cake"], r"line 6 has no label; give"),
        ([*LINES[:5], " \t the cake"], r"line 6 has no label; give"),
        (LINES[:40], r"every sentence has the label 'good'; give at least two labels"),
        (["label\tsentence", *LINES], r"line 1 names fields, 'label', 'sentence'; give data.field"),
        (["a\tthe cake a", *LINES], r"label 'a' \(line 1\) has 1 sentence, . of them"),
        (["odd\t" + "the " * 9, "odd\t" + "the " * 8, *LINES], r"2 sentences, 0 of them for"),
        (
            [f"label {i}\tthe cake {i}" for i in range(MOST_LABELS + 1)] * 2,
            rf"has {MOST_LABELS + 1} different labels in .*at most {MOST_LABELS} .*before the tab",
        ),
        (["\t".join(line.split("\t")[::-1]) for line in LINES], "has 80 different labels in 80"),
        (LINES[:9] + LINES[-9:], r"18 usable sentences of 18"),
        (b"", "is empty"),
        (b"good\tthe \0", "is binary"),
        (b"good\tthe cake\r\nbad\tf\xfcnf", r"not UTF-8 in line 2 \(byte 0xfc\)"),
        ([f"{'long ' * 999}\tthe cake"] * 30, r"has the label 'long .{10,40}\.\.\.'; give"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_meant_are_refused_in_one_line(
    tmp_path: Path, content: Any, message: str, cli: "Cli"
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(UserError, match=message) as caught:
        corpus_of(path, length=4)
    assert str(caught.value).startswith(f"data.file = {str(path)!r}")
    assert len(str(caught.value)) < 300
    code, out, err = cli("train", "mle", "--data", path, "--out", tmp_path / "run", "data.length=4")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "run").exists()


# --- runs ---

SMALL = TOY_TEXT | {"data.min_count": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SentiGAN on the two classes, from the file to the table; what it said is in said.txt."""
    folder = tmp_path_factory.mktemp("labels")
    data = write(folder, SKEWED)
    with redirect_stderr(io.StringIO()) as message:
        textgan.train("sentigan", data=str(data), out=folder / "run", **SMALL)
    (folder / "said.txt").write_text(message.getvalue())
    return folder / "run"


def everything(folder: Path) -> dict[str, bytes]:
    names = ["metrics.jsonl", "results.json", "samples.txt", "mle.safetensors", "data.safetensors"]
    result = {name: (folder / name).read_bytes() for name in names}
    return result | {"last": checkpoints(folder)[-1].read_bytes()}


def test_a_runs_folder_holds_the_labels(finished: Path, tmp_path: Path) -> None:
    kept, read_again = open_run(finished).corpus, corpus_of(write(tmp_path, SKEWED))
    assert (kept.space, kept.label_names) == (read_again.space, ("bad", "good"))
    for name in ("train", "valid", "test"):
        a, b = getattr(kept, name), getattr(read_again, name)
        assert torch.equal(a.tokens, b.tokens)
        assert torch.equal(a.labels, b.labels)
    facts = json.loads((finished / "run.json").read_text())["data"]
    assert facts["labels"] == read_again.facts["labels"]
    tensors, _ = load_tensors(finished / "mle.safetensors")
    assert tensors["generator.classes.weight"].shape == (2, 16)  # for h and for c
    assert tensors["discriminator.output.bias"].shape == (2,)


def test_stopped_and_resumed_is_bit_identical(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = finished.parent / "reviews.tsv"
    step = int(checkpoints(finished)[-1].stem) - 5  # among the updates on fakes of the last turn
    with monkeypatch.context() as patch:
        stop_when(patch, lambda state: state.done == step)
        with pytest.raises(Interrupted):
            textgan.train("sentigan", data=str(data), out=tmp_path / "run", quiet=True, **SMALL)
    textgan.resume(tmp_path / "run", quiet=True)
    assert everything(tmp_path / "run") == everything(finished)


def test_resumed_fakes_have_the_labels_they_were_drawn_with(finished: Path) -> None:
    run = open_run(finished)
    training = TrainingState(run)
    training.restore(checkpoints(finished)[-1])
    real = training.batches.real("turn", training.batches_done["turn"] - 1)
    assert real.labels is not None
    assert training.fakes is not None
    assert training.fakes.labels is not None
    assert torch.equal(training.fakes.labels, real.labels)


def test_samples_are_lines_of_such_a_file(finished: Path, cli: Cli, tmp_path: Path) -> None:
    lines = (finished / "samples.txt").read_text().splitlines()
    assert len(lines) == 100
    assert {line.split("\t")[0] for line in lines} == {"good", "bad"}
    code, out, _ = cli("sample", finished, "-n", 400)
    assert code == 0
    counts = Counter(line.split("\t")[0] for line in out.splitlines())
    assert counts.keys() == {"good", "bad"}
    in_text = open_run(finished).corpus.facts["labels"]
    share = in_text["good"] / (in_text["good"] + in_text["bad"])
    assert share > 0.7
    assert abs(counts["good"] / 400 - share) < 0.1  # as often as they stand in the training text
    assert cli("sample", finished, "-n", 400)[1] == out


@pytest.mark.parametrize("label", ["good", "bad"])
def test_samples_of_one_label(finished: Path, cli: Cli, label: str) -> None:
    code, out, _ = cli("sample", finished, "--label", label, "-n", 20, "--weights", "mle")
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == [label] * 20


def test_labels_that_are_not_there_are_refused(finished: Path, cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("sample", finished, "--label", "godo")
    assert (code, out) == (2, "")
    assert err == "textgan: there is no label 'godo'; did you mean 'good'?; known: bad, good\n"
    create_run(make_config("seqgan", TOY), tmp_path / "run")
    code, out, err = cli("sample", tmp_path / "run", "--label", "good")
    assert (code, out) == (2, "")
    assert err == "textgan: the label 'good' was asked for, but oracle has no labels\n"


def test_a_file_without_labels_leaves_no_trace_of_them(tmp_path: Path) -> None:
    data = write(tmp_path, GOOD + BAD, "bare.txt")
    run = create_run(make_config("sentigan", SMALL | {"data.file": str(data)}), tmp_path / "run")
    tensors, facts = load_tensors(run.folder / "data.safetensors")
    assert not any("labels" in name for name in tensors)
    assert facts["space"]["classes"] == 0
    assert "labels" not in facts["facts"]
    assert run.corpus.train.labels is None
    assert "\t" not in "".join(run.corpus.decode(run.corpus.train))


def test_what_is_introduced(finished: Path) -> None:
    message = (finished.parent / "said.txt").read_text()
    labels = open_run(finished).corpus.facts["labels"]
    assert f"labels     2: bad ({labels['bad']} train), good ({labels['good']} train)\n" in message
    assert "rollouts   about" in message


def test_a_labelled_file_teaches_each_label_its_words(tmp_path: Path, cli: Cli) -> None:
    data = write(tmp_path, LINES * 3)
    settings = {
        "data.min_count": 1, "schedule.mle_epochs": 8, "schedule.batch_size": 8,
        "generator.hidden": 32, "evaluation.samples": 20, "evaluation.final_samples": 20,
        "evaluation.bootstrap": 100, "schedule.evaluate_every": 8, "seed": 1,
    }  # fmt: skip
    textgan.train("mle", data=str(data), out=tmp_path / "run", quiet=True, **settings)
    run = open_run(tmp_path / "run")
    generator, test = run.load_generator(), run.corpus.test
    assert isinstance(generator, AutoregressiveGenerator)
    assert test.labels is not None
    right = nll_per_token(generator, test).value
    swapped = nll_per_token(generator, replace(test, condition=Condition(1 - test.labels))).value
    assert right < 1.5
    assert swapped > right + 0.5
    for label, sentences in (("good", GOOD), ("bad", BAD)):
        words = Counter(word for sentence in sentences for word in sentence.split())
        result = cli("sample", tmp_path / "run", "--label", label, "-n", 200)[1].splitlines()
        written = [word for line in result for word in line.split("\t")[1].split()]
        assert sum(word in words for word in written) / len(written) > 0.9


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_every_class_has_a_distribution_of_its_own(tmp_path: Path, name: str) -> None:
    corpus = corpus_of(write(tmp_path, LINES))
    generator = registry.build("generator", name, {}, corpus.space)
    texts = corpus.test
    scores = [
        generator.score(replace(texts, condition=Condition(torch.full_like(texts.lengths, label))))
        for label in (0, 1)
    ]
    assert not torch.allclose(*scores)
    with pytest.raises(ValueError, match="texts of 2 classes need labels"):
        generator.score(Text(texts.tokens, texts.lengths))
