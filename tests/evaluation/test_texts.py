"""How given texts are read, named and looked over."""

from pathlib import Path

import pytest
from evaluated import numbered, write

from textgan.core.errors import UserError
from textgan.evaluation.file_inputs import inputs_from_files
from textgan.evaluation.inputs import EvaluationOptions
from textgan.evaluation.texts import MOST_CHARACTERS

OPTIONS = EvaluationOptions()


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
