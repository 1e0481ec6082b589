"""Settings of registered parts."""

from typing import Any

import pytest

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.own_code import own_file, own_files
from textgan.objectives.seqgan import SeqGAN


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


def test_names_of_files_in_settings() -> None:
    assert own_file("a/b.py:C") == own_file(" a/b.py:C(x=d.py:E) ") == "a/b.py"
    assert own_file("fgm(embedding=d.py:E)") is own_file("seqgan") is own_file("a.PY:B") is None
    assert list(own_files({"a": ["x.py:A", {"b": "y.py:B(c=1)"}], "d": 3})) == ["x.py", "y.py"]
