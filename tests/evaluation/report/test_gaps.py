"""How far methods on pairs are from maximum likelihood."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pages import MLE, cells, read, write_run

from textgan.core.score import Score
from textgan.core.statistics import Estimate
from textgan.evaluation.report.gaps import gaps
from textgan.evaluation.report.page import make_page, read_runs
from textgan.evaluation.report.runs import RunRecord, systems_of

PAIRS = {"data": {"source": "/a/train.en", "sources": {"source": "train.de"}}}
NOISE = np.random.default_rng(0).normal(size=200)


def bleu(value: float, key: str = "sacrebleu") -> dict[str, Score]:
    estimate = Estimate(value, value - 0.2, value + 0.2)
    return {key: Score("sacreBLEU", estimate, "BLEU|v:1", "higher", "of 100", value + NOISE / 10)}


def paired(folder: Path, objective: str, last: float, mle: float, seed: int = 0) -> RunRecord:
    """A run on pairs whose MLE and last state have these BLEUs."""
    [run] = read_runs([write_run(folder, objective, seed)])
    assert run.evaluation is not None
    rows = {MLE: bleu(mle), f"{objective}, last": bleu(last)}
    return replace(run, evaluation=replace(run.evaluation, rows=rows), facts={**run.facts, **PAIRS})


def test_a_method_is_set_against_its_own_mle_and_one_that_went_on(tmp_path: Path) -> None:
    runs = [
        paired(tmp_path / "gan", "seqgan", last=32.0, mle=30.0),
        paired(tmp_path / "more", "mle", last=32.0, mle=30.5),
    ]
    assert gaps(systems_of(runs)) == [
        "seqgan, last minus MLE, best epoch: sacreBLEU 2.000 [2.000, 2.000]*; "
        "significant (Holm): sacreBLEU.",
        "seqgan, last minus mle, last: sacreBLEU 0.000 [0.000, 0.000]*; "
        "no difference is significant.",
        "mle, last minus MLE, best epoch: sacreBLEU 1.500 [1.500, 1.500]*; "
        "significant (Holm): sacreBLEU.",
    ]


def test_seeds_are_paired_and_what_is_lacking_is_left_out(tmp_path: Path) -> None:
    runs = [
        paired(tmp_path / f"gan-{seed}", "seqgan", last=31.0 + seed, mle=30.0, seed=seed)
        for seed in (1, 2)
    ]
    [sentence] = gaps(systems_of(runs))
    assert sentence.startswith(
        "seqgan, last minus MLE, best epoch: sacreBLEU 2.500 [-3.853, 8.853]"
    )
    assert sentence.endswith("no difference is significant.")
    assert not gaps(systems_of(read_runs([write_run(tmp_path / "unpaired")])))


def test_the_page_begins_with_what_compares_answers_with_references(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", settings={"data.file": "/a/train.en"})
    last = "seqgan, last"
    run, results, evaluation = (
        json.loads((folder / f"{name}.json").read_text())
        for name in ("run", "results", "evaluation")
    )

    def kept(value: float, half: float, title: str) -> dict[str, Any]:
        ends = {"value": value, "low": value - half, "high": value + half}
        return ends | {"title": title, "better": "higher", "unit": "of 100", "signature": "BLEU"}

    run |= PAIRS
    for row, value in ((MLE, 30.0), (last, 31.0)):
        results["rows"][row]["sacrebleu_test"] = kept(value, 0.5, "BLEU, greedy")
        evaluation["rows"][row]["sacrebleu"] = kept(value - 9, 0.0, "sacreBLEU")
    evaluation["facts"]["decode"] = "sample"
    for name, content in (("run", run), ("results", results), ("evaluation", evaluation)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    page = make_page([folder])
    words = read(page)
    assert "seqgan on train.de to train.en" in words and "Pairs: train.de to train.en" in words
    assert "Measured on 100 texts, sampled at temperature 1" in words
    assert "/a/train.en" not in words
    assert words.index("BLEU, greedy") < words.index("sacreBLEU") < words.index("NLL_test")
    assert cells(page, "BLEU, greedy")[1:] == ["30.000 [29.500, 30.500]", "31.000 [30.500, 31.500]"]
    # an interval of one value is flagged, and makes nothing the best
    assert cells(page, "sacreBLEU")[2] == "22.000 [22.000, 22.000]*"
    assert "Differences from MLE" in words and "BLEU, greedy 1.000 (no interval)" in words

    # one state, measured once, has one column
    evaluation["facts"]["same"] = {MLE: last}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    page = make_page([folder])
    assert len(cells(page, "BLEU, greedy")) == 2 and "seed 0, its best MLE epoch" in read(page)
    assert "Differences from MLE" not in read(page)
