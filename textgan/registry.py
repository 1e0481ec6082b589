"""Names for parts: one new file is one new method.

A class registers itself when it is defined (`class MyGAN(Objective, name="mygan")`); a part in a
file of one's own is named by `path/to/mygan.py:MyGAN`. What a part can be told is the signature of
its constructor, and nothing else describes it: the keyword-only parameters are its settings, their
annotations are checked, and `textgan list` prints them.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pydantic

from textgan.errors import UserError

Kind = Literal["objective", "generator", "discriminator", "metric", "perturbation", "contrast"]

_BASES: dict[Kind, str] = {
    "objective": "textgan.objectives.base:Objective",
    "generator": "textgan.generators.base:Generator",
    "discriminator": "textgan.discriminators.base:Discriminator",
    "metric": "textgan.metrics.base:Metric",
    "perturbation": "textgan.perturb.base:Perturbation",
    "contrast": "textgan.contrast.base:Contrast",
}
_parts: dict[Kind, dict[str, type]] = {kind: {} for kind in _BASES}


def register(kind: Kind, name: str, part: type) -> None:
    """Make `part` known by `name`; called by the abstract classes when one is derived."""
    _parts[kind][name] = part


def names(kind: Kind) -> list[str]:
    """The names of all registered parts of a kind."""
    _import_all(kind)
    return sorted(_parts[kind])


def find(kind: Kind, name: str, key: str | None = None) -> type[Any]:
    """The class behind a name, or behind `path/to/file.py:Class`.

    key: where the name stands in a config, if not at its kind's. Raises UserError when there is
    none.
    """
    key = key or f"{kind}.name"
    if ".py:" in name:
        part = _from_file(key, name)
        module, _, base = _BASES[kind].partition(":")
        if not issubclass(part, getattr(importlib.import_module(module), base)):
            raise UserError(f"{key} = {name!r}: {part.__name__} does not derive from {base}")
        return part
    _import_all(kind)
    if name not in _parts[kind]:
        known, hint = ", ".join(sorted(_parts[kind])), suggest(name, _parts[kind])
        raise UserError(
            f"{key}: there is no {kind} called {name!r}{hint}; "
            f"known: {known}, or path/to/file.py:Class"
        )
    return _parts[kind][name]


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """`; did you mean ...?` where something known is spelt like the word, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class Setting(NamedTuple):
    """One thing that a part can be told."""

    name: str
    type: str
    default: Any
    doc: str


def settings(part: type) -> list[Setting]:
    """What a part can be told: name, type, default and meaning of each setting."""
    return [
        Setting(name, _type_name(field.annotation), field.default, field.description or "")
        for name, field in _model(part).model_fields.items()
    ]


def check(
    kind: Kind, part: type, values: dict[str, Any], group: str | None = None
) -> dict[str, Any]:
    """All settings of a part, the given values checked and the others at their defaults.

    group: what the settings stand under in a config, where that is not the part's kind.
    Raises UserError that names the key, the value and what would be right.
    """
    model = _model(part)
    try:
        return dict(model(**values))
    except pydantic.ValidationError as error:
        raise UserError(explain(error, group or kind, model.model_fields)) from None


def parse_setting(override: str) -> tuple[str, Any]:
    """The dotted key and the value of `key=value`; UserError for another form."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"{override!r} is not of the form key=value, such as objective.rollouts=8")
    try:
        return key, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key, text  # a bare word is a string


def nested(told: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key as groups of settings; UserError where a group is a value, too."""
    values: dict[str, Any] = {}
    for key, value in told.items():
        group, dot, name = key.partition(".")
        if not dot:
            values[group] = value
            continue
        inner = values.setdefault(group, {})
        if not isinstance(inner, dict):
            raise UserError(f"{key}: {group} is a value, not a group of settings")
        inner[name] = value
    return values


def explain(
    error: pydantic.ValidationError, prefix: str = "", known: typing.Iterable[str] = ()
) -> str:
    """The first thing wrong in a validation error, as one line: key, value, remedy."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in ([prefix] if prefix else []) + list(first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{key} is not a setting{suggest(str(first['loc'][-1]), known)}" + (
            f"; known here: {', '.join(known)}" if known else ""
        )
    message = first["msg"].removeprefix("Value error, ")
    return f"{key or 'settings'} = {first['input']!r}: {message[0].lower()}{message[1:]}"


def build(kind: Kind, name: str, values: dict[str, Any], *arguments: Any) -> Any:
    """The part called `name` with these settings; `arguments` come before them.

    Raises UserError for a name or setting that does not exist or does not fit.
    """
    part = find(kind, name)
    try:
        return part(*arguments, **check(kind, part, values))
    except ValueError as error:
        raise UserError(f"{kind} {name}: {error}") from None


@functools.cache  # of a class, whose settings do not change; making a model takes milliseconds
def _model(part: type) -> type[pydantic.BaseModel]:
    # a dataclass's own __init__ has no Annotated, nor what its bases' annotations were written with
    has_fields = dataclasses.is_dataclass(part)
    where = part if has_fields else inspect.unwrap(part).__init__
    annotations = typing.get_type_hints(where, include_extras=True)
    defaults: dict[str, Any] = {
        name: parameter.default
        for name, parameter in inspect.signature(part).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if has_fields:  # lists have factories for defaults
        for field in dataclasses.fields(part):
            if field.init and field.default_factory is not dataclasses.MISSING:
                defaults[field.name] = field.default_factory()
    fields: dict[str, Any] = {
        name: (annotations[name], default) for name, default in defaults.items()
    }
    return pydantic.create_model(
        part.__name__, __config__=pydantic.ConfigDict(extra="forbid", allow_inf_nan=False), **fields
    )


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    if typing.get_origin(annotation) is Literal:
        return " | ".join(str(choice) for choice in typing.get_args(annotation))
    return str(annotation).replace("typing.", "")


def _import_all(kind: Kind) -> None:
    """Import the modules in which parts are defined, so that they have registered themselves."""
    # metrics use all the rest, so that who asks for another part does not wait for them
    own: dict[str, tuple[str, ...]] = {
        "metric": ("metrics",), "perturbation": ("perturb",), "contrast": ("contrast",),
    }  # fmt: skip
    folders = own.get(kind, ("generators", "discriminators", "objectives"))
    for name in folders:
        package = importlib.import_module(f"textgan.{name}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")


def _from_file(key: str, name: str) -> type[Any]:
    path, _, class_name = name.rpartition(":")
    file = Path(path).resolve()
    if not file.is_file():
        raise UserError(f"{key} = {name!r}: there is no file {path}")
    module_name = f"textgan_file_{file.stem}_{abs(hash(str(file)))}"
    module = sys.modules.get(module_name)
    if module is None:
        spec = importlib.util.spec_from_file_location(module_name, file)
        assert spec is not None and spec.loader is not None  # a path that ends in .py has both
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # dataclasses look their module up while being made
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[module_name]
            raise UserError(
                f"{key} = {name!r}: {path} does not import: {type(error).__name__}: {error}"
            ) from error
    part = getattr(module, class_name, None)
    if not isinstance(part, type):
        raise UserError(f"{key} = {name!r}: {path} defines no class {class_name}")
    return part
