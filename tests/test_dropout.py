"""Whether a generator's dropout is on: never where its texts' law is needed, always in MLE."""

from pathlib import Path
from typing import Any

import pytest
import torch
from family import ANY_TEXT
from torch import nn
from toys import TOY, small_parts
from worlds import enumerate_texts, probabilities

from textgan.core import registry
from textgan.core.optim import dropout
from textgan.data.text import Text
from textgan.training.config import make_config
from textgan.training.monitor import observe
from textgan.training.run import create_run
from textgan.training.schedule import Step
from textgan.training.state import TrainingState
from textgan.training.steps import train_step

# of every method, whether its loss goes back through relaxed texts, or is of real words
ON = {
    "adversarial_nmt": False,
    "bgan": False,
    "bgan_continuous": True,
    "br_csgan": False,
    "coldgan": False,
    "constant_reward": False,
    "cot": False,
    "distillation": True,
    "dpgan": False,
    "emo": True,
    "gold": True,
    "gsgan": True,
    "jeffreys": False,
    "jsdgan": False,
    "leakgan": False,
    "maligan": False,
    "mixce": True,
    "mle": True,
    "mrt": False,
    "pg_bleu": False,
    "random_reward": False,
    "rankgan": False,
    "regs": False,
    "reinforce": False,
    "relgan": True,
    "residual_ebm": False,
    "scheduled_sampling": True,
    "scratchgan": False,
    "sentigan": False,
    "seqgan": False,
    "spin": False,
    "tailr": True,
    "textgan_mmd": True,
    "truncation": True,
    "unlikelihood": True,
    "wgan": True,
    "wgan_gp": True,
}
WITHOUT_GRADIENTS = {"gold"}  # whose losses ask other policies, too, as they write: without dropout
RATE = 0.2


def training(name: str, folder: Path, **settings: Any) -> TrainingState:
    """A method with a generator that has dropout, about to train."""
    parts = ("objective.", "generator.", "discriminator.")
    options = {key: value for key, value in TOY.items() if not key.startswith(parts)}
    options |= small_parts(name, generator="lstm")
    options |= {"schedule.fakes": 8, "generator.name": "lstm", "generator.dropout": RATE}
    if not registry.find("objective", name).needs_likelihood:
        options["schedule.mle_epochs"] = 0
    return TrainingState(create_run(make_config(name, options | settings), folder / name))


class Watch:
    """What a generator's dropout did whenever it was asked: (on, something was dropped, gradients
    were recorded)."""

    def __init__(self, generator: nn.Module) -> None:
        self.seen: list[tuple[bool, bool, bool]] = []
        for module in generator.modules():
            if isinstance(module, nn.Dropout):
                module.register_forward_hook(self.look)

    def look(self, module: nn.Module, read: tuple[torch.Tensor], left: torch.Tensor) -> None:
        dropped = not torch.equal(read[0], left)
        self.seen.append((module.training, dropped, torch.is_grad_enabled()))

    def all(self) -> bool:
        """Whether it was on, which must have been the same every time."""
        seen, self.seen = self.seen, []
        [on] = {on for on, _, _ in seen}
        assert any(dropped for _, dropped, _ in seen) == on
        return on


def test_every_method_says_whether_its_generator_has_dropout() -> None:
    parts = {name: registry.find("objective", name) for name in registry.names("objective")}
    own = {name: part for name, part in parts.items() if part.__module__.startswith("textgan.")}
    assert {name: part.generator_dropout for name, part in own.items()} == ON


@pytest.mark.parametrize("name", [name for name in ANY_TEXT if name != "leakgan"])
def test_dropout_is_on_in_updates_as_the_method_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = training(name, tmp_path)
    watch, method = Watch(here.generator), here.objective
    really_draw, really_judge = method.sample, method.generator_loss
    drawn: list[bool] = []
    judged: list[bool] = []

    def draw(*arguments: Any) -> Text:
        watch.seen.clear()
        made = really_draw(*arguments)
        drawn.append(watch.all() if watch.seen else ON[name])  # mle draws nothing
        return made

    def judge(*arguments: Any) -> Any:
        watch.seen.clear()
        made = really_judge(*arguments)
        if name in WITHOUT_GRADIENTS:
            others = [on for on, _, gradients in watch.seen if not gradients]
            assert others and not any(others)
            watch.seen = [one for one in watch.seen if one[2]]
        judged.append(watch.all() if watch.seen else ON[name])  # only the drawing may read it
        return made

    monkeypatch.setattr(method, "sample", draw)
    monkeypatch.setattr(method, "generator_loss", judge)
    for do in ("fakes", "discriminator", "generator"):
        if do == "generator" or here.adversary:
            train_step(here, Step(do, "adversarial", 0, 0))  # type: ignore[arg-type]
    assert set(drawn) == set(judged) == {ON[name]}
    # the discriminator's fakes are of the same law; a teacher learns from real texts alone
    assert len(drawn) == 1 + (here.adversary and name != "distillation")
    watch.seen.clear()
    observe(here, Step("tick", "mle", 1, 0, evaluate=True), {})
    assert not watch.all()
    if name in ("mle", "seqgan"):
        train_step(here, Step("mle", "mle", 0, 0))
        assert watch.all()


def exact(here: TrainingState) -> None:
    """In float64, and weights that no update changes."""
    here.generator.double()
    if here.discriminator is not None:
        here.discriminator.double()
    for optimiser in here.optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = 0.0


def updates(
    here: TrainingState, texts: Text, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[dict[str, Any], torch.Tensor]]:
    """The figures and the gradient of an update of the generator on each of these texts alone."""
    result = []
    for text in texts.split(1):
        monkeypatch.setattr(here.objective, "sample", lambda *_, text=text: text)
        figures = train_step(here, Step("generator", "adversarial", 0, 0))
        trained = [weight for weight in here.generator.parameters() if weight.requires_grad]
        gradients = [weight.grad.flatten() for weight in trained if weight.grad is not None]
        result.append((figures, torch.cat(gradients).clone()))
    return result


WORLD = {"oracle.vocabulary": 3, "oracle.length": 3, "generator.init": 0.7, "optimisers.clip": 0}


def test_importance_weights_are_one_on_average_with_dropout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sum_x H(x) G(x) / H(x) = 1 over the 27 texts that H, the cold policy, may write."""
    from textgan.objectives.coldgan import log_ratio

    settings = WORLD | {"objective.clip": 0, "objective.temperature": 0.5, "objective.replay": 0}
    here = training("coldgan", tmp_path, **settings)
    exact(here)
    generator: Any = here.generator
    texts = enumerate_texts(generator.space)
    method: Any = here.objective
    with torch.no_grad():
        logits = generator(texts)
        of_whole = probabilities(generator, texts)
        ratios = log_ratio(logits, texts.tokens, method.temperature, method.epsilon).sum(1).exp()
    chances = of_whole / ratios  # of H
    assert float(chances.sum()) == pytest.approx(1, abs=1e-12)
    weights = [figures["generator/weight"] for figures, _ in updates(here, texts, monkeypatch)]
    assert float(chances @ torch.stack(weights)) == pytest.approx(1, abs=1e-12)
    # those of a thinned network are not
    monkeypatch.setattr(type(method), "generator_dropout", True)
    weights = [figures["generator/weight"] for figures, _ in updates(here, texts, monkeypatch)]
    assert abs(float(chances @ torch.stack(weights)) - 1) > 1e-3


@pytest.mark.parametrize("name", ["constant_reward", "reinforce"])
def test_a_constant_reward_has_no_gradient_on_average_with_dropout(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = training(name, tmp_path, **WORLD)
    exact(here)
    if here.discriminator is not None:  # which says one half of everything
        for weight in here.discriminator.output.parameters():
            nn.init.zeros_(weight)
    generator: Any = here.generator
    texts = enumerate_texts(generator.space)
    chances = probabilities(generator, texts)

    def expected() -> torch.Tensor:
        each = torch.stack([gradient for _, gradient in updates(here, texts, monkeypatch)])
        assert float(each.norm(dim=1).min()) > 0.01
        return chances @ each

    assert float(expected().norm()) < 1e-12
    monkeypatch.setattr(type(here.objective), "generator_dropout", True)
    assert float(expected().norm()) > 1e-3


def test_relaxed_texts_have_the_masks_in_their_graph(tmp_path: Path) -> None:
    """Where every vector but none is dropped, the rows depend on no weight of the recurrence."""
    here = training("gsgan", tmp_path)
    generator: Any = here.generator
    generator.dropout.p = 1.0
    with dropout(generator):
        fake = here.objective.sample(generator, here.batches.real("generator", 0), 0.0)
    assert fake.soft_tokens is not None
    assert not fake.soft_tokens.detach().equal(fake.soft_tokens.detach().mean(2, keepdim=True))
    fake.soft_tokens.square().sum().backward()
    assert not generator.rnn.weight_ih_l0.grad.any()
    assert generator.output.bias.grad.any()
