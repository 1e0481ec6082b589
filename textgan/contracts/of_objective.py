"""The contract of an objective beyond a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from textgan.contracts.outcome import Broken, Check, LeftOut, may_refuse
from textgan.contracts.worlds import Trial, World, begin, resumes_exactly, train
from textgan.core.contract import undisturbed
from textgan.core.names import title
from textgan.core.optim import Loss
from textgan.core.own_code import Typed
from textgan.core.registry import find, remarks
from textgan.core.settings import settings_of
from textgan.data.text import Text
from textgan.models.contract import dropout_off
from textgan.models.generators.base import Generator
from textgan.objectives.base import Objective, without_state
from textgan.training.dry_run import discriminator_step, generator_step
from textgan.training.schedule import Step
from textgan.training.steps import train_step


def checks_of_objective(part: type[Objective], trial: Trial) -> list[tuple[str, Check]]:
    """Return the promises of a method and how each is checked."""
    who = title(part)
    checks: list[tuple[str, Check]] = [
        ("a step on texts of one length", partial(_step, trial, "fixed", who)),
        ("a step on texts of several lengths", partial(_step, trial, "variable", who)),
        ("a step on labelled texts", partial(_step, trial, "labelled", who)),
        *_with_sources(part, trial),
        ("settings", partial(_remarks, part)),
        ("a step late in training", partial(_late, trial)),
        ("the generator's loss is pure", partial(_pure, trial, "generator")),
    ]
    if part.discriminator is not None:
        checks.append(("the discriminator's loss is pure", partial(_pure, trial, "discriminator")))
    return [
        *checks,
        ("figures are constants", partial(_figures, trial)),
        ("a batch of two", partial(_batch_of_two, trial, who)),
        ("a batch in two shards", partial(_shards, trial, who)),
        ("killed and resumed, the same bits", partial(resumes_exactly, trial)),
        ("the generator's dropout", partial(_dropout, part, trial)),
    ]


def _with_sources(part: type[Objective], trial: Trial) -> list[tuple[str, Check]]:
    """The same steps on texts that answer a source, with networks that read it, where the other
    steps had none."""
    if trial.has_source:
        return []
    asked, who = replace(trial, has_source=True), title(part)
    return [
        ("a step on texts that answer a source", partial(_step, asked, "variable", who)),
        ("a step on labelled ones that do", partial(_step, asked, "labelled", who)),
    ]


def _step(trial: Trial, world: World, who: str) -> None:
    with may_refuse(who):
        trial.run(world)


def _remarks(part: type[Objective]) -> str:
    return "; ".join(remarks(part))


@dataclass
class Scene:
    """A connected method with its networks, and texts for one update of each."""

    objective: Objective
    generator: Generator
    discriminator: Any
    real: Text
    fake: Text

    def loss(self, who: str) -> Loss:
        """Compute the loss of one of the networks."""
        return self.loss_and_state(who)[0]

    def loss_and_state(self, who: str) -> tuple[Loss, Mapping[str, Tensor]]:
        """Compute the loss of one of the networks, and return with it the state to keep."""
        if who == "generator":
            return without_state(
                self.objective.generator_loss(
                    self.generator, self.discriminator, self.real, self.fake, 0.0
                )
            )
        return self.objective.discriminator_loss(self.discriminator, self.real, self.fake), {}


def scene(trial: Trial, who: str = "generator") -> Scene:
    """Set a scene for an update of the generator, or of the discriminator."""
    training = begin(trial.one)
    objective, real = training.objective, training.run.corpus.train[:8]
    if who == "generator":
        real = real.repeat(objective.group)
        fake = objective.sample(training.generator, real, 0.0)
        objective.on_fakes(replace(fake, soft_tokens=None))
    else:
        with torch.no_grad():
            fake = objective.sample(training.generator, real, 0.0)
    return Scene(objective, training.generator, training.discriminator, real, fake)


def _late(trial: Trial) -> None:
    at = scene(trial)
    with dropout_off(at.generator, at.discriminator):
        if type(at.objective).discriminator is not None:
            discriminator_step(at.objective, at.generator, at.discriminator, at.real, 0.9)
        generator_step(at.objective, at.generator, at.discriminator, at.real, 0.9)


def _pure(trial: Trial, who: str) -> None:
    """Twice the same from the same seed; neither weights nor what is remembered change by it."""
    at = scene(trial, who)
    state = {name: tensor.clone() for name, tensor in at.objective.state.items()}
    before = _weights(at)
    results, states = [], []
    for seed in (3, 3, 4):
        with undisturbed(seed):
            (loss, metrics), kept = at.loss_and_state(who)
            states.append(torch.get_rng_state())
        if seed == 4:
            break
        figures = {name: float(torch.as_tensor(figure)) for name, figure in metrics.items()}
        results.append((float(loss.detach()), figures, kept))
    function = f"{who}_loss"
    if not _same(at.objective.state, state):
        raise Broken(f"{function} changes state, which losses only read")
    for name, weight in _weights(at).items():
        if not torch.equal(weight, before[name]):
            raise Broken(f"{function} changes the weight {name}; only optimisers may")
    if torch.equal(states[0], states[2]):
        raise Broken(
            f"{function} seeds torch's random numbers, so that every update draws the same; draw "
            "without a seed, or from a torch.Generator of its own"
        )
    (value, figures, kept), (again, others, other) = results
    if value != again:
        raise Broken(
            f"{function} gives {value:g}, then {again:g} of the same texts, state and random "
            "numbers; a loss may not change what it is computed from, nor draw from other streams "
            "than torch's"
        )
    if figures != others:
        raise Broken(f"{function} gives other metrics when it is called again")
    if not _same(kept, other):
        raise Broken(f"{function} wants something else kept when it is called again")


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _weights(at: Scene) -> dict[str, Tensor]:
    networks = {"generator": at.generator, "discriminator": at.discriminator}
    networks |= at.objective.networks
    return {
        f"{who}.{name}": tensor.detach().clone()
        for who, network in networks.items()
        if isinstance(network, nn.Module)
        for name, tensor in network.state_dict().items()
    }


def _figures(trial: Trial) -> None:
    for who in ("generator", "discriminator"):
        at = scene(trial, who)
        if who == "discriminator" and type(at.objective).discriminator is None:
            continue
        for name, figure in at.loss(who)[1].items():
            if isinstance(figure, Tensor) and figure.requires_grad:
                raise Broken(f"{who}_loss does not detach its metric {name!r} (write .detach())")


def _batch_of_two(trial: Trial, who: str) -> None:
    with may_refuse(who):
        run = trial.run(schedule__batch_size=2, schedule__fakes=2, schedule__mle_epochs=0)
    train(run)


def _shards(trial: Trial, who: str) -> str:
    with may_refuse(who):
        run = trial.run(schedule__shards=2)
    train(run)
    at = scene(trial)
    if at.real.soft_tokens is not None or at.fake.soft_tokens is not None:
        return ""

    def loss(real: Text, fake: Text, seed: int = 0) -> float:
        part = replace(at, real=real, fake=fake)
        with undisturbed(seed):
            value, _ = part.loss("generator")
        return float(value.detach())

    whole = loss(at.real, at.fake)
    if loss(at.real, at.fake, 1) != whole:
        return "its loss draws, so halves and whole do not compare"
    half = len(at.real) // 2
    parts = [loss(at.real[some], at.fake[some]) for some in (slice(half), slice(half, None))]
    together = sum(parts) if at.objective.reduction == "sum" else sum(parts) / 2
    if abs(together - whole) <= 1e-4 * max(1, abs(whole)):
        return "the losses of two halves make that of the whole"
    return "it compares the texts of a batch, so each shard is a batch of its own"


def _dropout(part: type[Objective], trial: Trial) -> str:
    """Off where a loss takes what the generator says for the law of the text."""
    config = trial.config()
    network = registry_settings(config.generator.name)
    if "dropout" not in network:
        raise LeftOut("its generator has none")
    if part.generator_dropout:
        return "on in its updates, as it declares (generator_dropout)"
    losses = []
    for share in (0.0, 0.5):
        run = trial.run(generator__dropout=share)
        training = begin(run)
        figures = train_step(training, Step("generator", "adversarial", 1, 0))
        losses.append(float(figures["generator/loss"]))
    if losses[0] != losses[1]:
        raise Broken(
            "generator_loss switches the generator's dropout on: what it then says of a text is "
            "not the law that wrote it; leave modes alone, or set generator_dropout = True"
        )
    return "off in its updates"


def registry_settings(name: str) -> set[str]:
    """Return the names of a generator's settings."""
    return {setting.name for setting in settings_of(find("generator", name, code=Typed()))}
