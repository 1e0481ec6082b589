"""textgan check: what it finds in parts that keep, or break, their contract."""

import json
from pathlib import Path
from textwrap import indent

import pytest
import torch
from parts import HEAD, METHOD, NETWORKS
from toys import Cli, refused

import textgan
from textgan.contracts.outcome import CheckFailed
from textgan.core.errors import UserError

METRIC = """
class Dots(Metric):
    def measure(self, material):
        from textgan.metrics.base import Score
        sizes = material.predictions.sizes.double()
        estimate, replicates = material.mean(sizes)
        return {"dots": Score("Dots", estimate, material.sign("dots"), "lower", "", replicates)}
"""

PERTURBATION = """
@dataclass(kw_only=True)
class Twice(Perturbation):
    factor: float = 2.0

    def __call__(self, network, loss, outputs=None, scale=1.0, /):
        value, metrics = loss()
        (self.factor * value * scale).backward()
        return value.detach(), metrics
"""

CONTRAST = """
from textgan.encoders.contrast.base import EncoderObjective
from textgan.core.optim import plain

class Small(EncoderObjective):
    def accumulate(self, batch, backward=plain):
        text = self.read(batch)
        return backward(self.network, lambda: (self.network.features(text).square().mean(), {}))

    @torch.no_grad()
    def validation_step(self, batch):
        return self.network.features(self.read(batch)).square().mean()
"""

# a part, and what of it is changed: which promise fails, and why
BROKEN = {
    "a loss that counts its calls": (
        METHOD, "Mine",
        "calls: ClassVar[list] = []\n"
        "def generator_loss(self, *given):\n"
        "    self.calls.append(1)\n"
        "    value, metrics = super().generator_loss(*given)\n"
        "    return value * len(self.calls), metrics",
        "the generator's loss is pure", "then",
    ),
    "a loss that changes weights": (
        METHOD, "Mine",
        "def discriminator_loss(self, discriminator, real, fake):\n"
        "    discriminator.output.weight.data.mul_(0.9)\n"
        "    return super().discriminator_loss(discriminator, real, fake)",
        "a step on texts of one length", "changed the weight discriminator.output.weight",
    ),
    "a loss that changes its texts": (
        METHOD, "Mine",
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    fake.tokens.zero_()\n"
        "    return super().generator_loss(generator, discriminator, real, fake, progress)",
        "a step on texts of one length", "changed fake.tokens in place",
    ),
    "a loss that seeds": (
        METHOD, "Mine",
        "def generator_loss(self, *given):\n"
        "    torch.manual_seed(7)\n"
        "    return super().generator_loss(*given)",
        "the generator's loss is pure", "seeds torch's random numbers",
    ),
    "the end of the process": (
        METHOD, "Mine",
        "def generator_loss(self, *given): raise SystemExit(0)",
        "a step on texts of one length", "mine.py:Mine.generator_loss called sys.exit()",
    ),
    "numpy's random numbers": (
        METHOD, "Mine",
        "def sample(self, generator, real, progress):\n"
        "    import numpy as np\n"
        "    torch.manual_seed(np.random.randint(2**31))\n"
        "    return super().sample(generator, real, progress)",
        "killed and resumed, the same bits", "torch's random numbers",
    ),
    "something remembered elsewhere": (
        METHOD, "Mine",
        "seen: ClassVar[dict] = {}\n"
        "def on_fakes(self, fake): self.seen[id(self)] = self.seen.get(id(self), 0) + 1\n"
        "def generator_loss(self, *given):\n"
        "    value, metrics = super().generator_loss(*given)\n"
        "    return value * self.seen.get(id(self), 0), metrics",
        "killed and resumed, the same bits", "must be in state",
    ),
    "figures with gradients": (
        METHOD, "Mine",
        "def discriminator_loss(self, discriminator, real, fake):\n"
        "    value, _ = super().discriminator_loss(discriminator, real, fake)\n"
        "    return value, {'twice': 2 * value}",
        "figures are constants", "does not detach its metric 'twice'",
    ),
    "dropout switched on": (
        METHOD, "Mine",
        "def generator_loss(self, generator, *given):\n"
        "    generator.dropout.train()\n"
        "    found = super().generator_loss(generator, *given)\n"
        "    generator.dropout.eval()\n"
        "    return found",
        "the generator's dropout", "not the law that wrote it",
    ),
    "labels forgotten": (
        METHOD, "Mine",
        "def sample(self, generator, real, progress): return generator.sample(len(real))",
        "a step on labelled texts", "condition=real.condition",
    ),
    "a loss that needs three texts": (
        METHOD, "Mine",
        "def on_fakes(self, fake): fake.tokens[2]",
        "a batch of two", "IndexError",
    ),
    "a likelihood that is none": (
        NETWORKS, "Window",
        "def log_prob(self, text): return super().log_prob(text) - 0.1",
        "probabilities sum to one", "sum to",
    ),
    "texts of another law": (
        NETWORKS, "Window",
        "def sample(self, n, **told):\n"
        "    from textgan.data.text import Text\n"
        "    text = super().sample(n, **told)\n"
        "    return Text.ended(text.tokens * 0 + 2, self.space)",
        "texts are drawn as its likelihood says", "other frequencies",
    ),
    "another law word by word": (
        NETWORKS, "Window",
        "def read(self, symbol, state):\n"
        "    return 0.5 * self.embedding(symbol), state",
        "word by word as all at once", "than forward",
    ),
    "normalised over the batch": (
        NETWORKS, "Window",
        "def forward(self, text):\n"
        "    logits = super().forward(text)\n"
        "    return logits - logits.std(0) if len(text) > 1 else logits",
        "a text does not depend on its batch", "other texts of the batch",
    ),
    "padding that counts": (
        NETWORKS, "Bag", "pass", "padding never changes a score", "text.mask",
    ),
    "a batch's mean": (
        NETWORKS, "Bag",
        "def features(self, text):\n"
        "    found = super().features(text)\n"
        "    return found - found.mean(0)",
        "a text does not depend on its batch", "other texts of the batch",
    ),
    "a metric that gives a float": (
        METRIC, "Dots", "def measure(self, material): return 1.0",
        "numbers of texts and of real text", "Dots.measure returned a float",
    ),
    "a metric of names and floats": (
        METRIC, "Dots", "def measure(self, material): return {'dots': 1.0}",
        "numbers of texts and of real text", "returned a float as 'dots'",
    ),
    "a metric that draws": (
        METRIC, "Dots",
        "def measure(self, material):\n"
        "    from dataclasses import replace\n"
        "    from textgan.core.statistics import Estimate\n"
        "    found = super().measure(material)['dots']\n"
        "    return {'dots': replace(found, estimate=Estimate(float(torch.rand(()))))}",
        "the same texts, the same numbers", "inputs.seed",
    ),
    "a perturbation without a gradient": (
        PERTURBATION, "Twice",
        "def __call__(self, network, loss, outputs=None, scale=1.0, /): return loss()",
        "a gradient, a loss, no other change", "left no gradient",
    ),
    "a contrast without a gradient": (
        CONTRAST, "Small",
        "def accumulate(self, batch, backward=plain):\n"
        "    return self.network.features(self.read(batch)).mean(), {}",
        "a gradient, a loss, a measure", "left no gradient in the network",
    ),
    "a measure that draws": (
        CONTRAST, "Small",
        "def validation_step(self, batch): return self.network.features(self.read(batch)).mean()",
        "a gradient, a loss, a measure", "without a gradient",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(body: str, owner: str = "", change: str = "") -> None:
    extra = ""
    if owner:
        dataclass = "@dataclass(kw_only=True)\n" if "@dataclass" in body else ""
        extra = f"\n{dataclass}class {owner}({owner}):\n{indent(change, '    ')}\n"
    Path("mine.py").write_text(HEAD + body + extra)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_found(case: str) -> None:
    body, owner, change, promise, why = BROKEN[case]
    written(body, owner, change)
    report = textgan.check(f"mine.py:{owner}", strict=False)
    failed = {outcome.promise: outcome.why for outcome in report.outcomes
              if outcome.result == "failed"}  # fmt: skip
    assert promise in failed, str(report)
    assert why in failed[promise], failed[promise]
    assert not report.passed


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
     "fgm", "simcse"],
)  # fmt: skip
def test_built_in_parts_keep_their_contract(name: str) -> None:
    textgan.check(name)


def test_a_failed_check_is_an_assertion_whose_message_is_the_table() -> None:
    written(METHOD, "Mine", "def sample(self, generator, real, progress): return real.tokens")
    with pytest.raises(AssertionError, match=r"Mine\.sample returned a Tensor") as found:
        textgan.check("mine.py:Mine")
    assert isinstance(found.value, CheckFailed)
    assert "the generator's loss is pure" in str(found.value)
    assert "left out" in str(found.value)


def test_the_command_prints_a_table_and_says_by_its_code_whether_all_passed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    written(METHOD)
    code, out, err = cli("check", "mine.py:Mine", "scale=2")
    assert (code, err) == (0, "")
    assert "0 failed: mine.py:Mine keeps its contract" in out
    written(METRIC, "Dots", "def measure(self, material): return 1.0")
    Path("mine.py").rename("other.py")
    code, out, _ = cli("check", "other.py:Dots")
    assert code == 1
    assert "breaks its contract" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = cli("check", "other.py:Dots", "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["kind"], found["passed"]) == ("metric", False)
    assert found["checks"][0]["result"] == "failed"


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
    found = {one.promise: one for one in textgan.check("rankgan").outcomes}
    assert found["a batch of two"].result == "refused"
    assert "compares 2 real texts or more" in found["a batch of two"].why
