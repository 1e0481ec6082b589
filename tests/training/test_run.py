"""A run's folder: what is made is what is opened."""

import json
import shutil
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import seq2seq
import torch
from dialogues import QUESTIONS, tsv
from interrupted import everything, stop_at
from pairs import translating
from torch import Tensor, nn
from toys import TOY, TOY_TEXT, Cli, keys, refused, toy_text

import textgan
from textgan.core import registry
from textgan.core.distributed import Group
from textgan.core.errors import Interrupted, UserError
from textgan.core.tensors import load_tensors, save_tensors
from textgan.evaluation.report.runs import RunRecord
from textgan.training.config import make_config
from textgan.training.run import check_batches, create_run, open_run
from textgan.training.state import TrainingState
from textgan.training.trainer import train_run


def assert_same(one: Any, other: Any, where: str) -> None:
    """Two values are equal, whatever tensors, networks and dataclasses are in them."""
    assert type(one) is type(other), where
    if isinstance(one, Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    elif isinstance(one, nn.Module):
        assert_same(one.state_dict(), other.state_dict(), where)
        assert not any(weight.requires_grad for weight in (*one.parameters(), *other.parameters()))
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name), field.name)
    else:
        assert one == other, where


@pytest.mark.parametrize("name", registry.names("objective"))
def test_what_a_method_prefers_suits_a_small_corpus_or_is_refused_with_what_does(name: str) -> None:
    config = make_config(name)
    if name != "scratchgan":
        check_batches(config, 24)
        return
    with pytest.raises(UserError) as caught:
        check_batches(config, 24)
    assert str(caught.value) == (
        "schedule.batch_size = 512, as scratchgan prefers, reads 512 of 24 training sentences at "
        "once; choose a smaller one, such as schedule.batch_size=64"
    )
    check_batches(make_config(name, ["schedule.batch_size=64"]), 24)
    with pytest.raises(UserError, match="= 2048 reads 2048 of 24 training"):
        check_batches(make_config(name, ["schedule.batch_size=2048"]), 24)
    with pytest.raises(UserError, match=r"discriminator_batch = 256 reads 128 of 24 .*_batch=64$"):
        check_batches(make_config("cot", ["schedule.discriminator_batch=256"]), 24)


@pytest.mark.parametrize("kind", ["oracle", "sources", "text", "labelled", "own"])
def test_a_run_that_was_made_is_the_run_that_is_opened(kind: str, tmp_path: Path) -> None:
    settings, name = dict(TOY), "seqgan"
    if kind in ("text", "labelled"):
        data = toy_text(tmp_path, 40)
        if kind == "labelled":
            lines = data.read_text("utf-8").splitlines()
            data = tmp_path / "toy.tsv"
            data.write_text("".join(f"{'ab'[i % 2]}\t{x}\n" for i, x in enumerate(lines)), "utf-8")
        settings = TOY_TEXT | {"data.file": str(data)}
    if kind == "sources":
        settings = {k: v for k, v in TOY.items() if not k.startswith("generator.")}
        settings |= {"oracle.source_length": 3, "generator": f"{seq2seq.__file__}:Attention"}
    if kind == "own":
        file = tmp_path / "mine.py"
        file.write_text(
            "from textgan.objectives.seqgan import SeqGAN\n\nclass Mine(SeqGAN, name='mine'):\n"
            "    pass\n"
        )
        name = f"{file}:Mine"
    made = create_run(make_config(name, settings), tmp_path / "run")
    assert_same(made, open_run(tmp_path / "run", trust_code=True), "run")
    assert made.digest == open_run(tmp_path / "run", trust_code=True).digest


def test_a_new_run_says_how_it_draws(tmp_path: Path) -> None:
    create_run(make_config("seqgan", TOY), tmp_path / "run")
    assert not open_run(tmp_path / "run").old


def test_published_parameters_have_no_source() -> None:
    settings = {"oracle.parameters": "seqgan.npz", "oracle.source_length": 3}
    with pytest.raises(UserError, match=r"source_length = 3: published parameters .* leave one"):
        create_run(make_config("mle", settings), None)


def test_a_run_of_a_later_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run(make_config("seqgan", TOY), tmp_path / "run")
    monkeypatch.setattr("textgan.training.run.SCHEME", 1)
    with pytest.raises(UserError, match="was made by a later version of textgan"):
        open_run(tmp_path / "run")


# --- a run that starts from another one's MLE ---


PARTS = ("oracle.", "generator.", "schedule.mle_epochs")  # which a run has from the one before
AFTER = {key: value for key, value in TOY.items() if not key.startswith(PARTS)}


@pytest.fixture(scope="module")
def mle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of MLE alone."""
    folder = tmp_path_factory.mktemp("init") / "mle"
    settings = {k: v for k, v in TOY.items() if not k.startswith(("discriminator.", "objective."))}
    settings |= {"schedule.mle_epochs": 4, "schedule.rounds": 0, "optimisers.mle_lr": 0.03}
    textgan.train("mle", out=folder, quiet=True, plot=False, **settings)
    return folder


def test_a_run_starts_from_the_best_mle_epoch_of_another(mle: Path, tmp_path: Path) -> None:
    results = textgan.train(
        "seqgan", out=tmp_path / "run", init=str(mle), quiet=True, plot=False, **AFTER
    )
    run, before = open_run(tmp_path / "run"), open_run(mle)
    assert (run.config.oracle, run.config.generator) == (
        before.config.oracle,
        before.config.generator,
    )
    assert run.config.schedule.mle_epochs == 0
    started, best = (
        run.load_generator("mle").state_dict(),
        before.load_generator("mle").state_dict(),
    )
    assert all(torch.equal(started[name], best[name]) for name in best)
    last = run.load_generator().state_dict()
    assert not all(torch.equal(last[name], best[name]) for name in best)
    # its table has the row of that epoch, with the numbers of that run's
    epoch = before.load_mle()[1]["epoch"]
    row, others = f"MLE, best epoch ({epoch} of 4)", textgan.resume(mle, quiet=True).rows
    assert results.rows[row]["nll_test"].value == others[row]["nll_test"].value


def test_a_run_of_pairs_starts_from_one_of_the_same_pairs(tmp_path: Path) -> None:
    start = translating("mle", tmp_path, generator="attention", **{"generator.hidden": 6})
    train_run(lambda: start, Group(), quiet=True, plot=False)
    told = {
        key: value for key, value in TOY.items() if key.startswith(("schedule.", "evaluation."))
    }
    told |= {"init": str(start.folder), "schedule.mle_epochs": 0}
    run = create_run(make_config("mrt", told), tmp_path / "after")
    assert run.config.data == start.config.data
    assert run.config.generator == start.config.generator
    ours, theirs = TrainingState(run).generator.state_dict(), start.load_mle()[0]
    assert all(torch.equal(ours[name], theirs[f"generator.{name}"]) for name in ours)
    other = [(source, f"{target} six") for source, target in QUESTIONS]
    told |= {"data.pairs": str(tsv(tmp_path, other, "other.tsv"))}
    with pytest.raises(UserError, match=r"was trained on other texts or words \(pairs.tsv"):
        create_run(make_config("mrt", told), tmp_path / "refused")


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_run_that_starts_from_another_needs_it_no_more(
    epochs: int, mle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = AFTER | {"schedule.mle_epochs": epochs, "quiet": True, "plot": False}
    told["init"] = str(shutil.copytree(mle, tmp_path / "mle"))
    textgan.train("seqgan", out=tmp_path / "whole", **told)
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        with pytest.raises(Interrupted):
            textgan.train("seqgan", out=tmp_path / "halved", **told)
    shutil.rmtree(tmp_path / "mle")
    textgan.resume(tmp_path / "halved", quiet=True, plot=False)
    assert everything(tmp_path / "halved") == everything(tmp_path / "whole")


def test_its_own_mle_epochs_have_to_be_better_than_where_it_started(
    mle: Path, tmp_path: Path
) -> None:
    run = create_run(make_config("seqgan", AFTER | {"init": str(mle)}), tmp_path / "run")
    assert TrainingState(run).best_mle == open_run(mle).load_mle()[1]["score"]


def test_runs_that_start_from_seeds_of_one_experiment_are_seeds_of_one(
    mle: Path, tmp_path: Path
) -> None:
    config = json.loads((mle / "config.json").read_text()) | {"seed": 2}
    textgan.train(config, out=tmp_path / "other", quiet=True, plot=False)
    runs = []
    for seed, init in ((1, mle), (2, tmp_path / "other")):
        settings = AFTER | {"seed": seed, "init": str(init)}
        create_run(make_config("seqgan", settings), tmp_path / f"run-{seed}")
        runs.append(open_run(tmp_path / f"run-{seed}"))
    longer = config | {"seed": 3, "schedule": config["schedule"] | {"mle_epochs": 1}}
    textgan.train(longer, out=tmp_path / "longer", quiet=True, plot=False)
    settings = AFTER | {"seed": 3, "init": str(tmp_path / "longer")}
    runs.append(create_run(make_config("seqgan", settings), tmp_path / "run-3"))
    assert runs[0].recipe == runs[1].recipe != runs[2].recipe
    records = [RunRecord.open(run.folder) for run in runs]
    assert records[0].recipe == records[1].recipe != records[2].recipe
    assert records[0].mle_recipe == records[1].mle_recipe != records[2].mle_recipe


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"init": "nowhere"}, "init = 'nowhere' is not a run"),
        ({"generator.hidden": 9}, "has generator.hidden = 8, not 9; leave it out"),
        ({"generator": "gru"}, "has generator.name = 'lstm', not 'gru'"),
        ({"oracle.seed": 5}, "was trained on other texts or words"),
        ({"oracle.vocabulary": 30}, "was trained on other texts or words"),
    ],
)
def test_what_a_run_cannot_start_from_is_refused(
    settings: dict[str, Any], why: str, mle: Path, tmp_path: Path, cli: Cli
) -> None:
    told = AFTER | {"init": str(mle)} | settings
    assert why in refused(cli, "train", "seqgan", "--out", tmp_path / "run", *keys(told))
    assert not (tmp_path / "run").exists()


def test_a_run_without_mle_is_nothing_to_start_from(mle: Path, tmp_path: Path) -> None:
    create_run(make_config("seqgan", TOY), tmp_path / "begun")
    told = AFTER | {"init": str(tmp_path / "begun")}
    with pytest.raises(UserError, match=r"has no MLE weights \(mle.safetensors is missing\)"):
        create_run(make_config("seqgan", told), tmp_path / "run")


def test_the_weights_that_a_run_starts_from_cannot_be_others(mle: Path, tmp_path: Path) -> None:
    settings = AFTER | {"init": str(mle), "quiet": True, "plot": False}
    textgan.train("seqgan", out=tmp_path / "run", **settings)
    for path in (tmp_path / "run/checkpoints").glob("*"):
        path.unlink()
    (tmp_path / "run/results.json").unlink()
    tensors, facts = load_tensors(tmp_path / "run/init.safetensors")
    save_tensors(tmp_path / "run/init.safetensors", {k: -v for k, v in tensors.items()}, facts)
    with pytest.raises(UserError, match=r"init.safetensors is not the one that this run was made"):
        textgan.resume(tmp_path / "run", quiet=True)
