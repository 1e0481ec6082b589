"""The charts of a page, and what is said below them."""

import json
import re
from dataclasses import replace
from pathlib import Path

from pages import MLE, read, write_run

from textgan.core.score import Score, Scores, scores_from_dict
from textgan.core.statistics import Estimate
from textgan.evaluation.report.figures import findings, trade, training
from textgan.evaluation.report.page import make_page
from textgan.evaluation.report.runs import RunRecord, systems_of
from textgan.evaluation.temperature_sweep import Sweep, envelopes
from textgan.evaluation.tradeoff import PAIRS, Curve, compare_curves, describe, mean_curve
from textgan.training.results import MLE_ROW


def test_where_curves_differ_is_said_over_all_seeds(three: list[Path]) -> None:
    words = read(make_page(three))
    pair = next(one for one in PAIRS if one.x.key == "nll_test")
    by_run = {folder.name: json.loads((folder / "curve.json").read_text()) for folder in three}

    def curve(name: str, row: str, *runs: str) -> Curve:
        of_seeds = []
        for run in runs:
            steps = {
                step["temperature"]: scores_from_dict(step["scores"])
                for step in by_run[run]["rows"][row]
            }
            of_seeds.append(Curve.of(name, pair, steps))
        return mean_curve(of_seeds)

    seqgan = curve("seqgan", "seqgan, last", "seqgan-0", "seqgan-1")
    maligan = curve("maligan", "maligan, last", "maligan-0")
    assert describe(compare_curves(seqgan, maligan)) in words
    mle = curve("MLE (best epoch)", MLE, "seqgan-0", "seqgan-1")
    for method in (seqgan, maligan):
        assert describe(compare_curves(mle, method)) in words


def test_numbers_that_are_none_do_no_harm(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    lines += [json.dumps({"phase": "mle", "tick": 30, "eval/nll_oracle": float("nan")}), "{cut"]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    page = make_page([folder])
    assert not re.search(r"[MLHV ]-?(nan|inf)", page)


def test_each_method_is_compared_with_mle_and_with_others_where_they_are_few(
    tmp_path: Path,
) -> None:
    names = ("seqgan", "maligan", "reinforce", "rankgan")
    folders = [write_run(tmp_path / name, name, quality=3 + i) for i, name in enumerate(names)]
    for n, comparisons in ((1, 1), (2, 3), (3, 6), (4, 4)):
        systems = systems_of([RunRecord.open(folder) for folder in folders[:n]])
        assert len(findings(systems, PAIRS[0])) == comparisons


def test_no_curve_is_no_chart_of_quality_against_diversity(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", without=("curve.json",))
    made = trade(systems_of([RunRecord.open(folder)]))
    assert made == {"figures": [], "legend": [], "several": False}


def test_curves_of_training_have_a_line_for_each_run(three: list[Path]) -> None:
    methods = [one for one in systems_of([*map(RunRecord.open, three)]) if one.role == "method"]
    made = training(methods)
    assert made["lacking"] == [] and made["several"]
    assert [name for name, _ in made["legend"]] == ["seqgan", "maligan"]
    assert "NLL_oracle: quality" in [figure["title"] for figure in made["figures"]]


def test_the_controls_of_mle_are_lines_and_methods_are_beside_them(tmp_path: Path) -> None:
    def along(shift: float, *points: float) -> dict[float, Scores]:
        return {
            at: {
                "nll_test": Score("NLL_test", Estimate(4 - at), "s", "lower", "nats/token"),
                "nll_oracle": Score("NLL_oracle", Estimate(3 * at + shift), "s", "lower"),
            }
            for at in points
        }

    records = []
    for seed in (0, 1):
        rows = {MLE_ROW: along(0.0, 1, 0.5), "seqgan, last": along(-0.2 - seed / 50, 1, 0.5)}
        controls = {"mixture": {name: along(-0.5, 1, 0.5) for name in rows}}
        sweep = Sweep(rows, None, {}, controls=controls)
        sweep = replace(sweep, envelopes=envelopes([sweep]))
        folder = write_run(tmp_path / f"seqgan-{seed}", seed=seed)
        records.append(replace(RunRecord.open(folder), curve=sweep))
    for some, over in ((records[:1], "texts"), (records, "2 seeds")):
        systems = systems_of(some)
        made = trade(systems)
        [figure] = [one for one in made["figures"] if "NLL_test" in one["title"]]
        assert "MLE, best epoch: mixture" in figure["svg"]
        names = ["MLE, best epoch", "seqgan, last", "MLE, best epoch: mixture"]
        assert [name for name, _ in made["legend"]] == names  # there is no real text in these
        [together] = envelopes([run.curve for run in some if run.curve is not None])
        assert together.over == over and list(together.columns) == [
            "temperature",
            "mixture",
            "best",
        ]
        assert figure["findings"][-4:] == together.sentences()
