import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluated import SHORT

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
    found = {}
    for name, lines in (("samples", 60), ("test", 80), ("train", 150)):
        path = tmp_path / f"{name}.txt"
        path.write_text("".join(" ".join(dice.choice(words, 6)) + "\n" for _ in range(lines)))
        found[name] = str(path)
    return found
