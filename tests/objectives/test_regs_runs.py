"""Runs of REGS that are stopped or shared end as one that is not."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from children import forkserver
from dialogues import QUESTIONS, tsv, written
from interrupted import everything

import textgan
from textgan.contracts.worlds import train
from textgan.training.checkpoint import load_checkpoint
from textgan.training.config import make_config
from textgan.training.run import create_run

SMALL_RUN: dict[str, Any] = {
    "seed": 1,
    "data.share_vocabulary": True,
    "data.min_count": 1,
    "generator.embedding": 4,
    "generator.hidden": 6,
    "generator.attention": 4,
    "generator.dropout": 0.2,
    "discriminator.embedding": 4,
    "discriminator.hidden": 6,
    "objective.critic_hidden": 4,
    "objective.rollouts": 2,
    "schedule.batch_size": 8,
    "schedule.shards": 2,
    "schedule.mle_epochs": 1,
    "schedule.discriminator_turns": 2,
    "schedule.rounds": 2,
    "schedule.d_steps": 2,
    "evaluation.samples": 10,
    "evaluation.final_samples": 10,
    "evaluation.bootstrap": 100,
}


def pairs_of(folder: Path) -> dict[str, Any]:
    return {"data.pairs": str(tsv(folder, QUESTIONS))}


def labelled_pairs(folder: Path) -> dict[str, Any]:
    rows = [f"{a},{b},{'good' if i % 3 else 'bad'}" for i, (a, b) in enumerate(QUESTIONS)]
    path = written(folder, ["asked,said,mood", *rows], "moods.csv")
    fields = {"data.field": "said", "data.source_field": "asked", "data.label_field": "mood"}
    return {"data.file": str(path), **fields}


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (pairs_of, {}),
        (pairs_of, {"variant": "partial", "critic": "mean", "teacher": "better"}),
        (labelled_pairs, {"variant": "partial", "teacher": "better", "tfidf": True}),
        (labelled_pairs, {"variant": "reinforce", "critic": "encoder", "teacher": "better"}),
    ],
)
def test_a_run_that_is_stopped_after_every_step_goes_on_to_the_same_end(
    data: Callable[[Path], dict[str, Any]], settings: dict[str, Any], tmp_path: Path
) -> None:
    config = make_config(
        "regs", SMALL_RUN | data(tmp_path) | {f"objective.{k}": v for k, v in settings.items()}
    )
    whole, pieces = (create_run(config, tmp_path / name) for name in ("whole", "pieces"))
    done = train(whole)
    steps = int(done.stem)
    assert train(pieces, stops=range(steps)).read_bytes() == done.read_bytes()
    tensors, _ = load_checkpoint(done)
    critic = {name for name in tensors if name.startswith("networks.critic")}
    assert bool(critic) == (settings.get("critic") != "mean")
    assert all(f"optimiser.critic.{i}.exp_avg" in tensors for i in range(len(critic)))


def _trains(folder: Path, settings: dict[str, Any], rank: int, port: int) -> None:
    group = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in group.items()}
    torch.set_num_threads(1)
    textgan.train("regs", out=folder, quiet=True, plot=False, **settings)


def test_shared_by_two_processes_it_is_the_same_run(tmp_path: Path) -> None:
    settings = SMALL_RUN | pairs_of(tmp_path)
    textgan.train("regs", out=tmp_path / "one", quiet=True, plot=False, **settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = forkserver()
    two = [
        context.Process(target=_trains, args=(tmp_path / "two", settings, rank, port))
        for rank in (0, 1)
    ]
    for process in two:
        process.start()
    for process in two:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in two] == [0, 0]
    assert everything(tmp_path / "two") == everything(tmp_path / "one")
