"""Files of own parts that were written for version 0.1 import what moved, and keep their names."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from parts import SHORT, WritePart

import textgan
from textgan.core.errors import UserError
from textgan.core.moved import MOVED
from textgan.core.own_code import read_source
from textgan.core.tensors import load_tensors
from textgan.data.text import Text
from textgan.models.discriminators.base import Discriminator
from textgan.training.checkpoint import checkpoints

KEEPING = """
def setup(self, generator, discriminator, train): self.state["seen"] = torch.tensor(0)

def on_fakes(self, fake): self.state["seen"] = self.state["seen"] + len(fake)

def after_discriminator_step(self, discriminator):
    with torch.no_grad():
        discriminator.output.weight.clamp_(-0.01, 0.01)

def generator_loss(self, generator, discriminator, real, fake, progress):
    mean = self.state.get("mean", torch.zeros(()))
    reward = discriminator(fake).sigmoid().detach()
    value = policy_gradient(
        generator.log_prob(fake), (reward - mean)[:, None].expand_as(fake.tokens), fake.mask, "sum"
    )
    return value, {"seen": self.state["seen"]}, {"mean": (mean + reward.mean()) / 2}
"""


def test_files_of_0_1_go_on_with_the_names_of_hooks_that_they_have(
    write_part: WritePart, tmp_path: Path
) -> None:
    """And keep what a loss writes down itself, where a batch is one shard."""
    names = {"self.state": "self.memory", "setup": "prepare", "on_fakes": "remember"}
    old = KEEPING.replace("after_discriminator_step", "constrain")
    for new_name, old_name in names.items():
        old = old.replace(new_name, old_name)
    write_part(KEEPING, name="new.py")
    write_part(old, name="old.py")
    for name in ("new", "old"):
        textgan.train(f"{name}.py:Mine", out=name, quiet=True, plot=False, **SHORT)
    new, result = (load_tensors(checkpoints(Path(name))[-1])[0] for name in ("new", "old"))
    assert {"objective.seen", "objective.mean"} < new.keys() == result.keys()
    assert all(torch.equal(new[key], result[key]) for key in new)
    # a run of such a file goes on, though a new one would be refused
    last = '    return value, {"seen": self.memory["seen"]}'
    written = old.replace(f'{last}, {{"mean": ', '    self.memory["mean"] = (').replace(
        "/ 2}", f"/ 2)\n{last}"
    )
    write_part(written, name="old.py")
    with pytest.raises(UserError, match=r"old.py:Mine.generator_loss changed state\['mean'\]"):
        textgan.train("old.py:Mine", out="third", quiet=True, **SHORT)
    with pytest.MonkeyPatch.context() as patched:  # as 0.1 made it
        patched.setattr("textgan.training.run.dry_run", lambda *_: None)
        textgan.train("old.py:Mine", out="third", quiet=True, plot=False, **SHORT)
        third = load_tensors(checkpoints(Path("third"))[-1])[0]
        assert all(torch.equal(new[key], third[key]) for key in new)
        with pytest.raises(UserError, match=r"changed state\['mean'\], which losses only read"):
            textgan.train("old.py:Mine", out="two", quiet=True, **SHORT | {"schedule.shards": 2})


# what parts of one's own were written with
NAMES = {
    "textgan.contrast.base": "Contrast TwoLooks place_of",
    "textgan.data.fit": "MANY_UNKNOWN",
    "textgan.discriminators.base": "Discriminator Highway widened TokenEmbedding",
    "textgan.discriminators.cnn": "CNNDiscriminator",
    "textgan.errors": "UserError Interrupted",
    "textgan.generators.base": "AutoregressiveGenerator Generator LinearGenerator State draw_texts",
    "textgan.generators.recurrent": "LSTMGenerator",
    "textgan.losses": "Loss Reduction leave_one_out logistic nll policy_gradient",
    "textgan.metrics.base": "Material Metric Score Unavailable",
    "textgan.objectives.base": "Objective",
    "textgan.perturb": "FreeLB",
    "textgan.perturb.base": "Passes Perturbation Place",
    "textgan.registry": "register check settings",
    "textgan.rollout": "rollout_values",
    "textgan.sampling": "Categorical Choose draw_seed greedy multinomial seeded softmax",
    "textgan.text": "Text TextSpace concatenate",
}


@pytest.mark.parametrize("module", NAMES)
def test_own_files_import_what_moved(module: str, tmp_path: Path) -> None:
    """Every form of import, also one inside of a function; elsewhere the old paths are gone."""
    names = NAMES[module].split()
    path = tmp_path / "own.py"
    path.write_text(
        f"import {module}\nimport {module} as short\nfrom {module} import {', '.join(names)}\n"
        f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]} as last\n"
        f"def late():\n    from {module} import {names[0]}\n    return {names[0]}\n"
        f"same = {module}.{names[0]}, short.{names[0]}, last.{names[0]}, late()\n"
    )
    loaded = read_source(path, "here").load()
    assert all(one is getattr(loaded, names[0]) for one in loaded.same)
    if module.split(".")[1] not in ("losses", "metrics", "objectives", "perturb"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(module)


def test_every_new_place_is_there() -> None:
    for homes in MOVED.values():
        for home in homes.split():
            importlib.import_module(f"textgan.{home}")


def test_what_no_version_had_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    for line, message in {
        "from textgan.text import Txt": "textgan.text has no Txt; see the list in docs",
        "from textgan.text import START": "textgan.text has no START; write space.bos",
        "from textgan.perturb.smart import weights": "textgan.perturb.smart has no weights; see",
        "from textgan.nothing import Text": "No module named 'textgan.nothing'",
        "import textgan.nothing": "No module named 'textgan.nothing'",
    }.items():
        path.write_text(line)
        with pytest.raises(ImportError, match=re.escape(message)):
            read_source(path, "here").load()


def test_methods_by_their_former_names() -> None:
    class Base(Discriminator):
        def features(self, text: Text) -> torch.Tensor:
            return torch.ones(len(text), 1)

        def score_pair(self, real: Text, fake: Text) -> Any:
            return "new", real, fake

    class Own(Base):
        def judge(self, real: Text, fake: Text) -> Any:
            return "own", super().judge(real, fake)

    space: Any = None
    assert Base(space).judge(1, 2) == ("new", 1, 2)
    own: Any = Own(space)
    assert own.score_pair(1, 2) == own.judge(1, 2) == ("own", ("new", 1, 2))
    with pytest.raises(AttributeError):
        _ = own.juge
