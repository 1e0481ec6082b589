"""Evaluating files and runs as the commands do: rows, what is kept, what is warned of."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import TOY

import textgan
from textgan.core.errors import UserError
from textgan.core.identity import identify, sealed
from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
from textgan.evaluation.evaluate import compare_runs, evaluate
from textgan.evaluation.results import Evaluation, read_evaluation, write_evaluation
from textgan.evaluation.scoring import choose_metrics, warnings_of
from textgan.evaluation.store import store_evaluation
from textgan.training.panels import SORTED_BY
from textgan.training.run import Run

QUICK = ["bleu", "self_bleu", "unique", "likelihood"]
SHORT = TOY | {"schedule.rounds": 1, "evaluation.final_samples": 60}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: two seeds of seqgan, one of mle."""
    home = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        textgan.train(
            "seqgan", out=home / f"seqgan-{seed}", quiet=True, plot=False, **SHORT | {"seed": seed}
        )
    plain = {k: v for k, v in SHORT.items() if not k.startswith(("discriminator", "objective"))}
    textgan.train("mle", out=home / "mle", quiet=True, plot=False, **plain)
    return home


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """The same runs, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    dice = np.random.default_rng(0)
    words = ["the", "a", "cat", "dog", "sees", "likes", "red", "old", "tree", "house"]
    found = {}
    for name, lines in (("samples", 60), ("test", 80), ("train", 150)):
        path = tmp_path / f"{name}.txt"
        path.write_text("".join(" ".join(dice.choice(words, 6)) + "\n" for _ in range(lines)))
        found[name] = str(path)
    return found


def test_a_run_is_judged_in_rows_that_compare(runs: Path) -> None:
    found = evaluate(runs / "seqgan-1", metrics=QUICK, quiet=True)
    assert list(found.rows) == ["oracle", "MLE, best epoch", "seqgan, last"]
    assert found.real == "oracle"
    assert found.facts["samples"] == 60  # as its config says
    for scores in found.rows.values():
        assert {"bleu2", "bleu5", "self_bleu4", "unique", "nll_oracle", "nll_test"} <= scores.keys()
    signatures = {scores["self_bleu4"].signature for scores in found.rows.values()}
    assert len(signatures) == 1
    assert "hyps:60" in signatures.pop()
    table = str(found)
    assert "BLEU-4" in table and "'oracle' is the level to reach" in table
    assert found.facts["peak_memory_mib"] > 0
    example = found.facts["examples"]["seqgan, last"][0]
    assert 0 <= example["share"] <= 1 and example["nearest"]


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
    found = evaluate(runs / "seqgan-1", metrics=["likelihood"], temperature=0.5, quiet=True)
    cold = found.rows["seqgan, last"]["nll_test"]
    assert "temp:0.5" in cold.signature and "0.5" in cold.title
    warm = evaluate(runs / "seqgan-1", metrics=["likelihood"], quiet=True)
    assert "temp:1" in warm.rows["seqgan, last"]["nll_test"].signature
    assert found.rows["oracle"]["nll_test"].signature == warm.rows["oracle"]["nll_test"].signature


def test_files_are_judged_beside_each_other(files: dict[str, str]) -> None:
    found = evaluate(
        files["samples"], files["test"], references=files["test"], train=files["train"],
        metrics=["quick"], quiet=True,
    )  # fmt: skip
    assert list(found.rows) == ["real (training text)", "samples.txt", "test.txt"]
    assert found.rows["test.txt"]["bleu5"].estimate.value == 1.0
    assert any("these are the references themselves" in text for text in found.warnings)
    assert "divergence" in found.unavailable and "sacrebleu" not in found.unavailable
    assert all(math.isfinite(s.estimate.value) for row in found.rows.values() for s in row.values())
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_the_result_of_a_metric_that_is_not_to_be_had_is_a_sentence(files: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"nothing can be measured: likelihood needs a generator"):
        evaluate(files["samples"], references=files["test"], metrics=["likelihood"], quiet=True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"references": "x.txt"}, "--references = 'x.txt': there is no such file"),
        ({"temperature": 0}, "temperature = 0: give a number from 0.0001 to 10000"),
        ({"temperature": math.nan}, "temperature = nan: give a number"),
        ({"samples": -3}, "samples = -3: give a whole number from 10"),
        ({"seed": -1}, "seed = -1: give a whole number from 0"),
        ({"resamplings": 10**7}, "resamplings = 10000000: give a whole number from 0 to 1000000"),
        ({"train": "x.txt"}, "--train is for files"),
        ({"aligned": ["x.txt"]}, "--aligned is for files"),
        ({"metrics": ["blue"]}, "there is no metric called 'blue'; did you mean 'bleu'"),
        ({"bleu.largst": 3}, "bleu.largst is not a setting; did you mean 'largest'"),
        ({"bleu.largest": 0}, "bleu.largest = 0"),
        ({"blue.largest": 3}, "no metric called 'blue' is measured; did you mean 'bleu'"),
    ],
)
def test_what_does_not_fit_a_run_is_refused(runs: Path, wrong: dict[str, Any], said: str) -> None:
    told: dict[str, Any] = {"metrics": ["bleu"], "quiet": True} | wrong
    with pytest.raises(UserError) as refused:
        evaluate(runs / "mle", **told)
    assert said in str(refused.value)


def test_what_does_not_fit_files_is_refused(files: dict[str, str], runs: Path) -> None:
    for told in ({"samples": 10}, {"temperature": 0.5}):
        with pytest.raises(UserError, match="are for a run's folder"):
            evaluate(files["samples"], references=files["test"], **told)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"item 1 is int 3; give a file, or a list of strings"):
        evaluate(["a cat", 3], references=files["test"])  # type: ignore[list-item]
    with pytest.raises(UserError, match="texts is empty; give at least one text"):
        evaluate([], references=files["test"])
    with pytest.raises(UserError, match="give a run's folder, or files"):
        evaluate()


def test_a_damaged_evaluation_is_named(runs: Path) -> None:
    folder = runs / "mle"
    for content in ('{"rows": {"a": {"b": 3}}}', "[]", "{", '{"rows": 3}'):
        if "rows" in content:  # as one who knows how it is kept would write it
            content = json.dumps(sealed(json.loads(content), identify(folder).digest))
        (folder / "evaluation.json").write_text(content)
        with pytest.raises(UserError, match=r"evaluation.json is damaged"):
            read_evaluation(folder)


def test_runs_are_compared_with_each_other_and_with_their_mle(runs: Path) -> None:
    for name in ("seqgan-1", "seqgan-2", "mle"):
        store_evaluation(runs / name, evaluate(runs / name, metrics=QUICK, quiet=True))
    alone = compare_runs([runs / "seqgan-1"])
    assert (alone.a, alone.b) == ("MLE, best epoch", "seqgan, last")
    two = compare_runs([runs / "mle", runs / "seqgan-1"])
    assert (two.a, two.b) == ("mle", "seqgan")
    assert {found.name for found in two.differences} >= {"bleu4", "nll_test"}
    assert two.to_dict()["summary"] == two.sentences()
    seeds = compare_runs([runs / "seqgan-1", runs / "mle", runs / "seqgan-2"])
    assert {found.name for found in seeds.differences} >= {"bleu4", "nll_test"}
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

    monkeypatch.setattr("textgan.evaluation.evaluate.evaluate", measured)
    compare_runs([runs / "mle", runs / "seqgan-1"])
    compare_runs([runs / "mle", runs / "seqgan-1"])
    assert asked == [runs / "mle", runs / "seqgan-1"]


def test_runs_on_other_data_do_not_compare(runs: Path, tmp_path: Path) -> None:
    told = SHORT | {"oracle.seed": 5, "schedule.rounds": 0, "schedule.discriminator_turns": 0}
    textgan.train("seqgan", out=tmp_path / "other", quiet=True, plot=False, **told)
    with pytest.raises(UserError, match="these runs have different data"):
        compare_runs([runs / "seqgan-1", tmp_path / "other"])


def test_metrics_are_chosen_by_name_group_and_file(tmp_path: Path) -> None:
    everything = [metric.name for metric in choose_metrics(["all"], aligned=True)]
    assert not {"sacrebleu", "chrf"} & {metric.name for metric in choose_metrics(["all"])}
    assert choose_metrics(["chrf"])[0].name == "chrf"
    quick = [metric.name for metric in choose_metrics(["quick"], aligned=True)]
    assert quick == [name for name in everything if name in quick]
    assert set(everything) - set(quick) >= {"reverse_lm", "discriminator", "mauve"}
    assert everything.index("likelihood") < everything.index("bleu") < everything.index("mauve")
    assert [one.name for one in choose_metrics(["unique", "bleu", "unique"])] == ["bleu", "unique"]
    (tmp_path / "mine.py").write_text(
        "from textgan.core.statistics import Estimate\n"
        "from textgan.metrics.base import Metric, Score\n"
        "class Longest(Metric):\n"
        '    """The longest text."""\n'
        "    def measure(self, material):\n"
        "        longest = float(material.hypotheses.sizes.max())\n"
        "        signature = material.sign('longest', hyps=len(material.predictions))\n"
        "        return {'longest': Score('longest', Estimate(longest), signature, 'higher')}\n"
    )
    samples = tmp_path / "samples.txt"
    samples.write_text("a b c\nd\n")
    found = evaluate(
        samples, references=samples, metrics=[f"{tmp_path}/mine.py:Longest"], quiet=True
    )
    assert found.rows["samples.txt"]["longest"].estimate.value == 3


def one(value: float, better: Better = "higher", half: float | None = 0.01) -> Score:
    estimate = Estimate(value) if half is None else Estimate(value, value - half, value + half)
    return Score("a number", estimate, "", better)


@pytest.mark.parametrize(
    ("real", "scores", "said"),
    [
        ({}, {"unique": one(0.2)}, "collapse: only 20% of the texts are different"),
        ({}, {"unique": one(0.6)}, ""),
        ({"self_bleu4": one(0.4)}, {"self_bleu4": one(0.6)}, "collapse: the texts repeat each"),
        ({"self_bleu4": one(0.4)}, {"self_bleu4": one(0.5)}, ""),
        ({"bleu4": one(0.3)}, {"bleu4": one(0.5)}, "above real text"),
        ({"bleu4": one(0.3)}, {"bleu4": one(0.31)}, ""),
        ({"bleu4": one(0.3, half=None)}, {"bleu4": one(0.31, half=None)}, ""),
        ({"novelty": one(0.9)}, {"novelty": one(0.5)}, "memorised: 50.0% of the texts are"),
        ({"novelty": one(0.9)}, {"novelty": one(0.89)}, ""),
        ({}, {"novelty": one(0.4)}, "memorised: 60.0%"),
        ({"nll_oracle": one(2.4)}, {"nll_oracle": one(2.0)}, "likeliest texts"),
        ({"nll_oracle": one(2.4)}, {"nll_oracle": one(3.0)}, ""),
    ],
)
def test_numbers_that_should_worry_are_warned_of(
    real: dict[str, Score], scores: dict[str, Score], said: str
) -> None:
    found = warnings_of(Evaluation({"real": real, "mine": scores}, "real"))
    if said:
        assert len(found) == 1
        assert found[0].startswith("mine: ") and said in found[0]
    else:
        assert found == []


def test_real_text_of_two_kinds_is_warned_of() -> None:
    for value, said in ((0.9, ["not one language"]), (0.52, [])):
        found = warnings_of(Evaluation({"real": {"d_accuracy": one(value)}}, "real"))
        assert len(found) == len(said)
        assert all(words in warning for words, warning in zip(said, found, strict=True))


def test_an_evaluation_without_replicates_can_be_kept(tmp_path: Path) -> None:
    found = Evaluation({"a/b": {"x": one(1.0, half=None)}}, None)
    write_evaluation(tmp_path, found)
    again = read_evaluation(tmp_path)
    assert again is not None and again.to_dict() == found.to_dict()
    assert "no row of real text" in str(again)
