"""Every perturbation in runs: both networks, stopped and resumed, and every kind of network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from family import ANY_TEXT, toy
from perturbed import METHODS
from torch import Tensor, nn
from toys import TOY, TOY_TEXT, toy_text

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.settings import settings_of
from textgan.perturb.base import Perturbation, perturbation
from textgan.training.checkpoint import load_checkpoint
from textgan.training.config import make_config
from textgan.training.run import Run, create_run
from textgan.training.schedule import Step, plan
from textgan.training.state import TrainingState
from textgan.training.steps import take_step


def begin(folder: Path, name: str, settings: dict[str, Any]) -> Run:
    return create_run(make_config(name, settings), folder)


def steps_of(run: Run, adversary: bool = True) -> list[Step]:
    """The plan of a run, but for its measures."""
    steps = plan(run.config.schedule, len(run.corpus.train), adversary)
    return [step for step in steps if step.do != "tick"]


def train(training: TrainingState, steps: list[Step]) -> list[dict[str, Tensor]]:
    """Do these steps; what each logs."""
    log = None  # for ticks only
    return [take_step(training, step, log) for step in steps]  # type: ignore[arg-type]


def weights_of(network: nn.Module | None) -> list[Tensor]:
    return [] if network is None else [weight.detach().clone() for weight in network.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


SETTINGS = {"smart": "mu=0.5, early=2", "freelb": "magnitude=0.1", "pgd": "init=random"}
FEWER = {"schedule.mle_epochs": 1, "schedule.mle_every": 1, "schedule.fakes": 8}


@pytest.mark.parametrize("name", METHODS)
def test_seqgan_trains_and_resumes_bit_for_bit(name: str, tmp_path: Path) -> None:
    settings = SETTINGS.get(name, "")
    told = TOY_TEXT | FEWER | {"data.file": str(toy_text(tmp_path, 40))}
    told["discriminator.perturb"] = f"{name}({settings})"
    told["mle.perturb"] = f"{name}(placement=matrix, {settings})"
    run = begin(tmp_path / "run", "seqgan", told)
    steps = steps_of(run)
    # amid the rounds, where all three optimisers have begun
    rounds = [i for i, step in enumerate(steps) if step.phase == "adversarial"]
    middle = rounds[len(rounds) // 2]
    torch.manual_seed(1)
    training = TrainingState(run)
    assert training.perturbations.keys() == {"mle", "discriminator"}
    kept: Path | None = None
    seen = set()
    for number, step in enumerate(steps):
        if number == middle:
            kept = training.save()
        networks = {"generator": training.generator, "discriminator": training.discriminator}
        before = {who: weights_of(network) for who, network in networks.items()}
        figures = train(training, [step])[0]
        assert all(torch.as_tensor(figure).isfinite().all() for figure in figures.values())
        moved = {who for who in networks if not equal(before[who], weights_of(networks[who]))}
        trained = "generator" if step.do == "mle" else step.do
        assert moved == ({trained} if trained in networks else set())
        if moved:
            seen.add(step.do)
    assert seen == {"mle", "discriminator", "generator"}
    assert all(
        memory.is_stateful == bool(memory.state) for memory in training.perturbations.values()
    ) or (name == "free_at")

    assert kept is not None
    done = load_checkpoint(training.save())
    resumed = TrainingState(run)
    resumed.restore(kept)
    train(resumed, steps[middle:])
    again = load_checkpoint(resumed.save())
    assert done[1] == again[1]
    assert done[0].keys() == again[0].keys()
    if name == "smart":
        remembered = {key for key in done[0] if key.startswith("perturbation.")}
        assert {"perturbation.mle.updates", "perturbation.discriminator.updates"} < remembered
    for key, tensor in done[0].items():
        assert torch.equal(tensor, again[0][key]), key


def test_free_at_updates_each_batch_as_often_as_it_is_told(tmp_path: Path) -> None:
    settings = TOY | {"mle.perturb": "free_at(replays=4)"}
    training = TrainingState(begin(tmp_path / "run", "seqgan", settings))
    calls: list[int] = []
    training.optimisers["mle"].register_step_post_hook(lambda *settings: calls.append(1))
    train(training, steps_of(training.run)[:2])
    assert len(calls) == 8


def of_each_kind() -> list[str]:
    """A method for every generator and every discriminator that is some method's usual one."""
    result: dict[Any, str] = {}
    for name in ANY_TEXT:
        method = registry.find("objective", name)
        result.setdefault(("generator", method.generator), name)
        result.setdefault((method.discriminator_kind, method.discriminator, "judge"), name)
    return sorted(set(result.values()))


@pytest.mark.parametrize("kind", ["fixed", "variable"])
@pytest.mark.parametrize("name", of_each_kind())
def test_every_kind_of_network(name: str, kind: str, tmp_path: Path) -> None:
    """A generator's MLE and a judge with the embedding's output shifted, or its table."""
    settings = toy(name) | {"schedule.rounds": 1, "schedule.d_steps": 1, "schedule.g_steps": 1}
    if kind == "variable":
        settings = {key: value for key, value in settings.items() if not key.startswith("oracle.")}
        settings["data.file"] = str(toy_text(tmp_path))
    perturb = "fgm" if kind == "fixed" else "fgm(placement=matrix)"
    if registry.find("objective", name).discriminator is not None:
        settings["discriminator.perturb"] = perturb
    if settings["schedule.mle_epochs"]:
        settings |= {"mle.perturb": perturb, "schedule.mle_epochs": 1}
    training = TrainingState(begin(tmp_path / "run", name, settings))
    perturbed = set()
    steps = steps_of(training.run, training.discriminator is not None)
    for kind in ("mle", "fakes", "discriminator"):
        for step in [step for step in steps if step.do == kind][:2]:
            figures = train(training, [step])[0]
            assert all(torch.as_tensor(figure).isfinite().all() for figure in figures.values())
            perturbed |= {key.split("/")[0] for key in figures if key.endswith("perturbed_loss")}
    assert perturbed == {key.split(".")[0] for key in settings if key.endswith(".perturb")}


@pytest.mark.parametrize("objective", ["wgan_gp", "cot", "sentigan", "relgan"])
def test_methods_beside_seqgan(objective: str, tmp_path: Path) -> None:
    """Gradients of gradients, language models, classes and relaxed texts, with each of them."""
    training = TrainingState(begin(tmp_path / "run", objective, toy(objective)))
    fakes, judge = (
        next(step for step in steps_of(training.run) if step.do == kind)
        for kind in ("fakes", "discriminator")
    )
    train(training, [fakes])
    kept = training.save()
    left = []
    for name in ["none", *METHODS]:
        training.restore(kept)
        made = perturbation(name)
        training.perturbations = {} if made is None else {"discriminator": made}
        figures = train(training, [judge])[0]
        assert all(torch.as_tensor(figure).isfinite().all() for figure in figures.values())
        left.append(weights_of(training.discriminator))
    assert not any(equal(left[0], other) for other in left[1:])


def test_what_remembers_batches_is_not_for_shards(tmp_path: Path) -> None:
    for name in ("free_at", "smart(mu=1)"):
        settings = TOY | {"schedule.shards": 2, "mle.perturb": name}
        with pytest.raises(UserError, match=r"mle\.perturb = .* schedule\.shards = 1"):
            make_config("seqgan", settings)
    make_config("seqgan", TOY | {"schedule.shards": 2, "mle.perturb": "smart"})


@pytest.mark.parametrize("name", METHODS)
def test_what_is_said_of_each(name: str) -> None:
    part = registry.find("perturbation", name)
    assert issubclass(part, Perturbation)
    assert "arXiv" in part.paper
    assert (part.__doc__ or "").splitlines()[0].endswith(".")
    for setting in settings_of(part):
        assert setting.doc, f"{name}.{setting.name} has no description"
