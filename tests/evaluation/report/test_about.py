"""What was run, what is missing, and what was warned of."""

import json
import re
from pathlib import Path

import pytest
from pages import read, write_run

from textgan.evaluation.report import about
from textgan.evaluation.report.page import make_page


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("evaluation.json", "Not evaluated: my run. textgan evaluate 'my run' gives"),
        ("curve.json", "No curve over temperatures: my run. textgan curve 'my run' draws"),
        ("results.json", "Unfinished: my run. textgan resume 'my run' goes on"),
        ("metrics.jsonl", "Nothing was measured yet while training my run. textgan resume"),
        ("run.json", "seqgan"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path: Path, file: str, sentence: str) -> None:
    whole = read(make_page([write_run(tmp_path / "whole" / "my run")]))
    page = make_page([write_run(tmp_path / "my run", without=(file,))])
    assert sentence in read(page)
    assert file == "run.json" or sentence not in whole
    for empty in ("<figure>\n</figure>", "<tbody>\n</tbody>", "<ol>\n</ol>", "<ul>\n</ul>"):
        assert empty not in page
    for heading in re.findall(r"<h2>[^<]*</h2>\s*(.*?)\s*</section>", page, flags=re.DOTALL):
        assert heading


def test_a_bare_folder_is_told_of(tmp_path: Path) -> None:
    parts = ("evaluation.json", "curve.json", "results.json", "metrics.jsonl", "run.json")
    page = make_page([write_run(tmp_path / "new", without=parts)])
    words = read(page)
    for command in ("evaluate", "curve", "resume"):
        assert f"textgan {command} new" in words
    assert "<table" not in page and "<figure" not in page
    assert "No warnings so far" in words


def test_no_likelihood_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    content = json.loads((folder / "results.json").read_text()) | {"likelihood": False}
    (folder / "results.json").write_text(json.dumps(content))
    assert "run: the generator has no likelihood" in read(make_page([folder]))


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("'/home/me/run-0' and/or (/a/b/c.txt) is 3/4 done", "'run-0' and/or (c.txt) is 3/4 done"),
        ("C:\\Users\\me\\x.txt", "x.txt"),
        ("</b> / 1/2 ./x/y", "</b> / 1/2 ./x/y"),
    ],
)
def test_paths_in_sentences_are_cut(tmp_path: Path, sentence: str, told: str) -> None:
    page = make_page([write_run(tmp_path / "run", warning=sentence)])
    assert f"memorised, {told}" in read(page) and f"round 2: {told}" in read(page)


def test_data_are_described_as_far_as_they_are_known() -> None:
    assert about.describe_data({}) == "Text: of unknown origin"
    data = {"source": "/home/me/sea.txt", "vocabulary": 12345, "length": 20}
    message = about.describe_data(data | {"split": {"train": 8000, "test": 1000}})
    assert message.startswith("Text: sea.txt, ") and "/home" not in message
    assert "at most 20 in a sentence" in message and message.endswith(" test sentences")


def test_pairs_are_described_by_both_sides() -> None:
    assert about.describe_data({"sources": {}}) == "Pairs: of unknown origin"
    data = {"source": "/a/en.txt", "vocabulary": 1200, "length": 20, "split_by": "source"}
    sources = {"source": "/a/de.txt", "vocabulary": 1300, "length": 25}
    files = {"test": {"source": "en2.txt", "sources": {"source": "de2.txt"}}}
    split = {"train": 8000, "test": 1000}
    message = about.describe_data(data | {"sources": sources, "files": files, "split": split})
    assert message == (
        "Pairs: de.txt to en.txt, tested on de2.txt to en2.txt, 1,300 different words in sources "
        "and 1,200 in targets, at most 25 tokens in a source and 20 in a target, 8,000 train and "
        "1,000 test pairs, divided by source"
    )
    shared = about.describe_data(data | {"sources": {"shares_vocabulary": True, "length": 9}})
    assert "Pairs: en.txt, 1,200 different words on both sides, at most 9 tokens" in shared
    oracle = about.describe_data({"source": "LSTM", "source_length": 5})
    assert oracle == "Text: LSTM, each for a source of 5 words"


def test_commands_are_few_and_can_be_pasted() -> None:
    names = ["my run", *(f"run-{i}" for i in range(9))]
    assert about.suggested_commands("evaluate", names) == [
        "textgan evaluate 'my run'", "textgan evaluate run-0", "textgan evaluate run-1",
    ]  # fmt: skip
    assert about.suggested_commands("curve", names[:2]) == ["textgan curve 'my run' run-0"]
    assert about.suggested_commands("curve", names) == ["textgan curve RUN..."]
