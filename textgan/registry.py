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
import inspect
import json
import pkgutil
import sys
import typing
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, ClassVar, Literal, NamedTuple

import pydantic

from textgan.core.files import LONGEST_KEY, NoSyntax, parse_toml
from textgan.core.own_code import Code, own_file
from textgan.errors import UserError

Kind = Literal["objective", "generator", "discriminator", "metric", "perturbation", "contrast"]

LONGEST_SHOWN = 160  # letters of a value in a message

_BASES: dict[Kind, str] = {
    "objective": "textgan.objectives.base:Objective",
    "generator": "textgan.generators.base:Generator",
    "discriminator": "textgan.discriminators.base:Discriminator",
    "metric": "textgan.metrics.base:Metric",
    "perturbation": "textgan.perturb.base:Perturbation",
    "contrast": "textgan.contrast.base:Contrast",
}
_parts: dict[Kind, dict[str, type]] = {kind: {} for kind in _BASES}
# keys that stand beside a part's settings in a config
_RESERVED: dict[Kind, tuple[str, ...]] = {"discriminator": ("name", "perturb")}
_TYPES = "int, float, bool, str, a Literal of words, or a list of these"


def register(kind: Kind, name: str, part: type) -> None:
    """Make `part` known by `name`; called by the abstract classes when one is derived."""
    _parts[kind][name] = part


def names(kind: Kind) -> list[str]:
    """The names of all registered parts of a kind."""
    _import_all(kind)
    return sorted(_parts[kind])


def find(kind: Kind, name: str, key: str | None = None, code: Code | None = None) -> type[Any]:
    """The class behind a name, or behind `path/to/file.py:Class`.

    key: where the name stands in a config, if not at its kind's. code: which files may be imported;
    None: no file. Raises UserError when there is no such class, or it may not be imported.
    """
    key = key or f"{kind}.name"
    if is_file(name):
        part = _from_file(kind, key, name, code)
        refuse_unusable(kind, part)
        return part
    _import_all(kind)
    if name not in _parts[kind]:
        known, hint = ", ".join(sorted(_parts[kind])), suggest(name, _parts[kind])
        raise UserError(
            f"{key}: there is no {kind} called {name!r}{hint}; "
            f"known: {known}, or path/to/file.py:Class"
        )
    return _parts[kind][name]


def is_file(name: str) -> bool:
    """Whether a part's name is that of a file, `path/to/file.py:Class`, if perhaps no class."""
    return own_file(name) is not None


def base_of(kind: Kind) -> type[Any]:
    """The abstract class that all parts of a kind derive from."""
    module, _, base = _BASES[kind].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), base)
    return found


def parts_in(
    path: str, key: str = "file", code: Code | None = None, *, abstract: bool = False
) -> dict[Kind, dict[str, type[Any]]]:
    """The parts that a file of one's own defines, by kind and class name.

    code: as for `find`. Kinds without any are left out, and abstract classes unless asked for.
    Raises UserError for a file that is not there or does not import.
    """
    module = _import_file(key, path, path, code)
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and (abstract or not inspect.isabstract(value))
    }
    found: dict[Kind, dict[str, type[Any]]] = {}
    for kind in _BASES:
        base = base_of(kind)
        own = {name: part for name, part in classes.items() if issubclass(part, base)}
        if own:
            found[kind] = own
    return found


def title(part: type) -> str:
    """How messages call a part: `mine.py:Mine`, or its class alone where textgan defines it."""
    file = getattr(sys.modules.get(part.__module__), "__file__", None)
    if part.__module__.partition(".")[0] == "textgan" or file is None:
        return part.__name__
    return f"{Path(file).name}:{part.__qualname__}"


def refuse_unusable(kind: Kind, part: type[Any]) -> None:
    """UserError for a class that cannot be a part of its kind, which says what it lacks."""
    base, who = base_of(kind), title(part)
    if not issubclass(part, base):
        raise UserError(f"{who} does not derive from {base.__name__}")
    if inspect.isabstract(part):
        missing = " and ".join(sorted(part.__abstractmethods__))
        raise UserError(
            f"{who} is abstract: it lacks {missing}; define them, or name another class"
        )
    own = vars(part).get("__annotations__", {})
    if dataclasses.is_dataclass(part):
        fields = [name for name in own if not _is_class_variable(own[name])]
        if fields and "__dataclass_fields__" not in vars(part):
            raise UserError(
                f"{who} is not a dataclass, so {fields[0]} is not a setting; "
                "write @dataclass(kw_only=True) above it"
            )
        for field in dataclasses.fields(part):
            if field.init and not field.kw_only:
                raise UserError(
                    f"{who}: its settings are positional; write @dataclass(kw_only=True) above it"
                )
            inherited = next((vars(one)[field.name] for one in base.__mro__[:-1]
                              if field.name in vars(one)), None)  # fmt: skip
            settable = isinstance(inherited, property) or field.name in (
                known.name
                for known in (dataclasses.fields(base) if dataclasses.is_dataclass(base) else ())
                if known.init
            )
            if field.init and not settable and hasattr(base, field.name):
                raise UserError(
                    f"{who}.{field.name} is a class variable of {base.__name__} and no setting; "
                    "leave its annotation out"
                )
    for setting in settings(part):
        if setting.name in _RESERVED.get(kind, ("name",)):
            raise UserError(
                f"{who}: a setting cannot be called {setting.name!r}, which a config has beside a "
                "part's settings; choose another name"
            )


def remarks(part: type[Any]) -> list[str]:
    """What looks like a setting of a part in a file of one's own, and is none."""
    who, found = title(part), []
    if ":" not in who:
        return []
    for owner in part.__mro__:
        if owner.__module__ != part.__module__ or not dataclasses.is_dataclass(owner):
            continue
        inherited = {name for base in owner.__mro__[1:] for name in vars(base)}
        for name, value in vars(owner).items():
            plain = isinstance(value, bool | int | float | str | list) and not name.startswith("_")
            annotated = name in vars(owner).get("__annotations__", {})
            if plain and not annotated and name.islower() and name not in inherited:
                found.append(
                    f"{who}.{name} = {value!r} has no annotation, so it is not a setting; "
                    f"write {name}: {type(value).__name__} = {value!r} to make it one"
                )
    if not dataclasses.is_dataclass(part):
        parameters = inspect.signature(part).parameters.values()
        found += [
            f"{who}: its parameter {one.name} is not keyword-only, so it is not a setting; "
            "put * before it"
            for one in parameters
            if one.default is not one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
        ]
    return found


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """`; did you mean ...?` where something known is spelt like the word, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class Setting(NamedTuple):
    """One thing that a part can be told; `values` says in words what its type is."""

    name: str
    type: str
    default: Any
    doc: str
    values: str = ""


def settings(part: type) -> list[Setting]:
    """What a part can be told: name, type, default and meaning of each setting."""
    return [
        Setting(
            name,
            _type_name(field.annotation),
            field.default,
            field.description or "",
            type_in_words(field.annotation),
        )
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
    told = f"{key[:40]} = {text[:40]!r}"
    if key.count(".") >= LONGEST_KEY:
        raise UserError(f"{told}: a key has at most {LONGEST_KEY} parts between dots")
    try:
        table = parse_toml(f"value = {text}", told)
    except NoSyntax:
        return key, text  # a bare word is a string
    if len(table) > 1:
        raise UserError(
            f"{override[:80]!r} holds more than one setting; give every key=value as an argument "
            "of its own"
        )
    return key, table["value"]


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
    return f"{key or 'settings'} = {shown(first['input'])}: {message[0].lower()}{message[1:]}"


def shown(value: object) -> str:
    """A value as a message has it: on one line, not too long, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in itself
        return f"a {type(value).__name__} too large to be shown"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def build(
    kind: Kind, name: str, values: dict[str, Any], *arguments: Any, code: Code | None = None
) -> Any:
    """The part called `name` with these settings; `arguments` come before them.

    code: as for `find`. Raises UserError for a name or setting that does not exist or does not fit.
    """
    part = find(kind, name, code=code)
    checked = check(kind, part, values)
    refuse_call(part, f"the constructor of {title(part)}", *arguments, **checked)
    try:
        return part(*arguments, **checked)
    except ValueError as error:
        raise UserError(f"{kind} {name}: {error}") from None


def refuse_call(function: typing.Callable[..., Any], who: str, *given: Any, **named: Any) -> None:
    """UserError unless a function's signature takes these arguments."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function in C has none
        return
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        shown = ", ".join([*(_type_of(one) for one in given), *(f"{name}=" for name in named)])
        raise UserError(
            f"{who} takes {signature}, and textgan calls it with ({shown}): {error}"
        ) from None


@functools.cache  # of a class, whose settings do not change; making a model takes milliseconds
def _model(part: type) -> type[pydantic.BaseModel]:
    # a dataclass's own __init__ has no Annotated, nor what its bases' annotations were written with
    has_fields = dataclasses.is_dataclass(part)
    where = part if has_fields else inspect.unwrap(part).__init__
    who = title(part)
    try:
        annotations = typing.get_type_hints(where, include_extras=True)
    except Exception as error:
        raise UserError(
            f"{who}: an annotation does not resolve ({error}); import what it names, or write "
            f"{_TYPES}"
        ) from None
    defaults: dict[str, Any] = {
        name: parameter.default
        for name, parameter in inspect.signature(part).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if has_fields:  # lists have factories for defaults
        for field in dataclasses.fields(part):
            if field.init and field.default_factory is not dataclasses.MISSING:
                defaults[field.name] = field.default_factory()
    fields: dict[str, Any] = {}
    for name, default in defaults.items():
        if default is inspect.Parameter.empty:
            raise UserError(f"{who}: the setting {name} has no default; give it one")
        if name not in annotations:
            raise UserError(f"{who}: the setting {name} has no annotation; write {_TYPES}")
        fields[name] = _field(who, name, annotations[name], default)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = pydantic.create_model(part.__name__, __config__=_STRICT, **fields)
    try:
        made(**defaults)
    except pydantic.ValidationError as error:
        raise UserError(f"{who}, by its default: {explain(error)}") from None
    return made


_STRICT = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)


def _field(who: str, name: str, annotation: Any, default: Any) -> tuple[Any, Any]:
    """A setting as a model has it; UserError where it cannot be one."""
    field: dict[str, Any] = {name: (annotation, default)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that only a model's own methods have
            pydantic.create_model("Model", __config__=_STRICT, **field)
    except (pydantic.errors.PydanticUserError, NameError, TypeError, ValueError):
        raise UserError(
            f"{who}: {name} cannot be a setting with the type {_type_name(annotation)}; a setting "
            f"is {_TYPES}, and its name no reserved word"
        ) from None
    try:
        json.dumps(default)
    except (TypeError, ValueError):
        raise UserError(
            f"{who}: the default of {name}, a {type(default).__name__}, cannot be written to a "
            f"config; a setting is {_TYPES}"
        ) from None
    return annotation, default


def _is_class_variable(annotation: Any) -> bool:
    """Whether an annotation, as written, is a ClassVar."""
    return "ClassVar" in str(annotation) or typing.get_origin(annotation) is ClassVar


def _type_of(value: Any) -> str:
    return type(value).__name__


def type_in_words(annotation: Any) -> str:
    """What may stand there: `number`, `true/false`, choices, lists of these."""
    simple = {int: "whole number", float: "number", bool: "true/false", str: "text"}
    if annotation in simple:
        return simple[annotation]
    if annotation in (None, type(None)):
        return "none"
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " | ".join(str(choice) for choice in inner)
    if origin is typing.Annotated:
        return type_in_words(inner[0])
    if origin in (list, tuple, set, frozenset, Sequence):
        told = [type_in_words(one) for one in inner if one is not ...] or ["anything"]
        several = [one if one.endswith(("text", "e")) or " | " in one else f"{one}s"
                   for one in dict.fromkeys(told)]  # fmt: skip
        return f"list of {' and '.join(several)}"
    if origin in (typing.Union, UnionType):
        return " or ".join(type_in_words(one) for one in inner)
    if origin is dict:
        return "group of settings"
    return _type_name(annotation)


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


def _from_file(kind: Kind, key: str, name: str, code: Code | None) -> type[Any]:
    """The class of `path/to/file.py:Class`; UserError where the file has none of that name."""
    path = own_file(name) or name
    class_name = name.removeprefix(path).removeprefix(":")
    module = _import_file(key, name, path, code)
    part = getattr(module, class_name, None) if class_name else None
    base = base_of(kind)
    if isinstance(part, type) and issubclass(part, base) and part is not base:
        return part
    own = parts_in(path, key, code).get(kind, {})
    one = ", ".join(f"{path}:{found}" for found in own)
    remedy = f"name one of {one}" if own else f"it defines none that derives from {base.__name__}"
    if not class_name:
        raise UserError(f"{key} = {name!r} names a file and no class; {remedy}")
    if part is base:
        raise UserError(f"{key} = {name!r}: {class_name} is the abstract class itself; {remedy}")
    if isinstance(part, type):
        raise UserError(
            f"{key} = {name!r}: {class_name} does not derive from {base.__name__}; {remedy}"
        )
    raise UserError(f"{key} = {name!r}: {path} defines no class {class_name}; {remedy}")


def _import_file(key: str, name: str, path: str, code: Code | None) -> ModuleType:
    """The module in a file; `name` is what the user wrote, under that key."""
    if code is None:
        raise UserError(f"{key} = {name!r}: no file may be imported here (code is None)")
    source = code.read(path, f"{key} = {name!r}")
    try:
        return source.load()
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{key} = {name!r}: {path} does not import: {type(error).__name__}: {error}"
        ) from error
