"""Calls of the functions that users call, checked against their signatures.

The command line passes on what was typed, so what a function refuses is refused there, too, in the
same words. An annotation says what an argument may be: `Annotated[int, SEEDS]` has a range,
`Annotated[str | Path, "a new file"]` what a message says to give.
"""

from __future__ import annotations

import functools
import inspect
import os
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar

from textgan.core.checks import choice_from, flag_from, names_from, number_from, short, whole_from
from textgan.core.errors import UnknownSetting, UserError
from textgan.core.names import suggest

Function = TypeVar("Function", bound=Callable[..., Any])

_SEVERAL = inspect.Parameter.VAR_POSITIONAL
_SETTINGS = inspect.Parameter.VAR_KEYWORD


def checked_arguments(function: Function) -> Function:
    """Decorate a function so that its arguments are checked against its annotations' types and
    ranges.

    A call that does not fit raises UserError, which names the argument, before the function runs.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            raise UserError(_misfit(function, signature, args, kwargs)) from None
        hints = _hints(function)
        for name, value in given.arguments.items():
            kind = signature.parameters[name].kind
            if kind is _SEVERAL:
                given.arguments[name] = tuple(_checked(name, one, hints[name]) for one in value)
            elif kind is not _SETTINGS and name in hints:  # `self` has none
                given.arguments[name] = _checked(name, value, hints[name])
        try:
            return function(*given.args, **given.kwargs)
        except UnknownSetting as error:  # it may be an argument that was meant
            meant = suggest(error.key, signature.parameters)
            if error.key not in kwargs or not meant:
                raise
            raise UserError(f"{error.key} is no argument of {_name_of(function)}{meant}") from None

    return typing.cast(Function, call)


@functools.cache  # resolved at the first call, for importing is to be quick
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(function, include_extras=True)


def argument_types(function: Callable[..., Any], name: str) -> tuple[list[Any], tuple[Any, ...]]:
    """Return what an argument may be: the types, and what Annotated adds (a range, a
    description)."""
    return _parts_of(_hints(inspect.unwrap(function))[name])


def _name_of(function: Callable[..., Any]) -> str:
    """The name that a user knows: of what makes objects callable, that of their class."""
    called = function.__qualname__.removesuffix(".__call__")
    return called.rpartition(".")[2]


def _misfit(
    function: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> str:
    """Explain why the arguments of a call do not fit a signature."""
    name, known = _name_of(function), dict(signature.parameters)
    if next(iter(known), "") == "self":  # which nobody gives by its name
        known, args = {key: one for key, one in known.items() if key != "self"}, args[1:]
    several = any(one.kind is _SEVERAL for one in known.values())
    places = [key for key, one in known.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    for key in kwargs:
        if key not in known:
            return f"{key} is no argument of {name}{suggest(key, known)}; known: {', '.join(known)}"
    if len(args) > len(places) and not several:
        listed = ", ".join(places)
        return (
            f"{name} takes {listed} without a name, and {short(args[len(places)])} is given "
            "beyond; give it as name=value"
        )
    for key in places[: len(args)]:
        if key in kwargs:
            return f"{key} is given twice; give it once"
    [lacking, *_] = [
        key
        for key, one in known.items()
        if one.default is one.empty
        and one.kind not in (_SEVERAL, _SETTINGS)
        and key not in {*kwargs, *places[: len(args)]}
    ]
    return f"{lacking} is missing: give {_wanted(*argument_types(function, lacking))}"


def _parts_of(hint: Any) -> tuple[list[Any], tuple[Any, ...]]:
    """The types of an annotation, and what Annotated adds."""
    if typing.get_origin(hint) is Annotated:
        inner, *extra = typing.get_args(hint)
        types, more = _parts_of(inner)
        return types, (*extra, *more)
    if typing.get_origin(hint) in (typing.Union, UnionType):
        parts = [_parts_of(one) for one in typing.get_args(hint)]
        return [one for types, _ in parts for one in types], sum((more for _, more in parts), ())
    return [hint], ()


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return the value as its annotation has it: numbers and flags plain, names as a list."""
    types, extra = _parts_of(hint)
    if value is None and NoneType in types:
        return None
    wanted = [one for one in types if one is not NoneType]
    limits = next((one for one in extra if isinstance(one, tuple)), None)
    what = next((one for one in extra if isinstance(one, str)), "")
    if wanted == [int] and limits:
        return whole_from(name, value, limits)
    if wanted == [float] and limits:
        return number_from(name, value, limits)
    if wanted == [bool]:
        return flag_from(name, value)
    if typing.get_origin(wanted[0]) is Literal:
        return choice_from(name, value, typing.get_args(wanted[0]))
    if wanted == [str, Sequence[str]]:
        names = names_from(name, value, what or "at least one name")
        return value if isinstance(value, str) else names
    no_path = isinstance(value, str) and not value and Path in wanted  # Path("") is "."
    if no_path or not any(_is_a(value, one) for one in wanted):
        raise UserError(f"{name} = {short(value)}: give {_wanted(wanted, extra)}")
    return value


def _is_a(value: Any, wanted: Any) -> bool:
    """Return whether a value is of a type; the items of a list are checked where they are read."""
    kind = typing.get_origin(wanted) or wanted
    if kind is Any:
        return True
    if kind is Path:
        return isinstance(value, str | os.PathLike)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool)
    if kind is Sequence:
        return isinstance(value, Iterable) and not isinstance(
            value, str | bytes | Mapping | os.PathLike
        )
    return isinstance(value, kind)


def _wanted(types: Sequence[Any], extra: Sequence[Any]) -> str:
    """Describe what to give: `a new file, a str or a Path`."""
    kinds = [_in_words(one) for one in types if one is not NoneType]
    *others, last = dict.fromkeys(kinds)
    listed = f"{', '.join(others)} or {last}" if others else last
    return ", ".join([*(one for one in extra if isinstance(one, str)), listed])


def _in_words(wanted: Any) -> str:
    kind = typing.get_origin(wanted) or wanted
    if kind is Literal:
        return " or ".join(map(str, typing.get_args(wanted)))
    names = {int: "a whole number", float: "a number", Sequence: "a list", Mapping: "a dict"}
    return names.get(kind, f"a {kind.__name__}")
