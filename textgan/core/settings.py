"""Settings: dotted keys, one model for a part's signature, one line for what is wrong."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from types import UnionType
from typing import Any, ClassVar, Literal, NamedTuple

import pydantic
from pydantic import ConfigDict

from textgan.core.errors import UnknownSetting, UserError
from textgan.core.files import LONGEST_KEY, NoSyntax, parse_toml
from textgan.core.names import Kind, short_repr, suggest, title

Model = typing.TypeVar("Model", bound=pydantic.BaseModel)


_TYPES = "int, float, bool, str, a Literal of words, or a list of these"


class Setting(NamedTuple):
    """One setting of a part; `values` is its type in words."""

    name: str
    type: str
    default: Any
    doc: str
    values: str = ""


def settings_of(part: type) -> list[Setting]:
    """Return the settings of a part: name, type, default and meaning of each."""
    return [
        Setting(
            name,
            _type_name(field.annotation),
            field.default,
            field.description or "",
            type_in_words(field.annotation),
        )
        for name, field in settings_model(part).model_fields.items()
    ]


def check_settings(
    kind: Kind, part: type, values: Mapping[str, Any], group: str | None = None
) -> dict[str, Any]:
    """Check the given values and return all settings of a part, the others at their defaults.

    group: what the settings are under in a config, where that is not the part's kind.
    Raises UserError that names the key, the value and what would be right.
    """
    model = settings_model(part)
    try:
        made = model(**values)
    except pydantic.ValidationError as error:
        raise UserError(explain(error, model, group or kind)) from None
    refuse_conversions(values, made, group or kind)
    return dict(made)


def refuse_conversions(
    values: Mapping[str, Any], made: pydantic.BaseModel, group: str = ""
) -> None:
    """Raise UserError where a value became one of another type: True is no whole number, and
    neither are 2.0 and "2".

    In a bare word of `key=value` no type was written, so it may become any.
    """
    for place, value in _converted(values, made):
        key = ".".join([*([group] if group else []), *map(str, place)])
        raise UserError(f"{key} = {short_repr(value)}: give {_wanted(type(made), place)}")


def _converted(given: Any, made: Any, *place: str | int) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield place and value of what was converted."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            inner = made[key] if isinstance(made, Mapping) else getattr(made, key)
            yield from _converted(value, inner, *place, key)
    elif isinstance(made, list | tuple):
        items = given if isinstance(given, list | tuple) else [given]  # one is a list of one
        for number, (one, other) in enumerate(zip(items, made, strict=True)):
            yield from _converted(one, other, *place, number)
    elif not isinstance(given, Word):
        kinds = _simple_type(given), _simple_type(made)
        if kinds[0] is not kinds[1] and kinds != (int, float):
            yield place, given


def _simple_type(value: Any) -> type | None:
    """The type that a value is of, numpy's numbers as Python's."""
    kinds = {bool: bool, str: str, Integral: int, Real: float}
    return next((kind for abstract, kind in kinds.items() if isinstance(value, abstract)), None)


class CheckedSettings:
    """A dataclass of settings, which are checked when one is made, unless `from_checked` makes it.

    Raises ValueError for settings that cannot be.
    """

    part_kind: ClassVar[Kind]
    _checked: bool

    @classmethod
    def from_checked(cls, **settings: Any) -> typing.Self:
        """Make an instance with settings that `check_settings` returned: they are not checked
        again."""
        made = cls.__new__(cls)
        made._checked = True
        made.__init__(**settings)  # type: ignore[misc]  # that of the dataclass
        return made

    def __post_init__(self) -> None:
        if vars(self).pop("_checked", False):
            return
        kind = type(self)
        values = {setting.name: getattr(self, setting.name) for setting in settings_of(kind)}
        try:
            checked = check_settings(kind.part_kind, kind, values)
        except UserError as error:
            raise ValueError(str(error)) from None
        for name, value in checked.items():
            setattr(self, name, value)


class Word(str):
    """A bare word of `key=value`: no type is written in `yes`, `.5` or `cnn`."""


def parse_settings(given: Iterable[str | tuple[str, Any]]) -> dict[str, Any]:
    """Return settings by key of `key=value`s and pairs. Raises UserError for a key given twice."""
    settings: dict[str, Any] = {}
    for key, value in (parse_setting(one) if isinstance(one, str) else one for one in given):
        if key in settings:
            both = f"{short_repr(settings[key], 40)} and {short_repr(value, 40)}"
            raise UserError(f"{key} is given twice, as {both}; give it once")
        settings[key] = value
    return settings


def parse_setting(override: str) -> tuple[str, Any]:
    """Split `key=value` into the dotted key and the value. Raises UserError for another form."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"{override!r} is not of the form key=value, such as objective.rollouts=8")
    given = f"{key[:40]} = {text[:40]!r}"
    if key.count(".") >= LONGEST_KEY:
        raise UserError(f"{given}: a key has at most {LONGEST_KEY} parts between dots")
    try:
        table = parse_toml(f"value = {text}", given)
    except NoSyntax:
        return key, Word(text)
    if len(table) > 1:
        raise UserError(
            f"{override[:80]!r} holds more than one setting; give every key=value as an argument "
            "of its own"
        )
    return key, table["value"]


def make_settings(model: type[Model], settings: Mapping[str, Any]) -> Model:
    """Make a model of settings by dotted key, the others at their defaults.

    Raises UserError that names the key, the value and what would be right.
    """
    values: dict[str, Any] = {}
    for key, value in settings.items():
        put_setting(values, key, value)
    return validated(model, values)


def put_setting(
    values: dict[str, Any], key: str, value: Any, parts: typing.Collection[str] = ()
) -> None:
    """Put a value into groups of settings, under its dotted key.

    parts: groups of which a value is the name: generator=gru beside generator.hidden=64.
    Raises UserError where a group is a value.
    """
    *groups, last = key.split(".")
    at = values
    for group in groups:
        inner = at.setdefault(group, {})
        if isinstance(inner, str) and group in parts:  # generator=gru, then generator.hidden=64
            inner = at[group] = {"name": inner}
        if not isinstance(inner, dict):
            raise UserError(f"{key}: {group} is a value, not a group of settings")
        at = inner
    if key in parts and isinstance(at.get(last), dict) and not isinstance(value, dict):
        at[last]["name"] = value  # generator.hidden=64, then generator=gru
    else:
        at[last] = value


def validated(
    model: type[Model],
    values: Mapping[str, Any],
    hint: typing.Callable[[pydantic.ValidationError], str] = lambda error: "",
) -> Model:
    """Validate groups of settings and return the model of them.

    hint: a better message for some errors. Raises UserError that names the key, the value and what
    would be right.
    """
    try:
        made = model(**values)
    except pydantic.ValidationError as error:
        message = hint(error) or explain(error, model)
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            raise UnknownSetting(message, ".".join(map(str, first["loc"]))) from None
        raise UserError(message) from None
    refuse_conversions(values, made)
    return made


def explain(
    error: pydantic.ValidationError, model: type[pydantic.BaseModel], prefix: str = ""
) -> str:
    """Explain the first thing wrong in a validation error, in one line: key, value, remedy.

    model: what did not fit. prefix: the group that it is in.
    """
    first = error.errors()[0]
    place = first["loc"]
    key = ".".join(str(part) for part in ([prefix] if prefix else []) + list(place))
    if first["type"] == "extra_forbidden":
        annotation, _ = _setting_at(model, place[:-1])
        known = list(annotation.model_fields)
        return f"{key} is not a setting{suggest(str(place[-1]), known)}" + (
            f"; known here: {', '.join(known)}" if known else ""
        )
    given = f"{key or 'settings'} = {short_repr(first['input'])}"
    if first["type"] in ("value_error", "missing"):  # our own words, or nothing to convert
        message = first["msg"].removeprefix("Value error, ")
        return f"{given}: {message[0].lower()}{message[1:]}"
    return f"{given}: give {_wanted(model, place)}"


def _setting_at(model: type[pydantic.BaseModel], place: Iterable[str | int]) -> tuple[Any, Any]:
    """The annotation of what is at a place in a model, and its limits."""
    annotation: Any = model
    limits: list[Any] = []
    for part in place:
        if _is_group(annotation) and part in annotation.model_fields:
            field = annotation.model_fields[str(part)]
            annotation, limits = field.annotation, field.metadata
        elif isinstance(part, int) and typing.get_args(annotation):  # an item of a list
            annotation, limits = typing.get_args(annotation)[0], []
        if typing.get_origin(annotation) is typing.Annotated:
            annotation, *extra = typing.get_args(annotation)
            limits = [one for field in extra for one in getattr(field, "metadata", [field])]
    return annotation, limits


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _wanted(model: type[pydantic.BaseModel], place: Iterable[str | int]) -> str:
    """Describe what to give at a place: `a whole number from 1 to 10`."""
    annotation, limits = _setting_at(model, place)
    if _is_group(annotation):
        if annotation.model_config.get("extra") == "allow":  # of a part
            return "a name (see textgan list), or a group of settings"
        return f"a group of settings, such as {', '.join(list(annotation.model_fields)[:3])}"
    words = type_in_words(annotation).replace("true/false", "true or false")
    if typing.get_origin(annotation) is Literal:
        *others, last = words.split(" | ")
        return f"{', '.join(others)} or {last}" if others else last
    bounds = {
        word: getattr(one, name)
        for name, word in {"ge": "from", "gt": "above", "le": "at most", "lt": "below"}.items()
        for one in limits
        if getattr(one, name, None) is not None
    }
    between = " and ".join(f"{word} {bound}" for word, bound in bounds.items())
    if [*bounds] == ["from", "at most"]:
        between = "from {} to {}".format(*bounds.values())
    article = "" if words.startswith("true") else "a "
    full = "that is not empty" if any(getattr(one, "min_length", 0) for one in limits) else ""
    return " ".join(filter(None, [f"{article}{words}", full, between]))


@functools.cache  # of a class, whose settings do not change; making a model takes milliseconds
def settings_model(part: type) -> type[pydantic.BaseModel]:
    """Make the pydantic model of a part's settings from its constructor's signature."""
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
        raise UserError(f"{who}, by its default: {explain(error, made)}") from None
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


def is_class_variable(annotation: Any) -> bool:
    """Return whether an annotation, as written, is a ClassVar."""
    return "ClassVar" in str(annotation) or typing.get_origin(annotation) is ClassVar


def type_in_words(annotation: Any) -> str:
    """Describe the values of a type: `number`, `true/false`, choices, lists of these."""
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
        kinds = [type_in_words(one) for one in inner if one is not ...] or ["anything"]
        several = [one if one.endswith(("text", "e")) or " | " in one else f"{one}s"
                   for one in dict.fromkeys(kinds)]  # fmt: skip
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


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to dotted keys."""
    dotted: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, Mapping)
        dotted |= flatten(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return dotted


FROZEN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
