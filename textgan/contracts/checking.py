"""textgan check: one part, tried on tiny worlds in seconds; importable as a contract test."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

from textgan.contracts.of_networks import checks_of_discriminator, checks_of_generator
from textgan.contracts.of_objective import checks_of_objective
from textgan.contracts.of_others import checks_of_contrast, checks_of_metric, checks_of_perturbation
from textgan.contracts.outcome import Check, CheckFailed, Report, run_checks
from textgan.contracts.worlds import Trial
from textgan.core import registry
from textgan.core.arguments import checked_arguments
from textgan.core.errors import UserError
from textgan.core.names import Kind, suggest
from textgan.core.own_code import Typed
from textgan.core.settings import check_settings
from textgan.models.generators.base import AutoregressiveGenerator


@checked_arguments
def check(
    part: Annotated[str, "path/to/file.py:Class, or a name of textgan list"],
    settings: Mapping[str, Any] | None = None,
    *,
    strict: bool = True,
) -> Report:
    """Check whether a part keeps its contract, as `textgan check` does.

    part: `path/to/file.py:Class`, or the name of one of textgan's. settings: the part's own, by
    name, or by dotted key as a run has them. Raises UserError where there is no such part or
    setting; where `strict` and a check failed CheckFailed, an AssertionError whose message is the
    table, so that one line is a test: `textgan.check("mine.py:Mine")`.

    Example:
        >>> textgan.check("mine.py:Mine", {"rollouts": 2})
    """
    kind, part_class = find_part(part)
    with tempfile.TemporaryDirectory(prefix="textgan-check-") as folder:
        checks = _checks(kind, part, part_class, dict(settings or {}), Path(folder))
        report = run_checks(part, kind, checks)
    if strict and not report.passed:
        raise CheckFailed(str(report))
    return report


def find_part(name: str) -> tuple[Kind, type[Any]]:
    """Return the kind and the class of a part that a file or textgan defines.

    Raises UserError where there is none.
    """
    kinds: tuple[Kind, ...] = get_args(Kind)
    if registry.is_file(name):
        path, _, class_name = name.rpartition(":")
        own = registry.parts_in(path or name, "part", Typed(), abstract=True)
        kinds_of_class = [kind for kind, parts in own.items() if class_name in parts]
        if not kinds_of_class:
            known = ", ".join(f"{path or name}:{one}" for parts in own.values() for one in parts)
            raise UserError(
                f"{name!r} names no part; "
                + (f"give one of {known}" if known else "the file defines none")
            )
        return kinds_of_class[0], registry.find(kinds_of_class[0], name, "part", Typed())
    every = {one: kind for kind in kinds for one in registry.names(kind)}
    if name not in every:
        raise UserError(
            f"there is no part called {name!r}{suggest(name, every)}; "
            "see textgan list, or give path/to/file.py:Class"
        )
    return every[name], registry.find(every[name], name)


def _checks(
    kind: Kind, name: str, part: type[Any], settings: dict[str, Any], folder: Path
) -> list[tuple[str, Check]]:
    own = {key.removeprefix(f"{kind}."): value for key, value in settings.items()}
    dotted = {key if "." in key else f"{kind}.{key}": value for key, value in settings.items()}
    if kind == "objective":
        trial = Trial(folder, {"objective": name}, dotted, part.needs_source)
        trial.config()  # raises for a setting that is none
        return checks_of_objective(part, trial)
    if kind == "generator":
        method = _method_with("generator", name)
        likely = issubclass(part, AutoregressiveGenerator)
        method = method or ("reinforce" if likely else "wgan_gp")
        parts: dict[Kind, str] = {"objective": method, "generator": name}
        trial = Trial(folder, parts, dotted, part.reads_source)
        trial.config()
        return checks_of_generator(part, trial)
    if kind == "discriminator":
        method = _method_with("discriminator", name) or "reinforce"
        parts = {"objective": method, "discriminator": name}
        trial = Trial(folder, parts, dotted, part.reads_source)
        trial.config()
        return checks_of_discriminator(part, trial)
    if kind == "metric":
        return checks_of_metric(part, Trial(folder, {"objective": "mle"}), own)
    if kind == "perturbation":
        check_settings("perturbation", part, own)
        shown = ", ".join(f"{key}={value}" for key, value in own.items())
        whole = f"{name}({shown})" if shown else name
        perturbed = {"discriminator.perturb": whole, "mle.perturb": whole}
        return checks_of_perturbation(part, Trial(folder, {"objective": "reinforce"}, perturbed))
    check_settings("contrast", part, own)
    return checks_of_contrast(part, name, Trial(folder, {"objective": "mle"}), own)


def _method_with(group: str, name: str) -> str | None:
    """The method whose usual network this is, if it is that of no common one."""
    common = {"generator": "lstm", "discriminator": "cnn"}[group]
    if name == common:
        return None
    for one in registry.names("objective"):
        part = registry.find("objective", one)
        if getattr(part, group) == name and part.discriminator_kind == "discriminator":
            return one
    return None
