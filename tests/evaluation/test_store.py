"""What a run's folder keeps of evaluations."""

import json
from pathlib import Path

import pytest
from evaluated import QUICK
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from textgan.evaluation.evaluate import evaluate
from textgan.evaluation.store import store_evaluation
from textgan.training.panels import SORTED_BY


def test_numbers_taken_alike_stay_and_others_do_not(runs: Path) -> None:
    folder = runs / "seqgan-1"
    store_evaluation(folder, evaluate(folder, metrics=["bleu"], quiet=True))
    both = store_evaluation(folder, evaluate(folder, metrics=["unique"], quiet=True))
    assert {"bleu4", "unique"} <= both.rows["oracle"].keys()
    assert both.facts["metrics"] == ["bleu", "unique"]
    other = store_evaluation(folder, evaluate(folder, metrics=["unique"], seed=1, quiet=True))
    assert "bleu4" not in other.rows["oracle"]


def test_tensorboard_shows_them_and_can_sort_by_them(runs: Path) -> None:
    folder = runs / "seqgan-1"
    found = store_evaluation(folder, evaluate(folder, metrics=QUICK, quiet=True))
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    [*_, point] = events.Scalars("eval/bleu4")
    assert point.value == pytest.approx(found.rows["seqgan, last"]["bleu4"].estimate.value)
    last = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()][-1]
    assert point.step == last["tick"]
    from tensorboard.plugins.hparams import plugin_data_pb2

    about = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    announced = plugin_data_pb2.HParamsPluginData.FromString(about).experiment
    assert {info.name.tag for info in announced.metric_infos} >= {"eval/bleu4", "result/nll_test"}
    assert all(tag.startswith("eval/") for tag in SORTED_BY)
