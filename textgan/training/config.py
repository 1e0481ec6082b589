"""RunConfig: everything that decides a run, from a TOML file, a name and `key=value`s, checked.

A run's folder holds the whole of it, defaults included, so a later version's defaults change
nothing about it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from textgan.core import registry
from textgan.core.checks import flag_from
from textgan.core.errors import UserError
from textgan.core.files import exists, read_json, read_toml
from textgan.core.identity import CONFIG
from textgan.core.names import Kind, suggest
from textgan.core.optim import Optimisers
from textgan.core.own_code import Code, Typed, own_file
from textgan.core.precision import Precision
from textgan.core.settings import (
    FROZEN,
    check_settings,
    parse_settings,
    put_setting,
    settings_of,
    validated,
)
from textgan.data.settings import LARGEST_SEED, RunDataConfig
from textgan.perturb.base import Perturbation, perturbation
from textgan.training.schedule import Schedule

_PARTS: tuple[Kind, ...] = ("objective", "generator", "discriminator")


class OracleConfig(BaseModel):
    """The synthetic language and what is drawn from it. Defaults: a small one, for minutes."""

    model_config = FROZEN

    parameters: str = Field("", description="published parameters (.npz or pickle), or none")
    vocabulary: int = Field(100, ge=2, le=10_000_000, description="tokens; paper: 5000")
    length: int = Field(20, ge=2, le=100_000, description="tokens of a sentence; paper: 20")
    embedding: int = Field(32, ge=1, le=65_536, description="size of a token's vector; paper: 32")
    hidden: int = Field(32, ge=1, le=65_536, description="size of the state; paper: 32")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="of the N(0, 1) parameters")
    source_length: int = Field(
        0, ge=0, le=100_000, description="words of the source that a sentence answers; 0: none"
    )
    source_vocabulary: int = Field(
        20, ge=2, le=10_000_000, description="different words of sources"
    )
    positives: int = Field(
        10000, ge=20, le=10**8, description="fixed training sentences; paper: 10000"
    )
    held_out: int = Field(
        2000, ge=20, le=10**8, description="sentences for validation, and for the test"
    )


class EvaluationConfig(BaseModel):
    """Settings of the evaluation during training and at its end."""

    model_config = FROZEN

    samples: int = Field(
        1000, ge=10, le=10**8, description="texts drawn at an evaluation during training"
    )
    final_samples: int = Field(
        10000, ge=10, le=10**8, description="texts drawn for the final table"
    )
    ngrams: int = Field(
        0, ge=0, le=8, description="largest n of the n-gram divergences jsd<n>; 0: not measured"
    )
    bootstrap: int = Field(1000, ge=100, le=10**6, description="resamplings for a 95 % interval")
    unique_alarm: float = Field(
        0.5, ge=0, le=1, description="warn when a smaller share of the samples is distinct"
    )
    entropy_alarm: float = Field(
        0.5, ge=0, le=1, description="warn when entropy falls below this share of MLE's"
    )


class PartConfig(BaseModel):
    """The name of a part and, as extra keys, its settings."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.__pydantic_extra__ or {})


class DiscriminatorConfig(PartConfig):
    """The discriminator, and how it is trained."""

    perturb: str = Field(
        "", description="of its updates: a perturbation, such as fgm(epsilon=1.0), or none"
    )


class MLEConfig(BaseModel):
    """Settings of the MLE updates."""

    model_config = FROZEN

    perturb: str = Field("", description="a perturbation, such as fgm(epsilon=1.0), or none")


class RunConfig(BaseModel):
    """A run."""

    model_config = FROZEN

    seed: int = Field(0, ge=0, le=2**31 - 1, description="of weights, samples and batches")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Precision = Field(
        "float32", description="of matrix products: float32, tf32 (GPU) or bf16 (faster, rounder)"
    )
    matmul: Literal["auto", "blas", "onednn"] = Field(
        "auto", description="library of float32 products on a processor; auto: the faster here"
    )
    checkpoint_seconds: float = Field(60.0, ge=0, description="between checkpoints; 0: every step")
    init: str = Field(
        "",
        description="a run whose best MLE epoch the generator starts from; its data and generator, "
        "and no MLE epochs, where nothing else is said",
    )
    data: RunDataConfig = RunDataConfig()
    oracle: OracleConfig = OracleConfig()
    objective: PartConfig = PartConfig(name="seqgan")
    generator: PartConfig = PartConfig(name="")
    discriminator: DiscriminatorConfig = DiscriminatorConfig(name="")
    mle: MLEConfig = MLEConfig()
    schedule: Schedule = Schedule()
    optimisers: Optimisers = Optimisers()
    evaluation: EvaluationConfig = EvaluationConfig()

    @property
    def part_names(self) -> dict[str, str]:
        """Every name of a part, by its key."""
        return {
            **{f"{kind}.name": getattr(self, kind).name for kind in _PARTS},
            "mle.perturb": self.mle.perturb,
            "discriminator.perturb": self.discriminator.perturb,
        }

    @property
    def has_source(self) -> bool:
        """Whether the run's texts answer a source."""
        return self.data.has_sources if self.data.path else bool(self.oracle.source_length)

    def perturbations(self, code: Code | None = None) -> dict[str, Perturbation]:
        """Build the perturbations of the updates of "mle" and "discriminator", new ones at each
        call.

        code: which files may be imported. Raises UserError that names the key for what cannot be.
        """
        perturbations = {}
        for group in ("mle", "discriminator"):
            name = getattr(self, group).perturb
            made = perturbation(name, f"{group}.perturb", code)
            if made is not None and made.is_stateful and self.schedule.shards > 1:
                raise UserError(
                    f"{group}.perturb = {name!r} remembers what it did to a batch, and shards "
                    "would mix that up; use schedule.shards = 1"
                )
            if made is not None:
                perturbations[group] = made
        return perturbations

    def to_json(self) -> str:
        """Return the config as JSON text."""
        return json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n"


def make_config(
    target: str | Mapping[str, Any],
    overrides: Iterable[str | tuple[str, Any]] | Mapping[str, Any] = (),
    *,
    trust_code: bool = False,
) -> RunConfig:
    """Make the config of a run, all defaults filled in.

    target: an objective's name, `path/to/file.py:Class`, a TOML (or a run's JSON) file, or a
    mapping. overrides: `key=value` strings with dotted keys, pairs, or a mapping of dotted keys.
    trust_code: also import the files of code that a TOML or JSON file names; it may be somebody
    else's, and the user has not read it by naming it.
    Raises UserError that names the key, the value and the remedy.
    """
    flag_from("trust_code", trust_code)
    values = _read_target(target) if isinstance(target, str) else _copied(target)
    given = overrides.items() if isinstance(overrides, Mapping) else overrides
    settings = parse_settings(given)
    from_file = isinstance(target, str) and target.endswith((".toml", ".json"))
    code = Typed.among(settings.values()) if from_file and not trust_code else Typed()
    for key, value in settings.items():
        if key in ("objective", "objective.name") and value == "":
            raise UserError(f"{key} = '' names no method; give one (see textgan list)")
        put_setting(values, key, value, _PARTS)
    config = _config_of(values, code)
    oracles = [key for key in settings if key.startswith("oracle.")]
    if config.data.path and oracles:  # a file of settings may have an oracle beside, unused
        key, data = oracles[0], "data.pairs" if config.data.pairs else "data.file"
        raise UserError(
            f"{key} = {settings[key]!r}: the texts are those of {data} = {config.data.path!r}, not "
            "an oracle's; leave one of them out"
        )
    return config


def _config_of(values: dict[str, Any], code: Code | None) -> RunConfig:
    """The config that these values describe.

    code: the files that may be imported; None for those of a run, which spell everything out that
    the version it was written by had: what a method prefers adds nothing to them, and parts of
    one's own were checked when it was made.
    """
    for kind in _PARTS:
        if isinstance(values.get(kind), str):  # objective = "seqgan" is short for its name
            values[kind] = {"name": values[kind]}
        elif isinstance(values.get(kind), dict):
            values[kind].setdefault("name", "")
    objective = values.setdefault("objective", {"name": ""})
    if isinstance(objective, dict) and not objective.get("name"):
        objective["name"] = "seqgan"
    if code is not None:
        _put_those_of_init(values)
    _put_defaults(values, code)
    return _complete(validated(RunConfig, values, partial(_meant, values=values)), code)


def read_config(path: Path) -> RunConfig:
    """Read the config in a run's folder. No code is imported that it names."""
    values = _read_target(str(path))
    try:
        return _config_of(values, None)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _put_those_of_init(values: dict[str, Any]) -> None:
    """Add the data and the generator of the run that this one starts from, where it has one.

    A generator in a file of one's own has to be named again, which allows its import.
    """
    folder = values.get("init")
    if not isinstance(folder, str) or not folder:
        return
    path = Path(folder) / CONFIG
    if not exists(path):
        raise UserError(f"init = {folder!r} is not a run (it has no {CONFIG})")
    config = read_config(path)
    groups = {"data": config.data, "oracle": config.oracle}
    if own_file(config.generator.name) is None:
        groups["generator"] = config.generator
    for group, settings in groups.items():
        given = values.setdefault(group, {})
        if not isinstance(given, dict):
            continue  # an error that the checks to come will explain
        if group == "generator" and given.get("name") not in ("", None, config.generator.name):
            continue
        said = {key: value for key, value in given.items() if key != "name" or value}
        if group == "data":
            _refuse_other_form(folder, config.data, said)
        values[group] = settings.model_dump() | said
    schedule = values.setdefault("schedule", {})
    if isinstance(schedule, dict):
        schedule.setdefault("mle_epochs", 0)


def _refuse_other_form(folder: str, data: RunDataConfig, said: Mapping[str, Any]) -> None:
    """UserError for a file of pairs beside the file of texts of the run in a folder, or the other
    way round."""
    for key, other in (("pairs", "file"), ("file", "pairs")):
        theirs = getattr(data, other)
        if said.get(key) and said.get(other, theirs):
            option = {"pairs": "--pairs", "file": "--data"}[key]
            if other not in said:
                raise UserError(
                    f"data.{key} = {said[key]!r}: init = {folder!r} has its own data "
                    f"(data.{other} = {theirs!r}); leave {option} out"
                )


def _put_defaults(values: dict[str, Any], code: Code | None) -> None:
    """Add what a method, or the generator it comes with, prefers to the common defaults.

    code: None for a run's settings, as in `_config_of`: to these is added what their absence meant
    before there were such settings (the method's `legacy`), instead.
    """
    named: dict[str, Any] = {
        kind: values[kind].get("name") if isinstance(values.get(kind), dict) else None
        for kind in _PARTS
    }
    if not isinstance(named["objective"], str):
        return  # an error that the checks to come will explain
    if code is None and own_file(named["objective"]) is not None:
        return
    objective = registry.find("objective", named["objective"], code=code)
    pair = objective.usual_pair(_answers_source(values))
    usual = dict(zip(("generator", "discriminator"), pair, strict=True))
    generator_name = named["generator"] or usual["generator"]
    preferred = dict(objective.legacy if code is None else objective.defaults)
    if isinstance(generator_name, str) and code is not None:
        preferred |= registry.find("generator", generator_name, code=code).defaults
    for key, value in preferred.items():
        group, _, last = key.partition(".")
        # settings of the method's own pair fit no other part
        if group in usual and (named[group] or usual[group]) != getattr(objective, group):
            continue
        at = values.setdefault(group, {"name": ""} if group in _PARTS else {})
        if isinstance(at, dict):
            at.setdefault(last, value)


def _complete(config: RunConfig, code: Code | None) -> RunConfig:
    """The config with every part named and all its settings spelt out and checked.

    code: None leaves what is not this package's as it is.
    """
    names = config.part_names
    if code is None and own_file(config.objective.name) is not None:
        if not config.generator.name:
            raise UserError("generator.name is missing, which a run's config always has")
        return config
    objective = registry.find("objective", config.objective.name, code=code)
    if code is not None and config.has_source and objective.refuses_source:
        raise UserError(
            f"objective.name = {config.objective.name!r} trains on no texts that answer a source: "
            f"{objective.refuses_source}; choose another method (textgan list)"
        )
    generator, discriminator = objective.usual_pair(config.has_source)
    usual: dict[str, tuple[Kind, str | None]] = {
        "objective": ("objective", config.objective.name),
        "generator": ("generator", generator),
        "discriminator": (objective.discriminator_kind, discriminator),
    }
    parts: dict[str, PartConfig] = {}
    for part, (kind, default) in usual.items():
        given: PartConfig = getattr(config, part)
        own = given.model_dump(exclude={"name", *given.settings})
        if default is None:
            _refuse_discriminator(config)
            parts[part] = type(given)(name="")
            continue
        name = given.name or default
        if code is None and own_file(name) is not None:
            continue
        found = registry.find(kind, name, f"{part}.name", code)
        if code is not None and config.has_source and part != "objective":
            _require_reader(part, kind, name, found)
        settings = check_settings(kind, found, given.settings, part)
        parts[part] = type(given)(name=name, **own, **settings)
    made = config.model_copy(update=parts)
    if code is not None or all(own_file(name) is None for name in names.values()):
        made.perturbations(code)  # raises for what they cannot be
    return made


def _answers_source(values: Mapping[str, Any]) -> bool:
    """Return whether texts answer a source, by settings that are yet to be checked."""
    data, oracle = (
        at if isinstance(at := values.get(group), dict) else {} for group in ("data", "oracle")
    )
    given: dict[str, Any] = {
        "data": RunDataConfig.model_construct(**data),
        "oracle": OracleConfig.model_construct(**oracle),
    }
    return RunConfig.model_construct(**given).has_source


def _require_reader(part: str, kind: Kind, name: str, found: Any) -> None:
    """UserError for a network that reads no source."""
    if not found.reads_source:
        readers = [one for one in registry.names(kind) if registry.find(kind, one).reads_source]
        raise UserError(
            f"{part}.name = {name!r} reads no source, and these texts answer one; "
            f"choose {' or '.join(readers)}"
        )


def _refuse_discriminator(config: RunConfig) -> None:
    """UserError for settings of a discriminator where the method has none."""
    given = config.discriminator
    fields = given.model_dump(exclude={"name", *given.settings})
    settings = {key: value for key, value in fields.items() if value} | given.settings
    if settings or given.name:
        key = next(iter(settings), "name")
        raise UserError(
            f"discriminator.{key}: {config.objective.name} has no discriminator; leave it out"
        )


def _read_target(target: str) -> dict[str, Any]:
    if not target.endswith((".toml", ".json")):
        if not registry.is_file(target) and target not in registry.names("objective"):
            hint = suggest(target, registry.names("objective"))
            hint += registry.meant(target, "objective.name")
            known = ", ".join(registry.names("objective"))
            raise UserError(
                f"there is no objective called {target!r}{hint}; known: {known}, "
                "or a .toml file, or path/to/file.py:Class"
            )
        return {"objective": {"name": target}}
    path = Path(target)
    if not exists(path):
        raise UserError(f"there is no file {target}")
    loaded = read_toml(path) if path.suffix == ".toml" else read_json(path)
    if not isinstance(loaded, dict):
        raise UserError(f"{target} does not hold a table of settings")
    return loaded


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
    }


def _meant(error: pydantic.ValidationError, values: Mapping[str, Any]) -> str:
    """The settings that a key which is none may mean, by its last word; empty if there are none.

    Only of a key outside of all groups: inside of one, the group's own are listed.
    """
    first = error.errors()[0]
    if first["type"] != "extra_forbidden" or len(first["loc"]) > 1:
        return ""
    word = str(first["loc"][0])
    if suggest(word, RunConfig.model_fields):
        return ""  # a group or key that is misspelt
    keys: list[str] = []
    for group, field in RunConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += [f"{group}.{name}" for name in field.annotation.model_fields]
    for kind in _PARTS:
        part_values = values.get(kind)
        name = part_values.get("name") if isinstance(part_values, Mapping) else None
        if isinstance(name, str) and name in registry.names(kind):
            part = registry.find(kind, name)
            keys += [f"{kind}.{setting.name}" for setting in settings_of(part)]
            for other in _PARTS[1:] if kind == "objective" else ():
                usual = getattr(part, other)
                if usual in registry.names(other) and not values.get(other):
                    settings = settings_of(registry.find(other, usual))
                    keys += [f"{other}.{setting.name}" for setting in settings]
    last = {key: key.partition(".")[2] for key in keys}
    alike = [key for key, name in last.items() if name == word]
    alike += [key for key, name in last.items() if word in name.split("_") and key not in alike]
    if not alike:
        alike = [
            key
            for key, name in last.items()
            if difflib.get_close_matches(word, [name, *name.split("_")], cutoff=0.8)
        ]
    if not alike:
        return ""
    *others, end = alike[:5]
    listed = f"{', '.join(others)} or {end}" if others else end
    return f"{word} is not a setting; do you mean {listed}?"
