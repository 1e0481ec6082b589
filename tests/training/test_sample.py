"""Texts of a run as the command draws them."""

import shutil
from pathlib import Path

import pytest
from toys import TOY, Cli

import textgan
from textgan.core.errors import UserError
from textgan.training.run import open_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, which is not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    textgan.train("seqgan", out=folder, quiet=True, plot=False, **TOY)
    return folder


def test_sampling_an_interrupted_run_says_where_it_stopped(
    cli: Cli, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    code, out, err = cli("sample", tmp_path / "run", "-n", 2)
    assert code == 0 and "not finished" not in err and len(out.splitlines()) == 2
    assert textgan.sample(tmp_path / "run", 2) == out.splitlines()
    (tmp_path / "run/results.json").unlink()
    assert open_run(str(tmp_path / "run")).stopped_at() == "before its final measures"
    newest, *_ = sorted((tmp_path / "run/checkpoints").iterdir(), reverse=True)
    newest.unlink()  # the one before is from the end of the discriminator's pretraining
    code, out, err = cli("sample", tmp_path / "run", "-n", 2)
    assert code == 0 and len(out.splitlines()) == 2
    [line] = err.strip().splitlines()
    assert "is not finished: it stopped in round 1 of 2. Go on with: textgan resume" in line
    wrongs: list[dict[str, object]] = [
        {"temperature": 0}, {"mixture": "1"}, {"joint_temperature": -1}, {"n": 0}, {"seed": -1},
        {"weights": "best"},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(UserError, match="give"):
            textgan.sample(tmp_path / "run", **wrong)  # type: ignore[arg-type]


def test_texts_of_a_mixture_and_of_a_joint_temperature(cli: Cli, trained: Path) -> None:
    run = trained
    code, out, _ = cli("sample", run, "-n", 30, "--mixture", "1:0.5,0.0001:0.5")
    lines = out.splitlines()
    assert code == 0 and lines == textgan.sample(run, 30, mixture={1: 0.5, 0.0001: 0.5})
    greedy = textgan.sample(run, 1, temperature=1e-4)[0]
    assert 5 <= lines.count(greedy) <= 25  # half of them, but for chance
    code, out, _ = cli("sample", run, "-n", 30, "--joint-temperature", 0.8)
    assert code == 0 and len(out.splitlines()) == 30
    assert out.splitlines() == textgan.sample(run, 30, joint_temperature=0.8)
    code, out, err = cli("sample", run, "--mixture", "1:0.5")
    assert (code, out) == (2, "")
    assert err == "textgan: mixture = '1:0.5': weights must be above 0 and add up to 1, not 0.5\n"
    for two in (["--temperature", "0.5"], ["--joint-temperature", "0.5"]):
        code, _, err = cli("sample", run, "--mixture", "1:1", *two)
        assert code == 2 and "by --mixture" in err
    with pytest.raises(UserError, match="for texts that are drawn; leave it or greedy out"):
        textgan.sample(run, greedy=True, mixture="1:1")
