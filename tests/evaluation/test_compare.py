"""Comparing files and runs as the command does."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from evaluated import QUICK, SHORT, sentences, write
from toys import TOY_TEXT, Cli, refused

import textgan
from textgan.core.errors import UserError
from textgan.core.statistics import holm
from textgan.evaluation.compare import compare, compare_runs
from textgan.evaluation.comparison import Comparison, Comparisons
from textgan.evaluation.evaluate import evaluate
from textgan.evaluation.results import Evaluation, read_evaluation, write_evaluation
from textgan.evaluation.store import store_evaluation
from textgan.training.checkpoint import checkpoints
from textgan.training.run import Run, open_run


def test_runs_are_compared_with_each_other_and_with_their_mle(runs: Path) -> None:
    for name in ("seqgan-1", "seqgan-2", "mle"):
        store_evaluation(runs / name, evaluate(runs / name, metrics=QUICK, quiet=True))
    alone = compare_runs([runs / "seqgan-1"])
    assert (alone.a, alone.b) == ("MLE, best epoch", "seqgan, last")
    two = compare_runs([runs / "mle", runs / "seqgan-1"])
    assert (two.a, two.b) == ("mle", "seqgan")
    assert {result.name for result in two.differences} >= {"bleu4", "nll_test"}
    assert two.to_dict()["summary"] == two.sentences()
    seeds = compare_runs([runs / "seqgan-1", runs / "mle", runs / "seqgan-2"])
    assert {result.name for result in seeds.differences} >= {"bleu4", "nll_test"}
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

    monkeypatch.setattr("textgan.evaluation.compare.evaluate", measured)
    compare_runs([runs / "mle", runs / "seqgan-1"])
    compare_runs([runs / "mle", runs / "seqgan-1"])
    assert asked == [runs / "mle", runs / "seqgan-1"]


def test_runs_on_other_data_do_not_compare(runs: Path, tmp_path: Path) -> None:
    settings = SHORT | {"oracle.seed": 5, "schedule.rounds": 0, "schedule.discriminator_turns": 0}
    textgan.train("seqgan", out=tmp_path / "other", quiet=True, plot=False, **settings)
    with pytest.raises(UserError, match="these runs have different data"):
        compare_runs([runs / "seqgan-1", tmp_path / "other"])


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
    assert all(result.p == 1 and result.winner is None for result in same.differences)
    result = {one.name: one for one in bad.differences}
    assert result["bleu2"].winner == "a" and result["bleu2"].estimate is not None
    tested = [one for part in made.comparisons for one in part.differences if one.p is not None]
    assert [one.corrected for one in tested] == holm([one.p for one in tested if one.p is not None])
    two = compare(files[0], files[2], references=references, metrics="bleu,length", quiet=True)
    assert isinstance(two, Comparison) and two.over == "files"
    assert "-0.000" not in str(made)
    table = evaluate(files[0], files[2], references=references, metrics=["bleu"], quiet=True)
    difference = (
        table.rows["bad.txt"]["bleu2"].replicates - table.rows["clean.txt"]["bleu2"].replicates
    )
    low, high = result["bleu2"].estimate.low, result["bleu2"].estimate.high
    assert low is not None and high is not None
    assert (high - low) / 2 == pytest.approx(1.959964 * difference.std(ddof=1), rel=1e-9)


def test_files_of_different_sizes_compare(tmp_path: Path) -> None:
    made = compare(
        sentences(40, 0), sentences(60, 2), references=sentences(50, 1),
        metrics=["bleu", "repetition", "length"], quiet=True,
    )  # fmt: skip
    assert isinstance(made, Comparison)
    assert {result.name for result in made.differences} >= {"bleu2", "length", "repeated_words"}
    assert not [result.note for result in made.differences if "do not compare" in result.note]
    assert any("40 each are measured" in text for text in made.warnings)
    assert json.loads(json.dumps(made.to_dict()))["warnings"] == list(made.warnings)


def test_repetition_compares_whatever_is_long_enough() -> None:
    texts = [["a b c d e f"] * 30 + ["a"] * 10, ["a b c d e f"] * 20 + ["a b"] * 20]
    made = compare(*texts, references=sentences(50, 1), metrics=["repetition"], quiet=True)
    assert isinstance(made, Comparison)
    assert [result.note for result in made.differences if "do not compare" in result.note] == []


def test_runs_are_compared_by_the_metrics_asked_for(text_runs: Path) -> None:
    made = compare(text_runs / "mle", text_runs / "gan", metrics="unique,length", quiet=True)
    assert isinstance(made, Comparison) and (made.a, made.b) == ("mle", "seqgan")
    names = {result.name for result in made.differences}
    assert names == {"unique", "length", "length_distance", "empty"}
    kept = read_evaluation(text_runs / "gan")
    assert kept is not None and kept.facts["metrics"] == ["unique", "length"]
    # what is there is not measured again, what is not is, and both are kept
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("textgan.evaluation.evaluate.score", None)
        again = compare(text_runs / "mle", text_runs / "gan", metrics=["unique"], quiet=True)
        assert [result.name for result in again.differences] == ["unique"]  # type: ignore[union-attr]
        usual = compare(text_runs / "mle", text_runs / "gan", quiet=True)
        assert {result.name for result in usual.differences} == names  # type: ignore[union-attr]
    more = compare(text_runs / "mle", text_runs / "gan", metrics="bleu", quiet=True)
    assert {result.name for result in more.differences} == {  # type: ignore[union-attr]
        "bleu2", "bleu3", "bleu4", "bleu5",
    }  # fmt: skip
    kept = read_evaluation(text_runs / "gan")
    assert kept is not None and {"unique", "bleu4"} <= kept.rows["seqgan, last"].keys()
    # an evaluation of an older version does not say which numbers are whose: measured again
    facts = {key: value for key, value in kept.facts.items() if key != "numbers"}
    write_evaluation(text_runs / "gan", replace(kept, facts=facts))
    old = compare(text_runs / "gan", metrics="unique", quiet=True)
    assert [result.name for result in old.differences] == ["unique"]  # type: ignore[union-attr]


def test_a_run_and_a_file_are_compared(text_runs: Path, tmp_path: Path) -> None:
    made = compare(text_runs / "gan", sentences(30, 3), metrics="bleu", quiet=True)
    assert isinstance(made, Comparison) and (made.a, made.b) == ("seqgan, last", "texts")
    assert made.differences and not any(result.note for result in made.differences)


def test_three_experiments_are_compared_with_the_first(text_runs: Path) -> None:
    names = ("mle", "gan", "third")
    made = compare(*(text_runs / name for name in names), metrics="unique,length", quiet=True)
    assert isinstance(made, Comparisons) and len(made.comparisons) == 2
    assert {one.a for one in made.comparisons} == {str(text_runs / "mle")}
    assert [one.b for one in made.comparisons] == [str(text_runs / name) for name in names[1:]]


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
    message = refused(cli, "compare", a, "--references", references)
    assert "give at least two files or runs" in message
    assert "give --references FILE" in refused(cli, "compare", a, b)
    assert "give a number" in refused(cli, "evaluate", text_runs / "gan", "--temperature", "0")


def test_what_is_compared_was_resampled_alike(runs: Path) -> None:
    """What is kept with the resamplings of the first version is measured again."""
    folder = runs / "seqgan-1"
    kept = store_evaluation(folder, evaluate(folder, metrics=["likelihood"], quiet=True))
    assert kept.facts["streams"] == 2
    marked = kept.facts | {"seconds": -1.0}
    without = {key: value for key, value in marked.items() if key != "streams"}
    for facts, again in ((marked, False), (without, True)):
        write_evaluation(folder, replace(kept, facts=facts))
        compare_runs([folder], metrics=["likelihood"], quiet=True)
        result = read_evaluation(folder)
        assert result is not None
        assert (result.facts["seconds"] > 0) == again


def test_a_comparison_warns_as_an_evaluation_of_the_same_runs_does(tmp_path: Path) -> None:
    data = write(tmp_path / "toy.txt", sentences(60, 0))
    few = {key: value for key, value in TOY_TEXT.items() if not key.startswith(("d", "o"))}
    few |= {"schedule.mle_epochs": 1, "schedule.rounds": 1, "data.vocabulary": 6}
    few |= {"evaluation.final_samples": 10, "evaluation.samples": 10}
    folders = [tmp_path / name for name in "ab"]
    for folder, rate in zip(folders, (0.01, 0.1), strict=True):
        settings = few | {"optimisers.mle_lr": rate}
        textgan.train("mle", data=data, out=folder, quiet=True, plot=False, **settings)
    store_evaluation(folders[1], evaluate(folders[1], metrics=["unique"], quiet=True))
    (folders[1] / "results.json").unlink()
    sorted((folders[1] / "checkpoints").iterdir())[-1].unlink()  # killed in its last round
    made = evaluate(*folders, metrics=["unique"], quiet=True)
    stopped = "b is not finished, as far as its checkpoints go: it is measured as it was in round 1"
    assert any(stopped in text for text in made.warnings)
    assert any("of the references' words are <unk>" in text for text in made.warnings)
    unknown = "are <unk>, all one symbol"
    assert any(unknown in text for text in made.warnings)
    new = compare(*folders, metrics="unique", quiet=True)  # what was kept is of a later state
    stored = compare(*folders, quiet=True)
    for one in (new, stored):
        assert list(one.warnings) == made.warnings == one.to_dict()["warnings"]
    assert "b is not finished, as far" in " ".join(str(stored).split())
    kept = read_evaluation(folders[1])
    assert kept is not None and kept.facts["checkpoint"] == checkpoints(folders[1])[-1].stem
    # and where texts are drawn anew
    anew = compare(*folders, metrics="unique", quiet=True, seed=1)
    assert list(anew.warnings) == made.warnings
    of_files = compare(*folders, references=sentences(40, 0), metrics="unique", quiet=True)
    assert any(stopped in text for text in of_files.warnings)


def test_a_run_that_another_began_at_is_not_where_that_began(tmp_path: Path) -> None:
    mle = {k: v for k, v in SHORT.items() if not k.startswith(("discriminator", "objective"))}
    mle |= {"schedule.rounds": 0, "schedule.mle_epochs": 3, "optimisers.mle_lr": 0.3}
    textgan.train("mle", out=tmp_path / "mle", quiet=True, plot=False, **mle)
    after = {k: v for k, v in SHORT.items() if not k.startswith(("oracle.", "generator."))}
    after |= {"init": str(tmp_path / "mle"), "schedule.mle_epochs": 0}
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, plot=False, **after)
    epoch = open_run(tmp_path / "mle").load_mle()[1]["epoch"]
    assert epoch < 3
    made = compare(tmp_path / "run", tmp_path / "mle", metrics="unique", quiet=True)
    assert isinstance(made, Comparison) and (made.a, made.b) == ("seqgan", "mle, last")
    [warning] = made.warnings
    assert f"began at MLE epoch {epoch} of 3: textgan compare {tmp_path / 'run'}" in warning
