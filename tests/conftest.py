import sys

import pytest
import torch
from hypothesis import settings
from toys import Cli

from textgan.cli.app import main

torch.set_num_threads(1)

# the same examples every time: a test that fails, fails for everyone
settings.register_profile("textgan", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("textgan")


@pytest.fixture(autouse=True)
def fork_rng(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setenv("COLUMNS", "160")  # tables in their wide form, wherever the tests run


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["textgan", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        found = capsys.readouterr()
        code = stopped.value.code
        return (0 if code is None else int(code)), found.out, found.err

    return run
