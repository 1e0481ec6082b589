"""The command line as a user meets it: what it prints, where, and with which exit code."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toys import Cli, refused

from textgan.training.checkpoint import checkpoints


def test_help_is_quick_and_imports_no_torch() -> None:
    code = (
        "import sys, textgan.cli; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for command in ([], ["train"], ["resume"], ["sample"], ["evaluate"], ["bench"], ["data"]):
        shown = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "textgan", *command, "--help"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert "Usage" in shown.stdout
        assert " torch" not in shown.stderr


def test_version(cli: Cli) -> None:
    import textgan

    assert cli("--version")[:2] == (0, f"textgan {textgan.__version__}\n")


# every way to get it wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["resume", "sample", "evaluate"])
def test_commands_on_what_is_no_run(command: str, cli: Cli, tmp_path: Path) -> None:
    assert "does not exist" in refused(cli, command, tmp_path / "nothing")
    assert "not a run" in refused(cli, command, tmp_path)


def test_damaged_run_files_are_named(cli: Cli, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    saved = checkpoints(copy)[-1]
    saved.write_bytes(saved.read_bytes()[:-7])
    assert str(saved) in refused(cli, "sample", copy)
    words = (copy / "vocabulary.json").read_text()
    for damage in ("{", "[]", '{"words": 5, "tokens": "word", "separator": " "}'):
        (copy / "vocabulary.json").write_text(damage)
        assert "damaged" in refused(cli, "evaluate", copy)
    (copy / "vocabulary.json").write_text(words)
    (copy / "data.safetensors").write_bytes(b"no")
    assert "data.safetensors" in refused(cli, "evaluate", copy)
    (copy / "config.json").write_text("{")
    assert "config.json" in refused(cli, "resume", copy)


def test_an_option_is_not_taken_for_the_value_of_another(cli: Cli) -> None:
    shown = refused(cli, "evaluate", "a.txt", "--aligned", "--metrics", "ter")
    assert shown.endswith("--aligned has no value; give one before --metrics")
    shown = refused(cli, "sample", "run", "--out", "-n", 3)
    assert shown.endswith("--out has no value; give one before -n")
    # flags take no value, what is given is none, and after -- nothing is an option
    for given in (["--greedy", "--beam", 1], ["--out", "--x", "-n", 1], ["--", "--out", "-n"]):
        assert "has no value; give one before" not in cli("sample", "run", *given)[2]
