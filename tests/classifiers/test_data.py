"""A labelled file as classifiers are trained and measured on it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from toys import Cli, refused

from textgan.classifiers.config import ClassifierConfig
from textgan.classifiers.data import ClassifierData, read_classifier_data
from textgan.core.errors import UserError
from textgan.core.settings import make_settings


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ("a fine film\n" * 30, "line 1 has no tab; give label, one tab, sentence in every line"),
        ("good\ta film\n" * 30, "every sentence has the label 'good'"),
        ("good\ta film\n" * 30 + "a film\n", "line 31 has no tab"),
        (None, "the label 'odd' (line 1) has 1 sentence, 1 of them for training"),
        ("good\ta film\nbad\tno film\n", "at least 20 are needed"),
    ],
)
def test_files_that_cannot_be(content: str | None, output: str, tmp_path: Path, cli: Cli) -> None:
    if content is None:
        rows = [f"{('good', 'bad')[i % 2]}\tfilm number {i}\n" for i in range(60)]
        content = "odd\tzz\n" + "".join(rows)
    path = tmp_path / "file.tsv"
    path.write_text(content)
    message = refused(cli, "classify", path, "data.test=0.1")
    if "odd" in output and "0 of them" in message:
        output = output.replace("1 of them", "0 of them")
    assert output in message


def read(reviews: Path, **settings: Any) -> ClassifierData:
    return read_classifier_data(reviews, "cnn", make_settings(ClassifierConfig, settings))


def test_noise_is_in_the_test_sentences_alone(reviews: Path) -> None:
    data = read(reviews, **{"noise.kind": ["drop", "swap"], "noise.rate": [0.0, 0.5]})
    assert list(data.tests) == ["clean", "drop 0", "drop 0.5", "swap 0", "swap 0.5"]
    clean = data.tests["clean"]
    assert torch.equal(data.tests["drop 0"].tokens, clean.tokens)
    assert data.tests["drop 0.5"].lengths.sum() < clean.lengths.sum()
    assert torch.equal(data.tests["swap 0.5"].lengths, clean.lengths)
    for text in data.tests.values():  # a label stays with its sentence
        assert text.labels is not None and clean.labels is not None
        assert torch.equal(text.labels, clean.labels)
    other = read(reviews, **{"noise.kind": "drop"})
    assert torch.equal(other.train.tokens, data.train.tokens)
    assert torch.equal(other.valid.tokens, data.valid.tokens)


def test_majority_is_the_share_of_the_most_frequent_label(reviews: Path) -> None:
    data = read(reviews)
    labels = data.tests["clean"].labels
    assert labels is not None
    share = float(labels.double().mean())
    assert data.majority == max(share, 1 - share)


def test_a_noise_that_changes_no_line_is_left_out_or_refused(reviews: Path) -> None:
    assert not any("typo" in name for name in read(reviews, **{"data.tokens": "char"}).tests)
    with pytest.raises(UserError, match=r"noise.kind = 'typo': it changes no line at a rate of"):
        read(reviews, **{"data.tokens": "char", "noise.kind": "typo"})
