"""Curves over temperatures: what is measured, kept, added to and said."""

import json
from pathlib import Path

import pytest
from kept_runs import copied

import textgan
from textgan.core.errors import UserError
from textgan.core.score import Score, Scores
from textgan.core.statistics import Estimate
from textgan.evaluation.temperature_sweep import FILE, curve, findings, read_sweep

QUICK = {"samples": 20, "quiet": True}


def test_a_curve_has_every_row_at_every_temperature(runs: Path) -> None:
    folder = runs / "seqgan-1"
    [made] = textgan.curve(folder, temperatures="0.5,2", metrics="unique,length", **QUICK)
    assert list(made.rows) == ["MLE, best epoch", "seqgan, last"]
    for row in made.rows.values():
        assert sorted(row) == [0.5, 2.0]
        assert all({"unique", "length"} <= scores.keys() for scores in row.values())
        assert row[0.5]["unique"].value <= row[2.0]["unique"].value
    assert made.real == "oracle" and made.real_scores.keys() >= {"unique", "length"}
    assert "T = 0.5" in str(made) and "T = 2" in str(made)
    kept = read_sweep(folder)
    assert kept is not None
    assert json.dumps(kept.to_dict()) == json.dumps(made.to_dict())
    assert json.loads((folder / FILE).read_text())["temperatures"] == [2.0, 0.5]
    assert read_sweep(runs / "mle") is None


def test_curves_taken_alike_are_added_and_others_begin_anew(runs: Path) -> None:
    folder = runs / "mle"
    textgan.curve(folder, temperatures=[1], metrics="unique", **QUICK)
    [both] = textgan.curve(folder, temperatures=[1, 0.5], metrics="length", **QUICK)
    for row in both.rows.values():
        assert {t: "unique" in scores for t, scores in row.items()} == {1.0: True, 0.5: False}
        assert all("length" in scores for scores in row.values())
    assert both.real_scores.keys() >= {"unique", "length"}
    [anew] = textgan.curve(folder, temperatures=[1], metrics="length", seed=1, **QUICK)
    for row in anew.rows.values():
        assert row.keys() == {1.0} and "unique" not in row[1.0]


def test_each_pair_of_rows_is_compared_where_both_were_measured() -> None:
    def scores(oracle: float, test: float) -> Scores:
        values = {"nll_oracle": oracle, "nll_test": test}
        return {
            name: Score(name, Estimate(value, value - 0.1, value + 0.1), "s", "lower")
            for name, value in values.items()
        }

    rows = {
        name: {1.0: scores(4 + worse, 3), 0.5: scores(2 + worse, 5)}
        for name, worse in (("a", 0.0), ("b", 1.0), ("c", 2.0))
    }
    message = findings(rows)
    assert len(message) == 3 and all("at equal" in one or "everywhere" in one for one in message)
    assert findings({"a": rows["a"]}) == findings({"a": rows["a"], "b": {}}) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperatures": []}, "temperatures"),
        ({"temperatures": [0]}, "temperatures"),
        ({"samples": 1}, "samples = 1"),
        ({"metrics": "uniqe"}, "did you mean 'unique'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    runs: Path, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        textgan.curve(runs / "mle", **{"quiet": True} | wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="at least one run"):
        textgan.curve(quiet=True)


def test_a_damaged_curve_is_named_before_anything_is_measured(runs: Path) -> None:
    (runs / "mle" / FILE).write_text("{")
    with pytest.raises(UserError, match=f"{FILE} is damaged"):
        textgan.curve(runs / "mle", quiet=True)


def test_curves_of_several_commands_are_kept_together(twin_runs: Path, tmp_path: Path) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
    curve(run, temperatures=[1.0, 0.5], metrics=["length"], quiet=True)
    result = read_sweep(run)
    assert result is not None
    last = result.rows["seqgan, last"]
    assert {"distinct1", "length"} <= last[1.0].keys()
    assert "length" in last[0.5] and "distinct1" not in last[0.5]
    (again,) = curve(run, temperatures=[1.0], metrics=["length"], samples=15, quiet=True)
    assert "distinct1" not in again.rows["seqgan, last"][1.0]  # other texts are another curve
