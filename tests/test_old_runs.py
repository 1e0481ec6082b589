"""Folders of an earlier version (tests/old_runs) go on, and are read, as that version would have.

A run against an oracle, one of labelled text and one of its user's own parts (mine.py), each as it
was in the middle (half) and at its end (done); an encoder, and a study of classifiers.
`tests/old_runs/make.py` says how they were made.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from places import ROOT
from safetensors.torch import load_file
from toys import Cli

import textgan
from textgan.core.own_code import read_source
from textgan.core.streams import Purpose, stream
from textgan.data.text import Condition, Text, TextSpace
from textgan.data.tokenizers import Tokenizer, WordTokenizer
from textgan.models.generators.recurrent import LSTMGenerator

OLD = ROOT / "tests/old_runs"
RUNS = ("oracle", "labelled", "own")


def numbers(value: Any) -> Any:
    """JSON with every number as what it is compared with."""
    if isinstance(value, dict):
        return {key: numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbers(inner) for inner in value]
    return pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def checkpoint(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(max((folder / "checkpoints").glob("*.safetensors")))


@pytest.fixture(params=RUNS)
def done(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    shutil.copytree(OLD / request.param / "done", tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("kind", RUNS)
def test_it_goes_on_from_the_middle_to_the_same_end(kind: str, tmp_path: Path) -> None:
    """Weights, optimisers and random state after all steps, to the rounding of products and
    exponentials, which are taken in other ways now; every record and the final table."""
    old, run = OLD / kind / "done", tmp_path / "run"
    shutil.copytree(OLD / kind / "half", run)
    textgan.resume(run, quiet=True, trust_code=True)
    left, expected = checkpoint(run), checkpoint(old)
    assert left.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(left[name], tensor, rtol=1e-4, atol=1e-6)
    assert records(run) == numbers(records(old))
    results, had = (read(folder / "results.json")["rows"] for folder in (run, old))
    assert results.keys() == had.keys()
    for row, scores in had.items():  # which had no title and no signature yet
        kept = {name: {key: results[row][name][key] for key in scores[name]} for name in scores}
        assert results[row].keys() == scores.keys() and kept == numbers(scores)
    assert (run / "samples.txt").read_bytes() == (old / "samples.txt").read_bytes()


def test_it_is_sampled(done: Path, cli: Cli) -> None:
    code, out, err = cli("sample", done, "-n", "5", "--trust-code")
    assert code == 0, err
    assert out.splitlines() == textgan.sample(done, 5, trust_code=True)
    assert len(out.splitlines()) == 5
    if (done / "vocabulary.json").is_file():
        assert {line.partition("\t")[0] for line in out.splitlines()} <= {"glad", "sad"}


def test_it_is_evaluated_to_the_same_numbers(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the texts that the version of then drew; those drawn now are the final table's."""
    settings: dict[str, Any] = {"quiet": True, "resamplings": 50, "trust_code": True}
    final = list(read(done / "results.json")["rows"].values())[-1]
    now = textgan.evaluate(done, metrics=["likelihood"], **settings).last
    for name in final.keys() & {"nll_oracle", "nll_test", "entropy"}:
        assert now[name].value == pytest.approx(final[name]["value"], rel=1e-4)
    monkeypatch.setattr(
        "textgan.evaluation.run_inputs.texts_seed",
        lambda run, seed: stream(Purpose.EVALUATION_TEXTS, seed, run.config.seed),
    )
    made = textgan.evaluate(done, metrics=["quick"], **settings).to_dict()["rows"]
    had = read(done / "evaluation.json")["rows"]  # before there were the divergences a token
    kept = {row: {name: made[row][name] for name in scores} for row, scores in had.items()}
    assert kept == numbers(had) and made.keys() == had.keys()


def test_its_evaluation_is_kept_compared_and_added_to(done: Path, cli: Cli) -> None:
    code, out, err = cli("compare", done, "--trust-code")
    assert code == 0, err
    assert "MLE" in out
    words = ["--metrics", "length", "--resamplings", "50", "--json", "--trust-code"]
    code, out, err = cli("evaluate", done, *words)
    assert code == 0, err
    assert "bleu" in (done / "evaluation.json").read_text("utf-8")


def test_it_is_reported_without_measuring_anew(done: Path, cli: Cli) -> None:
    measured = [done / "evaluation.json", done / "curve.json"]
    before = [path.read_bytes() for path in measured]
    code, _, err = cli("report", done)
    assert code == 0, err
    assert [path.read_bytes() for path in measured] == before
    page = (done / "report.html").read_text("utf-8")
    assert "BLEU" in page


def test_an_encoder_makes_the_same_vectors() -> None:
    sentences = sentences_of_the_file()
    vectors = textgan.open_encoder(OLD / "encoder").encode_lines(sentences)
    expected = torch.tensor(read(OLD / "expected.json")["vectors"], dtype=torch.float64)
    torch.testing.assert_close(vectors, expected, rtol=1e-4, atol=1e-6)


def test_a_classifier_gives_the_same_probabilities() -> None:
    classifier = textgan.load_classifier(OLD / "classifiers/models/fgm-1")
    expected = torch.tensor(read(OLD / "expected.json")["probabilities"], dtype=torch.float64)
    torch.testing.assert_close(classifier(sentences_of_the_file()), expected, rtol=1e-4, atol=1e-6)


def test_a_study_of_classifiers_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call trains nothing: it asks for what is there already."""
    out = tmp_path / "out"
    shutil.copytree(OLD / "classifiers", out)
    monkeypatch.chdir(OLD)
    kept = sorted(out.rglob("*.safetensors"))
    before = [path.stat().st_mtime_ns for path in kept]
    runs = read(out / "classify.json")["runs"]
    settings = {"network.embedding": 4, "network.hidden": 4, "data.min_count": 1, "epochs": 2}
    study: dict[str, Any] = {"perturb": "none,fgm", "seeds": 2, "keep": True, "quiet": True}
    assert "fgm" in str(textgan.classify("moods.tsv", out=out, **study, **settings))
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert read(out / "classify.json")["runs"] == runs


def sentences_of_the_file() -> list[str]:
    """The first lines of what encoder and classifiers learnt from, without their labels."""
    lines = (OLD / "moods.tsv").read_text("utf-8").splitlines()
    return [line.partition("\t")[2] for line in lines[:6]]


def test_an_encoder_method_written_for_0_1_reads_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "from textgan.corpus import Vocabulary\n"
        "from textgan.reading import Reader, WordReader\n"
        "from textgan.sampling import State\n"
    )
    names = vars(read_source(path, "here").load())
    assert names["Reader"] is Tokenizer
    assert names["WordReader"] is names["Vocabulary"] is WordTokenizer
    tokenizer = WordTokenizer.train(["a b", "a c"], min_count=1, length=4)
    assert torch.equal(tokenizer.wrap([[4]]).tokens, tokenizer.pad([[4]]).tokens)
    assert torch.equal(tokenizer.read(["a b"]).tokens, tokenizer(["a b"]).tokens)


def test_a_source_is_given_as_0_1_gave_it() -> None:
    space = TextSpace(6, 4, classes=2)
    generator = LSTMGenerator(space, embedding=3, hidden=3)
    labels = torch.tensor([0, 1])
    assert torch.equal(generator.sample(2, source=None, labels=labels).condition.labels, labels)
    other = Text.full(torch.zeros(2, 3, dtype=torch.long))
    assert generator.conditions(2, Condition(labels), source=other).source is other
    with pytest.raises(ValueError, match="twice"):
        generator.conditions(2, Condition(source=other), source=other)
