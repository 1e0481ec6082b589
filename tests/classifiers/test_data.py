"""A labelled file as classifiers are trained and measured on it."""

from pathlib import Path

import pytest
from toys import Cli, refused


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a fine film\n" * 30, "line 1 has no tab; give label, one tab, sentence in every line"),
        ("good\ta film\n" * 30, "every sentence has the label 'good'"),
        ("good\ta film\n" * 30 + "a film\n", "line 31 has no tab"),
        (None, "the label 'odd' (line 1) has 1 sentence, 1 of them for training"),
        ("good\ta film\nbad\tno film\n", "at least 20 are needed"),
    ],
)
def test_files_that_cannot_be(content: str | None, said: str, tmp_path: Path, cli: Cli) -> None:
    if content is None:
        rows = [f"{('good', 'bad')[i % 2]}\tfilm number {i}\n" for i in range(60)]
        content = "odd\tzz\n" + "".join(rows)
    path = tmp_path / "file.tsv"
    path.write_text(content)
    message = refused(cli, "classify", path, "data.test=0.1")
    if "odd" in said and "0 of them" in message:
        said = said.replace("1 of them", "0 of them")
    assert said in message
