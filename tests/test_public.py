"""The public door: every name of `textgan`, and every command as a function."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

import textgan
from textgan.cli.app import app

# what a command calls where its function has another name, or None where it only prints
FUNCTIONS: dict[str, str | None] = {
    "similarity": "evaluate_encoders",
    "list": None,
    "bench": "bench.run_bench",  # a package has the name
}
COMMANDS = [(one.name or one.callback.__name__, one.callback) for one in app.registered_commands]  # type: ignore[union-attr]


def test_names_are_typed_and_documented() -> None:
    tree = ast.parse(Path(textgan.__file__).read_text("utf-8"))
    [typed] = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    declared = {
        alias.name: node.module
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(declared) == list(textgan.__all__) == sorted(textgan.__all__)
    assert dir(textgan) == sorted([*textgan.__all__, "__version__"])
    for name, module in declared.items():
        value = getattr(textgan, name)
        assert value is getattr(__import__(str(module), fromlist=[name]), name)
        doc = inspect.getdoc(value) or ""
        assert doc, f"{name} has no docstring"
        assert not doc.startswith(f"{name}("), f"{name} has only what dataclass wrote"
        assert value.__name__ == name


def plain(value: Any) -> Any:
    """A default in one form: what is separated by commas as a list, nothing as None."""
    if isinstance(value, str):
        words = value.split(",")
        try:
            return [float(word) for word in words]
        except ValueError:
            return words
    if isinstance(value, tuple):
        return [float(one) if isinstance(one, int | float) else one for one in value] or None
    return value


@pytest.mark.parametrize(("command", "callback"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_is_a_function_with_the_same_defaults(command: str, callback: Any) -> None:
    name = FUNCTIONS.get(command, command)
    if name is None:
        return
    home, _, name = name.rpartition(".")
    function = getattr(importlib.import_module(f"textgan.{home}".removesuffix(".")), name)
    assert ">>>" in (inspect.getdoc(function) or ""), f"{name}: show how it is called"
    known = inspect.signature(function).parameters
    options = inspect.signature(callback).parameters
    several = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    shared = {one for one in options if one in known and known[one].kind not in several}
    for option in shared:
        if options[option].default is not inspect.Parameter.empty:
            assert plain(known[option].default) == plain(options[option].default), option
    # what is left is spelt otherwise in Python
    elsewhere = {
        "field",
        "label_field",
        "source_field",
        "labels",
        "file_format",
        "as_json",
        "overrides",
    }
    elsewhere |= {"settings", "encoder", "target", "with_report", "tokens", "seed", "device"}
    elsewhere |= {"run", "runs", "targets", "profile", "tolerance", "against", "counts", "scaling"}
    assert options.keys() - shared <= elsewhere


@pytest.mark.parametrize("command", FUNCTIONS)
def test_a_command_with_no_function_of_its_name_names_what_to_use(command: str) -> None:
    # not by getattr, for textgan.bench is there once it was imported
    with pytest.raises(AttributeError, match=FUNCTIONS[command] or f"textgan {command}"):
        textgan.__getattr__(command)


def test_every_command_is_in_the_table_of_functions() -> None:
    page = (ROOT / "docs/getting-started.md").read_text("utf-8")
    table = page.partition("| command | function |")[2].partition("\n\n")[0]
    assert {name for name, _ in COMMANDS} <= set(re.findall(r"`(\w+)`", table))


def test_the_package_lists_what_it_has() -> None:
    assert set(textgan.__all__) <= set(dir(textgan))
    for name in textgan.__all__:
        assert getattr(textgan, name).__doc__
    assert "importlib" not in dir(textgan)
