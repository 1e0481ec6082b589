"""Every registered method as a run: three rounds, stopped and resumed, on both kinds of text."""

from pathlib import Path

import pytest
import torch
from dialogues import QUESTIONS, tsv, written
from family import ANSWERING, ANY_TEXT, left, toy
from toys import TOY_TEXT, small_parts, stop_when, toy_text

import textgan
from textgan.core import registry
from textgan.core.errors import Interrupted
from textgan.core.log import read_records
from textgan.training.checkpoint import checkpoints, load_checkpoint
from textgan.training.config import make_config
from textgan.training.run import create_run, open_run
from textgan.training.schedule import plan
from textgan.training.state import TrainingState

KINDS = [(name, kind) for name in ANY_TEXT for kind in ("fixed", "variable")]
KINDS += [(name, "sources") for name in ANSWERING]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_every_method_trains_and_resumes_bit_for_bit(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pictures take longer than these runs
    settings = toy(name, has_source=kind == "sources")
    if kind != "fixed":
        settings = {key: value for key, value in settings.items() if not key.startswith("oracle.")}
    if kind == "variable":
        settings["data.file"] = str(toy_text(tmp_path))
    if kind == "sources":
        settings |= {"data.pairs": str(tsv(tmp_path, QUESTIONS)), "data.min_count": 1}
    results = textgan.train(name, out=tmp_path / "whole", quiet=True, plot=False, **settings)
    assert list(results.rows)[-1] == f"{name}, last"

    rounds = [r for r in read_records(tmp_path / "whole") if r["phase"] == "adversarial"]
    assert len(rounds) == 3
    assert all("generator/loss" in r for r in rounds)
    if registry.find("objective", name).discriminator is not None:
        assert all("discriminator/loss" in r for r in rounds)
    _initial_weights_have_moved(name, tmp_path / "whole")

    whole = open_run(tmp_path / "whole")
    adversary = registry.find("objective", name).discriminator is not None
    steps = list(plan(whole.config.schedule, len(whole.corpus.train), adversary))
    middle = [i for i, s in enumerate(steps) if s.phase == "adversarial" and s.number == 1]
    stop = middle[len(middle) // 2]
    with monkeypatch.context() as patch:
        stop_when(patch, lambda state: state.done == stop)
        with pytest.raises(Interrupted):
            textgan.train(name, out=tmp_path / "run", quiet=True, plot=False, **settings)
    textgan.resume(tmp_path / "run", quiet=True, plot=False)
    assert left(tmp_path / "run") == left(tmp_path / "whole")


def _initial_weights_have_moved(name: str, folder: Path) -> None:
    """Every trainable weight of both networks is other than the seed made it."""
    run = open_run(folder)
    torch.manual_seed(run.config.seed)
    fresh = TrainingState(run)
    tensors, _ = load_checkpoint(checkpoints(folder)[-1])
    unused = {"discriminator.output.bias"}  # cancels where only differences of scores count
    if name == "rankgan":
        unused.add("discriminator.output.weight")
    networks = {"generator": fresh.generator, "discriminator": fresh.discriminator}
    for who, network in networks.items():
        for key, parameter in network.named_parameters() if network is not None else ():
            if parameter.requires_grad and f"{who}.{key}" not in unused:
                assert not torch.equal(tensors[f"{who}.{key}"], parameter.cpu()), f"{who}.{key}"


@pytest.mark.parametrize("name", ANY_TEXT)
def test_every_method_trains_on_labelled_text(name: str, tmp_path: Path) -> None:
    data = tmp_path / "moods.tsv"
    lines = [f"{['good', 'bad'][i % 2]}\t{'so very much'[: i % 9 + 3]} {i % 7}" for i in range(90)]
    data.write_text("\n".join(lines) + "\n")
    objective = registry.find("objective", name)
    groups = ("seed", "schedule.", "evaluation.")
    settings = {key: value for key, value in TOY_TEXT.items() if key.startswith(groups)}
    settings |= small_parts(name) | {"schedule.fakes": 8}
    preferred = dict(objective.defaults) | registry.find("generator", objective.generator).defaults
    if preferred.get("schedule.mle_epochs") == 0:
        settings["schedule.mle_epochs"] = 0
    textgan.train(name, data=str(data), out=tmp_path / "run", quiet=True, plot=False, **settings)
    assert open_run(tmp_path / "run").corpus.label_names == ("bad", "good")
    written = (tmp_path / "run/samples.txt").read_text().splitlines()
    assert {line.split("\t")[0] for line in written} == {"bad", "good"}


@pytest.mark.parametrize("name", ANSWERING)
def test_every_method_begins_with_labelled_texts_that_answer_a_source(
    name: str, tmp_path: Path
) -> None:
    rows = [f"{'ab'[i % 2]}\t{text}" for i, (_, text) in enumerate(QUESTIONS)]
    data = {
        "data.file": str(written(tmp_path, rows, "answers.tsv")),
        "data.source": str(written(tmp_path, [asked for asked, _ in QUESTIONS], "questions.txt")),
        "data.min_count": 1,
    }
    settings = {k: v for k, v in toy(name, has_source=True).items() if not k.startswith("oracle.")}
    run = create_run(make_config(name, settings | data), tmp_path / "run")
    space = run.corpus.space
    assert space.classes == 2 and space.source is not None


NAMES = ("leakgan", "bgan", "bgan_continuous", "coldgan", "relgan", "wgan", "wgan_gp")


@pytest.mark.parametrize("labels", [False, True], ids=["plain", "labelled"])
@pytest.mark.parametrize("name", NAMES)
def test_batches_of_one_real_and_one_fake(name: str, labels: bool, tmp_path: Path) -> None:
    settings = {key: value for key, value in toy(name).items() if not key.startswith("oracle.")}
    data = toy_text(tmp_path, 24)
    if labels:
        lines = data.read_text("utf-8").splitlines()
        data = tmp_path / "toy.tsv"
        data.write_text("".join(f"{'ab'[i % 2]}\t{x}\n" for i, x in enumerate(lines)), "utf-8")
    settings |= {"schedule.batch_size": 2, "schedule.rounds": 2, "schedule.fakes": 2}
    if settings["schedule.mle_epochs"]:
        settings["schedule.mle_epochs"] = 1
    if name == "leakgan":
        settings["objective.baseline"] = "batch"
    textgan.train(name, data=data, out=tmp_path / "run", quiet=True, plot=False, **settings)
    rounds = [r for r in read_records(tmp_path / "run") if r["phase"] == "adversarial"]
    assert len(rounds) == 2
    for record in rounds:
        assert record["generator/gradient_norm"] > 0
        assert all(value == value for value in record.values())  # no NaN
