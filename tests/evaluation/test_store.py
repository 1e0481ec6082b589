"""What a run's folder keeps of evaluations."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
from evaluated import QUICK
from kept_runs import DISTINCT, copied, numbers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import textgan
from textgan.core.errors import UserError
from textgan.evaluation import results as evaluations
from textgan.evaluation.evaluate import evaluate
from textgan.evaluation.results import Evaluation, read_evaluation
from textgan.evaluation.store import store_evaluation
from textgan.evaluation.temperature_sweep import read_sweep
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
    result = store_evaluation(folder, evaluate(folder, metrics=QUICK, quiet=True))
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    [*_, point] = events.Scalars("eval/bleu4")
    assert point.value == pytest.approx(result.rows["seqgan, last"]["bleu4"].estimate.value)
    last = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()][-1]
    assert point.step == last["tick"]
    from tensorboard.plugins.hparams import plugin_data_pb2

    about = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    announced = plugin_data_pb2.HParamsPluginData.FromString(about).experiment
    assert {info.name.tag for info in announced.metric_infos} >= {"eval/bleu4", "result/nll_test"}
    assert all(tag.startswith("eval/") for tag in SORTED_BY)


def test_two_evaluations_at_once_both_stay(
    twin_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
    (run / "evaluation.json").unlink()
    really = evaluations.read_evaluation

    def slowly(folder: Path) -> Evaluation | None:
        result = really(folder)
        time.sleep(0.2)  # long enough for everybody else to read, too
        return result

    monkeypatch.setattr("textgan.evaluation.store.read_evaluation", slowly)
    names = [f"m{i}" for i in range(4)]
    threads = [
        threading.Thread(target=store_evaluation, args=(run, numbers(name, float(i))))
        for i, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = really(run)
    assert result is not None
    assert sorted(result.rows["seqgan, last"]) == names
    assert all(len(score.replicates) == 50 for score in result.rows["seqgan, last"].values())
    assert len(list(run.glob("evaluation*.safetensors"))) == 1


def test_a_folder_that_cannot_be_written_can_be_read(twin_runs: Path, tmp_path: Path) -> None:
    run, _ = copied(twin_runs, "oracle", tmp_path)
    for path in [run, *run.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert read_evaluation(run) is not None
        assert read_sweep(run) is not None
        assert textgan.evaluate(run, **DISTINCT).rows
        if os.geteuid():  # root writes everywhere
            with pytest.raises(UserError, match="cannot be written"):
                store_evaluation(run, numbers("x", 1.0))
    finally:
        run.chmod(0o755)
