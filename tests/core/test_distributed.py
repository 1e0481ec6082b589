"""Shards of a batch, and processes that share them."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from children import forkserver
from interrupted import everything, stop_at
from places import ROOT
from toys import TOY, Cli, in_0_1s_way, refused

import textgan
from textgan.core.distributed import Group, Lost, first, joined
from textgan.core.errors import Interrupted, ReportedElsewhere, UserError
from textgan.training.config import make_config
from textgan.training.run import create_run, open_run
from textgan.training.shards import averaged

SPEED = ROOT / "docs/speed.md"
SHARDED = TOY | {"schedule.shards": 2}


def test_each_process_has_its_share() -> None:
    shares = [list(Group(rank, 3).share(6)) for rank in range(3)]
    assert shares == [[0, 1], [2, 3], [4, 5]]
    assert list(Group().share(4)) == [0, 1, 2, 3]
    with pytest.raises(UserError, match=r"schedule\.shards = 4: 3 processes.*multiple of 3"):
        Group(0, 3).refuse(4, torch.device("cpu"))
    Group(2, 3).refuse(6, torch.device("cpu"))


def test_the_number_of_shards_is_part_of_a_run_and_was_one(tmp_path: Path) -> None:
    one = create_run(make_config("seqgan", TOY), tmp_path / "one")
    two = create_run(make_config("seqgan", SHARDED), tmp_path / "two")
    assert one.digest != two.digest
    kept = (tmp_path / "two/config.json").read_text()
    (tmp_path / "two/config.json").write_text(kept.replace('"shards": 2,', ""))
    in_0_1s_way(tmp_path / "two")
    assert open_run(tmp_path / "two").config == one.config  # of a run older than shards


def test_what_cannot_be_divided_is_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    toy = [f"{key}={value}" for key, value in TOY.items()]
    train = ("train", "seqgan", "--out", out, *toy)
    message = refused(cli, *train, "schedule.shards=3")
    assert "schedule.batch_size = 8" in message
    assert "multiple of 6" in message
    assert "schedule.shards = 0" in refused(cli, *train, "schedule.shards=0")
    monkeypatch.setenv("WORLD_SIZE", "two")
    assert "WORLD_SIZE = 'two'" in refused(cli, *train)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert "torchrun" in refused(cli, *train)  # nobody says where the others are
    assert not out.exists()


def test_who_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert first()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not first()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert first()
    with joined() as group:
        assert group == Group(0, 1)


def _in_a_group(rank: int, port: int) -> None:
    """What each of two processes finds; an error here is an exit code other than 0."""
    settings = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in settings.items()}
    torch.set_num_threads(1)
    with joined() as group:
        assert group == Group(rank, 2)
        real, whole, other = torch.ones(2, 3) + rank, torch.tensor(2**53 + rank), torch.ones(2)
        group.add([real, whole, other])
        assert torch.equal(real, torch.full((2, 3), 3.0))
        assert whole.item() == 2**54 + 1  # not by way of floating point
        assert torch.equal(other, torch.full((2,), 2.0))
        own = torch.tensor([[1, 2]] if rank == 0 else [[3, 4], [5, 6]])
        assert group.whole(own, rank, 3).tolist() == [[1, 2], [3, 4], [5, 6]]
        assert group.any(rank == 1)  # one voice is enough
        assert not group.any(False)
        assert group.lead(lambda: f"by {rank}") == "by 0"
        lengths = group.lead(lambda: "abc", tell=len, follow=lambda settings: "x" * settings)
        assert lengths == ("abc" if rank == 0 else "xxx")
        with pytest.raises(UserError, match="it is full") as refused:
            group.lead(lambda: raise_error(UserError("it is full")))
        assert isinstance(refused.value, ReportedElsewhere) == (rank == 1)
        memory = averaged([{"mean": torch.tensor(2.0 * rank), "n": torch.tensor(5)}], group)
        assert (memory["mean"].item(), memory["n"].item()) == (1.0, 5)
        if rank == 1:
            os._exit(0)  # as if killed: nothing is said to the other
        began = time.monotonic()
        with pytest.raises(Lost, match=r"process 0 of 2 .* textgan resume"):
            group.any(False)
        assert time.monotonic() - began < 20


def raise_error(error: Exception) -> None:
    raise error


def test_what_two_processes_tell_each_other() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = forkserver()
    children = [context.Process(target=_in_a_group, args=(rank, port)) for rank in (0, 1)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        child.kill()
    assert [child.exitcode for child in children] == [0, 0]


def test_two_processes_train_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of docs/speed.md at toy size, against one process that is stopped and goes on.

    Bit for bit, for a + b is b + a.
    """
    (command,) = re.findall(r"^torchrun (.*)$", SPEED.read_text(), flags=re.MULTILINE)
    assert "--nproc-per-node 2 -m textgan train seqgan schedule.shards=2" in command
    told = SHARDED | {"schedule.rounds": 1, "evaluation.final_samples": 20}
    told |= {"objective.rollout_ema": 0.5, "generator.dropout": 0.2}
    with monkeypatch.context() as patch:
        stop_at(30, patch)
        with pytest.raises(Interrupted):
            textgan.train("seqgan", out=tmp_path / "one", quiet=True, **told)
    textgan.resume(tmp_path / "one", quiet=True)
    settings = [f"{key}={value}" for key, value in told.items() if f" {key}=" not in command]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *shlex.split(command)]
    started = subprocess.Popen(
        [*torchrun, *settings, "--out", str(tmp_path / "two")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = started.communicate(timeout=120)
    finally:
        started.terminate()  # torchrun passes it on
    assert started.returncode == 0, err
    assert out.count("seqgan, last") == 1  # one of them speaks
    assert err.count("device     cpu") == 1
    assert everything(tmp_path / "two") == everything(tmp_path / "one")
