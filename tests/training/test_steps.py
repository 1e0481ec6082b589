"""One update after another."""

from pathlib import Path

import pytest
import torch
from toys import TOY

import textgan
from textgan.core.optim import NotFinite
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.schedule import Step
from textgan.training.state import TrainingState
from textgan.training.steps import train_step

SHARDED = TOY | {"schedule.shards": 2}


def test_every_shard_begins_with_the_memory_from_before(tmp_path: Path) -> None:
    settings = {
        k: v for k, v in SHARDED.items() if k.split(".")[0] not in ("discriminator", "objective")
    }
    run = create_run(
        make_config("scratchgan", settings | {"objective.decay": 0.5}), tmp_path / "run"
    )
    torch.manual_seed(1)
    training = TrainingState(run)
    training.objective.state = {"baseline": torch.tensor(8.0)}
    figures = train_step(training, Step("generator", "adversarial", 1, 0))
    assert figures["generator/baseline"] == 8.0  # of both
    wanted = 0.5 * 8 + 0.5 * figures["generator/return"].item()
    assert training.objective.state["baseline"].item() == pytest.approx(wanted)


def test_a_run_that_diverges_says_where_and_keeps_its_last_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # weights so large that the dry run would refuse them
    monkeypatch.setattr("textgan.training.run.dry_run", lambda *_, **__: None)
    with pytest.raises(NotFinite, match=r"in MLE epoch \d.*optimisers"):
        textgan.train("seqgan", out=tmp_path / "run", quiet=True, **TOY, generator={"init": 1e30})
