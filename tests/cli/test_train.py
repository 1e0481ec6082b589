"""textgan train, resume and sample."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys import TOY, Cli, keys, refused

from textgan.training.checkpoint import checkpoints


def test_train_prints_the_table_on_standard_output_and_news_on_standard_error(
    cli: Cli, tmp_path: Path
) -> None:
    toy = keys({key: value for key, value in TOY.items() if key != "seed"})
    code, out, err = cli("train", "seqgan", "--out", tmp_path / "run", "--seed", 1, *toy)
    assert code == 0
    for row in ("oracle", "random tokens", "MLE, best epoch", "seqgan, last"):
        assert row in out
    assert "NLL_oracle" in out
    assert "NLL_test" in out
    assert "floor of NLL_oracle" in err
    assert "rollouts   about" in err
    assert (
        "updates    2 MLE epochs (10 by MLE); 1 discriminator turn (10 of the discriminator); "
        "2 rounds (2 of the generator, 20 of the discriminator)\n"
    ) in err
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "run.json", "results.json", "curves.png", "samples.txt"} <= names
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["seed"] == 1
    assert config["objective"]["rollouts"] == 2
    assert config["generator"]["name"] == "lstm"


def test_without_out_runs_get_a_number(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    short = {"schedule.rounds": 0, "schedule.mle_epochs": 1, "schedule.discriminator_turns": 0}
    for _ in range(2):
        assert cli("train", "seqgan", *keys(TOY | short))[0] == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "seqgan-oracle-1",
        "seqgan-oracle-2",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["seqgn"], ["'seqgn'", "did you mean 'seqgan'"]),
        (["missing.toml"], ["missing.toml"]),
        (["mine.py:Mine"], ["mine.py"]),
        (["seqgan", "objective.rollout=8"], ["objective.rollout", "did you mean 'rollouts'"]),
        (["seqgan", "objective.rollouts=many"], ["objective.rollouts", "'many'", "whole number"]),
        (
            ["seqgan", "objective.rollouts=0"],
            ["objective.rollouts = 0", "number from 1"],
        ),
        (["seqgan", "objective.baseline=mean"], ["objective.baseline", "'mean'", "none or batch"]),
        (["seqgan", "shedule.rounds=3"], ["shedule", "did you mean 'schedule'"]),
        (["seqgan", "schedule.round=3"], ["schedule.round", "did you mean 'rounds'"]),
        (["seqgan", "schedule.rounds=1.5"], ["schedule.rounds", "1.5", "whole number"]),
        (["seqgan", "schedule=3"], ["schedule", "3"]),
        (["seqgan", "seed.x=3"], ["seed", "whole number"]),
        (["seqgan", "rounds"], ["'rounds'", "key=value"]),
        (["seqgan", "epochs=5"], ["epochs is not a setting", "schedule.mle_epochs?"]),
        (["seqgan", "lr=0.001"], ["optimisers.mle_lr, optimisers.generator_lr, optimisers.disc"]),
        (["seqgan", "rollouts=3"], ["do you mean objective.rollouts?"]),
        (["seqgan", "hidden=3"], ["oracle.hidden or generator.hidden"]),
        (["seqgan", "generator=gru", "layers=3"], ["do you mean generator.layers?"]),
        (["seqgan", "epoch=5"], ["schedule.mle_epochs?"]),
        (["seqgan", "batchsize=5"], ["schedule.batch_size?"]),
        (["seqgan", "nothing=5"], ["known here: seed"]),
        (["seqgan", "generator=gruu"], ["generator.name", "'gruu'", "did you mean 'gru'"]),
        (["seqgan", "generator.hidden=-1"], ["generator.hidden", "-1"]),
        (["seqgan", "discriminator.sizes=[1,2]"], ["sizes has 2 entries and counts 0"]),
        (["seqgan", "discriminator.preset=leakgan32"], ["size 32", "20 tokens"]),
        (["seqgan", "oracle.parameters=none.npz"], ["oracle.parameters", "none.npz"]),
        (["seqgan", "--device", "quantum"], ["device", "'quantum'"]),
        (["seqgan", "--device", "cuda:99"], ["device", "'cuda:99'"]),
        (["seqgan", "--seed", "-1"], ["seed", "-1"]),
        (["seqgan", "--seed", "x"], ["seed", "x"]),
        (["seqgan", "--sede", "1"], ["--sede"]),
        (["mle", "discriminator=cnn"], ["discriminator.name", "mle has no discriminator"]),
        (
            ["seqgan", "optimisers.mle_lr=inf"],
            ["optimisers.mle_lr", "inf", "give a number above 0"],
        ),
        (["seqgan", "generator.init=nan"], ["generator.init", "nan", "give a number above 0"]),
        (
            ["seqgan", "oracle.seed=99999999999999999999999"],
            ["oracle.seed", "whole number from 0"],
        ),
        (["seqgan", "oracle=5"], ["oracle", "5"]),
        (["seqgan", "schedule.batch_size=900000"], ["schedule.batch_size", "900000", "10000"]),
        (["cot", "schedule.discriminator_batch=1"], ["schedule.discriminator_batch", "2 or more"]),
        (["cot", "schedule.discriminator_batch=90000"], ["discriminator_batch", "90000", "10000"]),
        (
            [
                "seqgan",
                "schedule.mle_epochs=0",
                "schedule.rounds=0",
                "schedule.discriminator_turns=0",
            ],
            ["nothing to train"],
        ),
        (["mle", "discriminator.hidden=3"], ["discriminator.hidden", "mle has no discriminator"]),
        (["seqgan", "--data", "none.txt"], ["none.txt", "no such file"]),
        (["seqgan", "--data", "."], ["'.'", "not a file"]),
        (
            ["seqgan", "--data", "x", "--tokens", "syllable"],
            ["data.tokens", "'syllable'", "word, char or bpe"],
        ),
    ],
)
def test_what_train_refuses(
    arguments: list[str],
    expected: list[str],
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(cli, "train", *arguments)
    for part in expected:
        assert part in line
    assert not (tmp_path / "runs").exists()  # nothing was written


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"\n \n\t\n", "empty"),
        (b"\x00\x01\x02" * 100, "binary"),
        (b"fine\n\xff\xfe broken\n", "line 2"),
        (b"only one sentence\n", "1 usable sentences"),
        (b"word\n" * 100, "different sentences"),
        (b"".join(b"w" + b" w" * i + b"\n" for i in range(60)), "vocabulary of 1"),
        (b"a b\n" * 9, "at least 20"),
    ],
)
def test_files_that_train_refuses(
    content: bytes, expected: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.txt").write_bytes(content)
    line = refused(cli, "train", "seqgan", "--data", "data.txt", "--out", "run")
    assert "data.txt" in line
    assert expected in line
    assert not Path("run").exists()


def test_a_folder_in_use_is_left_alone(cli: Cli, finished: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    line = refused(cli, "train", "seqgan", "--out", finished)
    assert str(finished) in line
    assert "textgan resume" in line
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before
    (tmp_path / "letter.txt").write_text("dear")
    assert "in use" in refused(cli, "train", "seqgan", "--out", tmp_path)
    assert "in use" in refused(cli, "train", "seqgan", "--out", tmp_path / "letter.txt")


def test_a_broken_toml_file_is_named(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = \n")
    assert "mine.toml" in refused(cli, "train", path)
    path.write_text("[schedule]\nroundz = 3\n")
    line = refused(cli, "train", path)
    assert "schedule.roundz" in line
    assert "did you mean 'rounds'" in line


def test_sample_refuses(cli: Cli, finished: Path, tmp_path: Path) -> None:
    assert "temperature = " in refused(cli, "sample", finished, "--temperature", 0)
    assert "temperature = " in refused(cli, "sample", finished, "--temperature", "nan")
    assert "weights = 'best'" in refused(cli, "sample", finished, "--weights", "best")
    assert "n = 0" in refused(cli, "sample", finished, "-n", 0)
    there = tmp_path / "there.txt"
    there.write_text("mine\n")
    assert str(there) in refused(cli, "sample", finished, "--out", there)
    assert there.read_text() == "mine\n"


def test_sample_is_a_function_of_the_seed(cli: Cli, finished: Path, tmp_path: Path) -> None:
    first = cli("sample", finished, "-n", 20, "--seed", 3)
    assert first[0] == 0
    assert len(first[1].splitlines()) == 20
    assert cli("sample", finished, "-n", 20, "--seed", 3) == first
    assert cli("sample", finished, "-n", 20, "--seed", 4)[1] != first[1]
    out = tmp_path / "deep" / "samples.txt"
    assert cli("sample", finished, "-n", 20, "--seed", 3, "--out", out)[0] == 0
    assert out.read_text() == first[1]
    known = {"a", "the", "cat", "dog", "sees", "likes", "old", "red", "tree", "house"}
    assert set(first[1].split()) <= known  # no unknown word, no end token
    cold = cli("sample", finished, "-n", 50, "--temperature", 0.01)[1].splitlines()
    warm = cli("sample", finished, "-n", 50, "--temperature", 5)[1].splitlines()
    assert len(set(cold)) < len(set(warm))


def test_a_copied_run_samples_the_same(cli: Cli, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "elsewhere")
    there = cli("sample", tmp_path / "elsewhere", "-n", 9)
    assert there == cli("sample", finished, "-n", 9)


def test_resume_of_a_finished_run_says_so(cli: Cli, finished: Path) -> None:
    code, out, err = cli("resume", finished)
    assert code == 0
    assert "seqgan, last" in out
    assert "nothing is left to do" in err


def test_one_new_file_is_one_new_method(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        """
from dataclasses import dataclass
from textgan.losses import logistic, policy_gradient
from textgan.objectives.base import Objective

@dataclass(kw_only=True)
class Reinforce(Objective, name="my_reinforce"):
    "One reward for a finished sentence."
    scale: float = 1.0

    def sample(self, generator, real, progress): return generator.sample(len(real))
    def discriminator_loss(self, discriminator, real, fake):
        return logistic(*discriminator.score_pair(real, fake)), {}
    def generator_loss(self, generator, discriminator, real, fake, progress):
        reward = self.scale * discriminator(fake).sigmoid()[:, None].expand_as(fake.tokens)
        return policy_gradient(generator.log_prob(fake), reward, fake.mask, "sum"), {}
"""
    )
    settings = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
    arguments = ["mine.py:Reinforce", "--out", "run", "objective.scale=2", *keys(settings)]
    code, out, _ = cli("train", *arguments)
    assert code == 0
    assert "mine.py:Reinforce, last" in out
    assert json.loads(Path("run/config.json").read_text())["objective"]["scale"] == 2.0
    assert "objective.scala" in refused(cli, "train", *arguments[:1], "objective.scala=2")
    Path("mine.py").write_text("import nothing_of_the_kind\n")
    # a file that changed is read again only in a new process
    other = Path("other.py")
    other.write_text("import nothing_of_the_kind\n")
    assert "nothing_of_the_kind" in refused(cli, "train", "other.py:Reinforce")
    other.write_text("x = 1\n")
    assert "no class Reinforce" in refused(cli, "train", "other.py:Reinforce")


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    settings = keys(TOY | {"schedule.rounds": 2000})
    command = [sys.executable, "-m", "textgan", "train", "seqgan", "--out", "run", *settings]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=one_thread
    )
    deadline = time.monotonic() + 60
    records = tmp_path / "run/metrics.jsonl"
    while time.monotonic() < deadline and not (records.is_file() and records.stat().st_size > 4000):
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "textgan resume run" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert len(checkpoints(tmp_path / "run")) > 0


def test_filters_that_do_not_fit_name_both_settings(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("".join(f"{a} {b}\n" for a in "abcdefg" for b in "abcdefg"))
    arguments = ["train", "relgan", "--data", "a.txt", "data.min_count=1"]
    code, _, err = cli(*arguments)
    remedy = "discriminator.sizes=[2,3] discriminator.counts=[300,300]"
    assert code == 2 and f"give smaller ones and as many counts, such as {remedy}" in err
    tiny = ["schedule.mle_epochs=1", "schedule.rounds=0", "evaluation.samples=10"]
    code, _, err = cli(*arguments, *remedy.split(), *tiny, "evaluation.final_samples=10")
    assert code == 0, err
