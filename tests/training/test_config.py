"""What a method prefers: taken where a run says nothing, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import pytest
import seq2seq
from toys import TOY, in_0_1s_way

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.identity import CONFIG
from textgan.models.generators.recurrent import GRUGenerator
from textgan.objectives.cot import CoT
from textgan.objectives.seqgan import SeqGAN
from textgan.training.config import RunConfig, make_config, read_config
from textgan.training.run import create_run, open_run
from textgan.training.schedule import Schedule

objectives = pytest.mark.parametrize("name", registry.names("objective"))


def value_at(config: RunConfig, key: str) -> Any:
    group, _, last = key.partition(".")
    part = getattr(config, group)
    return (
        part.settings[last]
        if group in ("objective", "generator", "discriminator")
        else (getattr(part, last))
    )


@objectives
def test_what_a_method_prefers_is_what_it_gets(name: str) -> None:
    config, part = make_config(name), registry.find("objective", name)
    preferred = dict(part.defaults) | dict(registry.find("generator", part.generator).defaults)
    for key, value in preferred.items():
        assert value_at(config, key) == value
    common = make_config("seqgan")
    for group in ("schedule", "optimisers", "evaluation", "data", "oracle"):
        for key, value in getattr(config, group).model_dump().items():
            if f"{group}.{key}" not in preferred:
                assert value == getattr(getattr(common, group), key)
    assert make_config(config.model_dump()) == config


def told(tmp_path: Path, how: str, settings: dict[str, Any]) -> RunConfig:
    """CoT with these settings, told in one of the ways there are."""
    if how == "python":
        return make_config("cot", settings)
    if how == "pairs":
        return make_config("cot", [f"{key}={value}" for key, value in settings.items()])
    groups: dict[str, dict[str, Any]] = {"objective": {"name": "cot"}}
    for key, value in settings.items():
        group, _, last = key.partition(".")
        groups.setdefault(group, {})[last] = value
    if how == "mapping":
        return make_config(groups)
    lines = []
    for group, values in groups.items():
        lines.append(f"[{group}]")
        lines += [f"{key} = {value!r}" for key, value in values.items()]
    path = tmp_path / "run.toml"
    path.write_text("\n".join(lines) + "\n")
    return make_config(str(path))


@pytest.mark.parametrize("how", ["python", "pairs", "mapping", "toml"])
def test_a_runs_own_settings_win(tmp_path: Path, how: str) -> None:
    settings = {
        "schedule.mle_epochs": 7,
        "schedule.rounds": 3,
        "optimisers.beta2": 0.5,
        "discriminator.hidden": 5,
    }
    config = told(tmp_path, how, settings)
    for key, value in settings.items():
        assert value_at(config, key) == value
    # of the same groups, what was not told is still what the method prefers
    assert config.schedule.fakes == CoT.defaults["schedule.fakes"] == 1
    assert config.optimisers.generator_lr == CoT.defaults["optimisers.generator_lr"]
    assert config.discriminator.name == "lstm"
    assert config.discriminator.settings["embedding"] == 64


@pytest.mark.parametrize("how", ["python", "pairs", "mapping", "toml"])
def test_even_a_setting_that_is_the_common_default_wins(tmp_path: Path, how: str) -> None:
    common = make_config("seqgan")
    settings = {
        key: value_at(common, key)
        for key, preferred in CoT.defaults.items()
        if not key.startswith("discriminator") and value_at(common, key) != preferred
    }
    assert len(settings) > 5
    config = told(tmp_path, how, settings)
    for key, value in settings.items():
        assert value_at(config, key) == value
        assert value != CoT.defaults[key]


@pytest.mark.parametrize("how", ["python", "pairs", "mapping", "toml"])
def test_what_suits_the_usual_part_is_not_put_on_another(tmp_path: Path, how: str) -> None:
    config = told(tmp_path, how, {"discriminator.name": "gru"})
    assert (
        config.discriminator.settings["hidden"] == make_config("mle").generator.settings["hidden"]
    )
    assert config.schedule.fakes == 1  # the rest of what the method prefers holds
    same = told(tmp_path, how, {"discriminator.name": "lstm"})
    assert same == make_config("cot")
    other = told(tmp_path, how, {"generator.name": "gru"})
    assert other.discriminator == make_config("cot").discriminator
    short = make_config("cot", ["discriminator=gru", "discriminator.hidden=9"])
    assert short.discriminator.settings["hidden"] == 9
    assert short.discriminator.settings["embedding"] != 64


def test_what_a_generator_prefers_comes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GRUGenerator, "defaults", {"optimisers.clip": 0.25, "schedule.fakes": 77})
    assert make_config("seqgan").optimisers.clip != 0.25
    config = make_config("seqgan", ["generator=gru"])
    assert (config.optimisers.clip, config.schedule.fakes) == (0.25, 77)
    assert make_config("cot", ["generator=gru"]).schedule.fakes == 77  # it knows better
    assert make_config("cot", ["generator=gru", "schedule.fakes=5"]).schedule.fakes == 5


def test_defaults_of_the_usual_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeqGAN, "defaults", {"generator.hidden": 11, "discriminator.dropout": 0.1})
    config = make_config("seqgan")
    assert config.generator.settings["hidden"] == 11
    assert config.discriminator.settings["dropout"] == 0.1
    assert make_config("seqgan", ["generator=gru"]).generator.settings["hidden"] != 11
    told = make_config("seqgan", ["generator=lstm", "generator.embedding=3"]).generator.settings
    assert (told["hidden"], told["embedding"]) == (11, 3)
    told = make_config("seqgan", ["generator.hidden=4"]).generator.settings
    assert told["hidden"] == 4


@pytest.mark.parametrize(
    "later",
    [
        {},
        {"schedule.rounds": 999, "schedule.fakes": 50, "optimisers.method": "rmsprop"},
        {"discriminator.hidden": 7, "generator.hidden": 7, "discriminator.dropout": 0.3},
    ],
)
def test_a_run_keeps_its_settings_when_the_methods_preferences_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: dict[str, Any]
) -> None:
    toy = {key: value for key, value in TOY.items() if key.startswith(("oracle.", "schedule."))}
    run = create_run(make_config("cot", toy), tmp_path / "run")
    before, digest = run.config.model_dump(), run.digest
    written = json.loads((tmp_path / "run" / CONFIG).read_text())
    monkeypatch.setattr(CoT, "defaults", later)
    again = open_run(tmp_path / "run")
    assert again.config.model_dump() == before
    assert again.digest == digest
    assert json.loads(read_config(tmp_path / "run" / CONFIG).to_json()) == written
    assert make_config(str(tmp_path / "run" / CONFIG)) == run.config
    assert make_config("cot", toy) != run.config  # a new run is another one


@pytest.mark.parametrize("group", ["objective", "schedule", "generator"])
def test_a_setting_that_an_old_run_lacks_is_what_was_done_before_there_was_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    key, before, now = {
        "objective": ("objective.rollouts", 3, 5),
        "schedule": ("schedule.d_steps", 4, 2),
        "generator": ("generator.hidden", 9, 7),
    }[group]
    toy = {k: value for k, value in TOY.items() if k.startswith("oracle.")}
    run = create_run(make_config("seqgan", toy | {key: 6}), tmp_path / "run")
    path = run.folder / CONFIG
    written = json.loads(path.read_text())
    last = key.partition(".")[2]
    assert written[group].pop(last) == 6
    path.write_text(json.dumps(written))
    in_0_1s_way(run.folder)
    monkeypatch.setattr(SeqGAN, "legacy", {key: before})
    monkeypatch.setattr(SeqGAN, "defaults", {key: now})
    assert value_at(read_config(path), key) == before
    assert value_at(open_run(run.folder).config, key) == before
    assert value_at(make_config("seqgan"), key) == now  # a new run
    written[group][last] = 8
    path.write_text(json.dumps(written))
    assert value_at(read_config(path), key) == 8  # what is spelt out holds


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("generator=pair_cnn", "generator.name: there is no generator called 'pair_cnn'; that is a "
         "discriminator: discriminator=pair_cnn; known: "),
        ("discriminator=attention", "called 'attention'; that is a generator: generator=attention"),
        ("generator=seqgan", "called 'seqgan'; that is an objective: objective=seqgan; known"),
        ("objective=cnn", "called 'cnn'; that is a discriminator: discriminator=cnn; known"),
        ("mle.perturb=cnn", "there is no perturbation called 'cnn'; known"),
    ],
)  # fmt: skip
def test_a_name_given_to_another_setting_is_refused_with_its_own(given: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        make_config("seqgan", [given])
    assert message in str(caught.value)
    with pytest.raises(UserError, match="; that is a discriminator: discriminator=cnn; known"):
        make_config("cnn")


# --- texts that answer a source ---

ANSWERING = {"oracle.source_length": 5}


@pytest.mark.parametrize(
    ("method", "pair"),
    [
        ("seqgan", ("attention", "pair_cnn")),
        ("relgan", ("attention", "pair_cnn")),
        ("wgan_gp", ("attention", "pair_cnn")),
        ("cot", ("attention", "attention")),
        ("dpgan", ("attention", "attention")),
        ("mle", ("attention", "")),
        ("scratchgan", ("attention", "stepwise")),
    ],
)
@pytest.mark.parametrize(
    "settings",
    [ANSWERING, {"data.pairs": "pairs.tsv"}, {"data.file": "de", "data.source": "en"}],
    ids=["oracle", "pairs", "two files"],
)
def test_the_usual_pair_reads_the_source_where_there_is_one(
    method: str, pair: tuple[str, str], settings: dict[str, Any]
) -> None:
    config = make_config(method, settings)
    assert (config.generator.name, config.discriminator.name) == pair
    # what the method prefers of its own pair is not for these
    assert "channels" not in config.generator.settings | config.discriminator.settings
    if method == "cot":
        assert config.discriminator.settings["hidden"] != 64
    # a generator from noise has no MLE epochs, this one has
    if method not in ("cot", "scratchgan"):
        assert config.schedule.mle_epochs == Schedule().mle_epochs


def test_a_file_of_texts_has_no_sources_whatever_the_oracle_has() -> None:
    settings = {"oracle": {"source_length": 5}, "data": {"file": "mine.txt"}}
    config = make_config(settings)
    assert config.generator.name == "lstm" and not config.has_source


@pytest.mark.parametrize("key", ["file", "pairs"])
def test_settings_of_the_oracle_beside_data_are_refused(key: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"  # its oracle is left where it is
    recipe.write_text("[oracle]\nlength = 9\n")
    data = {f"data.{key}": "mine.tsv"}
    assert make_config(str(recipe), data).oracle.length == 9
    with pytest.raises(UserError) as caught:
        make_config("seqgan", data | {"oracle.source_length": 5})
    assert str(caught.value) == (
        f"oracle.source_length = 5: the texts are those of data.{key} = 'mine.tsv', not an "
        "oracle's; leave one of them out"
    )


def test_a_file_of_another_form_than_those_of_init_is_refused(tmp_path: Path) -> None:
    first = make_config("mle", {"data.file": "a.en", "data.source": "a.de"})
    (tmp_path / "config.json").write_text(first.to_json())
    start = {"init": str(tmp_path)}
    assert make_config("mle", start | {"data.file": "", "data.source": "", "data.pairs": "p.tsv"})
    with pytest.raises(UserError, match=r"data.pairs = 'p.tsv': init = .* has its own .*--pairs"):
        make_config("mle", start | {"data.pairs": "p.tsv"})


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("seqgan", {"generator": "lstm"}, r"generator.name = 'lstm' reads no source.*attention"),
        ("bgan", {"generator": "convolutional"}, r"generator.name = 'convolutional' reads no sour"),
        ("wgan", {"discriminator": "cnn"}, r"discriminator.name = 'cnn' reads no source.*pair_cnn"),
        ("cot", {"discriminator": "gru"}, r"discriminator.name = 'gru' reads no source.*attention"),
        ("leakgan", {}, r"objective.name = 'leakgan' trains on no texts that answer a source: "),
    ],
)
def test_what_reads_no_source_is_refused_before_anything_is_read(
    method: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_config(method, settings | {"data.pairs": "nowhere.tsv"})
    assert make_config(method, settings).objective.name == method


def test_a_network_of_ones_own_says_that_it_reads_the_source(tmp_path: Path) -> None:
    body = Path(seq2seq.__file__).read_text()
    settings: dict[str, Any] = {}
    for name, content in (("mine.py", body), ("deaf.py", body.replace("reads_source = True", ""))):
        (tmp_path / name).write_text(content)
        settings[name] = ANSWERING | {"generator": f"{tmp_path / name}:Attention"}
    assert make_config("seqgan", settings["mine.py"]).discriminator.name == "pair_cnn"
    with pytest.raises(UserError, match=r"deaf.py:Attention' reads no source"):
        make_config("seqgan", settings["deaf.py"])
