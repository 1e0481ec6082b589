"""Evaluations as they are kept and read."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluated import QUICK
from kept_runs import copied, numbers

from textgan.core.errors import UserError
from textgan.core.identity import identify, sealed
from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
from textgan.core.tensors import save_tensors
from textgan.evaluation import results as evaluations
from textgan.evaluation.evaluate import evaluate
from textgan.evaluation.results import Evaluation, read_evaluation, write_evaluation
from textgan.evaluation.store import store_evaluation


def test_what_is_kept_is_read_as_it_was(runs: Path) -> None:
    folder = runs / "seqgan-1"
    result = store_evaluation(folder, evaluate(folder, metrics=QUICK, quiet=True))
    again = read_evaluation(folder)
    assert again is not None
    assert again.to_dict() == result.to_dict()
    for row, scores in result.rows.items():
        for name, score in scores.items():
            assert np.array_equal(again.rows[row][name].replicates, score.replicates)
    assert len(result.rows["oracle"]["bleu4"].replicates) == 1000


def test_facts_are_read_under_their_old_names() -> None:
    old = {"rows": {}, "real": None, "unavailable": {}, "warnings": []}
    facts = {"alone": 30, "paired": 20, "seed": 1}
    made = Evaluation.from_dict(old | {"facts": facts}, {})
    assert made.facts == {"sample": 30, "paired_sample": 20, "seed": 1}


def test_a_damaged_evaluation_is_named(runs: Path) -> None:
    folder = runs / "mle"
    for content in ('{"rows": {"a": {"b": 3}}}', "[]", "{", '{"rows": 3}'):
        if "rows" in content:  # as one who knows how it is kept would write it
            content = json.dumps(sealed(json.loads(content), identify(folder).digest))
        (folder / "evaluation.json").write_text(content)
        with pytest.raises(UserError, match=r"evaluation.json is damaged"):
            read_evaluation(folder)


def one(value: float, better: Better = "higher", half: float | None = 0.01) -> Score:
    estimate = Estimate(value) if half is None else Estimate(value, value - half, value + half)
    return Score("a number", estimate, "", better)


def test_an_evaluation_without_replicates_can_be_kept(tmp_path: Path) -> None:
    result = Evaluation({"a/b": {"x": one(1.0, half=None)}}, None)
    write_evaluation(tmp_path, result)
    again = read_evaluation(tmp_path)
    assert again is not None and again.to_dict() == result.to_dict()
    assert "no row of real text" in str(again)


class Killed(BaseException):
    """What nobody catches."""


def test_a_kill_leaves_the_old_evaluation_or_the_new_one(
    twin_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
    old, new = numbers("x", 1.0), numbers("x", 5.0, seed=1)
    steps = [(Path, "replace"), (Path, "unlink"), (os, "fsync")]
    seen, number = set(), 0
    while True:
        (run / "evaluation.json").unlink()
        store_evaluation(run, old)
        counted = 0

        def killing(really: Callable[..., Any], at: int = number) -> Callable[..., Any]:
            def do(*arguments: Any, **more: Any) -> Any:
                nonlocal counted
                counted += 1
                if counted == at + 1:
                    raise Killed
                return really(*arguments, **more)

            return do

        with monkeypatch.context() as patch:
            for owner, name in steps:
                patch.setattr(owner, name, killing(getattr(owner, name)))
            try:
                evaluations.write_evaluation(run, new)
                ended = True
            except Killed:
                ended = False
        result = read_evaluation(run)
        assert result is not None
        score = result.rows["seqgan, last"]["x"]
        right = old if score.estimate.value == 1.0 else new
        expected = right.rows["seqgan, last"]["x"]
        assert score.estimate == expected.estimate
        assert np.array_equal(score.replicates, expected.replicates)
        seen.add(score.estimate.value)
        number += 1
        if ended:
            break
    assert seen == {1.0, 5.0}
    assert number > 5


def test_replicates_of_another_evaluation_are_refused(twin_runs: Path, tmp_path: Path) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
    (run / "evaluation.json").unlink()
    store_evaluation(run, numbers("x", 1.0))
    (path,) = run.glob("evaluation-*")
    save_tensors(path, {"seqgan, last/x": torch.zeros(50)}, {})
    with pytest.raises(UserError, match="is of another evaluation"):
        read_evaluation(run)
    path.unlink()
    with pytest.raises(UserError, match="is missing, which"):
        read_evaluation(run)
    content = json.loads((run / "evaluation.json").read_text())
    content["replicates"] = "../other/evaluation.safetensors"
    told = sealed({k: v for k, v in content.items() if k not in ("run", "digest")}, content["run"])
    (run / "evaluation.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="is missing, which"):
        read_evaluation(run)
