"""Settings: of parts, in dotted keys, and what is wrong with them in one line."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from toys import TOY, Cli

from textgan import perturb
from textgan.classifiers.config import ClassifierConfig
from textgan.core import registry
from textgan.core import settings as core_settings
from textgan.core.errors import UserError
from textgan.objectives.seqgan import SeqGAN
from textgan.training import trainer
from textgan.training.config import make_config


def test_settings_are_checked_once_from_the_command_line_to_the_first_update(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_settings, checked = core_settings.check_settings, Counter[str]()

    def count(kind: Any, part: type, *arguments: Any) -> dict[str, Any]:
        checked[part.__name__] += 1
        return check_settings(kind, part, *arguments)

    def stop(*_: object) -> None:
        raise UserError("the first update")

    for module in list(sys.modules.values()):  # wherever the name is bound
        if getattr(module, "check_settings", None) is check_settings:
            monkeypatch.setattr(module, "check_settings", count)
    monkeypatch.setattr(trainer, "take_step", stop)
    options = [f"{key}={value}" for key, value in TOY.items()]
    perturbed = ["mle.perturb=vat(epsilon=0.5021)", "discriminator.perturb=fgm(epsilon=0.5021)"]
    code, _, err = cli("train", "seqgan", *options, *perturbed, "--out", tmp_path / "run")
    assert code == 2 and "the first update" in err
    assert checked == {
        "SeqGAN": 1, "LSTMGenerator": 1, "CNNDiscriminator": 1, "VAT": 1, "FGM": 1,
    }  # fmt: skip


def test_settings_given_to_a_part_itself_are_checked() -> None:
    with pytest.raises(ValueError, match=r"objective\.rollouts = 0"):
        SeqGAN(rollouts=0)
    assert SeqGAN.from_checked(rollouts=3) == SeqGAN(rollouts=3)
    with pytest.raises(ValueError, match=r"perturbation\.epsilon = -1"):
        perturb.FGM(epsilon=-1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rollouts": 0}, ["rollouts", "0"]),
        ({"chunk": -1}, ["chunk", "-1"]),
        ({"rollout_ema": 1.0}, ["rollout_ema", "1.0"]),
        ({"rollout_ema": float("nan")}, ["rollout_ema", "nan"]),
        ({"baseline": "mean"}, ["baseline", "mean"]),
        ({"reduction": "mean"}, ["reduction", "mean"]),
        ({"l2": -0.2}, ["l2", "-0.2"]),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError, match="objective") as caught:
        SeqGAN(**settings)
    assert all(word in str(caught.value) for word in words)
    with pytest.raises(UserError):
        registry.build("objective", "seqgan", settings)


WRONG = [  # settings of a run, and what the message says to give
    ("seed", True, "a whole number from 0 to 2147483647"),
    ("seed", "1", "a whole number from 0 to 2147483647"),
    ("seed", 2.0, "a whole number from 0 to 2147483647"),
    ("seed", None, "a whole number from 0 to 2147483647"),
    ("schedule.rounds", True, "a whole number from 0"),
    ("schedule.rounds", "x", "a whole number from 0"),
    ("schedule", 3, "a group of settings, such as batch_size, discriminator_batch, shards"),
    ("schedule", [], "a group of settings, such as batch_size, discriminator_batch, shards"),
    ("generator", 3, "a name (see textgan list), or a group of settings"),
    ("objective.rollouts", "3", "a whole number from 1"),
    ("objective.rollout_ema", 2, "a number from 0 and below 1"),
    ("objective.reduction", "x", "sum, mean_sentence or mean_token"),
    ("optimisers.mle_lr", "0.1", "a number above 0 and at most 10"),
    ("optimisers.mle_lr", float("nan"), "a number above 0 and at most 10"),
    ("data.file", b"x", "a text"),
]


@pytest.mark.parametrize(("key", "value", "wanted"), WRONG)
def test_a_setting_of_another_type_is_refused(key: str, value: Any, wanted: str) -> None:
    with pytest.raises(UserError) as refused:
        make_config("seqgan", {key: value})
    assert str(refused.value) == f"{key} = {value!r}: give {wanted}"
    group, dot, last = key.partition(".")
    if dot and group != "objective":
        with pytest.raises(UserError) as again:
            make_config({"objective": "seqgan", group: {last: value}})
        assert str(again.value) == str(refused.value)


def test_a_part_takes_no_text_for_a_number() -> None:
    for value in ("3", True, 3.0):
        settings: dict[str, Any] = {"rollouts": value}
        with pytest.raises(ValueError, match=r"rollouts = .*: give a whole number from 1"):
            SeqGAN(**settings)
        with pytest.raises(UserError, match="rollouts = "):
            registry.build("objective", "seqgan", settings)
    assert SeqGAN(l2=1) == SeqGAN(l2=1.0)
    with pytest.raises(UserError, match=r"attack.epsilon.0 = True: give a number from 0"):
        core_settings.make_settings(ClassifierConfig, {"attack.epsilon": [True]})
    made = core_settings.make_settings(
        ClassifierConfig, {"attack.epsilon": 1, "noise.kind": "drop"}
    )
    assert made.attack.epsilon == [1.0] and made.noise.kind == ["drop"]


def test_a_bare_word_is_of_the_type_of_its_setting() -> None:
    config = make_config("seqgan", ["optimisers.mle_lr=.5", "seed=007", "device=cpu"])
    assert (config.optimisers.mle_lr, config.seed, config.device) == (0.5, 7, "cpu")
    settings = core_settings.parse_settings(["attack.absolute=yes", "lr=.5"])
    made = core_settings.make_settings(ClassifierConfig, settings)
    assert (made.attack.absolute, made.lr) == (True, 0.5)
    with pytest.raises(UserError, match="seed = True: give a whole number"):
        make_config("seqgan", ["seed=true"])


def test_a_setting_given_twice_is_refused(cli: Cli, tmp_path: Path) -> None:
    twice = ["objective.rollouts=8", "objective.rollouts=9"]
    message = "objective.rollouts is given twice, as 8 and 9; give it once"
    with pytest.raises(UserError) as refused:
        make_config("seqgan", twice)
    assert str(refused.value) == message
    code, _, err = cli("train", "seqgan", *twice, "--out", tmp_path / "run")
    assert (code, err) == (2, f"textgan: {message}\n")
    with pytest.raises(UserError, match="seed is given twice, as 1 and 2"):
        trainer.train("seqgan", "seed=1", seed=2)
    with pytest.raises(UserError, match=r"schedule\.rounds is given twice"):
        trainer.train("seqgan", schedule={"rounds": 1}, **{"schedule.rounds": 2})
    code, _, err = cli("evaluate", "a", "--set", "bleu.largest=3", "--set", "bleu.largest=4")
    assert code == 2 and "bleu.largest is given twice, as 3 and 4" in err
    toml = tmp_path / "a.toml"
    toml.write_text('seed = 3\n[objective]\nname = "seqgan"\n')
    assert make_config(str(toml), ["seed=4"]).seed == 4


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ("a.b=3", "a.b", 3),
        ("a=0.5", "a", 0.5),
        ("a=true", "a", True),
        ("a=[1, 2]", "a", [1, 2]),
        ("a=cnn", "a", "cnn"),  # a bare word is a string
        ('a="3"', "a", "3"),
        ("a=b=c", "a", "b=c"),
        ("a=", "a", ""),
    ],
)
def test_a_setting_is_read_as_toml_or_as_a_word(written: str, key: str, value: object) -> None:
    result = core_settings.parse_setting(written)
    assert result == (key, value) and isinstance(result[1], type(value))


@pytest.mark.parametrize("written", ["a", "=3", "a=1\nb=2", ".".join("a" * 200) + "=1"])
def test_what_is_no_setting_is_refused(written: str) -> None:
    with pytest.raises(UserError) as refused:
        core_settings.parse_setting(written)
    assert "\n" not in str(refused.value)


def test_a_part_and_its_settings_are_put_together_in_either_order() -> None:
    for order in (1, -1):
        values: dict[str, Any] = {}
        for key, value in [("generator", "gru"), ("generator.hidden", 4)][::order]:
            core_settings.put_setting(values, key, value, parts=["generator"])
        assert values == {"generator": {"name": "gru", "hidden": 4}}
    with pytest.raises(UserError, match="seed is a value, not a group of settings"):
        core_settings.put_setting({"seed": 3}, "seed.x", 1)


def test_groups_are_flattened_to_dotted_keys_and_come_back() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [2]}, "e": None}
    flat = core_settings.flatten(nested)
    assert flat == {"a.b.c": 1, "a.d": [2], "e": None}
    again: dict[str, Any] = {}
    for key, value in flat.items():
        core_settings.put_setting(again, key, value)
    assert again == nested


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "whole number"),
        (float | None, "number or none"),
        (Literal["a", "b"], "a | b"),
        (list[int], "list of whole numbers"),
        (Annotated[bool, "x"], "true/false"),
        (dict[str, Any], "group of settings"),
    ],
)
def test_types_are_named_in_words(annotation: Any, words: str) -> None:
    assert core_settings.type_in_words(annotation) == words
