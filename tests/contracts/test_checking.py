"""textgan check: what it finds in parts that keep, or break, their contract."""

from pathlib import Path

import pytest
import torch
from parts import METHOD, NETWORKS
from promises import CONTRAST, METRIC, PERTURBATION, written
from toys import Cli, refused

import textgan
from textgan.contracts.outcome import CheckFailed
from textgan.core.errors import UserError

MASKED = NETWORKS.replace(
    "return self.embedding(text.inputs).mean(1)",
    "mask = text.mask.unsqueeze(2)\n        return (self.embedding(text.inputs) * mask).sum(1)",
)
KEPT = {
    "objective": (METHOD, "Mine"),
    "generator": (NETWORKS, "Window"),
    "discriminator": (MASKED, "Bag"),
    "metric": (METRIC, "Dots"),
    "perturbation": (PERTURBATION, "Twice"),
    "contrast": (CONTRAST, "Small"),
}


@pytest.mark.parametrize("kind", KEPT)
def test_a_part_in_a_file_keeps_its_contract(kind: str) -> None:
    body, owner = KEPT[kind]
    if owner == "Window":  # it has no weights for labels, and never writes padding
        body = body.replace(
            "return self.output(hidden)", "return self.output(hidden) + self.forbidden"
        ).replace(
            "return self.output(self.embedding(read_before(text, self.space)))",
            "return self.output(self.embedding(read_before(text, self.space))) "
            "+ self.forbidden",
        ).replace(
            "self.output = nn.Linear(hidden, space.vocabulary)",
            "self.output = nn.Linear(hidden, space.vocabulary)\n"
            "        from textgan.models.generators.base import forbidden_logits\n"
            "        self.register_buffer('forbidden', forbidden_logits(space))",
        )  # fmt: skip
    written(body)
    before = torch.get_rng_state()
    report = textgan.check(f"mine.py:{owner}")
    assert report.passed
    assert report.kind == kind
    assert torch.equal(before, torch.get_rng_state())
    assert sorted(path.name for path in Path().iterdir() if path.name != "__pycache__") == [
        "mine.py"
    ]


@pytest.mark.parametrize(
    "name",
    ["reinforce", "relgan", "scratchgan", "jsdgan", "lstm", "noise_lstm", "cnn", "distinct",
     "fgm", "simcse", "regs", "attention", "hierarchical"],
)  # fmt: skip
def test_built_in_parts_keep_their_contract(name: str) -> None:
    textgan.check(name)


def test_a_failed_check_is_an_assertion_whose_message_is_the_table() -> None:
    written(METHOD, "Mine", "def sample(self, generator, real, progress): return real.tokens")
    with pytest.raises(AssertionError, match=r"Mine\.sample returned a Tensor") as result:
        textgan.check("mine.py:Mine")
    assert isinstance(result.value, CheckFailed)
    assert "the generator's loss is pure" in str(result.value)
    assert "left out" in str(result.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["seqgn"], ["no part called 'seqgn'", "did you mean 'seqgan'"]),
        (["seqgan", "rollout=2"], ["objective.rollout", "did you mean 'rollouts'"]),
        (["seqgan", "rollouts=many"], ["objective.rollouts", "'many'"]),
        (["fgm", "epsilon=-1"], ["epsilon", "-1"]),
        (["distinct", "large=2"], ["large"]),
        (["nowhere.py:X"], ["nowhere.py"]),
        (["mine.py"], ["mine.py:Mine"]),
        (["mine.py:Other"], ["mine.py:Mine"]),
        (["mine.py:Half"], ["mine.py:Half is abstract: it lacks generator_loss"]),
    ],
)
def test_what_cannot_be_checked_is_refused(
    arguments: list[str], expected: list[str], cli: Cli
) -> None:
    written(METHOD + "\n@dataclass(kw_only=True)\nclass Half(Objective): pass\n")
    line = refused(cli, "check", *arguments)
    for words in expected:
        assert words in line
    with pytest.raises(UserError):
        textgan.check(arguments[0], dict(pair.split("=") for pair in arguments[1:]))


def test_what_a_part_says_it_does_not_do_is_no_failure() -> None:
    result = {one.promise: one for one in textgan.check("rankgan").outcomes}
    assert result["a batch of two"].result == "refused"
    assert "compares 2 real texts or more" in result["a batch of two"].why
