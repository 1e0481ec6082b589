"""Evaluating files and runs as the commands do: rows, what is kept, what is warned of."""

import json
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluated import QUICK, SHORT, sentences, write
from toys import TOY

import textgan
from textgan.core.errors import UserError
from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
from textgan.evaluation.compare import compare
from textgan.evaluation.comparison import Comparison
from textgan.evaluation.evaluate import evaluate
from textgan.evaluation.results import read_evaluation
from textgan.evaluation.scoring import choose_metrics
from textgan.evaluation.temperature_sweep import curve
from textgan.evaluation.texts import alike
from textgan.metrics.surface import Unique
from textgan.training.results import read_results


def test_a_run_is_judged_in_rows_that_compare(runs: Path) -> None:
    result = evaluate(runs / "seqgan-1", metrics=QUICK, quiet=True)
    assert list(result.rows) == ["oracle", "MLE, best epoch", "seqgan, last"]
    assert result.real == "oracle"
    assert result.facts["samples"] == 60  # as its config says
    for scores in result.rows.values():
        assert {"bleu2", "bleu5", "self_bleu4", "unique", "nll_oracle", "nll_test"} <= scores.keys()
    signatures = {scores["self_bleu4"].signature for scores in result.rows.values()}
    assert len(signatures) == 1
    assert "hyps:60" in signatures.pop()
    table = str(result)
    assert "BLEU-4" in table and "'oracle' is the level to reach" in table
    assert result.facts["peak_memory_mib"] > 0
    example = result.facts["examples"]["seqgan, last"][0]
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
    result = evaluate(runs / "seqgan-1", metrics=["likelihood"], temperature=0.5, quiet=True)
    cold = result.rows["seqgan, last"]["nll_test"]
    assert "temp:0.5" in cold.signature and "0.5" in cold.title
    warm = evaluate(runs / "seqgan-1", metrics=["likelihood"], quiet=True)
    assert "temp:1" in warm.rows["seqgan, last"]["nll_test"].signature
    assert result.rows["oracle"]["nll_test"].signature == warm.rows["oracle"]["nll_test"].signature


def test_mixtures_and_joint_temperatures_are_measured_and_not_kept(runs: Path) -> None:
    common: dict[str, Any] = {
        "metrics": ["likelihood", "divergence"],
        "quiet": True,
        "resamplings": 0,
    }
    run = runs / "seqgan-1"
    mixed = evaluate(run, mixture="1:0.5,0.5:0.5", keep=True, **common)
    assert mixed.facts["temperature"] == "1:0.5,0.5:0.5"
    hot, cold, joint = (
        evaluate(run, **{name: value}, keep=True, **common).rows["seqgan, last"]
        for name, value in (("temperature", 1), ("temperature", 0.5), ("joint_temperature", 0.8))
    )
    row = mixed.rows["seqgan, last"]
    assert "|temp:1:0.5,0.5:0.5|" in row["nll_oracle"].signature
    # a mixture costs at most log 2 a text more than its hot half does
    assert row["nll_test"].value <= hot["nll_test"].value + math.log(2) / 6
    assert cold["entropy"].value < row["entropy"].value < hot["entropy"].value
    assert joint["nll_test"].title == "NLL_test at T=0.8 (joint)"
    assert joint["entropy"].value < hot["entropy"].value
    for scores in (row, joint):
        difference = scores["nll_oracle"].value - scores["entropy"].value
        assert scores["reverse_kl"].value == pytest.approx(difference, abs=1e-6)
    kept = read_evaluation(run)
    assert kept is not None and "temp:1|" in kept.last["nll_test"].signature


def test_files_are_judged_beside_each_other(files: dict[str, str]) -> None:
    result = evaluate(
        files["samples"], files["test"], references=files["test"], train=files["train"],
        metrics=["quick"], quiet=True,
    )  # fmt: skip
    assert list(result.rows) == ["real (training text)", "samples.txt", "test.txt"]
    assert result.rows["test.txt"]["bleu5"].estimate.value == 1.0
    assert any("these are the references themselves" in text for text in result.warnings)
    assert "divergence" in result.unavailable and "sacrebleu" not in result.unavailable
    assert all(
        math.isfinite(s.estimate.value) for row in result.rows.values() for s in row.values()
    )
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()


def test_the_result_of_a_metric_that_is_not_to_be_had_is_a_sentence(files: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"nothing can be measured: likelihood needs a generator"):
        evaluate(files["samples"], references=files["test"], metrics=["likelihood"], quiet=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"references": "x.txt"}, "references = 'x.txt': there is no such file"),
        ({"temperature": 0}, "temperature = 0: give a number from 0.0001 to 10000"),
        ({"temperature": math.nan}, "temperature = nan: give a number"),
        ({"samples": -3}, "samples = -3: give a whole number from 10"),
        ({"seed": -1}, "seed = -1: give a whole number from 0"),
        ({"resamplings": 10**7}, "resamplings = 10000000: give a whole number from 0 to 1000000"),
        ({"train": "x.txt"}, "train is for files"),
        ({"aligned": ["x.txt"]}, "aligned is for files"),
        ({"source": "x.txt"}, "source is for files"),
        ({"decode": "greedy"}, "decode=greedy is for runs whose texts answer sources"),
        ({"decode": "best"}, "decode = 'best'"),
        ({"metrics": ["blue"]}, "there is no metric called 'blue'; did you mean 'bleu'"),
        ({"bleu.largst": 3}, "bleu.largst is not a setting; did you mean 'largest'"),
        ({"bleu.largest": 0}, "bleu.largest = 0"),
        ({"blue.largest": 3}, "no metric called 'blue' is measured; did you mean 'bleu'"),
    ],
)
def test_what_does_not_fit_a_run_is_refused(
    runs: Path, wrong: dict[str, Any], message: str
) -> None:
    settings: dict[str, Any] = {"metrics": ["bleu"], "quiet": True} | wrong
    with pytest.raises(UserError) as refused:
        evaluate(runs / "mle", **settings)
    assert message in str(refused.value)


def test_what_does_not_fit_files_is_refused(files: dict[str, str], runs: Path) -> None:
    for settings in ({"samples": 10}, {"temperature": 0.5}, {"decode": "beam"}):
        with pytest.raises(UserError, match="are for a run's folder"):
            evaluate(files["samples"], references=files["test"], **settings)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"item 1 is int 3; give a file, or a list of strings"):
        evaluate(["a cat", 3], references=files["test"])  # type: ignore[list-item]
    with pytest.raises(UserError, match="texts is empty; give at least one text"):
        evaluate([], references=files["test"])
    with pytest.raises(UserError, match="give a run's folder, or files"):
        evaluate()


def one(value: float, better: Better = "higher", half: float | None = 0.01) -> Score:
    estimate = Estimate(value) if half is None else Estimate(value, value - half, value + half)
    return Score("a number", estimate, "", better)


def test_lists_are_judged_as_files_are(tmp_path: Path) -> None:
    texts, references = sentences(40, 0), sentences(50, 1)
    settings = {"metrics": ["bleu", "unique", "length"], "quiet": True}
    of_lists = evaluate(texts, references=references, **settings)
    of_files = evaluate(
        write(tmp_path / "a.txt", texts),
        references=write(tmp_path / "b.txt", references),
        **settings,
    )
    assert list(of_lists.rows) == ["real (half of the references)", "texts"]
    ours, theirs = of_lists.rows["texts"], of_files.rows["a.txt"]
    assert [s.to_dict() for s in ours.values()] == [s.to_dict() for s in theirs.values()]
    facts = of_lists.facts["texts"]["texts"]
    assert facts["sha256"] == of_files.facts["texts"]["a.txt"]["sha256"]
    assert facts["file"] is None and facts["lines"] == 40
    both = evaluate(texts, sentences(40, 2), references=references, **settings)
    assert list(both.rows)[1:] == ["texts 1", "texts 2"]


def test_runs_and_files_stand_in_one_table(text_runs: Path, tmp_path: Path) -> None:
    samples = write(tmp_path / "samples.txt", sentences(30, 0))
    settings = {"metrics": ["bleu", "likelihood", "novelty"], "quiet": True}
    by_run = evaluate(text_runs / "gan", samples, sentences(25, 3), **settings)
    assert list(by_run.rows) == [
        "real, held out", "MLE, best epoch", "seqgan, last", "samples.txt", "texts",
    ]  # fmt: skip
    assert {"nll_test", "bleu4"} <= by_run.rows["seqgan, last"].keys()
    assert "nll_test" not in by_run.rows["samples.txt"]
    assert "novelty" in by_run.rows["samples.txt"]
    two = evaluate(text_runs / "gan", text_runs / "mle", **settings)
    assert list(two.rows) == ["real, held out", "gan", "mle"]
    assert two.rows["gan"]["nll_test"].estimate != two.rows["mle"]["nll_test"].estimate
    alone = evaluate(text_runs / "mle", **settings)
    assert two.rows["mle"]["bleu4"].to_dict() == alone.rows["mle, last"]["bleu4"].to_dict()
    other = evaluate(text_runs / "gan", samples, references=sentences(40, 5), **settings)
    assert list(other.rows)[1:] == ["gan", "samples.txt"]
    assert other.facts["texts"]["gan"]["lines"] == 40
    opened = evaluate(textgan.open_run(str(text_runs / "gan")), samples, **settings)
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
    message = []
    for _ in range(2):  # as a curve's temperatures do
        evaluate(text_runs / "gan", metrics=["divergence", "unique"], memory=shared)
        message.append(capsys.readouterr().err)
    assert "not measured: divergence: needs an oracle" in message[0]
    assert "divergence" not in message[1]


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
    result = evaluate(sentences(50, 3), references=a, train=a, metrics=["bleu"], quiet=True)
    assert any("train and references are one text" in text for text in result.warnings)
    assert "is no level to reach" in str(result) and "is the level to reach" not in str(result)
    assert any("one text" in text for text in result.to_dict()["warnings"])
    usual = evaluate(sentences(50, 3), references=a, train=b, metrics=["bleu"], quiet=True)
    assert "is the level to reach" in str(usual) and not usual.facts.get("alike")
    for role in ("train", "real"):
        settings = {role: b}
        same = evaluate(b, references=a, metrics=["bleu"], quiet=True, **settings)  # type: ignore[arg-type]
        assert any("these are the" in text for text in same.warnings)


def test_text_of_another_length_is_warned_of() -> None:
    long, short = sentences(60, 1, size=40), sentences(60, 2)
    result = evaluate(long, references=long[:30] + sentences(30, 3, size=40), train=short,
                     metrics=["bleu"], quiet=True)  # fmt: skip
    assert any("train has 7 tokens a text, the references 41" in text for text in result.warnings)


def test_numbers_are_of_the_right_texts(tmp_path: Path) -> None:
    """Two files that differ in length by one word: the difference is 1, and significant."""
    a, b = [f"x y {i}" for i in range(30)], [f"x y z {i}" for i in range(30)]
    made = compare(a, b, references=a, metrics=["length"], tokenizer="whitespace", quiet=True)
    assert isinstance(made, Comparison)
    length = {result.name: result for result in made.differences}["length"]
    assert (length.a.value, length.b.value) == (3, 4)
    assert length.estimate is not None and length.estimate.value == 1
    assert length.p == 0 and math.isfinite(np.float64(length.corrected or 0))


def answered(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Questions, of which some recur, and answers."""
    return [f"question {i % (n * 2 // 3)}" for i in range(n)], sentences(n, seed)


def test_answers_are_measured_by_their_own_references(tmp_path: Path) -> None:
    questions, people = answered(60, 0)
    machine = people[:20] + sentences(40, 1)
    made = evaluate(
        machine, source=questions, references=people, metrics=["quick"], quiet=True, resamplings=50
    )
    scores = made.rows["texts"]
    assert {"sacrebleu", "chrf2", "chrf", "ter", "commonest"} - scores.keys() == {"chrf2"}
    assert "nrefs:var" in scores["sacrebleu"].signature
    assert scores["commonest"].value == pytest.approx(10 / 60)
    assert "peakiness" in made.unavailable and "adversuc" not in made.unavailable
    assert made.rows.keys() - {"texts"} == {made.real}
    assert not {"sacrebleu", "ter"} & made.real_scores.keys()
    example = made.facts["examples"]["texts"][1]
    assert (example["source"], example["reference"]) == ("question 1", people[1])
    plain = evaluate(machine, references=people, metrics=["quick"], quiet=True, resamplings=50)
    assert not {"sacrebleu", "commonest"} & plain.rows["texts"].keys()
    assert "source" not in plain.facts["examples"]["texts"][0]


def test_answers_compare_over_the_same_sources() -> None:
    questions, people = answered(90, 0)
    good, bad = people[:60] + sentences(30, 1), sentences(90, 2)
    made = compare(
        bad, good, source=questions, references=people, metrics="sacrebleu,chrf,ter", quiet=True
    )
    assert isinstance(made, Comparison)
    by_name = {one.name: one for one in made.differences}
    assert by_name.keys() == {"sacrebleu", "chrf", "ter"}
    assert all(one.winner == "b" for one in by_name.values())
    again = compare(
        good, good, source=questions, references=people, metrics="sacrebleu", quiet=True
    )
    assert isinstance(again, Comparison)
    assert again.differences[0].p == 1 and again.differences[0].winner is None


def test_a_run_beside_files_with_sources_is_refused(runs: Path) -> None:
    texts = sentences(20, 0)
    settings: dict[str, Any] = {"references": texts, "metrics": "bleu", "quiet": True}
    with pytest.raises(UserError, match=r"write the answers of .* textgan sample .*source=a list"):
        evaluate(runs / "mle", texts, source=texts, **settings)
    with pytest.raises(UserError, match="decode=greedy is for runs whose texts answer sources"):
        evaluate(runs / "mle", texts, decode="greedy", **settings)


def test_the_references_are_aligned_where_a_metric_needs_that_and_they_can_be() -> None:
    people, machine = sentences(30, 0), sentences(30, 1)
    options: dict[str, Any] = {"metrics": "sacrebleu,chrf,ter", "quiet": True, "resamplings": 20}
    made = evaluate(machine, references=people, **options)
    aligned = evaluate(machine, aligned=[people], **options)
    assert made.rows["texts"] == aligned.rows["texts"] and made.facts["aligned"] == ["a list"]
    assert any("line i of a list is taken for what line i" in text for text in made.warnings)
    # the real row has no number, so it is no row
    assert list(made.rows) == ["texts"] and made.real is None
    assert "no row of real text: it has no aligned references of its own" in " ".join(
        str(made).split()
    )
    both = evaluate(machine, references=people, **options | {"metrics": "sacrebleu,unique"})
    assert both.real is not None and list(both.real_scores) == ["unique"]
    with pytest.raises(UserError, match="needs aligned references: give aligned=FILE"):
        evaluate(machine, references=people[:20], **options)
    plain = evaluate(machine, references=people, metrics="unique", quiet=True)
    assert "aligned" not in plain.facts


def test_a_table_says_how_its_texts_were_decoded(runs: Path, files: dict[str, str]) -> None:
    cold: dict[str, Any] = {"metrics": "unique", "quiet": True, "temperature": 0.5}
    for made in (
        evaluate(runs / "mle", **cold),
        evaluate(runs / "mle", references=files["test"], **cold),
        compare(runs / "mle", runs / "seqgan-1", **cold),
    ):
        assert "decoding: sampled at temperature 0.5" in str(made)
    assert compare(runs / "mle", runs / "seqgan-1", **cold).to_dict()["decode"].endswith("0.5")
    assert "decoding" not in str(evaluate(files["samples"], references=files["test"], quiet=True,
                                          metrics="unique"))  # fmt: skip


def test_one_state_is_measured_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runs / "once"
    once = {"schedule.mle_epochs": 1, "schedule.rounds": 0}  # so that the best epoch is the last
    textgan.train("seqgan", out=folder, quiet=True, plot=False, **SHORT | once)
    calls: list[object] = []
    measure = Unique.measure
    monkeypatch.setattr(Unique, "measure", lambda *at: calls.append(at) or measure(*at))
    made = evaluate(folder, metrics="unique", quiet=True, keep=True)
    assert made.same == {"MLE, best epoch": "seqgan, last"} and len(calls) == 2  # and real text
    assert made.rows["MLE, best epoch"] == made.rows["seqgan, last"]
    assert list(made.columns) == ["oracle", "MLE, best epoch = seqgan, last"]
    assert list(made.facts["examples"]) == ["seqgan, last"]
    kept = read_evaluation(folder)
    assert kept is not None and kept.rows == made.rows and kept.columns == made.columns
    with pytest.raises(UserError, match="is its best MLE epoch, so there is nothing to compare"):
        compare(folder, metrics="unique")
    final = read_results(folder)
    assert final is not None and [*final.columns][-1] == "MLE, best epoch (1 of 1) = seqgan, last"
    [swept] = curve(folder, temperatures=[1, 0.5], metrics="unique", quiet=True)
    assert swept.same == made.same and swept.text().count("MLE, best epoch = seqgan, last") == 1
    other = evaluate(runs / "seqgan-1", metrics="unique", quiet=True)
    assert not other.same and len(other.columns) == 3
