"""Shards of a batch, and processes that share them."""

import multiprocessing
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from interrupted import everything, stop_at
from places import ROOT
from torch import Tensor, nn
from toys import TOY, Cli, in_0_1s_way, refused
from worlds import (
    FIXED,
    VARIABLE,
    enumerate_texts,
    small_discriminator,
    small_generator,
)

import textgan
from textgan.core.distributed import Group, Lost, first, joined
from textgan.core.errors import Interrupted, ReportedElsewhere, UserError
from textgan.core.optim import Loss, Reduction, plain
from textgan.data.text import Text, TextSpace
from textgan.losses import logistic, nll, policy_gradient
from textgan.objectives.coldgan import ColdGAN
from textgan.objectives.mle import MLE
from textgan.objectives.scratchgan import ScratchGAN
from textgan.objectives.seqgan import SeqGAN
from textgan.training.config import make_config
from textgan.training.run import create_run, open_run
from textgan.training.schedule import Step
from textgan.training.shards import Shard, accumulate, averaged
from textgan.training.state import TrainingState
from textgan.training.steps import train_step

SPEED = ROOT / "docs/speed.md"
SHARDED = TOY | {"schedule.shards": 2}
worlds = pytest.mark.parametrize("space", [FIXED, VARIABLE], ids=["fixed", "variable"])


def gradients(network: nn.Module) -> list[Tensor]:
    """What the last backward passes left; cleared."""
    found = [weight.grad for weight in network.parameters() if weight.grad is not None]
    network.zero_grad()
    return found


def both_ways(
    network: nn.Module, loss: Callable[[Text], Loss], text: Text, reduction: Reduction, shards: int
) -> None:
    """The loss of a batch and its gradient are those of its shards together."""
    whole, metrics = plain(network, lambda: loss(text))
    wanted = gradients(network)
    each = len(text) // shards
    parts = [text[torch.arange(i * each, (i + 1) * each)] for i in range(shards)]

    def of(part: Text) -> Callable[[], Loss]:
        return lambda: loss(part)

    made = [Shard(of(part), part) for part in parts]
    value, found = accumulate(network, made, range(shards), reduction, Group())
    assert value.item() == pytest.approx(whole.item(), rel=1e-13)
    assert found.keys() == metrics.keys()
    for one, other in zip(gradients(network), wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-14)


@worlds
@pytest.mark.parametrize("shards", [2, 3])
def test_the_gradient_of_mle_is_that_of_the_whole_batch(space: TextSpace, shards: int) -> None:
    generator, text = small_generator(space), enumerate_texts(space)[:12]
    if space.eos is not None:  # shards of different numbers of tokens
        assert len({part.lengths.sum().item() for part in text.split(12 // shards)}) > 1
    both_ways(
        generator,
        lambda part: (nll(generator.log_prob(part), part.mask), {}),
        text,
        MLE().reduction,
        shards,
    )


@worlds
def test_the_gradient_of_a_discriminator_is_that_of_the_whole_batch(space: TextSpace) -> None:
    judge, text = small_discriminator(space), enumerate_texts(space)[:12]
    other = text[torch.arange(12).roll(5)]

    def loss(part: Text) -> Loss:
        at = [int(row) for row in range(12) if (text.tokens[row] == part.tokens).all(1).any()]
        value = logistic(judge(part), judge(other[torch.tensor(at)]))
        return value + 0.2 * judge.output_penalty(), {"value": value.detach()}

    both_ways(judge, loss, text, "mean_sentence", 2)


@worlds
@pytest.mark.parametrize("reduction", ["sum", "mean_sentence", "mean_token"])
def test_the_gradient_of_a_generator_is_that_of_the_whole_batch(
    space: TextSpace, reduction: Reduction
) -> None:
    generator, judge = small_generator(space), small_discriminator(space)
    text = enumerate_texts(space)[:12]

    def loss(part: Text) -> Loss:
        reward = judge(part).detach().sigmoid().unsqueeze(1).expand_as(part.tokens)
        found = policy_gradient(generator.log_prob(part), reward, part.mask, reduction)
        return found, {"reward": reward.mean()}

    both_ways(generator, loss, text, SeqGAN(reduction=reduction).reduction, 2)


def test_methods_say_what_their_loss_is_over_a_batch() -> None:
    assert MLE().reduction == ScratchGAN().reduction == "mean_token"
    assert SeqGAN().reduction == "sum"
    assert SeqGAN(reduction="mean_sentence").reduction == ColdGAN().reduction == "mean_sentence"


def test_logged_scalars_are_means_and_dropout_is_each_shards_own() -> None:
    network, text = nn.Linear(1, 1), enumerate_texts(FIXED)[:4]
    drawn: list[float] = []

    def loss() -> Loss:
        drawn.append(torch.rand(()).item())
        return network(torch.ones(1)).sum(), {"drawn": torch.tensor(drawn[-1])}

    before = torch.get_rng_state()
    shards, seeds = 2 * [Shard(loss, text)], (5, 6)
    _, metrics = accumulate(network, shards, seeds, "mean_sentence", Group())
    assert drawn[0] != drawn[1]
    assert metrics["drawn"].item() == pytest.approx(sum(drawn) / 2)
    assert torch.equal(torch.get_rng_state(), before)  # the run's own stream stands still
    accumulate(network, shards, seeds, "mean_sentence", Group())
    assert drawn[2:] == drawn[:2]
    _, metrics = accumulate(network, shards[:1], [5], "sum", Group())  # the whole batch, and draws
    assert not torch.equal(torch.get_rng_state(), before)
    assert metrics["drawn"].item() not in (drawn[0], drawn[1])


def test_memories_are_averaged_where_they_are_real_numbers() -> None:
    memories = [
        {"baseline": torch.tensor(1.0), "stream": torch.tensor(7)},
        {"baseline": torch.tensor(4.0), "stream": torch.tensor(7)},
    ]
    found = averaged(memories, Group())
    assert found["baseline"] == 2.5
    assert found["stream"] == 7
    assert memories[0]["baseline"] == 1.0  # not what was given
    assert averaged(memories[:1], Group()) == memories[0]


def test_every_shard_begins_with_the_memory_from_before(tmp_path: Path) -> None:
    told = {
        k: v for k, v in SHARDED.items() if k.split(".")[0] not in ("discriminator", "objective")
    }
    run = create_run(make_config("scratchgan", told | {"objective.decay": 0.5}), tmp_path / "run")
    torch.manual_seed(1)
    training = TrainingState(run)
    training.objective.state = {"baseline": torch.tensor(8.0)}
    figures = train_step(training, Step("generator", "adversarial", 1, 0))
    assert figures["generator/baseline"] == 8.0  # of both
    wanted = 0.5 * 8 + 0.5 * figures["generator/return"].item()
    assert training.objective.state["baseline"].item() == pytest.approx(wanted)


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
    said = refused(cli, *train, "schedule.shards=3")
    assert "schedule.batch_size = 8" in said
    assert "multiple of 6" in said
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
    told = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in told.items()}
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
        lengths = group.lead(lambda: "abc", tell=len, follow=lambda told: "x" * told)
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
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["textgan.training.trainer", "torch.utils.tensorboard"])
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
    settings = [f"{key}={value}" for key, value in told.items()]
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
