"""How many texts each row has, so that rows compare."""

from dataclasses import replace
from pathlib import Path

from evaluated import numbered, spelt, write

from textgan.evaluation.file_inputs import inputs_from_files
from textgan.evaluation.inputs import EvaluationOptions

OPTIONS = EvaluationOptions()


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
    assert spelt(real, real.predictions) == numbered("valid", 20)
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
    assert spelt(judged, judged.sample) != spelt(other, other.sample)
