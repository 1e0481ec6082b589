"""Parts in files of one's own: what is wrong with them is said in one line, before a run begins."""

from pathlib import Path

import pytest
from parts import ONE, SHORT, WritePart
from toys import Cli, refused, toy_text

import textgan
from textgan.core.errors import UserError

CASES = {
    # what comes back
    "only the loss": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    return generator.log_prob(fake).sum()",
        ["mine.py:Mine.generator_loss returned a Tensor of shape ()", "expected (loss, metrics)"],
    ),
    "the end of the process": (
        "def generator_loss(self, *given):\n    import sys\n    sys.exit()",
        ["mine.py:Mine.generator_loss called sys.exit()"],
    ),
    "the end of the process while it connects": (
        "def connect(self, *given): raise SystemExit(0)",
        ["mine.py:Mine.connect called sys.exit()"],
    ),
    "the end of the process, made": (
        "def __post_init__(self): raise SystemExit(0)",
        ["the constructor of", "called sys.exit()"],
    ),
    "GeneratorExit": (
        "def sample(self, generator, real, progress): raise GeneratorExit",
        ["mine.py:Mine.sample raised GeneratorExit"],
    ),
    "another working directory": (
        "def on_fakes(self, fake):\n    import os\n    os.chdir('/')",
        ["mine.py:Mine.on_fakes changed the working directory to '/'"],
    ),
    "a metric of training's own": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    return generator.log_prob(fake).sum(), {'gradient_norm': 1.0}",
        ["mine.py:Mine.generator_loss returned a metric called 'gradient_norm'"],
    ),
    "weights moved by a loss": (
        "def generator_loss(self, generator, *given):\n"
        "    for weight in generator.parameters(): weight.data.add_(1)\n"
        "    return generator.log_prob(given[2]).sum(), {}",
        ["mine.py:Mine.generator_loss changed the weight generator."],
    ),
    "texts changed in place": (
        "def discriminator_loss(self, discriminator, real, fake):\n"
        "    fake.tokens.zero_()\n"
        "    return logistic(*discriminator.score_pair(real, fake)), {}",
        ["mine.py:Mine.discriminator_loss changed fake.tokens in place"],
    ),
    "nothing": (
        "def discriminator_loss(self, discriminator, real, fake): pass",
        ["mine.py:Mine.discriminator_loss returned None", "expected (loss, metrics)"],
    ),
    "a loss for each text": (
        "def discriminator_loss(self, discriminator, real, fake): return discriminator(fake), {}",
        ["discriminator_loss returned a Tensor of shape (8,) as the loss", "scalar"],
    ),
    "a float": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    return generator.log_prob(fake).sum().item(), {}",
        ["generator_loss returned a float as the loss"],
    ),
    "a loss without a gradient": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    return generator.log_prob(fake).sum().detach(), {}",
        ["mine.py:Mine.generator_loss returned a loss without a gradient"],
    ),
    "a gradient for the other network": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    return discriminator(fake).mean(), {}",
        ["generator_loss", "gradient does not reach the generator"],
    ),
    "a loss of MLE for each token": (
        "def mle_loss(self, generator, real): return -generator.log_prob(real), {}",
        ["mine.py:Mine.mle_loss returned a Tensor of shape", "scalar"],
    ),
    "a loss of MLE of other arguments": (
        "def mle_loss(self, real): return real, {}",
        ["mine.py:Mine.mle_loss takes (real)"],
    ),
    "a loss of teacher forcing of other arguments": (
        "def teacher_loss(self, generator, real): return super().mle_loss(generator, real)",
        ["mine.py:Mine.teacher_loss takes (generator, real)"],
    ),
    "a network without a name": (
        "def build_networks(self, generator, discriminator): return nn.Linear(1, 1)",
        ["mine.py:Mine.build_networks returned a Linear", "expected networks by their names"],
    ),
    "a network that is none": (
        "def build_networks(self, generator, discriminator): return {'critic': 3}",
        ["mine.py:Mine.build_networks returned an int as 'critic'", "expected networks"],
    ),
    "a network with another's name": (
        "def build_networks(self, generator, discriminator):\n"
        "    return {'generator': nn.Linear(1, 1)}",
        ["mine.py:Mine.build_networks calls a network 'generator'", "none of mle, generator"],
    ),
    "a network that its loss changes": (
        "def build_networks(self, generator, discriminator): return {'critic': nn.Linear(1, 1)}\n"
        "def generator_loss(self, generator, discriminator, *given):\n"
        "    self.networks['critic'].weight.data.add_(1)\n"
        "    return super().generator_loss(generator, discriminator, *given)",
        ["mine.py:Mine.generator_loss changed the weight critic.weight"],
    ),
    "no number": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    return generator.log_prob(fake).sum() * float('nan'), {}",
        ["mine.py:Mine.generator_loss returned a loss of nan"],
    ),
    "figures for each text": (
        "def discriminator_loss(self, discriminator, real, fake):\n"
        "    found = discriminator(fake)\n"
        "    return found.mean(), {'score': found.detach()}",
        ["a Tensor of shape (8,) as metric 'score'"],
    ),
    "figures without names": (
        "def discriminator_loss(self, discriminator, real, fake):\n"
        "    found = discriminator(fake)\n"
        "    return found.mean(), [found]",
        ["returned a list of 1 as the metrics"],
    ),
    "no text": (
        "def sample(self, generator, real, progress): return real.tokens",
        ["mine.py:Mine.sample returned a Tensor of shape (8, 6)", "expected a Text"],
    ),
    "too few texts": (
        "def sample(self, generator, real, progress): return generator.sample(1)",
        ["mine.py:Mine.sample returned tokens of shape (1, 6)", "one in answer to each real"],
    ),
    "narrow texts": (
        "def sample(self, generator, real, progress):\n"
        "    from textgan.data.text import Text\n"
        "    return Text.full(generator.sample(len(real)).tokens[:, :3])",
        ["sample returned texts of 3 positions; expected 6"],
    ),
    "words that there are not": (
        "def sample(self, generator, real, progress):\n"
        "    from textgan.data.text import Text\n"
        "    return Text.full(real.tokens + 100)",
        ["sample returned tokens from", "expected 0 to 19"],
    ),
    "lengths that do not fit": (
        "def sample(self, generator, real, progress):\n"
        "    from dataclasses import replace\n"
        "    return replace(real, lengths=real.lengths * 0)",
        ["sample returned lengths that do not fit"],
    ),
    "rows of another vocabulary": (
        "def sample(self, generator, real, progress):\n"
        "    from dataclasses import replace\n"
        "    return replace(real, soft_tokens=torch.zeros(*real.tokens.shape, 3))",
        ["sample returned soft tokens of shape (8, 6, 3); expected (8, 6, 20)"],
    ),
    "a memory that no checkpoint keeps": (
        "def on_fakes(self, fake): self.state['count'] = 3",
        ["mine.py:Mine.state['count'] is an int", "expected a tensor"],
    ),
    "a state that the loss changes": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    self.state['mean'] = torch.tensor(0.0)\n"
        "    return -generator.log_prob(fake).mean(), {}",
        ["mine.py:Mine.generator_loss changed state['mean']", "loss, metrics, {'mean': ...}"],
    ),
    "a third value that is no state": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    return -generator.log_prob(fake).mean(), {}, 3",
        ["the third value of mine.py:Mine.generator_loss is an int", "names to tensors"],
    ),
    # what is called
    "another signature": (
        "def sample(self, generator): return generator.sample(3)",
        ["mine.py:Mine.sample takes (generator)", "too many positional arguments"],
    ),
    "another signature of a loss": (
        "def generator_loss(self, generator, fake): return generator.log_prob(fake).sum(), {}",
        ["mine.py:Mine.generator_loss takes (generator, fake)"],
    ),
    "not a method": ("remember = 3", ["mine.py:Mine.on_fakes is an int; expected a method"]),
    # what is set
    "an unknown reduction": (
        "reduction: str = 'mean'",
        ["mine.py:Mine.reduction = 'mean'", "sum, mean_sentence, mean_token"],
    ),
    "an unknown reduction in a formula": (
        "def generator_loss(self, generator, discriminator, real, fake, progress):\n"
        "    weights = torch.ones_like(fake.tokens)\n"
        "    log_prob = generator.log_prob(fake)\n"
        "    return policy_gradient(log_prob, weights, fake.mask, 'mean'), {}",
        ["mine.py:Mine.generator_loss: reduction = 'mean' is unknown", "mean_token"],
    ),
    "no texts that answer": ("group: int = 0", ["mine.py:Mine.group = 0"]),
    "an annotation that does not resolve": (
        "other: 'Nowhere' = 1",
        ["mine.py:Mine", "'Nowhere' is not defined", "int, float, bool, str"],
    ),
    "a class of one's own as annotation": (
        "other: nn.Linear = None",
        ["mine.py:Mine: other cannot be a setting", "Linear"],
    ),
    "a setting called name": ("name: str = 'x'", ["mine.py:Mine.name", "class variable"]),
    "a class variable as setting": (
        "discriminator: str = 'rnn'",
        ["mine.py:Mine.discriminator is a class variable", "leave its annotation out"],
    ),
    "a default that does not fit": (
        "other: int = 'many'",
        ["mine.py:Mine", "other = 'many'", "whole number"],
    ),
    "a default that no config holds": (
        "other: object = len",
        ["mine.py:Mine", "other", "cannot be written to a config"],
    ),
    "no default": ("other: int", ["mine.py:Mine", "other has no default"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_method_that_cannot_work_is_refused_before_anything_is_written(
    case: str, write_part: WritePart, cli: Cli
) -> None:
    body, expected = CASES[case]
    write_part(body)
    line = refused(cli, "train", "mine.py:Mine", "--out", "run", *ONE)
    for words in expected:
        assert words in line, line
    assert not Path("run").exists()
    with pytest.raises(UserError):
        textgan.train("mine.py:Mine", out="run", quiet=True, **SHORT)


def test_teacher_forcing_is_tried_where_there_is_some(write_part: WritePart, cli: Cli) -> None:
    write_part(
        "def teacher_loss(self, generator, discriminator, real):\n"
        "    return discriminator(real).mean(), {}"
    )
    line = refused(cli, "train", "mine.py:Mine", "--out", "run", *ONE, "schedule.mle_steps=1")
    wanted = "mine.py:Mine.teacher_loss returned a loss whose gradient does not reach the generator"
    assert wanted in line


def test_a_method_that_needs_more_than_a_few_texts_is_given_a_batch(
    write_part: WritePart, cli: Cli
) -> None:
    write_part("def on_fakes(self, fake): fake.tokens.view(2, 4, 6)")
    assert cli("train", "mine.py:Mine", "--out", "run", *ONE)[0] == 0


def test_a_metric_that_returns_no_scores_is_refused_before_others_are_measured(
    write_part: WritePart, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = toy_text(tmp_path)
    monkeypatch.setattr("textgan.metrics.surface.Length.measure", lambda *_: pytest.fail("late"))
    head = "\nclass Mine(Metric):\n    def measure(self, material):\n        "
    for number, (body, expected) in enumerate(
        [
            ("return 1.0", ".measure returned a float; expected a dict"),
            ("return {'a': 1.0}", ".measure returned a float as 'a'"),
            ("return None", ".measure returned None"),
        ]
    ):
        write_part("", head + body, name=f"metric{number}.py")
        wanted = f"length,metric{number}.py:Mine"
        line = refused(cli, "evaluate", text, "--references", text, "--metrics", wanted)
        assert f"metric{number}.py:Mine{expected}" in line
    write_part("", "\nclass Mine(Metric): pass", name="abstract.py")
    arguments = ["evaluate", text, "--references", text, "--metrics"]
    assert "abstract.py:Mine is abstract: it lacks measure" in refused(
        cli, *arguments, "abstract.py:Mine"
    )
    assert "names a file and no class; name one of metric0.py:Mine" in refused(
        cli, *arguments, "metric0.py"
    )
    write_part(
        "", head.replace("measure(self, material)", "measure(self)") + "pass", name="other.py"
    )
    assert "other.py:Mine.measure takes ()" in refused(cli, *arguments, "other.py:Mine")


def test_other_commands_try_own_parts_first(
    write_part: WritePart, cli: Cli, tmp_path: Path
) -> None:
    lines = toy_text(tmp_path, 80).read_text().splitlines()
    labelled = [f"{'good' if i % 2 else 'bad'}\t{line} {i}" for i, line in enumerate(lines)]
    Path("toy.tsv").write_text("\n".join(labelled) + "\n")
    head = (
        "\n@dataclass(kw_only=True)\nclass Mine(Perturbation):\n"
        "    def __call__(self, network, loss, outputs=None, scale=1.0, /): return loss()\n"
        "from textgan.encoders.contrast.base import EncoderObjective\n"
        "class Small(EncoderObjective):\n"
        "    def accumulate(self, batch, backward=None): return self.read(batch)\n"
        "    def validation_step(self, batch): return torch.zeros(())\n"
    )
    write_part("", head)
    line = refused(cli, "classify", "toy.tsv", "--perturb", "mine.py:Mine", "data.min_count=1")
    assert "mine.py:Mine.__call__ left no gradient in the network" in line
    arguments = ["--data", "toy.tsv", "--out", "encoder", "data.min_count=1"]
    line = refused(cli, "encode", "mine.py:Small", *arguments)
    assert "mine.py:Small.accumulate returned a Text" in line
    assert not Path("encoder").exists()
