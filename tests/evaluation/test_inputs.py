"""How texts are laid out so that rows compare: sizes, sides, and what is refused."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import TOY, TOY_TEXT, toy_text

import textgan
from textgan.core.errors import UserError
from textgan.data.pre_tokenizer import UNKNOWN_WORD
from textgan.data.sentences import Sentences
from textgan.data.tokenizers import UNKNOWN
from textgan.evaluation.inputs import (
    FEWEST_TO_TRAIN,
    MOST_CHARACTERS,
    EvaluationInputs,
    EvaluationOptions,
    inputs_from_files,
    inputs_from_run,
)
from textgan.metrics.base import MetricInputs, Unavailable
from textgan.metrics.networks import real_language_model
from textgan.training.run import open_run

WORDS = ["the", "a", "cat", "dog", "sees", "likes", "red", "old", "tree", "house", "sun", "sea"]

OPTIONS = EvaluationOptions()


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def texts(material: MetricInputs, sentences: Sentences) -> list[str]:
    return [" ".join(words) for words in material.words(sentences)]


def numbered(word: str, n: int) -> list[str]:
    return [f"{word} number {i}" for i in range(n)]


def real_row(layout: EvaluationInputs) -> MetricInputs:
    assert layout.real is not None
    return layout.rows[layout.real]


def test_files_alone_are_compared_with_halves_of_the_references(tmp_path: Path) -> None:
    samples = write(tmp_path / "samples.txt", numbered("sample", 30))
    references = write(tmp_path / "test.txt", numbered("real", 41))
    layout = inputs_from_files([samples], references, OPTIONS, split="whitespace")
    assert list(layout.rows) == ["real (half of the references)", "samples.txt"]
    real, judged = layout.rows.values()
    assert texts(judged, judged.predictions) == numbered("sample", 30)
    assert texts(judged, judged.references) == numbered("real", 41)
    # no real sentence on both sides, and as many judged as real ones in every row
    assert real.reference_index is not None
    assert texts(real, real.predictions) == [
        f"real number {i}" for i in real.reference_index.tolist()
    ]
    assert not set(texts(real, real.paired_sample)) & set(texts(real, real.paired_references))
    assert {len(row.paired_sample) for row in (real, judged)} == {20}
    assert len(judged.paired_references) == 20
    assert texts(real, real.paired_references) == texts(judged, judged.paired_references)
    assert len(real.sample) == len(judged.sample) == 30
    assert judged.train is None and judged.generator_train is None and real.train is None
    assert layout.facts["paired_sample"] == 20 and layout.facts["sample"] == 30


def test_networks_never_train_on_a_row_of_real_text(tmp_path: Path) -> None:
    samples = write(tmp_path / "samples.txt", numbered("sample", 30))
    references = write(tmp_path / "test.txt", numbered("real", 25))
    train = write(tmp_path / "train.txt", numbered("train", 44))
    layout = inputs_from_files([samples], references, OPTIONS, train=train, split="whitespace")
    real, judged = layout.rows.values()
    assert layout.real == "real (training text)"
    assert (
        real.train is not None
        and judged.generator_train is not None
        and real.generator_train is not None
    )
    assert len(real.predictions) == 22 and len(real.train) == 22
    assert not set(texts(real, real.predictions)) & set(texts(real, real.train))
    assert texts(real, real.train) == texts(judged, judged.train or real.train)
    assert texts(judged, judged.generator_train) == numbered("train", 44)
    assert texts(real, real.generator_train) == texts(real, real.train)
    assert texts(judged, judged.paired_references) != texts(judged, judged.references)  # 22 of them
    assert (
        len(judged.paired_references) == len(judged.paired_sample) == len(real.paired_sample) == 22
    )
    assert real.reference_index is None


def test_other_real_text_leaves_all_of_the_training_text_to_networks(tmp_path: Path) -> None:
    files = {
        name: write(tmp_path / f"{name}.txt", numbered(name, n))
        for name, n in (("a", 12), ("b", 9), ("test", 30), ("train", 40), ("valid", 20))
    }
    layout = inputs_from_files(
        [files["a"], files["b"]], files["test"], OPTIONS,
        train=files["train"], real=files["valid"], split="whitespace",
    )  # fmt: skip
    real, a, b = layout.rows.values()
    assert list(layout.rows) == ["real (other text)", "a.txt", "b.txt"]
    assert real.train is not None and real.generator_train is not None
    assert len(real.train) == len(real.generator_train) == 40
    assert texts(real, real.predictions) == numbered("valid", 20)
    # the smallest row decides: all rows have as many
    assert {len(row.sample) for row in (real, a, b)} == {9}
    assert {len(row.paired_sample) for row in (real, a, b)} == {9}
    assert len(a.predictions) == 12
    assert a.memory is b.memory is real.memory


def test_a_size_takes_fewer(tmp_path: Path) -> None:
    samples = write(tmp_path / "samples.txt", numbered("sample", 30))
    references = write(tmp_path / "test.txt", numbered("real", 40))
    layout = inputs_from_files([samples], references, replace(OPTIONS, size=7), split="char")
    judged = layout.rows["samples.txt"]
    assert len(judged.sample) == len(judged.paired_sample) == len(judged.paired_references) == 7
    assert len(judged.predictions) == 30
    # drawn over the whole file, not its beginning, and by the seed
    again = inputs_from_files([samples], references, replace(OPTIONS, size=7, seed=1), split="char")
    other = again.rows["samples.txt"]
    assert texts(judged, judged.sample) != texts(other, other.sample)


def test_the_words_of_real_text_have_the_same_numbers_whatever_is_judged(tmp_path: Path) -> None:
    references = write(tmp_path / "test.txt", numbered("real", 10))
    train = write(tmp_path / "train.txt", numbered("train", 10))
    digests = set()
    for word in ("one", "two"):
        samples = write(tmp_path / f"{word}.txt", numbered(word, 5))
        layout = inputs_from_files([samples], references, OPTIONS, train=train)
        row = real_row(layout)
        assert row.train is not None
        digests.add((row.train.digest(), row.references.digest()))
    assert len(digests) == 1


def test_empty_lines_are_kept_where_they_are_judged_and_counted(tmp_path: Path) -> None:
    samples = write(tmp_path / "samples.txt", ["a b", "", "  ", "c"])
    references = write(tmp_path / "test.txt", ["a b", "", "b c", "c d", "d e"])
    layout = inputs_from_files([samples], references, OPTIONS)
    judged = layout.rows["samples.txt"]
    assert judged.predictions.sizes.tolist() == [2, 0, 0, 1]
    assert len(judged.references) == 4
    assert layout.facts["texts"]["samples.txt"]["empty"] == 2
    assert layout.facts["references"]["empty"] == 1
    assert layout.warnings == ["samples.txt: 2 of 4 lines are empty; they score 0"]


def test_what_says_nothing_is_warned_of(tmp_path: Path) -> None:
    lines = numbered("real", 10)
    references = write(tmp_path / "test.txt", lines)
    same = write(tmp_path / "same.txt", lines)
    mostly = write(tmp_path / "mostly.txt", [*lines[:6], "x", "y"])
    layout = inputs_from_files([same, mostly], references, OPTIONS)
    assert layout.warnings == [
        "same.txt: these are the references themselves, so comparing them says nothing",
        "mostly.txt: 6 of 8 texts are word for word in the references",
    ]


def test_one_sentence_and_one_reference_are_laid_out(tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", ["a"])
    layout = inputs_from_files([one], one, OPTIONS)
    assert layout.real is None
    assert len(layout.rows["one.txt"].paired_sample) == 1


def test_aligned_references_are_kept_as_lines(tmp_path: Path) -> None:
    samples = write(tmp_path / "samples.txt", ["a b", "c"])
    answers = write(tmp_path / "answers.txt", ["A b", ""])
    judged = inputs_from_files([samples], None, OPTIONS, aligned=[answers]).rows["samples.txt"]
    assert judged.aligned == [["A b", ""]]
    assert judged.lines == ["a b", "c"]
    with pytest.raises(UserError, match=r"one reference for each text"):
        inputs_from_files([samples], None, OPTIONS, aligned=[write(tmp_path / "few.txt", ["a"])])


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "samples.txt", ["a b"])
    files = [tmp_path / folder / "samples.txt" for folder in ("a", "b")]
    layout = inputs_from_files(files, write(tmp_path / "test.txt", numbered("real", 9)), OPTIONS)
    assert list(layout.measured) == [str(file) for file in files]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "targets = '{}' is empty; give one sentence a line"),
        (b"\n \n", "targets = '{}' is empty; give one sentence a line"),
        (b"a\n\xff\xfe b\n", "targets = '{}' is not UTF-8 in line 2"),
        (b"a\0b", "targets = '{}' is binary"),
        (b"a\n" + b"b" * 10_000_000, "targets = '{}': line 2 has 10,000,000 characters"),
        (None, "targets = '{}': there is no such file"),
    ],
)
def test_files_that_cannot_be_texts_are_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "samples.txt"
    if content is not None:
        path.write_bytes(content)
    references = write(tmp_path / "test.txt", ["a"])
    with pytest.raises(UserError) as refused:
        inputs_from_files([path], references, OPTIONS)
    assert str(refused.value).startswith(message.format(path))
    with pytest.raises(UserError, match="references"):
        inputs_from_files([references], path, OPTIONS)
    assert MOST_CHARACTERS < 10_000_000


def test_references_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give references=FILE"):
        inputs_from_files([write(tmp_path / "samples.txt", ["a"])], None, OPTIONS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An oracle's run, and one on text of which some words are unknown."""
    home = tmp_path_factory.mktemp("runs")
    textgan.train("seqgan", out=home / "oracle", quiet=True, plot=False, **TOY)
    file = toy_text(home)
    settings = TOY_TEXT | {"data.vocabulary": 7, "data.test": 0.3}
    textgan.train("seqgan", data=file, out=home / "text", quiet=True, plot=False, **settings)
    return {"oracle": home / "oracle", "text": home / "text"}


def test_a_run_against_an_oracle_has_fresh_real_text(folders: dict[str, Path]) -> None:
    run = open_run(folders["oracle"])
    layout = inputs_from_run(run, OPTIONS, samples=50)
    assert list(layout.rows) == ["oracle", "MLE, best epoch", "seqgan, last"]
    oracle, mle, last = layout.rows.values()
    assert layout.real == "oracle"
    assert [len(row.predictions) for row in layout.rows.values()] == [50, 50, 50]
    assert {len(row.paired_sample) for row in layout.rows.values()} == {
        40
    }  # as many as are held out
    assert {len(row.sample) for row in layout.rows.values()} == {50}
    assert oracle.models is not None and oracle.models.generator is run.oracle
    assert mle.models is not None and last.models is not None
    assert mle.models.generator is not last.models.generator
    assert last.lines[0] == " ".join(map(str, last.predictions[:1].tolist()[0]))
    assert torch.equal(last.models.drawn.tokens.flatten(), last.predictions.words)
    assert not set(oracle.lines) & set(run.corpus.decode(run.corpus.train))
    same_seed = replace(OPTIONS, seed=run.config.oracle.seed + 1)  # as the training text's
    fresh = inputs_from_run(run, same_seed, samples=50).rows["oracle"]
    assert not set(fresh.lines) & set(run.corpus.decode(run.corpus.train))
    again = inputs_from_run(run, OPTIONS, samples=50).rows["seqgan, last"]
    assert again.predictions.digest() == last.predictions.digest()
    cold = inputs_from_run(run, OPTIONS, samples=50, temperature=0.1, with_real=False)
    assert cold.real is None
    assert cold.rows["seqgan, last"].predictions.digest() != last.predictions.digest()


def test_texts_of_a_run_never_hold_the_unknown_word(folders: dict[str, Path]) -> None:
    run = open_run(folders["text"])
    assert run.corpus.tokenizer.special
    layout = inputs_from_run(run, OPTIONS, samples=300)
    real, _, last = layout.rows.values()
    assert layout.real == "real, held out"
    assert last.models is not None
    assert bool((last.models.drawn.tokens == UNKNOWN).any())  # as the generator draws them
    assert not any(UNKNOWN_WORD in line.split() for line in last.lines)
    words = [" ".join(words) for words in last.words(last.predictions)]
    assert words == last.lines
    assert texts(real, real.references) == run.corpus.decode(run.corpus.test)
    assert texts(real, real.predictions) == run.corpus.decode(run.corpus.valid)
    assert any("of the references' words are <unk>" in warning for warning in layout.warnings)


def test_files_are_split_as_the_run_is_beside_which_they_are_measured(tmp_path: Path) -> None:
    settings = TOY_TEXT | {"data.tokens": "char"}
    data = toy_text(tmp_path)
    textgan.train("seqgan", data=data, out=tmp_path / "run", quiet=True, plot=False, **settings)
    run, lines = open_run(tmp_path / "run"), ["a cat", "<unk> q"]
    assert " " in run.corpus.tokenizer.words
    row = inputs_from_run(run, OPTIONS, samples=9, others=[lines]).rows["texts"]
    assert row.words(row.predictions) == [["a", " ", "c", "a", "t"], ["<unk>", " ", "q"]]


def test_a_run_may_be_split_as_files_are(folders: dict[str, Path]) -> None:
    run = open_run(folders["text"])
    layout = inputs_from_run(run, OPTIONS, samples=20, split="char")
    last = layout.rows["seqgan, last"]
    assert last.tokenizer.kind == "char"
    assert texts(last, last.predictions) == [" ".join(line.replace(" ", "")) for line in last.lines]


def sentences(n: int, seed: int, size: int = 6) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=size)) + f" {i % 9}" for i in range(n)]


def test_references_alone_serve_to_train_networks() -> None:
    """Three parts without a common sentence; the signature and the notes say what was learnt."""
    references = sentences(3 * FEWEST_TO_TRAIN + 10, 1)
    references = [f"{text} {i}" for i, text in enumerate(references)]
    layout = inputs_from_files([sentences(60, 0)], references, EvaluationOptions())
    assert layout.real == "real (a third of the references)"
    real, judged = layout.rows.values()
    assert real.train is not None and judged.train is not None

    def of(part: object) -> set[str]:
        return {" ".join(words) for words in real.words(part)}  # type: ignore[arg-type]

    sides = [of(real.predictions), of(real.paired_references), of(real.train)]
    assert min(map(len, sides)) >= FEWEST_TO_TRAIN
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not sides[a] & sides[b]
    assert sum(map(len, sides)) <= len(references)
    assert of(judged.paired_references) == sides[1] and of(judged.train) == sides[2]
    assert (
        real.generator_train is None and judged.generator_train is None
    )  # nobody says what it was trained on
    model = real_language_model(judged)
    assert model.facts["on"] == "references"
    assert layout.facts["networks"] == {"of": "references", "texts": len(judged.train)}


def test_other_real_text_serves_to_train_networks() -> None:
    other = [f"{text} {i}" for i, text in enumerate(sentences(2 * FEWEST_TO_TRAIN, 2))]
    layout = inputs_from_files(
        [sentences(60, 0)], sentences(40, 1), EvaluationOptions(), real=other
    )
    assert layout.real == "real (half of the other text)"
    real = layout.rows[layout.real]
    assert real.train is not None and real.train_source == "real"
    assert len(real.predictions) == len(real.train) == FEWEST_TO_TRAIN
    given = inputs_from_files(
        [sentences(60, 0)],
        sentences(40, 1),
        EvaluationOptions(),
        real=other,
        train=sentences(80, 3),
    )
    assert "on" not in real_language_model(given.rows["texts"]).facts


def test_few_references_leave_networks_without_text() -> None:
    layout = inputs_from_files(
        [sentences(60, 0)], sentences(3 * FEWEST_TO_TRAIN - 1, 1), EvaluationOptions()
    )
    assert layout.real == "real (half of the references)"
    with pytest.raises(Unavailable, match=r"give more references \(150 or more\)"):
        real_language_model(layout.rows["texts"])
