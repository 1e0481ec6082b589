from pathlib import Path
from typing import Any

import pytest
from contrast import Spy
from encoded import TOY

from textgan.encoders.train import encode


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toy.txt"
    nouns, verbs = ["cat", "dog", "tree", "house", "bird"], ["sees", "likes", "finds"]
    path.write_text(
        "".join(
            f"the {one} {verb} the old {other}\n"
            for one in nouns
            for verb in verbs
            for other in nouns
            if one != other
        )
    )
    return path


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toy.tsv"
    nouns, moods = ["cat", "dog", "tree", "house", "bird"], {"good": "likes", "bad": "hates"}
    path.write_text(
        "".join(
            f"{mood}\tthe {one} {verb} the {other}\n"
            for one in nouns
            for other in nouns
            for mood, verb in moods.items()
        )
    )
    return path


@pytest.fixture(scope="module")
def mlm(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "mlm"
    encode("mlm", data=text, out=folder, quiet=True, **TOY)
    return folder


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The shifts of all passes of USCAL and SCAL."""
    result: list[Any] = []
    monkeypatch.setattr(Spy, "told", result, raising=False)
    monkeypatch.setattr("textgan.perturb.shifts.EmbeddingOutput", Spy)
    return result
