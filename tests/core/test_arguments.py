"""Every function of `textgan` × every argument × wrong values, and the command line beside it."""

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from toys import Cli

import textgan
from textgan.cli.app import COMMANDS
from textgan.core.arguments import argument_types
from textgan.core.errors import UserError

# of every function a call in which nothing is wrong but that the files do not exist
CALLS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "bench.run_bench": ([], {}),
    "check": (["seqgan"], {}),
    "classify": (["moods.tsv"], {}),
    "compare": ([["a b"], ["b a"]], {}),
    "curve": (["run"], {}),
    "encode": (["simcse"], {"data": "train.txt", "out": "encoder"}),
    "evaluate": ([["a b"]], {}),
    "evaluate_encoders": (["encoder"], {"data": "test.txt"}),
    "load_classifier": (["classifier"], {}),
    "load_translator": (["run"], {}),
    "open_encoder": (["encoder"], {}),
    "open_run": (["run"], {}),
    "report": (["run"], {}),
    "resume": (["run"], {}),
    "sample": (["run"], {}),
    "train": (["seqgan"], {}),
}
OF_NETWORKS = {"read_before", "rollout_values"}  # functions of tensors, for parts of one's own
HUGE = 10**400  # more than a float has, and more digits than str() writes


def function_of(name: str) -> Callable[..., Any]:
    home, _, last = name.rpartition(".")
    result: Callable[..., Any] = getattr(
        importlib.import_module(f"textgan.{home}".rstrip(".")), last
    )
    return result


def parameters(name: str) -> Iterator[inspect.Parameter]:
    for one in inspect.signature(function_of(name)).parameters.values():
        if one.kind is not one.VAR_KEYWORD:
            yield one


def wrong_values(name: str, parameter: str) -> Iterator[Any]:
    """Values that the argument cannot have, by its annotation."""
    types, extra = argument_types(function_of(name), parameter)
    kinds = [typing.get_origin(one) or one for one in types]
    yield object()
    if type(None) not in types:
        yield None
    if not {int, float} & {*kinds}:
        yield from (3, -1, float("nan"), HUGE)
    if Sequence not in kinds:
        yield from ([], ["a"])
    elif "at least one" in "".join(map(str, extra)) or parameter == "temperatures":
        yield from ([], [None], ["a", 3])
    if not {Mapping, dict} & {*kinds}:
        yield {"a": 1}
    if {str, Literal} & {*kinds}:
        yield b"bytes"
    else:
        yield "a word"
    if Literal in kinds:
        yield from ("no such word", True)
    if bool in kinds:
        yield from (0, 1, "no")
    for low, high in (one for one in extra if isinstance(one, tuple)):
        yield from (low - 1, high + 1, float("nan"), float("inf"), HUGE, -HUGE, True, "3")
        if int in kinds:
            yield from (2.5, float(high))


def refused(call: Callable[[], Any]) -> str:
    """The one line in which a call is refused."""
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert message and "\n" not in message and len(message) < 500
    return message


def test_every_exported_function_is_here() -> None:
    functions = {name for name in textgan.__all__ if inspect.isfunction(getattr(textgan, name))}
    assert functions - OF_NETWORKS == CALLS.keys() - {"bench.run_bench"}


ARGUMENTS = [(name, one.name) for name in CALLS for one in parameters(name)]


@pytest.mark.parametrize(("name", "parameter"), ARGUMENTS)
def test_a_wrong_value_is_one_line_that_names_the_argument(
    name: str, parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    function = function_of(name)
    known = inspect.signature(function).parameters
    values = list(wrong_values(name, parameter))
    assert len(values) > 5
    for value in values:
        args, kwargs = CALLS[name]
        if known[parameter].kind is inspect.Parameter.VAR_POSITIONAL:
            args = [*args, value]
            message = refused(lambda: function(*args, **kwargs))  # noqa: B023
        else:
            given = inspect.signature(function).bind_partial(*args, **kwargs)
            given.arguments[parameter] = value
            message = refused(lambda: function(*given.args, **given.kwargs))  # noqa: B023
        assert message.startswith(f"{parameter} = "), message
        assert ": give " in message, message
    assert not [*tmp_path.iterdir()]  # nothing was written


@pytest.mark.parametrize(("name", "parameter"), ARGUMENTS)
def test_a_misspelt_argument_is_one_line_with_the_one_that_was_meant(
    name: str, parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args, kwargs = CALLS[name]
    function, key = function_of(name), f"{parameter}_"
    message = refused(lambda: function(*args, **kwargs, **{key: 3}))
    assert message.startswith(f"{key} is no argument of {function.__name__}"), message
    assert len(key) < 4 or f"did you mean {parameter!r}?" in message
    message = refused(lambda: function(*args, **kwargs, zzz_zzz=3))
    assert message.startswith("zzz_zzz is n"), message
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_another_form_is_one_line(name: str) -> None:
    function, known = function_of(name), inspect.signature(function_of(name)).parameters
    args, kwargs = CALLS[name]
    if not any(one.kind is one.VAR_POSITIONAL for one in known.values()):
        assert "give it as name=value" in refused(lambda: function(*args, *range(9), **kwargs))
    for key, one in known.items():
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            rest = {other: value for other, value in kwargs.items() if other != key}
            left = args if key in kwargs else []
            assert refused(lambda: function(*left, **rest)).startswith(f"{key} is missing: give")  # noqa: B023
    first = next(iter(known.values()))
    if args and first.kind is first.POSITIONAL_OR_KEYWORD:
        message = refused(lambda: function(*args, **kwargs, **{first.name: args[0]}))
        assert message == f"{first.name} is given twice; give it once"


def test_settings_of_metrics_are_dotted_keys_or_groups(tmp_path: Path) -> None:
    texts = [f"a {a} sees the {b} ." for a in ("dog", "cat", "man", "sun") for b in "abcdefghij"]
    options: dict[str, Any] = {"references": texts[::-1], "metrics": "bleu", "quiet": True}
    options |= {"resamplings": 0}
    dotted = textgan.evaluate(texts[:20], **options, **{"bleu.largest": 3})
    assert textgan.evaluate(texts[:20], **options, bleu={"largest": 3}).rows == dotted.rows
    for settings, expected in (
        ({"bleu": {"nope": 3}}, "bleu.nope is not a setting; known here: "),
        ({"bleu.larges": 3}, "bleu.larges is not a setting; did you mean 'largest'?"),
        ({"bleu": 3}, "bleu = 3: give a dict of its settings (see textgan list bleu)"),
        ({"nope": 3}, "nope is not a setting; those of a metric are METRIC.KEY"),
        ({"sample": 30}, "sample is no argument of evaluate; did you mean 'samples'?"),
    ):
        assert refused(lambda: textgan.evaluate(texts, **options, **settings)).startswith(expected)  # noqa: B023


def test_data_is_a_file_or_a_group_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = refused(lambda: textgan.train("seqgan", data="none.txt"))
    assert refused(lambda: textgan.train("seqgan", data={"file": "none.txt"})) == one
    message = refused(lambda: textgan.train("seqgan", data={"file": "x", "token": "char"}))
    assert message.startswith("data.token is not a setting; did you mean 'tokens'?")


def test_a_table_is_read_by_the_arguments_that_its_message_names(tmp_path: Path) -> None:
    lines = [f"the {a} sees the {b} ." for a in "abcdefgh" for b in "abcdefgh"]
    table, other = tmp_path / "a.csv", tmp_path / "b.txt"
    table.write_text("text,mood\n" + "".join(f"{line},good\n" for line in lines))
    other.write_text("\n".join(lines) + "\n")
    options: dict[str, Any] = {"references": other, "metrics": "bleu", "quiet": True}
    for name, call in {
        "targets": lambda **form: textgan.evaluate(table, **options, **form),
        "data": lambda **form: textgan.evaluate_encoders("none/x", data=table, **form),
    }.items():
        message = refused(call)
        assert message.startswith(f"{name} = ") and "give field=NAME of the texts" in message
        assert "(label_field=no)" in refused(lambda: call(field="text", label_field="no"))  # noqa: B023
    made = textgan.evaluate(table, **options, field="text", label_field="mood")
    [row, *_] = textgan.evaluate(other, **options).rows.values()
    assert next(iter(made.rows.values())) == row
    assert textgan.compare(table, lines, **options, field="text")


def test_an_encoder_is_of_the_metrics_that_take_one() -> None:
    texts = [f"the {a} sees the {b} ." for a in "abcdefgh" for b in "abcdefgh"]
    options: dict[str, Any] = {"references": texts, "quiet": True}
    message = refused(
        lambda: textgan.evaluate(texts, **options, metrics="frechet", encoder="none/x")
    )
    # the folder that is not there comes before the texts that are too few
    assert message.startswith("encoder = 'none/x': there is no none/x")
    setting = {"frechet": {"encoder": "none/x"}}
    assert message == refused(lambda: textgan.evaluate(texts, **options, **setting))
    message = refused(lambda: textgan.evaluate(texts, **options, metrics="bleu", encoder="lm"))
    assert message.startswith("encoder = 'lm': no metric that takes one is measured; give")
    message = refused(lambda: textgan.compare(texts, texts, **options, encoder="lm"))
    assert "frechet.encoder or mauve.encoder" in message


def test_encoders_are_one_or_several(tmp_path: Path) -> None:
    data = tmp_path / "test.txt"
    data.write_text("".join(f"the {a} sees the {b} .\n" for a in "abcdefg" for b in "abcdefg"))
    for encoders in ("none/x", Path("none/x"), ["none/x"]):
        message = refused(lambda: textgan.evaluate_encoders(encoders, data=data, quiet=True))  # noqa: B023
        assert message.startswith("encoder = 'none/x': there is no none/x")


# --- the command line says the same ---

TYPED: dict[str, list[str]] = {
    "bench": [],
    "classify": ["moods.tsv"],
    "compare": ["a", "b"],
    "curve": ["run"],
    "encode": ["simcse", "--data", "train.txt", "--out", "encoder"],
    "evaluate": ["a"],
    "sample": ["run"],
    "similarity": ["encoder", "--data", "test.txt"],
}
NAMES = {"bench": "bench.run_bench", "similarity": "evaluate_encoders"}


def bounded() -> Iterator[tuple[str, str, Any]]:
    """Command, argument and a value out of its range or no such word."""
    for command in TYPED:
        name = NAMES.get(command, command)
        options = inspect.signature(COMMANDS[command]).parameters
        for one in parameters(name):
            types, extra = argument_types(function_of(name), one.name)
            if one.name not in options:
                continue
            for low, high in (limits for limits in extra if isinstance(limits, tuple)):
                number = float if float in types else int
                yield command, one.name, number(low - 1)
                yield command, one.name, number(high + 1)
            if any(typing.get_origin(kind) is Literal for kind in types):
                yield command, one.name, "no-such-word"


BOUNDED = list(bounded())


@pytest.mark.parametrize(("command", "parameter", "value"), BOUNDED)
def test_command_line_and_function_refuse_in_the_same_words(
    command: str, parameter: str, value: Any, cli: Cli
) -> None:
    name = NAMES.get(command, command)
    args, kwargs = CALLS[name]
    expected = refused(lambda: function_of(name)(*args, **kwargs, **{parameter: value}))
    flag = "--number" if parameter == "n" else f"--{parameter.replace('_', '-')}"
    code, out, err = cli(command, *TYPED[command], flag, value)
    assert (code, out, err) == (2, "", f"textgan: {expected}\n")


@pytest.mark.parametrize(
    ("command", "parameter", "typed"),
    [
        ("sample", "n", "x"),
        ("sample", "seed", "x"),
        ("similarity", "rate", "x"),
        ("classify", "seeds", "1.5"),
        ("evaluate", "samples", "ten"),
        ("curve", "seed", ""),
    ],
)
def test_what_is_no_number_is_refused_in_the_same_words(
    command: str, parameter: str, typed: str, cli: Cli
) -> None:
    test_command_line_and_function_refuse_in_the_same_words(command, parameter, typed, cli)
    [code, _, err] = cli("train", "seqgan", "--seed", "x")
    assert (code, err) == (2, "textgan: seed = 'x': give a whole number from 0 to 2147483647\n")


@pytest.mark.parametrize(
    "call",
    [
        lambda: textgan.sample(""),
        lambda: textgan.train(""),
        lambda: textgan.report([]),  # type: ignore[arg-type]
        lambda: textgan.curve("run", temperatures=[]),
        lambda: textgan.evaluate(["a b"], metrics=""),
    ],
)
def test_nothing_given_is_named_with_what_to_give(call: Callable[[], Any]) -> None:
    assert re.match(r"\w+ = (''|\[\]): give (?!.*commas)", refused(call))


def test_help_shows_every_range(cli: Cli) -> None:
    for command in TYPED:
        _, out, _ = cli(command, "--help")
        shown = re.findall(r"\[(\S+)<=x<=(\S+)\]", " ".join(out.split()))
        name = NAMES.get(command, command)
        ranges = [
            tuple(map(str, limits))
            for one in parameters(name)
            if one.name in inspect.signature(COMMANDS[command]).parameters
            for limits in argument_types(function_of(name), one.name)[1]
            if isinstance(limits, tuple)
        ]
        assert {*ranges} <= {*shown}, command


@pytest.mark.parametrize(
    ("arguments", "call", "option"),
    [
        (["evaluate", "a.txt"], lambda: textgan.evaluate("a.txt"), "--references FILE"),
        (
            ["evaluate", "a.txt", "--references", "a.txt", "--samples", 20],
            lambda: textgan.evaluate("a.txt", references="a.txt", samples=20),
            "--samples, --temperature, --mixture, --decode",
        ),
        (
            ["classify", "m.tsv", "--keep"],
            lambda: textgan.classify("m.tsv", keep=True),
            "--out FOLDER",
        ),
        (
            ["encode", "promptbert", "--data", "a.txt", "--out", "x"],
            lambda: textgan.encode("promptbert", data="a.txt", out="x"),
            "--start FOLDER",
        ),
        (
            ["encode", "simcse", "--data", "a.txt", "--out", "."],
            lambda: textgan.encode("simcse", data="a.txt", out="."),
            "another --out",
        ),
        (
            ["train", "seqgan", "--out", "."],
            lambda: textgan.train("seqgan", out="."),
            "another --out",
        ),
    ],
)  # fmt: skip
def test_a_remedy_is_spelt_as_it_is_given(
    arguments: list[str],
    call: Callable[[], Any],
    option: str,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"the {a} sees the {b} ." for a in "abcdefgh" for b in "abcdefgh"]
    Path("a.txt").write_text("\n".join(lines) + "\n")
    Path("m.tsv").write_text("".join(f"{'ab'[i % 2]}\t{line}\n" for i, line in enumerate(lines)))
    code, _, err = cli(*arguments)
    assert code == 2 and option in err
    message = refused(call)
    assert "--" not in message
    spelt = re.sub(r"--(\w+) ([A-Z]+|hf:[A-Z]+)\b", r"\1=\2", err)
    assert f"textgan: {message}\n" == re.sub(r"--(\w+)", r"\1", spelt)


def test_one_run_with_options_is_no_comparison(tmp_path: Path) -> None:
    message = refused(lambda: textgan.compare(tmp_path, samples=50))
    assert message.endswith("leave out samples, or give a second run or file")
    assert "leave out bleu" in refused(lambda: textgan.compare(tmp_path, bleu={"largest": 3}))
    assert "equal is no" in refused(lambda: textgan.compare(tmp_path, equal=True))
