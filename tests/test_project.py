"""The project as a whole: imports, recipes, promises about what is shipped."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import importlinter.cli
import pytest
from dialogues import chained, dialogues, written
from places import ROOT
from toys import TOY, small_parts

import textgan
from textgan.core import registry
from textgan.core.names import Kind
from textgan.core.settings import settings_of
from textgan.training.config import make_config

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "textgan").rglob("*.py")
    if path.stem != "__main__"
)
RECIPES = sorted((ROOT / "experiments").rglob("*.toml"))


def test_imports_go_one_way() -> None:
    # the rooms and their order are in pyproject.toml
    kept = importlinter.cli.lint_imports(str(ROOT / "pyproject.toml"), no_cache=True)
    assert kept == importlinter.cli.EXIT_STATUS_SUCCESS


# what has no test file of its own, and why
UNTESTED = {"core/version": "a constant"}


def test_every_module_has_its_test_file() -> None:
    without = set()
    for path in (ROOT / "textgan").rglob("[!_]*.py"):
        module = path.relative_to(ROOT / "textgan").with_suffix("")
        if not (ROOT / "tests" / module.with_name(f"test_{module.name}.py")).exists():
            without.add(module.as_posix())
    assert without == set(UNTESTED)


# Where imports, as they are executed, make no circle, none reaches a module that is half-way
# through its own: whichever is imported first, alone, finds all it asks for.
IMPORTED = """
import builtins, graphlib, importlib, random, sys
import numpy, torch

needs, really = {}, builtins.__import__

def ancestors(name):
    parts = name.split(".")
    return {".".join(parts[:n]) for n in range(1, len(parts) + 1)}

def watched(name, globals=None, locals=None, fromlist=(), level=0):
    module = really(name, globals, locals, fromlist, level)
    user = (globals or {}).get("__name__", "")
    if user.startswith("textgan") and name.startswith("textgan"):
        wanted = {name, *(f"{name}.{one}" for one in fromlist or ())} & sys.modules.keys()
        before = set().union(*map(ancestors, wanted)) - ancestors(user)
        needs.setdefault(user, set()).update(before | wanted - {user})
    return module

def state():
    of_torch = torch.get_rng_state().tolist()
    return numpy.random.get_state()[1].tolist(), random.getstate(), of_torch

before, builtins.__import__ = state(), watched
for name in sys.argv[1:]:
    importlib.import_module(name)
builtins.__import__ = really
sys.modules["textgan.core.registry"].names("metric")
assert state() == before
assert not torch.cuda.is_initialized()
assert not {"matplotlib", "transformers", "sacrebleu"} & sys.modules.keys()
assert len(needs) > len(sys.argv) / 2
graphlib.TopologicalSorter(needs).prepare()
"""


def test_modules_import_in_any_order_and_nothing_happens() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", IMPORTED, *MODULES], check=True)


def rows_of(page: str) -> list[str]:
    """What the lines of a page's tables begin with."""
    text = (ROOT / f"docs/{page}.md").read_text("utf-8")
    return re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", registry.names("objective"))
def test_every_method_is_documented(name: str) -> None:
    part = registry.find("objective", name)
    assert part.paper
    about = sys.modules[part.__module__].__doc__ or ""
    assert "Generator" in about
    assert "Discriminator" in about or "Mediator" in about
    assert "`progress`" in about, "what progress anneals is not said"
    assert "Departs from the paper" in about or "control" in about or name == "mle"
    for setting in settings_of(part):
        assert setting.doc, f"{name}.{setting.name} has no description"
    assert rows_of("methods").count(name) == 1, "docs/methods.md has one line for each"
    for folder in ("paper", "small"):
        told = [tomllib.loads(path.read_text()) for path in RECIPES if path.parent.name == folder]
        assert name in [recipe["objective"]["name"] for recipe in told], folder


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("perturbation", "contrast") for name in registry.names(kind)],
)
def test_every_perturbation_and_contrast_is_documented(kind: Kind, name: str) -> None:
    part = registry.find(kind, name)
    assert part.paper
    assert len((sys.modules[part.__module__].__doc__ or "").splitlines()) > 4, "no formulas"
    assert (part.__doc__ or "").splitlines()[0].endswith(".")
    for setting in settings_of(part):
        assert setting.doc, f"{name}.{setting.name} has no description"
    page = {"perturbation": "perturbations", "contrast": "encoders"}[kind]
    assert rows_of(page).count(name) == 1, f"docs/{page}.md has one line for each"


@pytest.mark.parametrize("name", registry.names("metric"))
def test_every_metric_is_documented(name: str) -> None:
    part = registry.find("metric", name)
    about = part.__doc__ or ""
    assert about.splitlines()[0].endswith("."), "its first line, which is listed, is a sentence"
    assert "Pitfalls: " in about
    for setting in settings_of(part):
        assert setting.doc, f"{name}.{setting.name} has no description"
    page = (ROOT / "docs/evaluation.md").read_text("utf-8")
    assert re.search(rf"^\| [^|]*`{name}`", page, flags=re.MULTILINE), "its table lacks it"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_trains_at_toy_size(recipe: Path, tmp_path: Path) -> None:
    content = tomllib.loads(recipe.read_text())
    groups = ("seed", "oracle.", "schedule.", "evaluation.")
    toy = {key: value for key, value in TOY.items() if key.startswith(groups)}
    del toy["oracle.length"]
    if content.get("schedule", {}).get("mle_epochs") == 0:
        del toy["schedule.mle_epochs"]
    data, method = content.get("data", {}), content["objective"]["name"]
    answers = "source" in data or "pairs" in data
    answers = answers or registry.find("objective", method).needs_source
    if data or answers:
        toy = {key: value for key, value in toy.items() if not key.startswith("oracle.")}
        toy["data.file"] = str(ROOT / "data/captions.txt")
    if answers:
        path = written(tmp_path, chained(dialogues()), "dialogues.tsv")
        toy |= {f"data.{key}": "" for key in data if key.endswith(("file", "source"))}
        toy |= {"data.file": "", "data.pairs": str(path), "data.min_length": 1}
    toy |= {"schedule.fakes": 16, "schedule.g_steps": 1, "schedule.mle_every": 0}
    names = {
        group: content.get(group, {}).get("name", "") for group in ("generator", "discriminator")
    }
    presets = "preset" in content.get("discriminator", {})
    toy |= small_parts(method, **names, presets=presets)
    results = textgan.train(str(recipe), out=tmp_path / "run", quiet=True, plot=False, **toy)
    assert len(results.rows) >= 2
    kept = json.loads((tmp_path / "run/config.json").read_text())
    # what the toy left as it was
    for group in ("objective", "generator", "discriminator", "optimisers"):
        for key, value in content.get(group, {}).items():
            if f"{group}.{key}" not in toy:
                assert kept[group][key] == value


def test_the_papers_recipe_is_the_papers() -> None:
    config = make_config(str(ROOT / "experiments/paper/seqgan.toml"))
    schedule = config.schedule
    assert (schedule.mle_epochs, schedule.discriminator_turns, schedule.rounds) == (120, 50, 200)
    assert (schedule.g_steps, schedule.d_steps, schedule.k) == (1, 5, 3)
    assert (schedule.batch_size, schedule.fakes) == (64, 10_000)
    assert (config.oracle.vocabulary, config.oracle.length) == (5000, 20)
    assert config.oracle.positives == 10_000
    assert config.objective.settings["rollouts"] == 16
    assert config.objective.settings["rollout_ema"] == 0.0
    assert config.objective.settings["baseline"] == "none"
    assert config.discriminator.settings["preset"] == "seqgan20"
    rates = config.optimisers
    assert (rates.mle_lr, rates.generator_lr, rates.discriminator_lr) == (0.01, 0.01, 0.0001)
    assert rates.clip == 5.0


def test_recipes_of_the_papers_are_their_codes() -> None:
    """LantaoYu/SeqGAN 4152436 and desire2020/CoT 05f3908; files and lines are in the recipes."""

    def told(name: str) -> tuple[Any, ...]:
        config = make_config(str(ROOT / f"experiments/paper/{name}.toml"))
        rates, schedule = config.optimisers, config.schedule
        return config, (schedule.mle_epochs, schedule.rounds), (rates.mle_lr, rates.generator_lr)

    seqgan, lengths, rates = told("seqgan_2016")
    assert (lengths, rates) == ((240, 800), (0.001, 0.001))
    assert seqgan.objective == told("seqgan")[0].objective
    sampling, lengths, rates = told("scheduled_sampling")
    assert (lengths, rates[1], sampling.schedule.g_steps) == ((0, 300), 0.001, 10_000 // 64)
    assert 1 - sampling.objective.settings["final"] == pytest.approx(0.002 * 300)
    bleu, lengths, rates = told("pg_bleu")
    assert (lengths, rates) == ((200, 800), (0.001, 0.001))
    wanted = {"order": 3, "smoothing": "none", "share": 0.4, "rollouts": 1, "baseline": "none"}
    assert wanted.items() <= bleu.objective.settings.items()
    cot, lengths, rates = told("cot")
    assert (lengths, rates[1]) == ((0, 200_000), 0.001)
    assert (cot.optimisers.discriminator_lr, cot.optimisers.clip) == (0.003, 0.0)
    assert (cot.schedule.batch_size, cot.schedule.discriminator_texts) == (64, 128)
    assert not cot.discriminator.settings["dropout_input"]


def test_defaults_are_the_same_however_they_are_written() -> None:
    named = make_config("seqgan")
    assert make_config({"objective": "seqgan"}) == named
    assert make_config(json.loads(named.to_json())) == named
    assert make_config("seqgan", ["generator=lstm", "discriminator.name=cnn"]) == named
    one = make_config("seqgan", ["generator.hidden=64", "generator=gru"])
    other = make_config("seqgan", {"generator": "gru", "generator.hidden": 64})
    assert one == other
    assert one.generator.name == "gru"
    assert one.generator.settings["hidden"] == 64


def pins(name: str) -> dict[str, str]:
    """The versions of a file of constraints."""
    lines = (ROOT / name).read_text().splitlines()
    pinned = (line.split("==") for line in lines if "==" in line)
    return {package.lower().replace("_", "-"): version for package, version in pinned}


def bounds(*extras: str) -> dict[str, str]:
    """The lower bounds of what is required, and of extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = project["dependencies"] + [line for extra in extras for line in optional[extra]]
    return dict(line.split(">=") for line in wanted if ">=" in line)


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def test_pins_meet_the_lower_bounds() -> None:
    pinned = pins("constraints.txt")
    for name, bound in bounds("dev", "plots", "bpe", "hf").items():
        assert numbers(pinned[name]) >= numbers(bound), name
    assert pinned["torch"] == "2.13.0"


def test_the_lowest_pins_are_the_lower_bounds() -> None:
    pinned = pins("constraints-lowest.txt")
    tools = {"ruff", "mypy", "build", "pre-commit"}  # of which no test depends
    for name, bound in bounds("dev", "plots", "bpe", "hf").items():
        if name not in tools:
            assert [*numbers(bound), 0, 0][:3] == [*numbers(pinned[name]), 0, 0][:3], name
