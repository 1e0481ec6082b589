"""Settings: of parts, in dotted keys, and what is wrong with them in one line."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from toys import TOY, Cli

from textgan import perturb
from textgan.core import registry
from textgan.core import settings as core_settings
from textgan.core.errors import UserError
from textgan.objectives.seqgan import SeqGAN
from textgan.training import trainer


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


def test_settings_given_as_text_become_numbers() -> None:
    built = registry.build("objective", "seqgan", {"rollouts": "3"})
    assert built.rollouts == 3
    assert SeqGAN(rollouts="3") == built


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
    found = core_settings.parse_setting(written)
    assert found == (key, value) and type(found[1]) is type(value)


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
