"""The texts of every update: a function of its number, and of the classes of its fakes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from states import labelled, training

from textgan.core.optim import Loss
from textgan.data.text import Condition, Text
from textgan.training.batches import TrainingBatches
from textgan.training.schedule import Step
from textgan.training.steps import train_step

FAKES, DISCRIMINATOR, GENERATOR = (
    Step(do, "adversarial", 1, 0) for do in ("fakes", "discriminator", "generator")
)


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("name", ["seqgan", "wgan_gp"])
def test_the_discriminator_compares_texts_of_one_class(
    name: str, shards: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"data.file": str(labelled(tmp_path, {"good": 40, "bad": 30, "rare": 12}))}
    settings = data | {"schedule.shards": shards, "schedule.fakes": 60}
    here = training(name, tmp_path / "run", **settings)
    seen: list[tuple[Text, Text]] = []
    really = here.objective.discriminator_loss

    def look(judge: Any, real: Text, fake: Text) -> Loss:
        seen.append((real, fake))
        return really(judge, real, fake)

    monkeypatch.setattr(here.objective, "discriminator_loss", look)
    train_step(here, FAKES)
    for _ in range(30):
        train_step(here, DISCRIMINATOR)
    assert len(seen) == 30 * shards
    for real, fake in seen:
        assert real.labels is not None
        assert fake.labels is not None
        assert torch.equal(real.labels, fake.labels)
    assert {int(label) for real, _ in seen for label in real.labels} == {0, 1, 2}  # type: ignore[union-attr]
    # which texts these are is a function of the update's number and its fakes' classes
    assert here.fakes is not None
    real = here.batches.opposite(here.batches.fake(here.fakes, 17), 17, 0)
    again = torch.cat([r.tokens for r, _ in seen[17 * shards : 18 * shards]])
    assert torch.equal(real.tokens, again)


def test_all_texts_of_a_class_are_compared_with_its_fakes(tmp_path: Path) -> None:
    data = {"data.file": str(labelled(tmp_path, {"good": 40, "bad": 12}))}
    here = training("seqgan", tmp_path / "run", **data)
    train = here.run.corpus.train
    fake = replace(train[:4], condition=Condition(torch.tensor([0, 1, 1, 0])))
    drawn = (here.batches.opposite(fake, n, 0) for n in range(60))
    seen = {tuple(row) for real in drawn for row in real.tokens.tolist()}
    assert seen == {tuple(row) for row in train.tokens.tolist()}


@pytest.mark.parametrize("shards", [1, 2])
def test_a_fake_is_compared_with_the_real_answer_to_its_source(
    shards: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pairs.tsv"  # the answer is its source's last word, or two
    path.write_text("".join(f"{i} {i % 7}\t{i % 7}{' too' * (i % 2)}\n" for i in range(120)))
    settings = {"data.pairs": str(path), "schedule.shards": shards, "schedule.fakes": 60}
    here = training("wgan_gp", tmp_path / "run", **settings)
    seen: list[tuple[Text, Text]] = []
    really = here.objective.discriminator_loss

    def look(judge: Any, real: Text, fake: Text) -> Loss:
        seen.append((real, fake))
        return really(judge, real, fake)

    monkeypatch.setattr(here.objective, "discriminator_loss", look)
    for _ in range(2):
        train_step(here, FAKES)
        for _ in range(12):
            train_step(here, DISCRIMINATOR)
    assert len(seen) == 24 * shards
    train = here.run.corpus.train
    assert train.source is not None
    answers = dict(zip(map(tuple, train.source.tolist()), train.tolist(), strict=True))
    for real, fake in seen:
        assert real.source is not None and fake.source is not None
        assert real.source.tolist() == fake.source.tolist()
        assert real.tolist() == [answers[tuple(source)] for source in real.source.tolist()]
    sources = [source for real, _ in seen for source in real.source.tolist()]  # type: ignore[union-attr]
    assert len(set(map(tuple, sources))) > 60  # both turns


def test_texts_without_labels_are_those_of_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("".join(f"a {i % 7} {i}\n" for i in range(60)))
    here = training("seqgan", tmp_path / "run", **{"data.file": str(path)})
    real = here.batches.opposite(here.run.corpus.train[:4], 3, 0)
    assert torch.equal(real.tokens, here.batches.real("real", 3).tokens)


def test_old_runs_go_on_with_the_pairs_they_began_with(tmp_path: Path) -> None:
    data = {"data.file": str(labelled(tmp_path, {"good": 40, "bad": 12}))}
    here = training("seqgan", tmp_path / "run", **data)
    batches = TrainingBatches(replace(here.run, old=True), classes=2)
    real = batches.opposite(here.run.corpus.train[:4], 3, 0)
    assert torch.equal(real.tokens, batches.real("real", 3).tokens)
