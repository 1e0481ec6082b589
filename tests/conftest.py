import gc
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from kept_runs import SMALL, WORDS, trained
from parts import WritePart
from parts import write_part as write
from toys import Cli, toy_text

from textgan.cli.app import main
from textgan.training import results
from textgan.training.plot import plot_curves
from textgan.training.run import Run

torch.set_num_threads(1)

# the same examples every time: a test that fails, fails for everyone
settings.register_profile("textgan", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("textgan")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is collected is garbage: half a million objects need not be looked through."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where torch is not the pinned one, skip what was chosen by its random numbers: dropout,
    truncated normals and exponentials of one seed differ between 2.6 and 2.13."""
    pins = Path(__file__).parents[1].joinpath("constraints.txt").read_text().splitlines()
    if f"torch=={torch.__version__.partition('+')[0]}" not in pins:
        skip = pytest.mark.skip(reason="chosen by the random numbers of the pinned torch")
        for item in items:
            if item.get_closest_marker("torch_random"):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def fork_rng(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setenv("COLUMNS", "160")  # tables in their wide form, wherever the tests run


@pytest.fixture(scope="session", autouse=True)
def empty_pictures() -> Iterator[None]:
    """Runs leave an empty curves.png, for to draw it takes longer than they do."""

    def empty(run: Run) -> bool:
        (run.folder / "curves.png").touch()
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "plot_curves", empty)
        yield


@pytest.fixture(scope="module")
def pictures(empty_pictures: None) -> Iterator[None]:
    """Runs draw their curves.png after all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "plot_curves", plot_curves)
        yield


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["textgan", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        code = stopped.value.code
        return (0 if code is None else int(code)), captured.out, captured.err

    return run


@pytest.fixture
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks on the CPU whose machine is measured in no time."""
    monkeypatch.setattr("textgan.bench.machine.PRODUCTS", {"cpu": (32, 64), "cuda": (256,)})
    monkeypatch.setattr("textgan.training.run.torch.cuda.is_available", lambda: False)


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 sentences of which one word tells the label."""
    tells = {"good": ["fine", "lovely", "great"], "bad": ["dull", "awful", "poor"]}
    rest = ["the", "film", "a", "story", "plot", "with", "and", "its"]
    lines = []
    for number in range(80):
        label = ("good", "bad")[number % 2]
        words = [rest[(number * k) % 8] for k in range(1, 2 + number % 5)]
        words.insert(number % 3, tells[label][number % 3])
        lines.append(f"{label}\t{' '.join(words)} {number}\n")
    path = tmp_path_factory.mktemp("reviews") / "reviews.tsv"
    path.write_text("".join(lines))
    return path


@pytest.fixture
def write_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WritePart:
    """Write parts of one's own to a folder of the test's, where it then runs."""
    monkeypatch.chdir(tmp_path)
    return write


@pytest.fixture(scope="session")
def twin_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the oracle that differ in a seed, and runs of text that differ in a word."""
    made = tmp_path_factory.mktemp("runs")
    trained(made / "oracle", **SMALL)
    trained(made / "oracle-other", **SMALL | {"seed": 2, "oracle.seed": 7})
    text = toy_text(made)
    trained(made / "text", data=text, **WORDS)
    text.write_text(text.read_text().replace("house", "horse"))
    trained(made / "text-other", data=text, **WORDS)
    return made
