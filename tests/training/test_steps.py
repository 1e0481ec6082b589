"""One update after another."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import everything, stop_at
from parts import METHOD, SHORT, WritePart
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from toys import TOY

import textgan
from textgan.core.errors import Interrupted, UserError
from textgan.core.log import read_records
from textgan.core.optim import NotFinite
from textgan.core.tensors import under_prefix
from textgan.training.checkpoint import checkpoints, load_checkpoint
from textgan.training.config import make_config
from textgan.training.monitor import HELD_OUT_LOSS
from textgan.training.run import create_run, open_run
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


BASE = METHOD + "\nclass Critical(Mine):\n"
# a critic of words, and teacher forcing of half the loss
CRITIC = """
def build_networks(self, generator, discriminator):
    return {"critic": nn.Embedding(generator.space.vocabulary, 1)}

def generator_loss(self, generator, discriminator, real, fake, progress):
    value, metrics = super().generator_loss(generator, discriminator, real, fake, progress)
    expected = self.networks["critic"](fake.tokens).squeeze(2)
    return value + (expected - 1).square().sum(1).mean(), metrics

def teacher_loss(self, generator, discriminator, real):
    return self.mle_loss(generator, real)[0] / 2, {}
"""
UPDATE = Step("generator", "adversarial", 1, 0)


def begun(folder: str, name: str = "Critical", **changes: Any) -> TrainingState:
    """The method of mine.py at the beginning of a run."""
    settings = SHORT | {key.replace("__", "."): value for key, value in changes.items()}
    run = create_run(make_config(f"mine.py:{name}", settings), Path(folder))
    torch.manual_seed(1)
    return TrainingState(run)


def moved(state: TrainingState) -> dict[str, Tensor]:
    """By how much an update of the generator moves the weights of each network."""
    networks = {"generator": state.generator, **state.objective.networks}
    before = {who: parameters_to_vector(net.parameters()).clone() for who, net in networks.items()}
    train_step(state, UPDATE)
    return {
        who: (parameters_to_vector(network.parameters()) - before[who]).detach()
        for who, network in networks.items()
    }


def test_a_methods_own_network_draws_and_clips_nothing_of_the_pairs(write_part: WritePart) -> None:
    write_part(CRITIC, BASE)
    alone = moved(begun("alone", "Mine", optimisers__clip=0.01))
    then = torch.get_rng_state()
    both = moved(begun("both", optimisers__clip=0.01))
    assert torch.equal(torch.get_rng_state(), then)
    assert torch.equal(both["generator"], alone["generator"])
    assert both["critic"].any()


def test_a_methods_own_network_has_its_learning_rate_and_follows_the_loss(
    write_part: WritePart,
) -> None:
    write_part(CRITIC, BASE)
    state = begun("run", optimisers__method_lr=0.25, optimisers__clip=0.0)
    critic = state.objective.networks["critic"].weight
    start = critic.detach().clone()
    far = moved(state)["critic"]
    wanted = 0.25 * (1 - start).sign().flatten()  # Adam's first step
    assert torch.allclose(far[far != 0], wanted[far != 0], atol=1e-4)
    figures = train_step(state, UPDATE)
    assert figures["critic/gradient_norm"] > 0
    assert "critic/loss" not in figures


def test_shards_train_a_methods_own_network_as_the_whole_batch_does(write_part: WritePart) -> None:
    write_part(CRITIC.replace("(fake.tokens)", "(real.tokens)"), BASE)  # shards draw other fakes
    one, two = (
        train_step(begun(f"of-{shards}", schedule__shards=shards), UPDATE) for shards in (1, 2)
    )
    assert float(one["critic/gradient_norm"]) > 0.1
    assert float(two["critic/gradient_norm"]) == pytest.approx(float(one["critic/gradient_norm"]))


def test_teacher_forcing_among_the_rounds_has_a_loss_of_its_own(write_part: WritePart) -> None:
    write_part(CRITIC, BASE)
    state = begun("run", schedule__mle_steps=1, optimisers__mle_lr=1e-9)
    before = train_step(state, Step("mle", "mle", 1, 0))["mle/loss"]
    state.batches_done["mle"] = 0
    among = train_step(state, Step("mle", "adversarial", 1, 0))["mle/loss"]
    assert float(among) == pytest.approx(float(before) / 2, rel=1e-6)


def test_a_checkpoint_holds_a_methods_own_network_and_its_optimiser(
    write_part: WritePart,
) -> None:
    write_part(CRITIC, BASE)
    state = begun("run")
    train_step(state, UPDATE)
    path = state.save()
    again = TrainingState(state.run)
    again.restore(path)
    weight = [one.objective.networks["critic"].weight for one in (state, again)]
    assert torch.equal(*weight)
    for one in (state, again):
        torch.manual_seed(4)
        train_step(one, UPDATE)
    assert torch.equal(*weight)  # so are the averages of Adam


def test_a_methods_own_network_that_diverges_is_named(write_part: WritePart) -> None:
    write_part(CRITIC, BASE)
    state = begun("run")
    with torch.no_grad():
        state.objective.networks["critic"].weight.fill_(1e30)
    with pytest.raises(NotFinite, match="the gradient of Embedding is not finite"):
        train_step(state, UPDATE)
    assert (state.objective.networks["critic"].weight == 1e30).all()


# --- pretraining of the discriminator that ends by its accuracy ---

UNTIL: dict[str, Any] = TOY | {
    "schedule.discriminator_turns": 6,
    "schedule.mle_epochs": 1,
    "schedule.rounds": 1,
    "schedule.fakes": 8,
    "schedule.evaluate_every": 4,
    "optimisers.discriminator_lr": 0.01,
}


def turns_of(folder: Path) -> list[dict[str, Any]]:
    return [record for record in read_records(folder) if record["phase"] == "discriminator"]


def accuracies(folder: Path) -> list[float]:
    key = "discriminator/accuracy_held_out"
    return [record[key] for record in turns_of(folder) if key in record]


@pytest.fixture(scope="module")
def until_never(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose discriminator is never as accurate as it should be."""
    folder = tmp_path_factory.mktemp("until") / "run"
    told = UNTIL | {"schedule.discriminator_until": 0.999}
    results = textgan.train("seqgan", out=folder, quiet=True, plot=False, **told)
    assert sum("discriminator is weak" in alarm for alarm in results.alarms) == 1
    assert "below schedule.discriminator_until = 0.999" in str(results.alarms)
    return folder


def test_accuracy_is_measured_after_each_turn_and_changes_no_weight(
    until_never: Path, tmp_path: Path
) -> None:
    assert len(accuracies(until_never)) == 6
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, plot=False, **UNTIL)
    assert len(accuracies(tmp_path / "run")) == 3
    ours, theirs = (open_run(at).load_generator() for at in (until_never, tmp_path / "run"))
    assert torch.equal(*(parameters_to_vector(one.parameters()) for one in (ours, theirs)))


def test_turns_are_empty_once_the_discriminator_is_accurate(
    until_never: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = accuracies(until_never)
    until = max(seen[1:4])
    last = next(turn for turn, accuracy in enumerate(seen) if accuracy >= until)
    told = UNTIL | {"schedule.discriminator_until": until, "quiet": True, "plot": False}
    results = textgan.train("seqgan", out=tmp_path / "run", **told)
    assert not any("weak" in alarm for alarm in results.alarms)
    turns = turns_of(tmp_path / "run")
    assert len(turns) == 6
    assert accuracies(tmp_path / "run") == seen[: last + 1]
    trained = ["discriminator/loss" in turn for turn in turns]
    assert trained == [True] * (last + 1) + [False] * (5 - last)
    assert [turn["number"] for turn in turns] == list(range(6))
    # the same bits wherever it is stopped, also where what is left is empty
    end = int(checkpoints(tmp_path / "run")[-1].stem)
    for before_end in range(1, end, 7):
        folder = tmp_path / f"stopped-{before_end}"
        with monkeypatch.context() as patch:
            stop_at(end - before_end, patch)
            with pytest.raises(Interrupted):
                textgan.train("seqgan", out=folder, **told)
        textgan.resume(folder, quiet=True, plot=False)
        assert everything(folder) == everything(tmp_path / "run")


@pytest.mark.parametrize("name", ["wgan", "cot"])
@pytest.mark.parametrize("setting", ["until = 0.8", "patience = 3"])
def test_scores_without_an_accuracy_end_no_pretraining(
    name: str, setting: str, tmp_path: Path
) -> None:
    key, _, value = setting.partition(" = ")
    told = {f"schedule.discriminator_{key}": json.loads(value), "schedule.mle_epochs": 0}
    with pytest.raises(UserError, match=f"{setting}: the scores that {name} learns from have no"):
        create_run(make_config(name, told), tmp_path / "run")


# --- pretraining of the discriminator that ends by its loss ---


def test_turns_end_where_the_loss_on_new_texts_no_longer_falls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = UNTIL | {"schedule.discriminator_patience": 1, "quiet": True, "plot": False}
    told |= {"schedule.rounds": 0, "optimisers.discriminator_lr": 0.1}
    textgan.train("seqgan", out=tmp_path / "run", **told)
    turns = turns_of(tmp_path / "run")
    losses = [turn[HELD_OUT_LOSS] for turn in turns if HELD_OUT_LOSS in turn]
    best = losses.index(min(losses))
    assert len(losses) == best + 2 < 6
    assert ["discriminator/loss" in turn for turn in turns] == [True] * len(losses) + [False] * (
        6 - len(losses)
    )
    # what is kept is what a run of so many turns ends with
    short = told | {"schedule.discriminator_turns": best + 1}
    textgan.train("seqgan", out=tmp_path / "short", **short)
    kept, alone = (
        under_prefix("discriminator", load_checkpoint(checkpoints(tmp_path / at)[-1])[0])
        for at in ("run", "short")
    )
    assert kept and all(torch.equal(weight, alone[name]) for name, weight in kept.items())
    # the same bits wherever it is stopped
    end = int(checkpoints(tmp_path / "run")[-1].stem)
    for before_end in range(1, end, 9):
        folder = tmp_path / f"stopped-{before_end}"
        with monkeypatch.context() as patch:
            stop_at(end - before_end, patch)
            with pytest.raises(Interrupted):
                textgan.train("seqgan", out=folder, **told)
        textgan.resume(folder, quiet=True, plot=False)
        assert everything(folder) == everything(tmp_path / "run")


def test_the_last_turn_takes_the_best_one_back(tmp_path: Path) -> None:
    told = UNTIL | {"schedule.discriminator_patience": 9}
    state = TrainingState(create_run(make_config("seqgan", told), tmp_path / "run"))
    weight, stopped = state.discriminator.output.bias, []
    for turn, loss in enumerate([0.7, 0.6, 0.65, 0.62, 0.61, 0.63]):
        torch.nn.init.constant_(weight, turn)
        stopped.append(state.stop_early(loss, turn))
    assert stopped == [False] * 5 + [True]
    assert state.best_turn == 1
    assert float(weight.detach()) == 1
