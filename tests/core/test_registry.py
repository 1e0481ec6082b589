from pathlib import Path

import pytest
from parts import METHOD, NETWORKS, ONE, WritePart
from toys import Cli, refused

from textgan.core import registry
from textgan.core.own_code import Typed

"""Settings of registered parts."""

WHOLE = {
    "abstract": (
        "class Mine(Objective):\n    def sample(self, generator, real, progress): return real",
        "mine.py:Mine",
        ["mine.py:Mine is abstract: it lacks generator_loss"],
    ),
    "the base class": (METHOD, "mine.py:Objective", ["Objective is the abstract class itself",
                                                      "mine.py:Mine"]),
    "no class named": (METHOD, "mine.py", ["names a file and no class", "mine.py:Mine"]),
    "a class of another name": (METHOD, "mine.py:Mien", ["no class Mien", "mine.py:Mine"]),
    "a class of another kind": (
        METHOD + "\nclass Other: pass", "mine.py:Other",
        ["does not derive from Objective", "mine.py:Mine"],
    ),
    "no discriminator_loss": (
        METHOD.replace("discriminator_loss", "loss_of_discriminator"), "mine.py:Mine",
        ["mine.py:Mine has no discriminator_loss, but a discriminator (cnn)"],
    ),
    "no dataclass": (
        METHOD + "\nclass Mine(Mine):\n    other: float = 1.0", "mine.py:Mine",
        ["mine.py:Mine is not a dataclass, so other is not a setting", "@dataclass(kw_only=True)"],
    ),
    "positional settings": (
        METHOD.replace("(kw_only=True)", ""), "mine.py:Mine", ["settings are positional"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE)
def test_a_class_that_is_no_method_is_refused(case: str, write_part: WritePart, cli: Cli) -> None:
    content, target, expected = WHOLE[case]
    write_part("", content)
    line = refused(cli, "train", target, "--out", "run", *ONE)
    for words in expected:
        assert words in line, line
    assert not Path("run").exists()


def test_what_looks_like_a_setting_and_is_none_is_said(write_part: WritePart, cli: Cli) -> None:
    write_part("other = 1.0\nEPSILON = 2.0\n_own = 3\npaper = 'of mine'")
    code, _, err = cli("train", "mine.py:Mine", "--out", "run", *ONE)
    assert code == 0
    (message,) = [line for line in err.splitlines() if "annotation" in line]
    assert "mine.py:Mine.other = 1.0 has no annotation, so it is not a setting" in message
    assert "other: float = 1.0" in message


def test_a_generator_whose_settings_are_positional_is_said(write_part: WritePart) -> None:
    write_part("", NETWORKS.replace("space, *, hidden", "space, hidden"))
    (message,) = registry.remarks(registry.find("generator", "mine.py:Window", code=Typed()))
    assert "mine.py:Window: its parameter hidden is not keyword-only" in message
