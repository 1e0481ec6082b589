"""Own parts of version 0.1, and those with a signature that textgan cannot call, in one line."""

import re
from pathlib import Path
from typing import Any

import pytest
from toys import TOY, TOY_TEXT, Cli, refused, toy_text

import textgan
from textgan.core.errors import UserError

IMPORTS = """
from dataclasses import dataclass, replace
import torch
from textgan.contrast.simcse import SimCSE
from textgan.discriminators.base import widened
from textgan.discriminators.cnn import CNNDiscriminator
from textgan.generators.base import draw_texts, read_before
from textgan.generators.recurrent import LSTMGenerator
from textgan.metrics.surface import Length
from textgan.objectives.seqgan import SeqGAN
from textgan.perturb.fgm import FGM
from textgan.perturb.freelb import FreeLB
from textgan.text import Text
"""
SMALL = {"network.embedding": 8, "network.heads": 2, "network.layers": 1, "epochs": 1}
BASES = {
    "objective": "@dataclass(kw_only=True)\nclass Mine(SeqGAN):",
    "generator": "class Mine(LSTMGenerator):",
    "discriminator": "class Mine(CNNDiscriminator):",
    "discriminator.perturb": "@dataclass(kw_only=True)\nclass Mine(FGM):",
    "metric": "@dataclass(kw_only=True)\nclass Mine(Length):",
    "contrast": "class Mine(SimCSE):",
}


def use(kind: str, folder: Path, code: str) -> Any:
    """Train with a part whose class has such a body, or measure with it."""
    path = folder / "mine.py"
    path.write_text(f"{IMPORTS}\n{BASES[kind]}\n    {code.strip()}\n")
    part, run = f"{path}:Mine", folder / "run"
    if kind == "metric":
        textgan.train("seqgan", out=run, quiet=True, **TOY | {"schedule.rounds": 0})
        return textgan.evaluate(run, metrics=[part], resamplings=0, quiet=True)
    if kind == "contrast":
        text = str(toy_text(folder))
        return textgan.encode(part, data=text, out=run, quiet=True, **SMALL)
    settings = {**TOY, "schedule.mle_epochs": 0, "schedule.rounds": 1}
    if kind == "objective":
        return textgan.train(part, out=run, quiet=True, **settings)
    return textgan.train("seqgan", out=run, quiet=True, **settings | {kind: part})


@pytest.mark.parametrize(
    ("kind", "code", "expected"),
    [
        ("generator", "def hidden(self): ...", "Mine.hidden takes (self); expected (self, text)"),
        ("generator", "def read(self, one): ...", "read takes (self, one); expected (self, symbol"),
        ("discriminator", "def logits(self): ...", "logits takes (self); expected (self, text)"),
        ("discriminator.perturb", "def shift(self): ...", "expected (self, target, gradient)"),
        ("metric", "def cost(self): ...", "Mine.cost takes (self); expected (self, inputs)"),
        ("metric", "def check(self): ...", "Mine.check takes (self); expected (self, inputs)"),
        ("contrast", "def __init__(self): ...", "Mine.__init__ takes (self), and textgan calls"),
        ("contrast", "def view(self): ...", "Mine.view takes (self); expected (self, text)"),
    ],
)
def test_a_signature_that_cannot_be_called_is_one_line(
    kind: str, code: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=re.escape(expected)) as error:
        use(kind, tmp_path, code)
    assert "mine.py:Mine" in str(error.value) and isinstance(error.value.__cause__, TypeError)


# the body of features(self, text), what is wrong, and what is written now
OF_0_1 = {
    "widened(text, 3)": "write padded_to(text, width, space.pad)",
    "read_before(text)": "write read_before(text, space)",
    "draw_texts(LSTMGenerator(self.space), 2, labels=None)": "condition=Condition(labels)",
    "LSTMGenerator(self.space).start(2, None, None)": "write start(n, condition)",
    "(lambda hidden, cell: hidden)(*LSTMGenerator(self.space).start(2))": "write state.carried",
    "torch.cat(LSTMGenerator(self.space).start(2))": "write state.carried",
}


@pytest.mark.parametrize("call", OF_0_1)
def test_a_call_of_0_1_is_one_line(call: str, tmp_path: Path) -> None:
    code = f"def features(self, text):\n        return {call}"
    with pytest.raises(UserError, match=re.escape(OF_0_1[call])) as error:
        use("discriminator", tmp_path, code)
    assert re.search(r"mine.py, line 17, is written for textgan 0.1", str(error.value))


def test_the_command_line_says_it_and_an_import_names_its_line(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    settings = [f"{key}={value}" for key, value in TOY_TEXT.items() if key.startswith("schedule")]
    command = (
        "train",
        "seqgan",
        *settings,
        "--data",
        toy_text(tmp_path),
        "--out",
        tmp_path / "run",
    )
    path.write_text(f"{IMPORTS}\nclass Mine(LSTMGenerator):\n    def hidden(self): ...\n")
    line = refused(cli, *command, f"generator={path}:Mine")
    assert "mine.py:Mine.hidden takes (self); expected (self, text)" in line
    path.write_text(f"{IMPORTS}\nfrom textgan.text import START\n")
    line = refused(cli, *command, f"generator={path}:Mine")
    assert line.endswith("ImportError: textgan.text has no START; write space.bos (line 15)")


def test_a_bug_of_ones_own_keeps_its_frames(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="missing 1 required") as error:
        use(
            "discriminator",
            tmp_path,
            "def own(self, a): ...\n    def features(self, text): self.own()",
        )
    assert "features" in {frame.name for frame in error.traceback}


def test_texts_are_made_by_the_names_of_0_1(tmp_path: Path) -> None:
    code = """
    def features(self, text):
        same = Text(text.tokens, sizes=text.sizes, rows=text.rows, given=text.given, labels=None)
        rows = torch.nn.functional.one_hot(text.tokens, self.space.vocabulary).float()
        labels = torch.zeros(len(text), dtype=torch.long)
        other = replace(text, rows=rows, labels=labels, given=1)
        assert other.soft_tokens is rows and other.condition.labels is labels
        assert other.prompt_length == 1 and replace(other, rows=None).soft_tokens is None
        return super().features(same)"""
    use("discriminator", tmp_path, code)


def test_perturbations_use_the_names_of_0_1(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"""{IMPORTS}
@dataclass(kw_only=True)
class Mine(FreeLB):
    def visit(self, network, loss, scale, passes, at):
        with passes.at(at) as here:
            value, metrics = loss()
            here.slopes(value, keep=True)
            slopes = here.accumulate(value * scale / self.passes)
            shifts = [shift.detach() for shift in here.shifts]
        return (value.detach(), metrics), lambda: [
            self.climb(passes.place, shift, slope)
            for shift, slope in zip(shifts, slopes, strict=True)
        ]
""")
    settings = {**TOY, "schedule.mle_epochs": 0, "discriminator.perturb": f"{path}:Mine"}
    textgan.train("seqgan", out=tmp_path / "run", quiet=True, **settings)
