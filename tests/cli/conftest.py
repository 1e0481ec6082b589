from pathlib import Path

import pytest
from toys import TOY_TEXT, toy_text

import textgan


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of SeqGAN on a text, which nobody alters."""
    folder = tmp_path_factory.mktemp("cli")
    data = toy_text(folder)
    textgan.train("seqgan", data=str(data), out=folder / "run", quiet=True, **TOY_TEXT)
    return folder / "run"
