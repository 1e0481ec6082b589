"""Evaluations as they are kept and read."""

import json
from pathlib import Path

import numpy as np
import pytest
from evaluated import QUICK

from textgan.core.errors import UserError
from textgan.core.identity import identify, sealed
from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
from textgan.evaluation.evaluate import evaluate
from textgan.evaluation.results import Evaluation, read_evaluation, write_evaluation
from textgan.evaluation.store import store_evaluation


def test_what_is_kept_is_read_as_it_was(runs: Path) -> None:
    folder = runs / "seqgan-1"
    found = store_evaluation(folder, evaluate(folder, metrics=QUICK, quiet=True))
    again = read_evaluation(folder)
    assert again is not None
    assert again.to_dict() == found.to_dict()
    for row, scores in found.rows.items():
        for name, score in scores.items():
            assert np.array_equal(again.rows[row][name].replicates, score.replicates)
    assert len(found.rows["oracle"]["bleu4"].replicates) == 1000


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
    found = Evaluation({"a/b": {"x": one(1.0, half=None)}}, None)
    write_evaluation(tmp_path, found)
    again = read_evaluation(tmp_path)
    assert again is not None and again.to_dict() == found.to_dict()
    assert "no row of real text" in str(again)
