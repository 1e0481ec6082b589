"""Files of code that a run's folder, or a file of settings, names: nothing runs unasked."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import TOY, Cli, in_0_1s_way, refused

import textgan
from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.own_code import Typed, own_file, own_files
from textgan.core.tensors import save_tensors
from textgan.evaluation.compare import compare_runs
from textgan.evaluation.report.page import write_report
from textgan.evaluation.scoring import choose_metrics
from textgan.evaluation.temperature_sweep import complete, curve
from textgan.perturb.base import perturbation
from textgan.training.config import make_config
from textgan.training.run import create_run, open_run

OWN = """
from dataclasses import dataclass
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.losses import logistic, policy_gradient
from textgan.objectives.base import Objective
from textgan.perturb.fgm import FGM

class G(LSTMGenerator): "Mine."
class D(CNNDiscriminator): "Mine."
class P(FGM): "Mine."

@dataclass(kw_only=True)
class O(Objective):
    "Mine."
    scale: float = 1.0

    def sample(self, generator, real, progress): return generator.sample(len(real))
    def discriminator_loss(self, discriminator, real, fake):
        return logistic(*discriminator.score_pair(real, fake)), {}
    def generator_loss(self, generator, discriminator, real, fake, progress):
        reward = self.scale * discriminator(fake).sigmoid()[:, None].expand_as(fake.tokens)
        return policy_gradient(generator.log_prob(fake), reward, fake.mask, "sum"), {}
"""
SMALL: dict[str, Any] = {key: value for key, value in TOY.items() if key != "objective.rollouts"}
SMALL |= {"schedule.rounds": 1, "schedule.mle_epochs": 1}
PLACES = [
    "objective.name",
    "generator.name",
    "discriminator.name",
    "discriminator.perturb",
    "mle.perturb",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a built-in method."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    textgan.train("reinforce", out=folder, quiet=True, **SMALL)
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which every part is in a file that is no longer there."""
    place = tmp_path_factory.mktemp("own")
    path = place / "mine.py"
    path.write_text(OWN)
    parts = {
        "generator": f"{path}:G",
        "discriminator": f"{path}:D",
        "discriminator.perturb": f"{path}:P(epsilon=0.5)",
        "mle.perturb": f"{path}:P",
    }
    textgan.train(f"{path}:O", out=place / "run", quiet=True, **SMALL, **parts)
    path.unlink()
    return place / "run"


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """A file of code that leaves a mark when it is imported; afterwards there must be none."""
    path = tmp_path / "evil.py"
    path.write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w').close()\n" + OWN)
    yield path
    assert not (tmp_path / "PWNED").exists()


def name_in(folder: Path, key: str, name: str) -> None:
    """Put a name into a run's config, and let everything else agree with it, as a forger would."""
    config = json.loads((folder / "config.json").read_text())
    group, _, last = key.partition(".")
    config[group][last] = name
    (folder / "config.json").write_text(json.dumps(config))
    in_0_1s_way(folder)


def ways(folder: Path) -> dict[str, Callable[[], object]]:
    """Everything that opens a run, from Python."""
    return {
        "open_run": lambda: open_run(folder).load_generator(),
        "resume": lambda: textgan.resume(folder, quiet=True),
        "evaluate": lambda: textgan.evaluate(folder, quiet=True, metrics=["distinct"]),
        "compare": lambda: compare_runs([folder], quiet=True),
        "curve": lambda: curve(folder, temperatures=[1.0], metrics=["distinct"], quiet=True),
        "complete": lambda: complete([folder], quiet=True),
        "report": lambda: write_report([folder], folder / "report.html"),
    }


COMMANDS: dict[str, list[str]] = {
    "sample": ["-n", "2"],
    "evaluate": ["--metrics", "distinct", "--resamplings", "0"],
    "compare": [],
    "curve": ["--metrics", "distinct", "--temperatures", "1"],
    "resume": [],
    "report": [],
}


@pytest.mark.parametrize("key", PLACES)
@pytest.mark.parametrize("form", ["relative", "absolute", "dots", "link", "upper", "settings"])
def test_no_command_runs_code_that_a_folder_names(
    cli: Cli, finished: Path, trap: Path, monkeypatch: pytest.MonkeyPatch, key: str, form: str
) -> None:
    monkeypatch.chdir(trap.parent)
    folder = Path("theirs")
    shutil.copytree(finished, folder)
    shutil.copy(trap, folder)
    (folder / "linked.py").symlink_to(trap)
    letter = "P" if key.endswith("perturb") else key[0].upper()
    name = {
        "relative": f"theirs/evil.py:{letter}",
        "absolute": f"{folder.resolve() / 'evil.py'}:{letter}",
        "dots": f"theirs/../theirs/evil.py:{letter}",
        "link": f"theirs/linked.py:{letter}",
        "upper": f"theirs/evil.PY:{letter}",
        "settings": f"theirs/evil.py:{letter}" + ("(epsilon=1.0)" if letter == "P" else ""),
    }[form]
    name_in(folder, key, name)
    for file in ("results.json", "evaluation.json", "curve.json"):
        (folder / file).unlink(missing_ok=True)
    # what is needed to go on training is more than what is needed to write texts
    needed = {"generator.name": COMMANDS.keys()}.get(key, {"resume"})
    if key in ("objective.name", "generator.name", "discriminator.name") or form == "upper":
        commands = list(COMMANDS)
    else:
        commands = ["resume", "sample", "evaluate"]  # the others open a run as evaluate does
    for command in commands if form in ("relative", "upper") else ["resume", "sample"]:
        code, _, err = cli(command, folder, *COMMANDS[command])
        assert "Traceback" not in err
        if form != "upper" and command in needed and command != "report":
            assert code == 2
            sha = hashlib.sha256(trap.read_bytes()).hexdigest()
            assert all(word in err for word in (key, name.partition(":")[0], sha, "--trust-code"))
            assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("key", ["objective.name", "generator.name"])
def test_no_function_runs_code_that_a_folder_names(finished: Path, trap: Path, key: str) -> None:
    folder = trap.parent / "theirs"
    shutil.copytree(finished, folder)
    name_in(folder, key, f"{trap}:{key[0].upper()}")
    for file in ("results.json", "evaluation.json"):
        (folder / file).unlink(missing_ok=True)
    for way, do in ways(folder).items():
        if way in ("complete", "report") or (key == "objective.name" and way != "resume"):
            continue  # the first is of finished runs, the second reads files only
        with pytest.raises(UserError, match=r"sha256 [0-9a-f]{64}.*trust_code=True"):
            do()


@pytest.mark.parametrize("value", [["EVIL:O"], {"name": "EVIL:O"}, {"x": ["EVIL:O"]}, "EVIL:O"])
@pytest.mark.parametrize(
    "key", ["objective.name", "generator", "mle.perturb", "data.file", "generator.init", "evil"]
)
def test_names_that_stand_elsewhere_are_not_even_looked_at(
    cli: Cli, finished: Path, trap: Path, key: str, value: Any
) -> None:
    folder = trap.parent / "theirs"
    shutil.copytree(finished, folder)
    config = json.loads((folder / "config.json").read_text())
    value = json.loads(json.dumps(value).replace("EVIL", str(trap)))
    group, _, last = key.partition(".")
    if last:
        config[group][last] = value
    else:
        config[group] = value
    (folder / "config.json").write_text(json.dumps(config))
    for command in ("resume", "sample", "report"):
        _, _, err = cli(command, folder)
        assert "Traceback" not in err


def test_what_was_measured_names_metrics_that_are_not_imported(
    cli: Cli, finished: Path, trap: Path
) -> None:
    folder = trap.parent / "theirs"
    shutil.copytree(finished, folder)
    cli("evaluate", folder, "--metrics", "distinct", "--resamplings", "0")
    cli("curve", folder, "--metrics", "distinct", "--temperatures", "1")
    in_0_1s_way(folder)
    for file in ("evaluation.json", "curve.json"):
        content = json.loads((folder / file).read_text())
        content["facts"]["metrics"] = [f"{trap}:O"]
        content["unavailable"] = {f"{trap}:O": "x"}
        (folder / file).write_text(json.dumps(content))
    assert cli("report", folder)[0] == 0
    assert cli("evaluate", folder, "--metrics", "length", "--resamplings", "0")[0] == 0


def test_an_encoders_folder_runs_nothing(cli: Cli, finished: Path, trap: Path) -> None:
    folder = trap.parent / "encoder"
    folder.mkdir()
    about = {
        "network": f"{trap}:D", "settings": {"x": f"{trap}:D"}, "classes": 0, "model": {},
        "tokenizer": {"kind": "words", "tokens": "word", "separator": " ", "length": 4,
                   "words": ["a"]},
        "facts": {"perturb": f"{trap}:P", "pooling": "mean"},
    }  # fmt: skip
    save_tensors(folder / "encoder.safetensors", {"x": torch.zeros(1)}, about)
    (folder / "encoder.json").write_text(json.dumps(about))
    for arguments in (
        ["evaluate", finished, "--metrics", "frechet", "--encoder", folder],
        ["similarity", folder, "--data", trap],
        ["encode", "simcse", "--start", folder, "--data", trap, "--out", trap.parent / "new"],
    ):
        code, _, err = cli(*arguments)
        assert code == 2
        assert "Traceback" not in err


def test_a_file_of_settings_is_not_trusted_but_what_is_typed_is(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("open('RAN', 'w').close()\n" + OWN)
    Path("x.toml").write_text('objective = "mine.py:O"\nmle.perturb = "mine.py:P(epsilon=1.0)"\n')
    Path("x.json").write_text('{"generator": {"name": "mine.py:G"}}')
    sha = hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()
    for target in ("x.toml", "x.json"):
        line = refused(cli, "train", target)
        assert all(word in line for word in ("mine.py", sha, "--trust-code", "type the name"))
        with pytest.raises(UserError, match="trust_code=True"):
            textgan.train(target)
    assert not Path("RAN").exists()
    assert make_config("x.toml", trust_code=True).objective.name == "mine.py:O"
    Path("RAN").unlink()
    assert make_config("x.toml", ["mle.perturb=mine.py:P"]).objective.name == "mine.py:O"
    assert make_config({"objective": "mine.py:O"}).objective.name == "mine.py:O"


def test_a_part_asked_for_by_no_user_is_refused(trap: Path) -> None:
    with pytest.raises(UserError, match="no file may be imported"):
        registry.find("objective", f"{trap}:O")
    with pytest.raises(UserError, match="no file may be imported"):
        perturbation(f"{trap}:P(epsilon=1.0)")
    with pytest.raises(UserError, match="no file may be imported"):
        registry.build("generator", f"{trap}:G", {})


def test_a_run_of_ones_own_parts_opens_anywhere_where_they_are_trusted(
    cli: Cli, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(own, folder)
    monkeypatch.chdir(tmp_path)
    facts = json.loads((folder / "run.json").read_text())
    assert list(facts["code"].values()) == ["code/mine.py"]
    assert facts["files"]["code/mine.py"] == hashlib.sha256(OWN.encode()).hexdigest()
    for command in ("sample", "evaluate", "curve"):
        line = refused(cli, command, folder, *COMMANDS[command])
        assert "code/mine.py (sha256 " in line
        assert cli(command, folder, *COMMANDS[command], "--trust-code")[0] == 0
    assert cli("report", "--no-measure", folder)[0] == 0
    assert cli("compare", folder, "--trust-code")[0] == 0
    (folder / "results.json").unlink()
    assert "--trust-code" in refused(cli, "resume", folder)
    code, _, err = cli("resume", folder, "--trust-code")
    assert code == 0
    assert "mine.py is not there any more; the run goes on with its own copy, code/mine.py" in err
    assert not list(folder.rglob("*.pyc"))


def test_only_what_a_command_needs_is_imported(own: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(OWN)
    other = tmp_path / "other.py"
    other.write_text(OWN)
    parts = {"discriminator": f"{other}:D", "mle.perturb": f"{other}:P"}
    textgan.train(f"{mine}:O", out=tmp_path / "run", quiet=True, **SMALL, **parts)
    run = open_run(tmp_path / "run")
    run.load_generator()  # of this package, as it would be with the method of one's own
    with pytest.raises(UserError, match=r"objective\.name.*would run the code"):
        run.build_objective()
    with pytest.raises(UserError, match=r"mle\.perturb.*would run the code"):
        run.perturbations()


def test_a_resumed_run_keeps_to_its_copy(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(OWN)
    config = make_config("mine.py:O", SMALL)
    for name in ("whole", "edited"):
        create_run(config, Path(name))
    whole = textgan.resume("whole", quiet=True, trust_code=True)
    Path("mine.py").write_text(OWN.replace("self.scale *", "-self.scale *"))
    code, _, err = cli("resume", "edited", "--trust-code")
    assert code == 0
    assert "mine.py was changed since the run began; the run goes on with its own copy" in err
    for file in ("mle.safetensors", "metrics.jsonl", "samples.txt"):
        assert (Path("whole") / file).read_bytes() == (Path("edited") / file).read_bytes()
    assert whole.to_dict() == textgan.resume("edited", quiet=True, trust_code=True).to_dict()
    copy = Path("whole/code/mine.py")
    copy.write_bytes(copy.read_bytes() + b"\n")
    with pytest.raises(UserError, match=r"code/mine\.py was changed after the run began"):
        open_run("whole", trust_code=True).build_objective()
    with pytest.raises(UserError, match=r"whole/code/mine\.py \(sha256"):
        open_run("whole").build_objective()


def test_a_compiled_file_beside_the_copy_is_not_what_runs(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util
    import py_compile

    folder = tmp_path / "theirs"
    shutil.copytree(own, folder)
    copy = folder / "code/mine.py"
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w').close()\n" + OWN)
    cached = importlib.util.cache_from_source(str(copy))
    py_compile.compile(
        str(evil), cached, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    open_run(folder, trust_code=True).load_generator()
    assert not (tmp_path / "PWNED").exists()


def test_parts_of_two_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    names = []
    for place, text in (("a", OWN), ("b", OWN + "\n# another\n")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "mine.py").write_text(text)
        names.append(str(tmp_path / place / "mine.py"))
    config = make_config(f"{names[0]}:O", {**SMALL, "discriminator": f"{names[1]}:D"})
    run = create_run(config, tmp_path / "run")
    assert run.identity.copies == {names[0]: "code/mine.py", names[1]: "code/mine-2.py"}
    assert type(run.build_discriminator()).__module__ != type(run.build_objective()).__module__
    again = create_run(config, tmp_path / "again")
    assert again.digest == run.digest
    Path(names[0]).write_text(OWN + "\n# changed\n")
    assert create_run(config, tmp_path / "third").digest != run.digest


def test_what_is_no_file_of_code_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.py")
    for name, message in (("pipe.py", "there is no file"), ("none.py", "there is no file")):
        with pytest.raises(UserError, match=message):
            make_config(f"{tmp_path / name}:O")
    (tmp_path / "large.py").write_bytes(b"#" * (2**22 + 1))
    with pytest.raises(UserError, match="larger than"):
        make_config(f"{tmp_path / 'large.py'}:O")
    (tmp_path / "odd.py").write_text("class O(: pass\n")
    with pytest.raises(UserError, match="does not import: SyntaxError"):
        make_config(f"{tmp_path / 'odd.py'}:O")


def test_metrics_of_ones_own_are_typed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from textgan.metrics.ngrams import Distinct\nclass Mine(Distinct): 'Mine.'\n"
    )
    assert type(choose_metrics([f"{tmp_path}/mine.py:Mine"])[0]).__name__ == "Mine"
    assert Typed.among([f"{tmp_path}/mine.py:Mine", 3]).allowed == {f"{tmp_path}/mine.py"}


def test_names_of_files_in_settings() -> None:
    assert own_file("a/b.py:C") == own_file(" a/b.py:C(x=d.py:E) ") == "a/b.py"
    assert own_file("fgm(embedding=d.py:E)") is own_file("seqgan") is own_file("a.PY:B") is None
    assert list(own_files({"a": ["x.py:A", {"b": "y.py:B(c=1)"}], "d": 3})) == ["x.py", "y.py"]
