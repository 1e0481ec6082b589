"""Training as a whole: golden numbers, and runs that nothing can lose."""

import json
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from children import forkserver
from interrupted import everything, stop_at
from parts import ONE, WritePart
from places import ROOT
from toys import TOY, TOY_TEXT, Cli, toy_text

import textgan
from textgan.core.errors import Interrupted
from textgan.core.tensors import load_tensors
from textgan.training.checkpoint import checkpoints
from textgan.training.config import make_config
from textgan.training.run import create_run
from textgan.training.schedule import plan


def records_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    textgan.train("seqgan", out=folder, quiet=True, **TOY)
    return folder


def steps_of_every_kind() -> list[int]:
    """The first and the last step of each kind in each phase."""
    result: dict[tuple[str, str], list[int]] = {}
    config = make_config("seqgan", TOY)
    for number, step in enumerate(plan(config.schedule, config.oracle.positives, True)):
        result.setdefault((step.phase, step.do), []).append(number)
    assert {phase for phase, _ in result} == {"mle", "discriminator", "adversarial"}
    return sorted({number for numbers in result.values() for number in (numbers[0], numbers[-1])})


@pytest.mark.parametrize("step", steps_of_every_kind())
def test_stopped_and_resumed_is_bit_identical(
    step: int, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(step, patch)
        with pytest.raises(Interrupted, match="textgan resume"):
            textgan.train("seqgan", out=tmp_path / "run", quiet=True, **TOY)
    assert int(checkpoints(tmp_path / "run")[-1].stem) == step + 1  # the step was finished
    textgan.resume(tmp_path / "run", quiet=True)
    assert everything(tmp_path / "run") == everything(uninterrupted)


def _resume_in_child(folder: Path) -> None:
    torch.set_num_threads(1)
    textgan.resume(folder, quiet=True)


def test_killed_at_random_moments_is_bit_identical(tmp_path: Path) -> None:
    # a checkpoint after every step, and ten kills spread over the run
    settings = TOY | {"checkpoint_seconds": 0, "schedule.rounds": 12, "schedule.mle_epochs": 12}
    textgan.train("seqgan", out=tmp_path / "whole", quiet=True, **settings)
    folder = tmp_path / "killed"
    create_run(make_config("seqgan", settings), folder)
    total = sum(
        1
        for _ in plan(make_config("seqgan", settings).schedule, int(TOY["oracle.positives"]), True)
    )
    context = forkserver()
    dice = random.Random(0)
    for kill in range(10):
        child = context.Process(target=_resume_in_child, args=(folder,))
        child.start()
        # wait until this child has come a tenth of the way, then anything up to 30 ms more
        goal = kill * total // 11
        deadline = time.monotonic() + 60
        while child.is_alive() and time.monotonic() < deadline:
            saved = checkpoints(folder)
            if saved and int(saved[-1].stem) > goal:
                break
            time.sleep(0.001)
        time.sleep(dice.random() * 0.03)
        assert child.is_alive(), "the run ended before it could be killed"
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    assert not (folder / "results.json").exists()
    textgan.resume(folder, quiet=True)
    assert everything(folder) == everything(tmp_path / "whole")


@pytest.mark.parametrize(
    "settings",
    [
        {"objective.rollout_ema": 0.8},
        {"objective.baseline": "batch", "objective.chunk": 1, "schedule.mle_steps": 2},
        {"generator.dropout": 0.3, "generator.layers": 2, "discriminator.name": "rnn"},
        {"generator.name": "gru", "schedule.fakes": 10},
    ],
)
def test_resuming_forgets_nothing_of_any_part(
    settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = TOY | settings
    if "discriminator.name" in settings:
        told = {key: value for key, value in told.items() if "discriminator.s" not in key}
        told = {key: value for key, value in told.items() if "discriminator.c" not in key}
    textgan.train("seqgan", out=tmp_path / "whole", quiet=True, **told)
    last = int(checkpoints(tmp_path / "whole")[-1].stem)
    with monkeypatch.context() as patch:
        stop_at(last - 8, patch)
        with pytest.raises(Interrupted):
            textgan.train("seqgan", out=tmp_path / "run", quiet=True, **told)
    textgan.resume(tmp_path / "run", quiet=True)
    assert everything(tmp_path / "run") == everything(tmp_path / "whole")


def test_words_train_resume_and_need_the_file_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy_text(tmp_path)
    textgan.train("seqgan", data=str(data), out=tmp_path / "whole", quiet=True, **TOY_TEXT)
    with monkeypatch.context() as patch:
        stop_at(30, patch)
        with pytest.raises(Interrupted):
            textgan.train("seqgan", data=str(data), out=tmp_path / "run", quiet=True, **TOY_TEXT)
    data.unlink()
    textgan.resume(tmp_path / "run", quiet=True)
    assert everything(tmp_path / "run") == everything(tmp_path / "whole")


def test_same_seed_same_run_other_seed_another(uninterrupted: Path, tmp_path: Path) -> None:
    textgan.train("seqgan", out=tmp_path / "same", quiet=True, **TOY)
    assert everything(tmp_path / "same") == everything(uninterrupted)
    textgan.train("seqgan", out=tmp_path / "other", quiet=True, **TOY | {"seed": 2})
    assert everything(tmp_path / "other")["last"] != everything(uninterrupted)["last"]


def test_evaluating_more_often_trains_the_same_weights(uninterrupted: Path, tmp_path: Path) -> None:
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, **TOY, schedule={"evaluate_every": 2})
    seldom, _ = load_tensors(checkpoints(tmp_path / "run")[-1])
    often, _ = load_tensors(checkpoints(uninterrupted)[-1])
    assert seldom.keys() == often.keys()
    assert all(torch.equal(seldom[name], often[name]) for name in often)


def test_training_leaves_no_trace_in_the_global_generator_it_need_not(tmp_path: Path) -> None:
    """Resuming a finished run draws nothing that changes what it left."""
    textgan.train("mle", out=tmp_path / "run", quiet=True, **_without_adversary())
    before = everything(tmp_path / "run")
    again = textgan.resume(tmp_path / "run", quiet=True)
    assert everything(tmp_path / "run") == before
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert again.to_dict().items() <= written.items()


def _without_adversary() -> dict[str, object]:
    return {
        key: value
        for key, value in TOY.items()
        if not key.startswith(("discriminator.", "objective."))
    }


def test_mle_run_has_no_discriminator_in_it(tmp_path: Path) -> None:
    textgan.train("mle", out=tmp_path / "run", quiet=True, **_without_adversary())
    tensors, _ = load_tensors(checkpoints(tmp_path / "run")[-1])
    assert {name.split(".")[0] for name in tensors} == {"generator", "optimiser", "random"}
    records = records_of(tmp_path / "run")
    assert not any(tag.startswith("discriminator/") for record in records for tag in record)


def test_golden_losses_of_three_rounds(tmp_path: Path) -> None:
    """A refactor leaves these numbers; a change that moves them says so."""
    settings = TOY | {"schedule.rounds": 3, "seed": 7}
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, **settings)
    records = records_of(tmp_path / "run")
    result = {
        tag: [record[tag] for record in records if tag in record]
        for tag in ("mle/loss", "discriminator/loss", "generator/loss", "eval/nll_oracle")
    }
    golden = json.loads((ROOT / "tests/golden.json").read_text())
    assert result.keys() == golden.keys()
    for tag, values in golden.items():
        assert result[tag] == pytest.approx(values, rel=1e-4), tag


def test_the_python_interface_takes_groups_and_dotted_keys(tmp_path: Path) -> None:
    dotted = {key: value for key, value in _without_adversary().items() if key != "schedule.rounds"}
    results = textgan.train(
        {"objective": {"name": "mle"}},
        out=tmp_path / "run",
        quiet=True,
        **dotted | {"schedule": {"rounds": 0}},
    )
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["schedule"]["rounds"] == 0
    assert config["schedule"]["batch_size"] == TOY["schedule.batch_size"]
    assert set(results.rows) == {"oracle", "random tokens", "MLE, best epoch (2 of 2)", "mle, last"}


def test_an_end_of_the_process_later_in_training_is_a_failure(
    write_part: WritePart, cli: Cli
) -> None:
    write_part(
        """
        calls: ClassVar[list] = []
        def generator_loss(self, *given):
            self.calls.append(1)
            if len(self.calls) > 1: raise SystemExit(0)
            return given[0].log_prob(given[3]).sum(), {}
        """
    )
    code, _, err = cli("train", "mine.py:Mine", "--out", "run", *ONE)
    assert code == 2
    assert "a part called sys.exit()" in err
