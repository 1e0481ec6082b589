"""Parts in files of one's own: what is wrong with them is said in one line, before a run begins."""

import json
from pathlib import Path
from textwrap import dedent, indent

import numpy as np
import pytest
import torch
from parts import HEAD, METHOD, NETWORKS
from toys import TOY, Cli, refused, toy_text

import textgan
from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.own_code import Typed
from textgan.core.tensors import load_tensors
from textgan.perturb.fgm import FGM
from textgan.perturb.freelb import FreeLB
from textgan.perturb.pgd import PGD
from textgan.perturb.vat import VAT
from textgan.training.checkpoint import checkpoints

SHORT = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
ONE = [f"{key}={json.dumps(value)}" for key, value in SHORT.items()]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def put(body: str, base: str = METHOD, name: str = "mine.py") -> None:
        # the class's last lines win, so that a case is the one function that is wrong
        Path(name).write_text(HEAD + base + indent(dedent(body), "    "))

    return put


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
        ["mine.py:Mine", "other = 'many'", "integer"],
    ),
    "a default that no config holds": (
        "other: object = len",
        ["mine.py:Mine", "other", "cannot be written to a config"],
    ),
    "no default": ("other: int", ["mine.py:Mine", "other has no default"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_method_that_cannot_work_is_refused_before_anything_is_written(
    case: str, write, cli: Cli
) -> None:  # type: ignore[no-untyped-def]
    body, expected = CASES[case]
    write(body)
    line = refused(cli, "train", "mine.py:Mine", "--out", "run", *ONE)
    for words in expected:
        assert words in line, line
    assert not Path("run").exists()
    with pytest.raises(UserError):
        textgan.train("mine.py:Mine", out="run", quiet=True, **SHORT)


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
def test_a_class_that_is_no_method_is_refused(case: str, write, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    content, target, expected = WHOLE[case]
    write("", content)
    line = refused(cli, "train", target, "--out", "run", *ONE)
    for words in expected:
        assert words in line, line
    assert not Path("run").exists()


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
def test_a_network_that_cannot_work_is_refused(case: str, write, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    owner, body, expected = OF_NETWORKS[case]
    extra = f"\nclass {owner}({owner}):\n{indent(body, '    ')}" if owner else ""
    write("", NETWORKS + extra)
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


def test_an_error_in_a_parts_own_code_keeps_its_traceback_and_says_who_called_it(write) -> None:  # type: ignore[no-untyped-def]
    write("def sample(self, generator, real, progress): return [][1]")
    with pytest.raises(IndexError) as found:
        textgan.train("mine.py:Mine", out="run", quiet=True, **SHORT)
    (note,) = found.value.__notes__
    assert "textgan called mine.py:Mine.sample" in note
    assert "nothing was trained or written" in note
    assert any(entry.path.name == "mine.py" for entry in found.traceback)  # type: ignore[union-attr]
    assert not Path("run").exists()


def test_an_end_of_the_process_later_in_training_is_a_failure(write, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    write(
        """
        calls: ClassVar[list] = []
        def generator_loss(self, *given):
            self.calls.append(1)
            if len(self.calls) > 1: raise SystemExit(0)
            return given[0].log_prob(given[3]).sum(), {}
        """
    )
    code, _, err = cli("train", "mine.py:Mine", "--out", "run", *ONE)
    assert code == 2
    assert "a part called sys.exit()" in err


def test_a_terminal_gets_no_control_characters_of_a_message(
    write, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    write("def sample(self, generator, real, progress): raise ValueError('\\x1b[2J')")
    monkeypatch.setattr("textgan.core.terminal.Errors.isatty", lambda self: True)
    code, _, err = cli("train", "mine.py:Mine", "--out", "run", *ONE)
    assert code == 1
    assert "\x1b[2J" not in err
    assert "ValueError: \\x1b[2J" in err
    assert "textgan called mine.py:Mine.sample" in err


def test_a_missing_file_is_the_parts_and_not_the_runs(write) -> None:  # type: ignore[no-untyped-def]
    write("def sample(self, generator, real, progress): open('nowhere')")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        textgan.train("mine.py:Mine", out="run", quiet=True, **SHORT)


def test_a_method_that_needs_more_than_a_few_texts_is_given_a_batch(write, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    write("def on_fakes(self, fake): fake.tokens.view(2, 4, 6)")
    assert cli("train", "mine.py:Mine", "--out", "run", *ONE)[0] == 0


def test_fakes_answer_real_texts_of_their_class(write, cli: Cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    lines = toy_text(tmp_path).read_text().splitlines()
    labelled = [f"{'good' if i % 2 else 'bad'}\t{line}" for i, line in enumerate(lines)]
    Path("toy.tsv").write_text("\n".join(labelled) + "\n")
    told = ["--data", "toy.tsv", *(pair for pair in ONE if not pair.startswith("oracle."))]
    write("")
    assert cli("train", "mine.py:Mine", "--out", "run", *told)[0] == 0
    write("def sample(self, generator, real, progress): return generator.sample(len(real))",
          name="blind.py")  # fmt: skip
    assert "condition=real.condition" in refused(
        cli, "train", "blind.py:Mine", "--out", "no", *told
    )


def test_a_dry_run_disturbs_no_random_numbers(write) -> None:  # type: ignore[no-untyped-def]
    import random

    write(
        """
        def on_fakes(self, fake):
            import random
            import numpy as np
            torch.manual_seed(3), np.random.rand(), random.random(), torch.rand(3)
        """
    )
    from textgan.training.config import make_config
    from textgan.training.run import create_run

    left = []
    write("", name="quiet.py")
    for target in ("mine.py:Mine", "quiet.py:Mine"):
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        create_run(make_config(target, SHORT), Path(target))
        left.append((torch.rand(3).tolist(), np.random.rand(), random.random()))
    assert left[0] == left[1]


def test_what_looks_like_a_setting_and_is_none_is_said(write, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    write("other = 1.0\nEPSILON = 2.0\n_own = 3\npaper = 'of mine'")
    code, _, err = cli("train", "mine.py:Mine", "--out", "run", *ONE)
    assert code == 0
    (said,) = [line for line in err.splitlines() if "annotation" in line]
    assert "mine.py:Mine.other = 1.0 has no annotation, so it is not a setting" in said
    assert "other: float = 1.0" in said


def test_a_generator_whose_settings_are_positional_is_said(write) -> None:  # type: ignore[no-untyped-def]
    write("", NETWORKS.replace("space, *, hidden", "space, hidden"))
    (said,) = registry.remarks(registry.find("generator", "mine.py:Window", code=Typed()))
    assert "mine.py:Window: its parameter hidden is not keyword-only" in said


@pytest.mark.parametrize("made", [FGM(), PGD(), FreeLB(), VAT(), PGD(include_clean=True)])
def test_a_closure_that_gives_no_loss_is_refused(made) -> None:  # type: ignore[no-untyped-def]
    network = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Linear(3, 2))
    ids = torch.tensor([[1, 2], [3, 4]])

    def outputs() -> torch.Tensor:
        return network(ids)[:, 0]

    for wrong, words in (
        (lambda: network(ids).sum(), "a Tensor of shape ()"),
        (lambda: (network(ids).sum().item(), {}), "a float as the loss"),
        (lambda: (network(ids), {}), "shape (2, 2, 2) as the loss"),
        (lambda: (network(ids).sum(), None), "None as the metrics"),
        (lambda: (network(ids).sum().detach(), {}), "without a gradient"),
    ):
        with pytest.raises(UserError) as refusal:
            made(network, wrong, outputs)
        assert f"the closure of the loss returned {words}" in str(refusal.value) or words in str(
            refusal.value
        )
        assert "expected (loss, metrics)" in str(refusal.value)
    with torch.no_grad(), pytest.raises(UserError, match=r"no_grad"):
        made(network, lambda: (network(ids).sum(), {}), outputs)


def test_a_perturbation_of_ones_own_is_tried(write, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    head = (
        "\n@dataclass(kw_only=True)\nclass Mine(Perturbation):\n"
        "    def __call__(self, network, loss, outputs=None, scale=1.0, /):\n        "
    )
    told = ["--out", "run", *ONE]
    for body, expected in (
        ("value, metrics = loss(); value.backward(); return value.detach(), metrics", ""),
        ("loss()[0].backward(); return loss()[0]", "mine.py:Mine.__call__ returned a Tensor"),
        ("value, metrics = loss(); return value, metrics", "left no gradient in the network"),
        (
            "value, metrics = loss(); value.backward(); "
            "network.output.weight.data += 1; return value, metrics",
            "mine.py:Mine.__call__ changed the weight output.weight",
        ),
    ):
        Path("run").exists() and __import__("shutil").rmtree("run")
        name = f"mine{abs(hash(body))}.py"
        write("", head + body, name=name)
        arguments = ["train", "reinforce", *told, f"discriminator.perturb={name}:Mine"]
        if not expected:
            code, _, err = cli(*arguments)
            assert code == 0, err
        else:
            assert expected.replace("mine.py", name) in refused(cli, *arguments)


def test_a_perturbation_with_names_of_version_0_1_is_heeded(write, cli: Cli) -> None:  # type: ignore[no-untyped-def]
    head = "\nfrom textgan.perturb.base import Passes\nclass Mine(Perturbation):\n"
    call = "    def __call__(self, network, loss, outputs=None, scale=1.0, /): Passes\n"
    write("", f"{head}{call}    keeps = True\n")
    told = ["--out", "run", "discriminator.perturb=mine.py:Mine"]
    assert "Mine.__call__ returned None" in refused(cli, "train", "reinforce", *told)
    line = refused(cli, "train", "reinforce", *told, "schedule.shards=2")
    assert "remembers what it did to a batch" in line or "shards" in line


def test_an_error_in_a_constructor_is_noted_to_be_its_own(write) -> None:  # type: ignore[no-untyped-def]
    write(
        "", NETWORKS + "\nclass Bag(Bag):\n    def __init__(self, space): self.x = nn.Linear(1, 1)"
    )
    with pytest.raises(AttributeError) as found:
        textgan.train("reinforce", out="run", quiet=True, discriminator="mine.py:Bag",
                      **{key: value for key, value in SHORT.items()
                         if not key.startswith("discriminator.")})  # fmt: skip
    assert "the constructor of the discriminator mine.py:Bag" in found.value.__notes__[0]


def test_a_metric_that_returns_no_scores_is_refused_before_others_are_measured(
    write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
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
        write("", head + body, name=f"metric{number}.py")
        wanted = f"length,metric{number}.py:Mine"
        line = refused(cli, "evaluate", text, "--references", text, "--metrics", wanted)
        assert f"metric{number}.py:Mine{expected}" in line
    write("", "\nclass Mine(Metric): pass", name="abstract.py")
    told = ["evaluate", text, "--references", text, "--metrics"]
    assert "abstract.py:Mine is abstract: it lacks measure" in refused(
        cli, *told, "abstract.py:Mine"
    )
    assert "names a file and no class; name one of metric0.py:Mine" in refused(
        cli, *told, "metric0.py"
    )
    write("", head.replace("measure(self, material)", "measure(self)") + "pass", name="other.py")
    assert "other.py:Mine.measure takes ()" in refused(cli, *told, "other.py:Mine")


def test_other_commands_try_own_parts_first(write, cli: Cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
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
    write("", head)
    line = refused(cli, "classify", "toy.tsv", "--perturb", "mine.py:Mine", "data.min_count=1")
    assert "mine.py:Mine.__call__ left no gradient in the network" in line
    told = ["--data", "toy.tsv", "--out", "encoder", "data.min_count=1"]
    line = refused(cli, "encode", "mine.py:Small", *told)
    assert "mine.py:Small.accumulate returned a Text" in line
    assert not Path("encoder").exists()


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


def test_files_of_0_1_go_on_with_the_names_of_hooks_that_they_have(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """And keep what a loss writes down itself, where a batch is one shard."""
    names = {"self.state": "self.memory", "setup": "prepare", "on_fakes": "remember"}
    old = KEEPING.replace("after_discriminator_step", "constrain")
    for new_name, old_name in names.items():
        old = old.replace(new_name, old_name)
    write(KEEPING, name="new.py")
    write(old, name="old.py")
    for name in ("new", "old"):
        textgan.train(f"{name}.py:Mine", out=name, quiet=True, plot=False, **SHORT)
    new, found = (load_tensors(checkpoints(Path(name))[-1])[0] for name in ("new", "old"))
    assert {"objective.seen", "objective.mean"} < new.keys() == found.keys()
    assert all(torch.equal(new[key], found[key]) for key in new)
    # a run of such a file goes on, though a new one would be refused
    last = '    return value, {"seen": self.memory["seen"]}'
    written = old.replace(f'{last}, {{"mean": ', '    self.memory["mean"] = (').replace(
        "/ 2}", f"/ 2)\n{last}"
    )
    write(written, name="old.py")
    with pytest.raises(UserError, match=r"old.py:Mine.generator_loss changed state\['mean'\]"):
        textgan.train("old.py:Mine", out="third", quiet=True, **SHORT)
    with pytest.MonkeyPatch.context() as patched:  # as 0.1 made it
        patched.setattr("textgan.training.run.dry_run", lambda *_: None)
        textgan.train("old.py:Mine", out="third", quiet=True, plot=False, **SHORT)
        third = load_tensors(checkpoints(Path("third"))[-1])[0]
        assert all(torch.equal(new[key], third[key]) for key in new)
        with pytest.raises(UserError, match=r"changed state\['mean'\], which losses only read"):
            textgan.train("old.py:Mine", out="two", quiet=True, **SHORT | {"schedule.shards": 2})
