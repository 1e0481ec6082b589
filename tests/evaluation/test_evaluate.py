"""Evaluating files and runs as the commands do: rows, what is kept, what is warned of."""

import json
import math
import random
import shutil
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluated import QUICK, SHORT
from toys import TOY, TOY_TEXT, Cli, refused, toy_text

import textgan
from textgan.core.errors import UserError
from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate, holm
from textgan.evaluation.comparison import Comparison, Comparisons
from textgan.evaluation.evaluate import compare, compare_runs, evaluate
from textgan.evaluation.inputs import alike
from textgan.evaluation.results import Evaluation, read_evaluation, write_evaluation
from textgan.evaluation.scoring import choose_metrics
from textgan.evaluation.store import store_evaluation
from textgan.training.run import Run

WORDS = ["the", "a", "cat", "dog", "sees", "likes", "red", "old", "tree", "house", "sun", "sea"]


def test_a_run_is_judged_in_rows_that_compare(runs: Path) -> None:
    found = evaluate(runs / "seqgan-1", metrics=QUICK, quiet=True)
    assert list(found.rows) == ["oracle", "MLE, best epoch", "seqgan, last"]
    assert found.real == "oracle"
    assert found.facts["samples"] == 60  # as its config says
    for scores in found.rows.values():
        assert {"bleu2", "bleu5", "self_bleu4", "unique", "nll_oracle", "nll_test"} <= scores.keys()
    signatures = {scores["self_bleu4"].signature for scores in found.rows.values()}
    assert len(signatures) == 1
    assert "hyps:60" in signatures.pop()
    table = str(found)
    assert "BLEU-4" in table and "'oracle' is the level to reach" in table
    assert found.facts["peak_memory_mib"] > 0
    example = found.facts["examples"]["seqgan, last"][0]
    assert 0 <= example["share"] <= 1 and example["nearest"]


def test_an_evaluation_is_repeatable(runs: Path) -> None:
    first, second = (evaluate(runs / "seqgan-1", metrics=QUICK, quiet=True) for _ in range(2))
    rows = [
        {
            name: {key: score.to_dict() for key, score in row.items()}
            for name, row in one.rows.items()
        }
        for one in (first, second)
    ]
    assert rows[0] == rows[1]


def test_a_temperature_is_in_every_likelihood(runs: Path) -> None:
    found = evaluate(runs / "seqgan-1", metrics=["likelihood"], temperature=0.5, quiet=True)
    cold = found.rows["seqgan, last"]["nll_test"]
    assert "temp:0.5" in cold.signature and "0.5" in cold.title
    warm = evaluate(runs / "seqgan-1", metrics=["likelihood"], quiet=True)
    assert "temp:1" in warm.rows["seqgan, last"]["nll_test"].signature
    assert found.rows["oracle"]["nll_test"].signature == warm.rows["oracle"]["nll_test"].signature


def test_files_are_judged_beside_each_other(files: dict[str, str]) -> None:
    found = evaluate(
        files["samples"], files["test"], references=files["test"], train=files["train"],
        metrics=["quick"], quiet=True,
    )  # fmt: skip
    assert list(found.rows) == ["real (training text)", "samples.txt", "test.txt"]
    assert found.rows["test.txt"]["bleu5"].estimate.value == 1.0
    assert any("these are the references themselves" in text for text in found.warnings)
    assert "divergence" in found.unavailable and "sacrebleu" not in found.unavailable
    assert all(math.isfinite(s.estimate.value) for row in found.rows.values() for s in row.values())
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_the_result_of_a_metric_that_is_not_to_be_had_is_a_sentence(files: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"nothing can be measured: likelihood needs a generator"):
        evaluate(files["samples"], references=files["test"], metrics=["likelihood"], quiet=True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"references": "x.txt"}, "references = 'x.txt': there is no such file"),
        ({"temperature": 0}, "temperature = 0: give a number from 0.0001 to 10000"),
        ({"temperature": math.nan}, "temperature = nan: give a number"),
        ({"samples": -3}, "samples = -3: give a whole number from 10"),
        ({"seed": -1}, "seed = -1: give a whole number from 0"),
        ({"resamplings": 10**7}, "resamplings = 10000000: give a whole number from 0 to 1000000"),
        ({"train": "x.txt"}, "train is for files"),
        ({"aligned": ["x.txt"]}, "aligned is for files"),
        ({"metrics": ["blue"]}, "there is no metric called 'blue'; did you mean 'bleu'"),
        ({"bleu.largst": 3}, "bleu.largst is not a setting; did you mean 'largest'"),
        ({"bleu.largest": 0}, "bleu.largest = 0"),
        ({"blue.largest": 3}, "no metric called 'blue' is measured; did you mean 'bleu'"),
    ],
)
def test_what_does_not_fit_a_run_is_refused(runs: Path, wrong: dict[str, Any], said: str) -> None:
    told: dict[str, Any] = {"metrics": ["bleu"], "quiet": True} | wrong
    with pytest.raises(UserError) as refused:
        evaluate(runs / "mle", **told)
    assert said in str(refused.value)


def test_what_does_not_fit_files_is_refused(files: dict[str, str], runs: Path) -> None:
    for told in ({"samples": 10}, {"temperature": 0.5}):
        with pytest.raises(UserError, match="are for a run's folder"):
            evaluate(files["samples"], references=files["test"], **told)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"item 1 is int 3; give a file, or a list of strings"):
        evaluate(["a cat", 3], references=files["test"])  # type: ignore[list-item]
    with pytest.raises(UserError, match="texts is empty; give at least one text"):
        evaluate([], references=files["test"])
    with pytest.raises(UserError, match="give a run's folder, or files"):
        evaluate()


def test_runs_are_compared_with_each_other_and_with_their_mle(runs: Path) -> None:
    for name in ("seqgan-1", "seqgan-2", "mle"):
        store_evaluation(runs / name, evaluate(runs / name, metrics=QUICK, quiet=True))
    alone = compare_runs([runs / "seqgan-1"])
    assert (alone.a, alone.b) == ("MLE, best epoch", "seqgan, last")
    two = compare_runs([runs / "mle", runs / "seqgan-1"])
    assert (two.a, two.b) == ("mle", "seqgan")
    assert {found.name for found in two.differences} >= {"bleu4", "nll_test"}
    assert two.to_dict()["summary"] == two.sentences()
    seeds = compare_runs([runs / "seqgan-1", runs / "mle", runs / "seqgan-2"])
    assert {found.name for found in seeds.differences} >= {"bleu4", "nll_test"}
    with pytest.raises(UserError, match="seeds of one experiment"):
        compare_runs([runs / "seqgan-1", runs / "seqgan-2"])
    copied = shutil.copytree(runs / "mle", runs / "copy")
    with pytest.raises(UserError, match="have the same settings and seed"):
        compare_runs([runs / "mle", copied])


def test_a_comparison_measures_what_is_missing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def measured(run: Run, **told: object) -> Evaluation:
        asked.append(run.folder)
        return evaluate(run, metrics=["unique"], quiet=True, keep=True)

    monkeypatch.setattr("textgan.evaluation.evaluate.evaluate", measured)
    compare_runs([runs / "mle", runs / "seqgan-1"])
    compare_runs([runs / "mle", runs / "seqgan-1"])
    assert asked == [runs / "mle", runs / "seqgan-1"]


def test_runs_on_other_data_do_not_compare(runs: Path, tmp_path: Path) -> None:
    told = SHORT | {"oracle.seed": 5, "schedule.rounds": 0, "schedule.discriminator_turns": 0}
    textgan.train("seqgan", out=tmp_path / "other", quiet=True, plot=False, **told)
    with pytest.raises(UserError, match="these runs have different data"):
        compare_runs([runs / "seqgan-1", tmp_path / "other"])


def one(value: float, better: Better = "higher", half: float | None = 0.01) -> Score:
    estimate = Estimate(value) if half is None else Estimate(value, value - half, value + half)
    return Score("a number", estimate, "", better)


def sentences(n: int, seed: int, size: int = 6) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=size)) + f" {i % 9}" for i in range(n)]


@pytest.fixture(scope="module")
def trained_on_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on one file of words."""
    home = tmp_path_factory.mktemp("runs")
    data = toy_text(home, 80)
    short = TOY_TEXT | {"schedule.rounds": 1, "evaluation.final_samples": 40, "data.min_count": 1}
    plain = {k: v for k, v in short.items() if not k.startswith(("discriminator", "objective"))}
    textgan.train("seqgan", data=data, out=home / "gan", quiet=True, plot=False, **short)
    for name, rate in (("mle", 0.01), ("third", 0.1)):
        told = plain | {"optimisers.mle_lr": rate}
        textgan.train("mle", data=data, out=home / name, quiet=True, plot=False, **told)
    return home


@pytest.fixture
def text_runs(trained_on_text: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_on_text, tmp_path / "runs"))


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def test_lists_are_judged_as_files_are(tmp_path: Path) -> None:
    texts, references = sentences(40, 0), sentences(50, 1)
    told = {"metrics": ["bleu", "unique", "length"], "quiet": True}
    of_lists = evaluate(texts, references=references, **told)
    of_files = evaluate(
        write(tmp_path / "a.txt", texts), references=write(tmp_path / "b.txt", references), **told
    )
    assert list(of_lists.rows) == ["real (half of the references)", "texts"]
    ours, theirs = of_lists.rows["texts"], of_files.rows["a.txt"]
    assert [s.to_dict() for s in ours.values()] == [s.to_dict() for s in theirs.values()]
    facts = of_lists.facts["texts"]["texts"]
    assert facts["sha256"] == of_files.facts["texts"]["a.txt"]["sha256"]
    assert facts["file"] is None and facts["lines"] == 40
    both = evaluate(texts, sentences(40, 2), references=references, **told)
    assert list(both.rows)[1:] == ["texts 1", "texts 2"]


def test_runs_and_files_stand_in_one_table(text_runs: Path, tmp_path: Path) -> None:
    samples = write(tmp_path / "samples.txt", sentences(30, 0))
    told = {"metrics": ["bleu", "likelihood", "novelty"], "quiet": True}
    by_run = evaluate(text_runs / "gan", samples, sentences(25, 3), **told)
    assert list(by_run.rows) == [
        "real, held out", "MLE, best epoch", "seqgan, last", "samples.txt", "texts",
    ]  # fmt: skip
    assert {"nll_test", "bleu4"} <= by_run.rows["seqgan, last"].keys()
    assert "nll_test" not in by_run.rows["samples.txt"]
    assert "novelty" in by_run.rows["samples.txt"]
    two = evaluate(text_runs / "gan", text_runs / "mle", **told)
    assert list(two.rows) == ["real, held out", "gan", "mle"]
    assert two.rows["gan"]["nll_test"].estimate != two.rows["mle"]["nll_test"].estimate
    alone = evaluate(text_runs / "mle", **told)
    assert two.rows["mle"]["bleu4"].to_dict() == alone.rows["mle, last"]["bleu4"].to_dict()
    other = evaluate(text_runs / "gan", samples, references=sentences(40, 5), **told)
    assert list(other.rows)[1:] == ["gan", "samples.txt"]
    assert other.facts["texts"]["gan"]["lines"] == 40
    opened = evaluate(textgan.open_run(str(text_runs / "gan")), samples, **told)
    assert list(opened.rows) == [*by_run.rows][:4]
    with pytest.raises(UserError, match="train is for files of texts"):
        evaluate(text_runs / "gan", samples, train=samples, quiet=True)


def test_runs_on_other_data_need_references(text_runs: Path, tmp_path: Path) -> None:
    plain = {k: v for k, v in TOY.items() if not k.startswith(("discriminator", "objective"))}
    textgan.train(
        "mle", out=tmp_path / "oracle", quiet=True, plot=False, **plain | {"schedule.rounds": 1}
    )
    with pytest.raises(UserError, match=r"have different data; give references=FILE"):
        evaluate(text_runs / "gan", tmp_path / "oracle", quiet=True)


def test_files_are_compared_in_pairs_with_the_first(tmp_path: Path) -> None:
    """Copies of one text with more and more words replaced, line by line: paired."""
    base = sentences(120, 0)

    def spoilt(share: float) -> list[str]:
        dice = random.Random(7)
        return [" ".join(w if dice.random() > share else "zzz" for w in s.split()) for s in base]

    files = [write(tmp_path / f"{name}.txt", spoilt(share))
             for name, share in (("clean", 0.0), ("same", 0.0), ("bad", 0.4))]  # fmt: skip
    references = write(tmp_path / "test.txt", sentences(150, 1))
    made = compare(*files, references=references, metrics="bleu,length", quiet=True)
    assert isinstance(made, Comparisons)
    assert [(one.a, one.b) for one in made.comparisons] == [
        ("clean.txt", "same.txt"), ("clean.txt", "bad.txt"),
    ]  # fmt: skip
    same, bad = made.comparisons
    assert all(found.p == 1 and found.winner is None for found in same.differences)
    found = {one.name: one for one in bad.differences}
    assert found["bleu2"].winner == "a" and found["bleu2"].estimate is not None
    tested = [one for part in made.comparisons for one in part.differences if one.p is not None]
    assert [one.corrected for one in tested] == holm([one.p for one in tested if one.p is not None])
    two = compare(files[0], files[2], references=references, metrics="bleu,length", quiet=True)
    assert isinstance(two, Comparison) and two.over == "files"
    assert "-0.000" not in str(made)
    table = evaluate(files[0], files[2], references=references, metrics=["bleu"], quiet=True)
    difference = (
        table.rows["bad.txt"]["bleu2"].replicates - table.rows["clean.txt"]["bleu2"].replicates
    )
    low, high = found["bleu2"].estimate.low, found["bleu2"].estimate.high
    assert low is not None and high is not None
    assert (high - low) / 2 == pytest.approx(1.959964 * difference.std(ddof=1), rel=1e-9)


def test_files_of_different_sizes_compare(tmp_path: Path) -> None:
    made = compare(
        sentences(40, 0), sentences(60, 2), references=sentences(50, 1),
        metrics=["bleu", "repetition", "length"], quiet=True,
    )  # fmt: skip
    assert isinstance(made, Comparison)
    assert {found.name for found in made.differences} >= {"bleu2", "length", "repeated_words"}
    assert not [found.note for found in made.differences if "do not compare" in found.note]
    assert any("40 each are measured" in text for text in made.warnings)
    assert json.loads(json.dumps(made.to_dict()))["warnings"] == list(made.warnings)


def test_repetition_compares_whatever_is_long_enough() -> None:
    texts = [["a b c d e f"] * 30 + ["a"] * 10, ["a b c d e f"] * 20 + ["a b"] * 20]
    made = compare(*texts, references=sentences(50, 1), metrics=["repetition"], quiet=True)
    assert isinstance(made, Comparison)
    assert [found.note for found in made.differences if "do not compare" in found.note] == []


def test_runs_are_compared_by_the_metrics_asked_for(text_runs: Path) -> None:
    made = compare(text_runs / "mle", text_runs / "gan", metrics="unique,length", quiet=True)
    assert isinstance(made, Comparison) and (made.a, made.b) == ("mle", "seqgan")
    names = {found.name for found in made.differences}
    assert names == {"unique", "length", "length_distance", "empty"}
    kept = read_evaluation(text_runs / "gan")
    assert kept is not None and kept.facts["metrics"] == ["unique", "length"]
    # what is there is not measured again, what is not is, and both are kept
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("textgan.evaluation.evaluate.score", None)
        again = compare(text_runs / "mle", text_runs / "gan", metrics=["unique"], quiet=True)
        assert [found.name for found in again.differences] == ["unique"]  # type: ignore[union-attr]
        usual = compare(text_runs / "mle", text_runs / "gan", quiet=True)
        assert {found.name for found in usual.differences} == names  # type: ignore[union-attr]
    more = compare(text_runs / "mle", text_runs / "gan", metrics="bleu", quiet=True)
    assert {found.name for found in more.differences} == {  # type: ignore[union-attr]
        "bleu2", "bleu3", "bleu4", "bleu5",
    }  # fmt: skip
    kept = read_evaluation(text_runs / "gan")
    assert kept is not None and {"unique", "bleu4"} <= kept.rows["seqgan, last"].keys()
    # an evaluation of an older version does not say which numbers are whose: measured again
    facts = {key: value for key, value in kept.facts.items() if key != "numbers"}
    write_evaluation(text_runs / "gan", replace(kept, facts=facts))
    old = compare(text_runs / "gan", metrics="unique", quiet=True)
    assert [found.name for found in old.differences] == ["unique"]  # type: ignore[union-attr]


def test_a_run_and_a_file_are_compared(text_runs: Path, tmp_path: Path) -> None:
    made = compare(text_runs / "gan", sentences(30, 3), metrics="bleu", quiet=True)
    assert isinstance(made, Comparison) and (made.a, made.b) == ("seqgan, last", "texts")
    assert made.differences and not any(found.note for found in made.differences)


def test_three_experiments_are_compared_with_the_first(text_runs: Path) -> None:
    names = ("mle", "gan", "third")
    made = compare(*(text_runs / name for name in names), metrics="unique,length", quiet=True)
    assert isinstance(made, Comparisons) and len(made.comparisons) == 2
    assert {one.a for one in made.comparisons} == {str(text_runs / "mle")}
    assert [one.b for one in made.comparisons] == [str(text_runs / name) for name in names[1:]]


def test_what_is_missing_is_said_at_once_and_all_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = sentences(30, 0)
    with pytest.raises(UserError) as refusal:
        evaluate(few, references=few[:20], metrics=["mauve", "frechet", "lm_score"], quiet=True)
    for name in ("mauve", "frechet", "lm_score"):
        assert name in str(refusal.value)
    assert "needs at least 100 texts on each side" in str(refusal.value)
    order: list[str] = []
    bleu = choose_metrics(["bleu"])[0]
    really = type(bleu).measure

    def measure(self: object, material: object) -> object:
        order.append(capsys.readouterr().err)
        return really(self, material)  # type: ignore[arg-type]

    monkeypatch.setattr(type(bleu), "measure", measure)
    evaluate(few, references=sentences(40, 1), metrics=["bleu", "novelty", "mauve"])
    assert "not measured: novelty: needs the training text: give train" in order[0]
    assert "not measured: mauve: needs" in order[0]


def test_what_is_missing_is_said_once_to_evaluations_that_share_a_memory(
    text_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared: dict[Hashable, Any] = {}
    said = []
    for _ in range(2):  # as a curve's temperatures do
        evaluate(text_runs / "gan", metrics=["divergence", "unique"], memory=shared)
        said.append(capsys.readouterr().err)
    assert "not measured: divergence: needs an oracle" in said[0]
    assert "divergence" not in said[1]


def test_texts_that_are_one_are_warned_of() -> None:
    a, b = sentences(60, 1), sentences(60, 2)
    assert alike({"references": a, "train": b}) == []
    assert "train and references are one text: 60 of 60" in alike({"references": a, "train": a})[0]
    spaced = [f"  {line.replace(' ', '   ')}" for line in reversed(a)]
    assert len(alike({"references": a, "real": spaced})) == 1  # by content, not by bytes or order
    most = alike({"references": a, "train": [*a[:40], *b]})
    assert most == [
        "train and references are nearly one text: 40 of 60 different lines are in both"
    ]
    assert alike({"references": a, "train": [*a[:30], *b]}) == []
    found = evaluate(sentences(50, 3), references=a, train=a, metrics=["bleu"], quiet=True)
    assert any("train and references are one text" in text for text in found.warnings)
    assert "is no level to reach" in str(found) and "is the level to reach" not in str(found)
    assert any("one text" in text for text in found.to_dict()["warnings"])
    usual = evaluate(sentences(50, 3), references=a, train=b, metrics=["bleu"], quiet=True)
    assert "is the level to reach" in str(usual) and not usual.facts.get("alike")
    for role in ("train", "real"):
        told = {role: b}
        same = evaluate(b, references=a, metrics=["bleu"], quiet=True, **told)  # type: ignore[arg-type]
        assert any("these are the" in text for text in same.warnings)


def test_text_of_another_length_is_warned_of() -> None:
    long, short = sentences(60, 1, size=40), sentences(60, 2)
    found = evaluate(long, references=long[:30] + sentences(30, 3, size=40), train=short,
                     metrics=["bleu"], quiet=True)  # fmt: skip
    assert any("train has 7 tokens a text, the references 41" in text for text in found.warnings)


def test_compare_is_a_command(cli: Cli, text_runs: Path, tmp_path: Path) -> None:
    a, b = (write(tmp_path / f"{name}.txt", sentences(40, i)) for i, name in enumerate("ab"))
    references = write(tmp_path / "test.txt", sentences(60, 5))
    code, out, err = cli("compare", a, b, "--references", references, "--metrics", "bleu,unique")
    assert code == 0, err
    assert "a.txt" in out and "p (Holm)" in out and "-0.000" not in out
    code, out, _ = cli("compare", text_runs / "gan", a, b, "--metrics", "bleu", "--json")
    assert code == 0
    assert json.loads(out)["baseline"] == "seqgan, last"
    code, out, _ = cli("evaluate", text_runs / "gan", text_runs / "mle", "--metrics", "bleu")
    assert code == 0 and not (text_runs / "gan/evaluation.json").exists()
    said = refused(cli, "compare", a, "--references", references)
    assert "give at least two files or runs" in said
    assert "give --references FILE" in refused(cli, "compare", a, b)
    assert "give a number" in refused(cli, "evaluate", text_runs / "gan", "--temperature", "0")


def test_numbers_are_of_the_right_texts(tmp_path: Path) -> None:
    """Two files that differ in length by one word: the difference is 1, and significant."""
    a, b = [f"x y {i}" for i in range(30)], [f"x y z {i}" for i in range(30)]
    made = compare(a, b, references=a, metrics=["length"], tokenizer="whitespace", quiet=True)
    assert isinstance(made, Comparison)
    length = {found.name: found for found in made.differences}["length"]
    assert (length.a.value, length.b.value) == (3, 4)
    assert length.estimate is not None and length.estimate.value == 1
    assert length.p == 0 and math.isfinite(np.float64(length.corrected or 0))
