import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluated import SHORT
from toys import TOY_TEXT, toy_text

import textgan


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: two seeds of seqgan, one of mle."""
    home = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        textgan.train(
            "seqgan", out=home / f"seqgan-{seed}", quiet=True, plot=False, **SHORT | {"seed": seed}
        )
    plain = {k: v for k, v in SHORT.items() if not k.startswith(("discriminator", "objective"))}
    textgan.train("mle", out=home / "mle", quiet=True, plot=False, **plain)
    return home


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """The same runs, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    dice = np.random.default_rng(0)
    words = ["the", "a", "cat", "dog", "sees", "likes", "red", "old", "tree", "house"]
    result = {}
    for name, lines in (("samples", 60), ("test", 80), ("train", 150)):
        path = tmp_path / f"{name}.txt"
        path.write_text("".join(" ".join(dice.choice(words, 6)) + "\n" for _ in range(lines)))
        result[name] = str(path)
    return result


@pytest.fixture(scope="session")
def trained_on_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on one file of words."""
    home = tmp_path_factory.mktemp("runs")
    data = toy_text(home, 80)
    short = TOY_TEXT | {"schedule.rounds": 1, "evaluation.final_samples": 40, "data.min_count": 1}
    plain = {k: v for k, v in short.items() if not k.startswith(("discriminator", "objective"))}
    textgan.train("seqgan", data=data, out=home / "gan", quiet=True, plot=False, **short)
    for name, rate in (("mle", 0.01), ("third", 0.1)):
        settings = plain | {"optimisers.mle_lr": rate}
        textgan.train("mle", data=data, out=home / name, quiet=True, plot=False, **settings)
    return home


@pytest.fixture
def text_runs(trained_on_text: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_on_text, tmp_path / "runs"))
