"""Which runs are of one method, and which columns they make."""

from pathlib import Path

import pytest
from pages import cells, read, write_run

from textgan.core.errors import UserError
from textgan.core.format import format_interval
from textgan.core.statistics import over_seeds
from textgan.evaluation.report.page import make_page, read_runs, write_report
from textgan.evaluation.report.runs import RunRecord, repeated, rows_of, scores_of, systems_of


def test_seeds_of_one_method_are_one_column(three: list[Path]) -> None:
    page = make_page(three)
    mean = over_seeds([4.0, 4.2])
    mle = over_seeds([4.5, 4.51])  # seed 0 of SeqGAN and of MaliGAN had one and the same MLE
    real, of_mle, of_seqgan, of_maligan = cells(page, "NLL_oracle")
    assert real == "2.400 [2.350, 2.450]"
    assert of_mle == f"4.505 {format_interval(mle)}"
    assert of_seqgan == f"4.100 {format_interval(mean)}"
    assert of_maligan == "3.000 [2.950, 3.050]"  # two seeds leave a wide interval
    assert cells(page, "NLL_oracle", 2)[2:] == [
        "4.000 [3.950, 4.050]", "4.200 [4.150, 4.250]", "3.000 [2.950, 3.050]",
    ]  # fmt: skip
    assert "2 seeds" in page and "seed 0" in page


def test_a_seed_counts_once(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"run-{i}", seed=0, quality=4 + i) for i in range(2)]
    page = make_page(runs)
    assert cells(page, "NLL_oracle")[2] == "4.000 best [3.950, 4.050]"
    assert "run-1 has the settings and the seed of run-0" in read(page)
    assert make_page([runs[0], runs[0]]) == make_page(runs[:1])


def test_runs_told_differently_are_two_methods(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", quality=4.0),
        write_run(tmp_path / "b", quality=3.0, settings={"objective.rollouts": 7}),
    ]
    page = make_page(runs)
    assert "seqgan (rollouts 16), last" in page and "seqgan (rollouts 7), last" in page
    assert len(cells(page, "NLL_oracle")) == 4  # and one MLE
    # where data are is no difference between runs on the same
    [run] = read_runs([write_run(tmp_path / "e", settings={"data.file": "/a/x.txt"})])
    assert [one.short for one in systems_of([run]) if one.role == "method"] == ["seqgan"]
    other = write_run(tmp_path / "c", settings={"generator.hidden": 99})
    page = make_page([runs[0], other])
    assert len(cells(page, "NLL_oracle")) == 5  # and two MLEs


def test_languages_never_share_a_table(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", quality=4.0),
        write_run(tmp_path / "b", quality=3.0, settings={"oracle.seed": 5}),
    ]
    page = make_page(runs)
    assert len(cells(page, "NLL_oracle", 0)) == len(cells(page, "NLL_oracle", 1)) == 3
    # every warning stands before every number
    assert page.rindex('class="warnings"') < page.index("<table")


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folders, message in (
        ([], "at least one"),
        ([tmp_path / "none"], "does not exist"),
        ([tmp_path / "empty"], "is not a run"),
    ):
        with pytest.raises(UserError, match=message):
            make_page(folders)
    for file in ("config.json", "run.json", "results.json", "evaluation.json", "curve.json"):
        for i, content in enumerate(("{", "[]", "{}", '{"rows": 3, "objective": 4}')):
            folder = write_run(tmp_path / f"{file}-{i}")
            (folder / file).write_text(content)
            if (file, content[:3]) in (("run.json", "{}"), ("run.json", '{"r')):
                make_page([folder])
                continue
            with pytest.raises(UserError, match=f"{file} is damaged"):
                make_page([folder])
    good = write_run(tmp_path / "good")
    with pytest.raises(UserError, match="cannot be written"):
        write_report([good], tmp_path / "empty")


def test_systems_are_real_text_each_mle_and_each_method(three: list[Path], tmp_path: Path) -> None:
    other = write_run(tmp_path / "mle-7", seed=7, settings={"optimisers.mle_lr": 0.5})
    systems = systems_of([RunRecord.open(folder) for folder in [*three, other]])
    assert [(one.role, [run.name for run in one.runs]) for one in systems[:3]] == [
        ("real", ["seqgan-0", "seqgan-1", "maligan-0", "mle-7"]),
        ("mle", ["seqgan-0", "seqgan-1", "maligan-0"]),
        ("mle", ["mle-7"]),
    ]
    methods = {one.name: one for one in systems if one.role == "method"}
    assert len(methods) == 3 and len({one.style for one in methods.values()}) == 3
    seqgan = next(one for one in methods.values() if len(one.runs) == 2)
    assert seqgan.name.startswith("seqgan (mle_lr ") and "maligan, last" in methods


def test_a_run_that_repeats_a_seed_measures_nothing_new(tmp_path: Path) -> None:
    runs = [RunRecord.open(write_run(tmp_path / f"run-{i}", seed=i % 2)) for i in range(4)]
    [method] = [one for one in systems_of(runs) if one.role == "method"]
    assert repeated([method]) == [("run-2", "run-0"), ("run-3", "run-1")]
    assert list(rows_of(method, scores_of)) == ["run-0", "run-1"]
