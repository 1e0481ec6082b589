"""The rows of runs, and of files beside them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluated import spelt
from toys import TOY, TOY_TEXT, toy_text

import textgan
from textgan.data.pre_tokenizer import UNKNOWN_WORD
from textgan.data.tokenizers import UNKNOWN
from textgan.evaluation.inputs import EvaluationOptions
from textgan.evaluation.run_inputs import inputs_from_run
from textgan.training.run import open_run

OPTIONS = EvaluationOptions()


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
    assert spelt(real, real.references) == run.corpus.decode(run.corpus.test)
    assert spelt(real, real.predictions) == run.corpus.decode(run.corpus.valid)
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
    assert spelt(last, last.predictions) == [" ".join(line.replace(" ", "")) for line in last.lines]
