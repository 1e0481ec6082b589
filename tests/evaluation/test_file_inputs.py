"""Which sides real text in files is on, and what is refused."""

from pathlib import Path

import pytest
from evaluated import numbered, real_row, sentences, spelt, write

from textgan.core.errors import UserError
from textgan.evaluation.file_inputs import FEWEST_TO_TRAIN, inputs_from_files
from textgan.evaluation.inputs import EvaluationOptions
from textgan.metrics.base import Unavailable
from textgan.metrics.networks import real_language_model

OPTIONS = EvaluationOptions()


def test_files_alone_are_compared_with_halves_of_the_references(tmp_path: Path) -> None:
    samples = write(tmp_path / "samples.txt", numbered("sample", 30))
    references = write(tmp_path / "test.txt", numbered("real", 41))
    layout = inputs_from_files([samples], references, OPTIONS, split="whitespace")
    assert list(layout.rows) == ["real (half of the references)", "samples.txt"]
    real, judged = layout.rows.values()
    assert spelt(judged, judged.predictions) == numbered("sample", 30)
    assert spelt(judged, judged.references) == numbered("real", 41)
    # no real sentence on both sides, and as many judged as real ones in every row
    assert real.reference_index is not None
    assert spelt(real, real.predictions) == [
        f"real number {i}" for i in real.reference_index.tolist()
    ]
    assert not set(spelt(real, real.paired_sample)) & set(spelt(real, real.paired_references))
    assert {len(row.paired_sample) for row in (real, judged)} == {20}
    assert len(judged.paired_references) == 20
    assert spelt(real, real.paired_references) == spelt(judged, judged.paired_references)
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
    assert not set(spelt(real, real.predictions)) & set(spelt(real, real.train))
    assert spelt(real, real.train) == spelt(judged, judged.train or real.train)
    assert spelt(judged, judged.generator_train) == numbered("train", 44)
    assert spelt(real, real.generator_train) == spelt(real, real.train)
    assert spelt(judged, judged.paired_references) != spelt(judged, judged.references)  # 22 of them
    assert (
        len(judged.paired_references) == len(judged.paired_sample) == len(real.paired_sample) == 22
    )
    assert real.reference_index is None


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


def test_references_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give references=FILE"):
        inputs_from_files([write(tmp_path / "samples.txt", ["a"])], None, OPTIONS)


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


def test_files_that_answer_sources_have_what_people_answered_as_references(tmp_path: Path) -> None:
    """All that they answered to a source, for each text that answers it."""
    asked = ["a b", "c", "a b", "d <turn> e", "c", "a b"]
    human = ["A", "B", "C", "", "E", "F"]
    files = {
        name: write(tmp_path / f"{name}.txt", lines)
        for name, lines in (("machine", list("uvwxyz")), ("human", human), ("source", asked))
    }
    inputs = inputs_from_files([files["machine"]], files["human"], OPTIONS, source=files["source"])
    row = inputs.rows["machine.txt"]
    assert row.aligned == [
        ["A", "B", "C", "", "E", "F"],
        ["C", "E", "A", None, "B", "A"],
        ["F", None, "F", None, None, "C"],
    ]
    assert row.sources is not None and row.source_tokenizer is not None
    assert row.source_tokenizer.decode(row.sources.tolist()) == asked
    assert row.groups is not None and row.groups.tolist() == [0, 1, 0, 2, 1, 0]
    assert row.real_pairs is not None
    assert spelt(row, row.real_pairs.answers) == human
    assert row.real_pairs.sources.digest() == row.sources.digest()
    assert inputs.facts["source"]["lines"] == 6
    for real in (one for name, one in inputs.rows.items() if name == inputs.real):
        assert real.sources is None
    # further references, and those alone
    more = write(tmp_path / "more.txt", list("123456"))
    both = inputs_from_files(
        [files["machine"]], files["human"], OPTIONS, source=files["source"], aligned=[more]
    ).rows["machine.txt"]
    assert both.aligned == [*row.aligned, list("123456")]
    alone = inputs_from_files(
        [files["machine"]], None, OPTIONS, source=files["source"], aligned=[files["human"]]
    ).rows["machine.txt"]
    assert alone.aligned == row.aligned


def test_one_source_is_given_for_each_text_and_each_reference() -> None:
    texts, asked = ["a", "b"], ["x", "y", "z"]
    with pytest.raises(UserError, match=r"source = 'a list' has 3 lines and 'references' 2"):
        inputs_from_files([texts], texts, OPTIONS, source=asked)
    with pytest.raises(UserError, match=r"'texts' 2; give one source for each text"):
        inputs_from_files([texts], asked, OPTIONS, source=asked)
