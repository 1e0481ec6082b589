"""Names for parts: one new file is one new method.

A class registers itself when it is defined (`class MyGAN(Objective, name="mygan")`); a part in a
file of one's own is named by `path/to/mygan.py:MyGAN`. A part's settings are the signature of
its constructor, and nothing else describes it: the keyword-only parameters are its settings, their
annotations are checked, and `textgan list` prints them.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import traceback
import typing
from types import ModuleType
from typing import Any

from textgan.core.errors import UserError
from textgan.core.names import Kind, suggest, title
from textgan.core.own_code import Code, own_file
from textgan.core.settings import (
    CheckedSettings,
    check_settings,
    is_class_variable,
    settings_of,
)

_BASES: dict[Kind, str] = {
    "objective": "textgan.objectives.base:Objective",
    "generator": "textgan.models.generators.base:Generator",
    "discriminator": "textgan.models.discriminators.base:Discriminator",
    "metric": "textgan.metrics.base:Metric",
    "perturbation": "textgan.perturb.base:Perturbation",
    "contrast": "textgan.encoders.contrast.base:EncoderObjective",
}
_CHOSEN: tuple[Kind, ...] = ("objective", "generator", "discriminator")  # of a run
_NOUNS: dict[Kind, str] = {"contrast": "method"}  # what messages call a part of a kind
_parts: dict[Kind, dict[str, type]] = {kind: {} for kind in _BASES}
# keys beside a part's settings in a config
_RESERVED: dict[Kind, tuple[str, ...]] = {"discriminator": ("name", "perturb")}


def register(kind: Kind, name: str, part: type) -> None:
    """Make `part` known by `name`; called by the abstract classes when one is derived."""
    _parts[kind][name] = part


def names(kind: Kind) -> list[str]:
    """Return the names of all registered parts of a kind."""
    _import_all(kind)
    return sorted(_parts[kind])


def find(kind: Kind, name: str, key: str | None = None, code: Code | None = None) -> type[Any]:
    """Return the class behind a name, or behind `path/to/file.py:Class`.

    key: where the name is in a config, if not at its kind's. code: which files may be imported;
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
            f"{key}: there is no {_NOUNS.get(kind, kind)} called {name!r}{hint}{meant(name, key)}; "
            f"known: {known}, or path/to/file.py:Class"
        )
    return _parts[kind][name]


def meant(name: str, key: str) -> str:
    """Return the setting that the name of a method or a network belongs to, for a message, where it
    was given to another of them; else nothing."""
    keys: dict[str, Kind] = {f"{kind}.name": kind for kind in _CHOSEN}
    others = [kind for other, kind in keys.items() if other != key and name in names(kind)]
    if key not in keys or not others:
        return ""
    return f"; that is {'an' if others[0] == 'objective' else 'a'} {others[0]}: {others[0]}={name}"


def is_file(name: str) -> bool:
    """Return whether a part's name is that of a file: `path/to/file.py:Class`, or the same without
    a class."""
    return own_file(name) is not None


def base_of(kind: Kind) -> type[Any]:
    """Return the abstract class that all parts of a kind derive from."""
    module, _, base = _BASES[kind].partition(":")
    kind_base: type[Any] = getattr(importlib.import_module(module), base)
    return kind_base


def parts_in(
    path: str, key: str = "file", code: Code | None = None, *, abstract: bool = False
) -> dict[Kind, dict[str, type[Any]]]:
    """Import a file of one's own and return the parts that it defines, by kind and class name.

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
    parts: dict[Kind, dict[str, type[Any]]] = {}
    for kind in _BASES:
        base = base_of(kind)
        own = {name: part for name, part in classes.items() if issubclass(part, base)}
        if own:
            parts[kind] = own
    return parts


def refuse_unusable(kind: Kind, part: type[Any]) -> None:
    """Raise UserError for a class that cannot be a part of its kind, which names what it lacks."""
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
        fields = [name for name in own if not is_class_variable(own[name])]
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
    for setting in settings_of(part):
        if setting.name in _RESERVED.get(kind, ("name",)):
            raise UserError(
                f"{who}: a setting cannot be called {setting.name!r}, which a config has beside a "
                "part's settings; choose another name"
            )


def remarks(part: type[Any]) -> list[str]:
    """Return a remark on each thing in a part of a file of one's own that looks like a setting and
    is none."""
    who, problems = title(part), []
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
                problems.append(
                    f"{who}.{name} = {value!r} has no annotation, so it is not a setting; "
                    f"write {name}: {type(value).__name__} = {value!r} to make it one"
                )
    if not dataclasses.is_dataclass(part):
        parameters = inspect.signature(part).parameters.values()
        problems += [
            f"{who}: its parameter {one.name} is not keyword-only, so it is not a setting; "
            "put * before it"
            for one in parameters
            if one.default is not one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
        ]
    return problems


def build(
    kind: Kind, name: str, values: dict[str, Any], *arguments: Any, code: Code | None = None
) -> Any:
    """Build the part called `name` with these settings; `arguments` come before them.

    code: as for `find`. Raises UserError for a name or setting that does not exist or does not fit.
    """
    return maker(kind, name, values, code)(*arguments)


def maker(
    kind: Kind,
    name: str,
    settings: dict[str, Any],
    code: Code | None = None,
    *,
    checked: bool = False,
) -> typing.Callable[..., Any]:
    """Return a function that makes such parts, as `build` does; settings are checked now and not
    again.

    checked: they come from a config, whose settings were checked when it was made. Those of a part
    in a file of one's own are checked all the same: the file may have changed since.
    """
    part = find(kind, name, code=code)
    if not checked or is_file(name):
        settings = check_settings(kind, part, settings)

    make_part = part.from_checked if issubclass(part, CheckedSettings) else part

    def make(*arguments: Any) -> Any:
        refuse_call(part, f"the constructor of {title(part)}", *arguments, **settings)
        try:
            return make_part(*arguments, **settings)
        except ValueError as error:
            raise UserError(f"{kind} {name}: {error}") from None

    return make


def refuse_call(function: typing.Callable[..., Any], who: str, *given: Any, **named: Any) -> None:
    """Raise UserError unless a function's signature takes these arguments."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function in C has none
        return
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        shown = ", ".join([*(type(one).__name__ for one in given), *(f"{name}=" for name in named)])
        raise UserError(
            f"{who} takes {signature}, and textgan calls it with ({shown}): {error}"
        ) from None


def _import_all(kind: Kind) -> None:
    """Import the modules in which parts are defined, so that they have registered themselves."""
    # metrics use all the rest, so that who asks for another part does not wait for them
    own: dict[str, tuple[str, ...]] = {
        "metric": ("metrics",), "perturbation": ("perturb",), "contrast": ("encoders.contrast",),
    }  # fmt: skip
    folders = own.get(kind, ("models.generators", "models.discriminators", "objectives"))
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
    one = ", ".join(f"{path}:{one}" for one in own)
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
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__)
                 if frame.f_code.co_filename == str(source.path)]  # fmt: skip
        where = f" (line {lines[-1]})" if lines else ""  # a SyntaxError says itself where
        raise UserError(
            f"{key} = {name!r}: {path} does not import: {type(error).__name__}: {error}{where}"
        ) from error
