"""Curves over temperatures: what is measured, kept, added to and said."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kept_runs import copied

import textgan
from textgan.core.errors import UserError
from textgan.core.score import Score, Scores
from textgan.core.statistics import Estimate
from textgan.evaluation.temperature_sweep import (
    FILE,
    SHARES,
    Sweep,
    _over_seeds,
    curve,
    envelopes,
    findings,
    read_sweep,
)

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


def test_mle_has_controls_and_methods_are_compared_with_all_of_them(runs: Path) -> None:
    common: dict[str, Any] = {"temperatures": [1, 0.8], "metrics": "likelihood,divergence"}
    common |= {"samples": 60, "quiet": True}
    first, second = textgan.curve(runs / "seqgan-1", runs / "seqgan-2", **common)
    for made in (first, second):
        assert made.controls.keys() == {"joint temperature", "mixture"}
        for row, along in made.rows.items():
            mixed, joint = (made.controls[way][row] for way in ("mixture", "joint temperature"))
            assert sorted(mixed) == [0.0, *SHARES, 1.0] and sorted(joint) == [0.8, 1.0]
            assert mixed[0.0] == along[1.0] == joint[1.0] and mixed[1.0] == along[0.8]
            assert "|temp:1:0.5,0.8:0.5|" in mixed[0.5]["nll_test"].signature
            assert "|temp:joint 0.8|" in joint[0.8]["nll_test"].signature
    nlls, kls = first.envelopes
    assert (nlls.method, nlls.x, nlls.y) == ("seqgan", "NLL_test", "NLL_oracle")
    assert (kls.x, kls.y, kls.over) == ("KL(O‖G)", "KL(G‖O)", "texts")
    assert list(nlls.columns) == ["temperature", "joint temperature", "mixture", "best"]
    assert nlls.sentences()[-1] in " ".join(str(first).split())
    kept = read_sweep(runs / "seqgan-2")
    assert kept is not None and kept.envelopes == second.envelopes[:2]
    assert kept.to_dict()["controls"] == second.to_dict()["controls"]
    [plain] = textgan.curve(runs / "mle", controls=False, **common)
    assert not plain.controls and not plain.envelopes


def test_seeds_of_an_experiment_are_compared_together() -> None:
    def sweep(level: float) -> Sweep:
        def along(shift: float) -> dict[float, Scores]:
            points = {1.0: (3.0, 5.0), 0.5: (4.0 + level / 10, 2.0)}
            return {
                at: {
                    name: Score(name, Estimate(value + level), "s", "lower")
                    for name, value in (("nll_test", x), ("nll_oracle", y + shift))
                }
                for at, (x, y) in points.items()
            }

        rows = {"MLE, best epoch": along(0.0), "seqgan, last": along(-0.5 - level / 20)}
        return Sweep(rows, None, {})

    levels = (0.0, 0.1, 0.2)
    made = [sweep(level) for level in levels]
    [together] = envelopes(made)
    assert together.over == "3 seeds" and list(together.columns) == ["temperature"]
    for one in together.columns["temperature"]:
        assert one is not None and one.value == pytest.approx(-0.505)
        assert one.high is not None and one.high < 0
    [at] = envelopes(made, [3.5])
    assert at.knots == (3.5,)
    runs: Any = [
        SimpleNamespace(recipe=recipe, config=SimpleNamespace(seed=seed))
        for recipe, seed in (("a", 0), ("b", 0), ("a", 1), ("a", 2))
    ]
    first, other, second, last = _over_seeds(runs, [made[0], made[0], made[1], made[2]])
    assert not first.envelopes and not other.envelopes and not second.envelopes
    assert last.envelopes == [together]
    assert together.sentences()[-1] in " ".join(str(last).split())


def test_a_run_is_compared_with_the_last_state_of_another(runs: Path) -> None:
    common: dict[str, Any] = {"temperatures": [1, 0.5], "metrics": "likelihood", "samples": 30}
    folders = runs / "seqgan-1", runs / "seqgan-2"
    [made] = textgan.curve(folders[0], against=[runs / "mle"], quiet=True, **common)
    own, other = made.envelopes
    assert (own.baseline, other.baseline) == ("MLE", "mle")
    assert other.over == "texts" and other.method == "seqgan"
    again, kept = read_sweep(runs / "mle"), read_sweep(folders[0])
    assert again is not None and kept is not None and kept.envelopes == [own]
    [beside] = envelopes([kept], other.knots, [again])
    for ours, theirs in zip(
        other.columns["temperature"], beside.columns["temperature"], strict=True
    ):
        assert ours is not None and theirs is not None and ours.value == pytest.approx(theirs.value)
    with pytest.raises(UserError, match="3 runs for 1 others; give one for each, or one for all"):
        textgan.curve(folders[0], against=[runs / "mle"] * 3, quiet=True, **common)


def test_a_control_that_cannot_be_drawn_is_left_out(runs: Path) -> None:
    [made] = textgan.curve(
        runs / "seqgan-1", temperatures=[1, 0.5], metrics="likelihood", samples=12, quiet=True
    )
    assert made.controls["joint temperature"].keys() == {"MLE, best epoch", "seqgan, last"}
    lacking = made.facts["unavailable"]
    assert "choose one nearer to 1" in lacking["seqgan, last, joint 0.5"]
    assert all(sorted(row) == [1.0] for row in made.controls["joint temperature"].values())
