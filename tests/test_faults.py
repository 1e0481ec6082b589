"""No traceback where one line was promised: what strangers and a crowbar found, row by row."""

import errno
import importlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import TOY, TOY_TEXT, Cli, keys, refused, toy_text

import textgan
from textgan.core import files
from textgan.core.errors import NotKept, UserError
from textgan.core.identity import DIGEST, RUN, sealed
from textgan.core.memory import count_weights
from textgan.core.tensors import save_tensors
from textgan.evaluation.store import store_evaluation
from textgan.training.checkpoint import checkpoints, load_checkpoint


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    textgan.train("seqgan", data=str(toy_text(folder)), out=folder / "run", quiet=True, **TOY_TEXT)
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """From then on nothing can be written in a folder, as on a full disk or one that is
    read-only (tests may be run by root, who may write everywhere)."""

    def fill(folder: Path) -> None:
        really, real_open = Path.open, io.open

        def refuse(path: Any, mode: str) -> None:
            place = os.path.abspath(os.fspath(path)) if isinstance(path, (str, Path)) else ""
            inside = place.startswith(str(folder.resolve()) + os.sep)
            if inside and set(mode) & set("wax+"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)

        def opened(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
            refuse(self, mode)
            return really(self, mode, *rest, **more)

        def anywhere(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
            refuse(file, mode)
            return real_open(file, mode, *rest, **more)

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr("builtins.open", anywhere)

    return fill


# --- disk full, read-only -------------------------------------------------------------------------

QUICK = ("--metrics", "distinct", "--samples", 20, "--resamplings", 0)


def test_evaluate_shows_what_it_cannot_keep(
    cli: Cli, run: Path, full: Callable[[Path], None]
) -> None:
    full(run)
    code, out, err = cli("evaluate", run, *QUICK)
    assert code == 2 and "Distinct-2" in out
    first, *_, last = err.splitlines()
    assert first.startswith("warning: ") and "No space left" in first and "not kept" in first
    assert last.startswith("textgan: ") and "evaluation" in last and "not kept" in last
    assert not (run / "evaluation.json").exists()


def test_curve_shows_what_it_cannot_keep(cli: Cli, run: Path, full: Callable[[Path], None]) -> None:
    full(run)
    code, out, err = cli(
        "curve", run, "--metrics", "distinct", "--samples", 20, "--temperatures", "1,0.5"
    )
    assert code == 2 and "T = 0.5" in out
    assert "curve.json" in err.splitlines()[0] and "not kept" in err.splitlines()[-1]


def test_compare_and_report_show_what_they_cannot_keep(
    cli: Cli, run: Path, tmp_path: Path, full: Callable[[Path], None], monkeypatch: Any
) -> None:
    for module in ("evaluate", "temperature_sweep"):
        really = importlib.import_module(f"textgan.evaluation.{module}").choose_metrics
        monkeypatch.setattr(
            f"textgan.evaluation.{module}.choose_metrics",
            lambda names, *given, really=really, **named: really(["distinct"], *given, **named),
        )
    monkeypatch.setattr("textgan.evaluation.temperature_sweep.TEMPERATURES", (1.0, 0.5))
    full(run)
    code, out, err = cli("compare", run)
    assert code == 2 and "Distinct-2" in out and "not kept" in err.splitlines()[-1]
    message = refused(cli, "report", run)
    assert "report.html" in message and "No space left" in message
    code, out, _ = cli("report", run, "--out", tmp_path / "elsewhere" / "page.html")
    assert code == 0 and "page.html" in out
    page = (tmp_path / "elsewhere" / "page.html").read_text()
    assert "Distinct-2" in page and "not been evaluated" not in page
    assert not (run / "evaluation.json").exists() and not (run / "curve.json").exists()


def test_from_python_what_was_measured_is_in_the_error(
    run: Path, full: Callable[[Path], None]
) -> None:
    result = textgan.evaluate(run, metrics=["distinct"], samples=20, resamplings=0, quiet=True)
    full(run)
    with pytest.raises(NotKept) as error:
        store_evaluation(run, result)
    assert error.value.made is result and isinstance(error.value, UserError)


def test_a_finished_run_that_cannot_be_written_is_shown_and_sampled(
    cli: Cli, run: Path, full: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    full(run)
    monkeypatch.setattr(
        "filelock.FileLock.acquire",
        lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")),
    )
    code, out, _ = cli("resume", run)
    assert code == 0 and "seqgan, last" in out
    assert cli("sample", run, "-n", 3)[0] == 0
    (run / "results.json").unlink()
    message = refused(cli, "resume", run)
    assert "run.lock cannot be written: Read-only file system" in message


def test_a_disk_that_fills_while_training_is_one_line_and_loses_nothing(
    cli: Cli, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any of the writes; afterwards the run goes on to the same end."""
    data, fails = toy_text(tmp_path), {"left": 0}
    really = os.fsync

    def fsync(handle: int) -> None:
        fails["left"] -= 1
        if fails["left"] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(handle)

    out = tmp_path / "run"
    fails["left"] = 14
    monkeypatch.setattr(os, "fsync", fsync)
    code, _, err = cli("train", "seqgan", "--data", data, "--out", out, *keys(TOY_TEXT))
    message = err.splitlines()[-1]
    assert code == 2 and "cannot be written: No space left" in message and str(out) in message
    assert "Traceback" not in err and not list(out.rglob("*.partial"))
    fails["left"] = 10**9
    assert cli("resume", out)[0] == 0
    assert (out / "samples.txt").read_bytes() == (made / "samples.txt").read_bytes()


def test_tensorboard_that_cannot_write_is_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", fail)
    code, _, err = cli("train", "seqgan", "--out", tmp_path / "run", *keys(TOY))
    message = err.splitlines()[-1]
    assert code == 2 and "TensorBoard's file in" in message and "No space left" in message


def test_a_system_error_that_nobody_met_is_one_line(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")

    monkeypatch.setattr("textgan.training.sample._draw", fail)
    assert refused(cli, "sample", run) == "textgan: /somewhere/else: Permission denied"


def test_from_python_a_system_error_that_nobody_met_is_a_user_error(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")

    monkeypatch.setattr("textgan.training.run.read_config", fail)
    for call in (textgan.open_run, textgan.resume, textgan.evaluate):
        if call is textgan.resume:
            (run / "results.json").unlink()
        with pytest.raises(UserError, match="/somewhere/else: Permission denied"):
            call(run)


# --- files of a run -------------------------------------------------------------------------------


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def forge(path: Path, **values: Any) -> None:
    """Change a sealed file, and seal it again."""
    settings = {key: value for key, value in json.loads(path.read_text()).items() if key != DIGEST}
    path.write_text(json.dumps(sealed(settings | values, settings[RUN])))


@pytest.mark.parametrize(
    "name", ["vocabulary.json", "config.json", "data.safetensors", "mle.safetensors"]
)
def test_a_pipe_in_place_of_a_file_is_waited_for_by_nobody(cli: Cli, run: Path, name: str) -> None:
    (run / name).unlink()
    os.mkfifo(run / name)
    code, _, err = cli("sample", run, "--weights", "mle")
    assert code == 2 and len(err.splitlines()) == 1 and name in err


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 900 + "1" + "}" * 900, "9" * 5000])
@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "results.json", "curve.json"])
def test_absurd_json_in_a_run_is_one_line(cli: Cli, run: Path, name: str, content: str) -> None:
    (run / name).write_text(content)
    code, _, err = cli("report", run, "--no-measure")
    if name != "vocabulary.json":  # the page does not need the words
        assert code == 2 and len(err.splitlines()) == 1 and name in err
    code, _, err = cli("sample", run)
    if name in ("config.json", "vocabulary.json"):
        assert code == 2 and len(err.splitlines()) == 1 and name in err
    (run / name).unlink()


def test_absurd_lines_of_metrics_are_left_out(run: Path) -> None:
    from textgan.core.log import read_records

    before = read_records(run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write("[" * 100_000 + "\n" + '{"tick": 1}\n[1]\n"x"\n' + "9" * 5000 + "\n")
    assert read_records(run) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"warnings": True},
        {"unavailable": []},
        {"facts": 3},
        {"real": 3},
        {"rows": []},
        {"rows": {"a": {"bleu2": {"better": "best"}}}},
    ],
)
def test_bad_values_of_an_evaluation_are_one_line(
    cli: Cli, run: Path, wrong: dict[str, Any]
) -> None:
    cli("evaluate", run, *QUICK)
    forge(run / "evaluation.json", **wrong)
    for command in (["report", run, "--no-measure"], ["compare", run]):
        message = refused(cli, *command)
        assert "evaluation.json is damaged" in message and "evaluate again" in message


@pytest.mark.parametrize(
    ("key", "value"), [("better", "best"), ("value", "0.5"), ("title", 3), ("low", []), ("unit", 1)]
)
def test_bad_scores_of_an_evaluation_are_one_line(
    cli: Cli, run: Path, key: str, value: Any
) -> None:
    cli("evaluate", run, *QUICK)
    content = json.loads((run / "evaluation.json").read_text())
    next(iter(next(iter(content["rows"].values())).values()))[key] = value
    forge(run / "evaluation.json", rows=content["rows"])
    assert "evaluation.json is damaged" in refused(cli, "report", run, "--no-measure")


def test_bad_settings_of_a_run_are_one_line(cli: Cli, run: Path) -> None:
    change(run / "config.json", data=3)
    for command in (["resume", run], ["sample", run]):
        assert "config.json" in refused(cli, *command) or "data = 3" in refused(cli, *command)
    assert "config.json" in refused(cli, "report", run, "--no-measure")


@pytest.mark.parametrize(
    "change_words",
    [
        lambda told: told | {"words": told["words"][:2]},
        lambda told: told | {"words": [*told["words"][:-1], told["words"][0]]},
        lambda told: told | {"separator": 3},
        lambda told: told | {"tokens": "syllable"},
        lambda told: told | {"words": [*told["words"][:-1], "\ud800"]},
        lambda told: told | {"words": dict.fromkeys(told["words"], 1)},
    ],
)
def test_a_vocabulary_of_another_text_is_refused_when_a_run_is_opened(
    run: Path, change_words: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    from textgan.data.tokenizers import WordTokenizer

    told = change_words(json.loads((run / "vocabulary.json").read_text()))
    (run / "vocabulary.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"vocabulary\.json"):
        textgan.open_run(run)
    if len(told["words"]) != 2 and told["tokens"] == "word":
        with pytest.raises((TypeError, ValueError)):
            WordTokenizer.from_json(json.dumps(told), 5)


def test_texts_of_another_shape_with_a_right_digest_are_refused(run: Path) -> None:
    from textgan.training.run import check_texts

    opened = textgan.open_run(run)
    good, space = opened.corpus.train, opened.corpus.space
    check_texts("train", good, space, 0)
    from dataclasses import replace

    for bad in (
        replace(good, tokens=good.tokens[:, :-1]),
        replace(good, tokens=good.tokens + space.vocabulary),
        replace(good, tokens=-good.tokens),
        replace(good, lengths=good.lengths + space.length),
        replace(good, lengths=good.lengths * 0),
    ):
        with pytest.raises(ValueError, match="are no texts of"):
            check_texts("train", bad, space, 0)
    with pytest.raises(ValueError, match="are no texts of"):
        check_texts("train", good, space, 2)


def drop(tensors: dict[str, Any], facts: dict[str, Any], what: str) -> None:
    result = [name for name in tensors if what in name]
    if result:
        del tensors[result[0]]
    else:
        del facts[what]


@pytest.mark.parametrize(
    "what",
    ["exp_avg_sq", ".step", "exp_avg", "random.cpu", "batches_done", "sums", "done", "generator."],
)
def test_a_checkpoint_that_lacks_something_with_a_right_digest_is_one_line(
    cli: Cli, run: Path, what: str
) -> None:
    (run / "results.json").unlink()
    path = checkpoints(run)[-1]
    tensors, facts = load_checkpoint(path)
    drop(tensors, facts, what)
    save_tensors(path, tensors, facts)
    message = refused(cli, "resume", run)
    assert str(path) in message


@pytest.mark.parametrize("name", ["random.cpu", "exp_avg_sq"])
def test_a_checkpoint_of_other_shapes_with_a_right_digest_is_one_line(
    cli: Cli, run: Path, name: str
) -> None:
    (run / "results.json").unlink()
    path = checkpoints(run)[-1]
    tensors, facts = load_checkpoint(path)
    key = next(key for key in tensors if name in key)
    tensors[key] = torch.zeros(3)
    save_tensors(path, tensors, facts)
    message = refused(cli, "resume", run)
    assert f"{path} is damaged" in message and "delete it" in message


def test_damaged_mle_weights_are_noticed_when_a_run_is_resumed(cli: Cli, run: Path) -> None:
    (run / "results.json").unlink()
    path = run / "mle.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    message = refused(cli, "resume", run)
    assert "mle.safetensors" in message and "or remove it to do without MLE" in message


def test_a_folder_in_place_of_curve_json_is_said_before_measuring(cli: Cli, run: Path) -> None:
    (run / "curve.json").mkdir()
    message = refused(cli, "curve", run, "--metrics", "distinct", "--temperatures", "1")
    assert "curve.json is a folder, not a file; delete it" in message


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("seed=[[[[", "seed"),
        ("seed=" + "[" * 900, "seed"),
        ("seed=" + "9" * 5000, "seed"),
        ("seed=0x" + "f" * 5000, "seed"),
        ("a." * 100_000 + "b=1", "parts"),
        ("seed=1\nschedule.rounds=2", "more than one setting"),
        ("objective.name=", "names no method"),
        ("objective=", "names no method"),
        ("generator.layers=10000000", "generator lstm: it would have more than"),
        ("discriminator.embedding=9223372036854775808", "discriminator cnn: it cannot be made"),
        ("discriminator.embedding=1000000000000", "discriminator cnn: it would have more than"),
    ],
)
def test_absurd_settings_are_one_line(cli: Cli, tmp_path: Path, told: str, message: str) -> None:
    target = "mle" if told.startswith("objective") else "seqgan"
    told_others = [] if target == "mle" else keys(TOY)
    result = refused(cli, "train", target, "--out", tmp_path / "run", *told_others, told)
    assert message in result and len(result) < 700
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["x = " + "[" * 900 + "]" * 900, "a." * 100_000 + "b = 1"])
def test_absurd_toml_files_are_one_line(cli: Cli, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    assert "x.toml" in refused(cli, "train", path)


def test_a_network_is_counted_without_being_made() -> None:
    made = count_weights(lambda: torch.nn.Linear(1000, 1000), 10**9)
    assert made == 1_001_000
    with pytest.raises(UserError, match="more than 1,000 weights"):
        count_weights(lambda: torch.nn.Linear(1000, 1000), 1000)
    with pytest.raises(UserError, match="tensors of weights"):
        count_weights(lambda: [torch.nn.Linear(1, 1) for _ in range(10**4)], 10**9)


# --- memory and numbers ---------------------------------------------------------------------------


def test_figures_that_are_no_numbers_are_warned_of_and_metrics_stay_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textgan.objectives.seqgan import SeqGAN

    really = SeqGAN.generator_loss

    def loss(*arguments: Any) -> Any:
        value, figures = really(*arguments)
        return value, {**figures, "reward": torch.tensor(float("nan"))}

    monkeypatch.setattr(SeqGAN, "generator_loss", loss)
    monkeypatch.setattr("textgan.training.run.dry_run", lambda *_: None)
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, **TOY)
    assert any("generator/reward is not a number but nan" in alarm for alarm in results.alarms)
    text = (tmp_path / "run/metrics.jsonl").read_text()
    assert "NaN" not in text and "generator/loss" in text


def test_a_prediction_of_more_memory_than_there_is_is_warned_of(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgan.training.trainer.memory_of", lambda _: 1000)
    code, _, err = cli("train", "seqgan", "--out", tmp_path / "run", *keys(TOY))
    assert code == 0 and "warning: rollouts may take" in err and "1000 bytes" in err


# --- killed starts --------------------------------------------------------------------------------


def killed_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """The process ends, as by a kill, in the midst of a write: nothing is tidied up."""
    really, count = files.write_file, {"left": writes}

    def write(path: Path, content: bytes) -> None:
        count["left"] -= 1
        if count["left"] < 0:
            path.with_name(f"{path.name}.999999999.partial").write_bytes(content[:10])
            raise SystemError("killed")
        really(path, content)

    modules = ("training.run", "training.checkpoint", "core.tensors", "core.identity", "core.log")
    for module in (*modules, "classifiers.results", "encoders.train", "encoders.folder"):
        monkeypatch.setattr(f"textgan.{module}.write_file", write, raising=False)


def test_train_killed_before_its_folder_is_a_run_begins_again(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, data = tmp_path / "run", toy_text(tmp_path)
    short = keys(TOY | {"schedule.rounds": 0, "schedule.mle_epochs": 1})
    short_text = [one for one in short if not one.startswith("oracle.")]
    for writes in range(4):
        with monkeypatch.context() as changed:
            killed_after(changed, writes)
            with pytest.raises(SystemError):
                cli("train", "seqgan", "--data", data, "--out", out, *short_text)
    assert "is not a run" in refused(cli, "resume", out)
    assert cli("train", "seqgan", "--out", out, *short)[0] == 0  # even of another language
    assert not (out / "vocabulary.json").exists() and not list(out.glob("*.partial"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/data.safetensors").write_bytes(b"mine")
    assert "in use" in refused(cli, "train", "seqgan", "--out", tmp_path / "mine", *short)
    assert (tmp_path / "mine/data.safetensors").read_bytes() == b"mine"


def reviews(folder: Path) -> Path:
    path = folder / "reviews.tsv"
    moods = "good", "bad"
    lines = [
        f"{moods[i % 2]}\tso {'very ' * (i % 3)}much {moods[i % 2]} {i % 9}\n" for i in range(80)
    ]
    path.write_text("".join(lines))
    return path


def test_classify_killed_before_its_first_file_begins_again(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, data = tmp_path / "study", reviews(tmp_path)
    arguments = [
        "classify",
        data,
        "--out",
        out,
        "--keep",
        "--seeds",
        1,
        "--perturb",
        "none",
        "epochs=1",
    ]
    arguments += ["network.embedding=4", "network.hidden=4", "data.min_count=1", "attack.steps=1"]
    for writes in range(5):
        with monkeypatch.context() as changed:
            killed_after(changed, writes)
            with pytest.raises(SystemError):
                cli(*arguments)
            if not list(out.glob("*.json")):
                assert [path.suffix for path in out.iterdir()].count(".partial") == 1
        if (out / "classify.json").is_file() and writes >= 3:
            break
    code, _, err = cli(*arguments)
    assert code == 0, err
    assert json.loads((out / "classify.json").read_text())["runs"]
    assert "another study" in refused(cli, *arguments, "lr=0.5")


def test_encode_killed_or_stopped_begins_again(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    from textgan.encoders.contrast.simcse import SimCSE

    out, data = tmp_path / "encoder", toy_text(tmp_path)
    arguments = ["encode", "simcse", "--data", data, "--out", out, "epochs=1", "data.min_count=1"]
    arguments += ["network.embedding=8", "network.heads=2", "network.layers=1", "batch=16"]
    for writes in range(4):
        with monkeypatch.context() as changed:
            killed_after(changed, writes)
            with pytest.raises(SystemError):
                cli(*arguments)
    other = ["epochs=2" if argument == "epochs=1" else argument for argument in arguments]
    assert "another command" in refused(cli, *other)
    really = SimCSE.accumulate

    def terminated(self: SimCSE, *given: Any, **named: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return really(self, *given, **named)

    with monkeypatch.context() as changed:
        changed.setattr(SimCSE, "accumulate", terminated)
        code, _, err = cli(*arguments)
    assert code == 130 and "the best state so far" in err
    textgan.open_encoder(str(out))
    code, shown, err = cli(*arguments)
    assert code == 0 and "before training" in shown, err
    textgan.open_encoder(str(out))
    assert not (out / "unfinished.json").exists() and not list(out.glob("*.partial"))
    assert "in use" in refused(cli, *arguments)
