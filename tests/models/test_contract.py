"""Networks in files of one's own: what is wrong is said in one line, before a run begins."""

from pathlib import Path
from textwrap import indent

import pytest
from parts import NETWORKS, ONE, WritePart
from toys import Cli, refused

OF_NETWORKS = {
    "what works": ("", "", []),
    "features as wide as another layer": (
        "Bag",
        "def features(self, text): return self.embedding(text.tokens).mean(1)[:, :2]",
        ["mine.py:Bag.features returned a Tensor of shape (8, 2)", "(8, 4)"],
    ),
    "no features": (
        "Bag",
        "def features(self, text): pass",
        ["mine.py:Bag.features returned None"],
    ),
    "scores in pairs": (
        "Bag",
        "def forward(self, text): return torch.zeros(len(text), 2)",
        ["mine.py:Bag.forward returned a Tensor of shape (8, 2)"],
    ),
    "no output layer": (
        "Bag",
        "def __init__(self, space):\n    super().__init__(space)\n    self.output = nn.Identity()",
        ["mine.py:Bag.output", "nn.Linear"],
    ),
    "scores of two classes": (
        "Bag",
        "def __init__(self, space):\n    super().__init__(space)\n"
        "    self.output = nn.Linear(4, 2)",
        ["mine.py:Bag.output gives 2 scores a text", "= 1, one of each class"],
    ),
    "a positional constructor": (
        "Bag",
        "def __init__(self): super().__init__(None)",
        ["the constructor of mine.py:Bag takes ()"],
    ),
    "a reserved name": (
        "Bag",
        "def __init__(self, space, *, perturb: str = ''): pass",
        ["cannot be called 'perturb'"],
    ),
    "a setting without annotation": (
        "Bag",
        "def __init__(self, space, *, size=3): pass",
        ["size has no annotation"],
    ),
    "a likelihood of sentences": (
        "Window",
        "def log_prob(self, text): return self(text).sum((1, 2))",
        ["mine.py:Window.log_prob returned a Tensor of shape (8,)", "(8, 6)"],
    ),
    "probabilities": (
        "Window",
        "def log_prob(self, text): return self(text).softmax(2).amax(2)",
        ["mine.py:Window.log_prob returned log-probabilities above 0"],
    ),
    "tokens": (
        "Window",
        "def sample(self, n, **told): return torch.zeros(n, 6).long()",
        ["mine.py:Window.sample returned a Tensor of shape (8, 6)", "expected a Text"],
    ),
    "an abstract network": (
        "Window",
        "logits = AutoregressiveGenerator.logits",
        ["mine.py:Window is abstract: it lacks logits"],
    ),
}


@pytest.mark.parametrize("case", OF_NETWORKS)
def test_a_network_that_cannot_work_is_refused(case: str, write_part: WritePart, cli: Cli) -> None:
    owner, body, expected = OF_NETWORKS[case]
    extra = f"\nclass {owner}({owner}):\n{indent(body, '    ')}" if owner else ""
    write_part("", NETWORKS + extra)
    ours = ("generator.", "discriminator.")
    told = [pair for pair in ONE if not pair.startswith(ours)]
    told += ["generator=mine.py:Window", "discriminator=mine.py:Bag"]
    told += ["objective=reinforce", "--out", "run"]
    if not expected:
        assert cli("train", "reinforce", *told)[0] == 0
        return
    line = refused(cli, "train", "reinforce", *told)
    for words in expected:
        assert words in line, line
    assert not Path("run").exists()
