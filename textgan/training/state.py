"""The state of a run that changes while it trains, as its checkpoints hold it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from textgan.core.device import is_asynchronous
from textgan.core.distributed import Group
from textgan.core.files import understood
from textgan.core.identity import RUN
from textgan.core.memory import is_out_of_memory
from textgan.core.optim import NotFinite, build_optimiser, swapped_weights
from textgan.core.precision import supported
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream
from textgan.core.tensors import restore_module, save_tensors, under_prefix, with_prefix
from textgan.data.text import UNCONDITIONAL, Text
from textgan.models.generators.base import Generator
from textgan.training.batches import TrainingBatches
from textgan.training.checkpoint import (
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from textgan.training.run import AVERAGE, INIT, MLE, Run
from textgan.training.shards import Shards

_Count = Annotated[int, Field(ge=0)]
_FACTS: dict[str, Any] = {
    "done": _Count,
    "ticks_done": _Count,
    "batches_done": dict[str, _Count],
    "sums": dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]],
    "best_mle": float | None,
    "mle_entropy": float | None,
    "alarms": list[str],
    "given": _Count,
    "discriminator_ready": bool,
    "held_out_losses": list[float],
}
# what checkpoints of before do not say
_SINCE: dict[str, Any] = {"discriminator_ready": False, "held_out_losses": []}


def _check_facts(facts: Mapping[str, Any], batches: Mapping[str, int]) -> None:
    """Raises KeyError or ValueError for what no checkpoint says."""
    for name, kind in _FACTS.items():
        try:
            TypeAdapter(kind).validate_python(facts[name], strict=True)
        except ValidationError as error:
            raise ValueError(f"{name}: {error.errors()[0]['msg']}") from None
    if facts["batches_done"].keys() != batches.keys():
        raise ValueError(f"batches_done is of {', '.join(facts['batches_done'])}")
    if any(count < 1 for _, count in facts["sums"].values()):
        raise ValueError("sums: a mean of nothing")


class TrainingState:
    """Everything that changes while a run trains, as its checkpoints hold it.

    group: the processes that train it together; each holds all of this, and computes its shards.
    """

    def __init__(self, run: Run, group: Group | None = None) -> None:
        config = run.config
        supported(config.precision, run.device)
        self.run = run
        self.shards = Shards(config.schedule.shards, group or Group())
        with self._weights(Purpose.GENERATOR_WEIGHTS):
            self.generator: Generator = run.build_generator()
        weights, init = run.load_init()
        if weights:
            restore_module(self.generator, weights, run.folder / INIT)
        with self._weights(Purpose.DISCRIMINATOR_WEIGHTS):
            self.discriminator = run.build_discriminator()
        self.objective = run.build_objective()
        self.objective.connect(self.generator, self.discriminator, run.corpus.train)
        rates = config.optimisers
        self.optimisers = {
            "mle": build_optimiser(self.generator, rates.mle_lr),
            "generator": build_optimiser(self.generator, rates.generator_lr, rates),
        }
        if self.discriminator is not None:
            self.optimisers["discriminator"] = build_optimiser(
                self.discriminator, rates.discriminator_lr, rates
            )
        for name, network in self.objective.networks.items():
            self.optimisers[name] = build_optimiser(network, rates.method_lr, rates)
        for network in (self.generator, self.discriminator, self.objective.networks):
            for module in network.modules() if network is not None else ():
                if isinstance(module, nn.Dropout):
                    module.eval()
        self.perturbations = run.perturbations()
        self.batches = TrainingBatches(run, self.generator.space.classes)

        # a running mean of the generator's weights, which is measured in their place; or none
        self.average: dict[str, Tensor] = {}
        if config.schedule.average:
            self.average = _copied(self.generator)
        self.done = 0  # steps of the plan
        self.ticks_done = 0
        self.batches_done = dict.fromkeys(("mle", "discriminator", "generator", "turn"), 0)
        # of each metric since the last tick: the sum, in float64 where it was computed, and of how
        # many values
        self.sums: dict[str, tuple[float | Tensor, int]] = {}
        self.fakes: Text | None = None  # of the current turn
        self.init = init  # which epoch of another run's it starts from, see `Run.load_init`
        self.best_mle: float | None = init.get("score")
        self.mle_entropy: float | None = None
        self.discriminator_ready = False  # its pretraining is done before its turns are
        self.held_out_losses: list[float] = []  # of its turns, where they may end early
        self.best_discriminator: dict[str, Tensor] = {}  # its weights after the best of them
        self.alarms: list[str] = []
        self.records: str | None = None  # the digest of what was logged so far

    def _weights(self, purpose: Purpose) -> AbstractContextManager[None]:
        """Random numbers for a network's first weights; an old run goes on in its one stream."""
        if self.run.old:
            return nullcontext()
        return fork_rng(stream(purpose, self.run.seed), self.run.device)

    @property
    def group(self) -> Group:
        """The processes that train the run together."""
        return self.shards.group

    @property
    def adversary(self) -> bool:
        """Whether there is a discriminator to train."""
        return self.discriminator is not None

    def network(self, who: str) -> nn.Module:
        """Return the network that the optimiser of this name trains."""
        pair = {"mle": self.generator, "generator": self.generator}
        pair["discriminator"] = self.discriminator
        return {**pair, **self.objective.networks}[who]

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the mean of the generator's weights towards them, after one of its updates.

        Its decay grows from 2 / 11 at the first, for the first weights are worth least.
        """
        if self.average:
            updates = self.batches_done["mle"] + self.batches_done["generator"]
            decay = min(self.run.config.schedule.average, (1 + updates) / (10 + updates))
            for name, weight in _weights_of(self.generator):
                self.average[name].lerp_(weight, 1 - decay)

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the generator has the mean of its weights, where there is one."""
        if not self.average:
            return nullcontext()
        return swapped_weights(self.generator, self.average)

    def next(self, kind: str) -> int:
        """Count a batch of a kind and return its number."""
        number = self.batches_done[kind]
        self.batches_done[kind] += 1
        return number

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Count the metrics of an update in the means of its tick, without waiting for a device."""
        for name, value in metrics.items():
            total, count = self.sums.get(name, (0.0, 0))
            value = torch.as_tensor(value).detach()
            # the same sum either way
            number = value.double().reshape(()) if is_asynchronous(value) else float(value)
            self.sums[name] = total + number, count + 1

    def means(self) -> dict[str, float]:
        """Return the means of the metrics since the last tick.

        Raises NotFinite where one of these updates was skipped, see `clipped_step`.
        """
        means = {name: total / n for name, (total, n) in sorted(self._fetched().items())}
        for who in self.optimisers:
            if not math.isfinite(means.get(f"{who}/gradient_norm", 0.0)):
                raise NotFinite(
                    f"a gradient of {type(self.network(who)).__name__} was not finite (mean loss "
                    f"{means.get(f'{who}/loss', math.nan):g}), it did not change the weights"
                )
        return means

    def _fetched(self) -> dict[str, tuple[float, int]]:
        """The sums as numbers, for which a device is waited for once."""
        there = [total for total, _ in self.sums.values() if isinstance(total, Tensor)]
        fetched = iter(torch.stack(there).tolist() if there else ())
        return {
            name: (next(fetched) if isinstance(total, Tensor) else total, count)
            for name, (total, count) in self.sums.items()
        }

    @property
    def best_turn(self) -> int:
        """The turn of the discriminator with the smallest loss on held-out texts, from 0."""
        return min(range(len(self.held_out_losses)), key=self.held_out_losses.__getitem__)

    def stop_early(self, loss: float, number: int) -> bool:
        """Keep the discriminator if its loss on held-out texts after turn `number` is the smallest.

        Returns True, and takes the best one back, where none of the last
        `schedule.discriminator_patience` turns was better, or there are no more.
        """
        schedule, network = self.run.config.schedule, self.discriminator
        self.held_out_losses.append(loss)
        waited = len(self.held_out_losses) - 1 - self.best_turn
        if not waited:
            weights = network.state_dict().items()
            self.best_discriminator = {name: weight.clone() for name, weight in weights}
        if waited < schedule.discriminator_patience and number + 1 < schedule.discriminator_turns:
            return False
        network.load_state_dict(self.best_discriminator)
        self.best_discriminator = {}
        return True

    def save(self) -> Path:
        """Write a checkpoint of everything, from which the run continues as if never stopped.

        Raises NotFinite as `means` does.
        """
        self.means()
        tensors = self._networks() | with_prefix("networks", self.objective.networks.state_dict())
        for name, optimiser in self.optimisers.items():
            tensors |= with_prefix(f"optimiser.{name}", optimiser_tensors(optimiser))
        tensors |= with_prefix("objective", self.objective.state)
        tensors |= with_prefix(AVERAGE, self.average)
        tensors |= with_prefix("best_discriminator", self.best_discriminator)
        for name, perturbation in self.perturbations.items():
            tensors |= with_prefix(f"perturbation.{name}", perturbation.state)
        tensors["random.cpu"] = torch.get_rng_state()
        if self.run.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.run.device)
        if self.fakes is not None:  # they are written for what the texts that they answer are
            alone = replace(self.fakes, condition=UNCONDITIONAL)
            tensors |= with_prefix("fakes", alone.to_tensors())
        facts = {
            RUN: self.run.digest,
            "done": self.done,
            "ticks_done": self.ticks_done,
            "batches_done": self.batches_done,
            "sums": self._fetched(),
            "best_mle": self.best_mle,
            "mle_entropy": self.mle_entropy,
            "discriminator_ready": self.discriminator_ready,
            "held_out_losses": self.held_out_losses,
            "alarms": self.alarms,
            "records": self.records,
            "given": 0 if self.fakes is None else self.fakes.prompt_length,
        }
        return save_checkpoint(self.run.folder, self.done, tensors, facts)

    def save_best_mle(self, epoch: int, score: float, **more: int) -> None:
        """Keep the networks of the best MLE epoch so far. more: facts about it."""
        self.best_mle = score
        facts = {RUN: self.run.digest, "epoch": epoch, "score": score} | more
        save_tensors(self.run.folder / MLE, self._networks(), facts)

    def _networks(self) -> dict[str, Tensor]:
        tensors = with_prefix("generator", self.generator.state_dict())
        if self.discriminator is not None:
            tensors |= with_prefix("discriminator", self.discriminator.state_dict())
        return tensors

    def restore(self, path: Path) -> None:
        """Load what `save` wrote into this state. Raises UserError for a checkpoint that is not of
        this run."""
        tensors, facts = load_checkpoint(path)
        self.run.identity.check(path, facts, "restore what was there, or train anew")
        with understood(path, "delete it to go on from the one before, or train anew"):
            try:
                self._become(tensors, facts, path)
            except RuntimeError as error:  # of torch, for a tensor of another shape or kind
                if is_out_of_memory(error):
                    raise
                raise ValueError(str(error).partition("\n")[0]) from None

    def _become(self, tensors: dict[str, Tensor], facts: dict[str, Any], path: Path) -> None:
        device = self.run.device
        facts = _SINCE | facts
        _check_facts(facts, self.batches_done)
        restore_module(self.generator, under_prefix("generator", tensors), path)
        if self.discriminator is not None:
            restore_module(self.discriminator, under_prefix("discriminator", tensors), path)
        restore_module(self.objective.networks, under_prefix("networks", tensors), path)
        for name, optimiser in self.optimisers.items():
            restore_optimiser(optimiser, under_prefix(f"optimiser.{name}", tensors))
        self.objective.state = _on(device, under_prefix("objective", tensors))
        average = _on(device, under_prefix(AVERAGE, tensors))
        if average.keys() != self.average.keys():
            raise ValueError("the mean of the generator's weights is not that of its weights")
        self.average = average
        self.best_discriminator = _on(device, under_prefix("best_discriminator", tensors))
        for name, perturbation in self.perturbations.items():
            perturbation.state = _on(device, under_prefix(f"perturbation.{name}", tensors))
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], device)
        self.batches_done = facts["batches_done"]
        if "fakes.tokens" in tensors:
            fakes = Text.from_tensors(under_prefix("fakes", tensors), facts["given"]).to(device)
            real = self.batches.real("turn", self.batches_done["turn"] - 1)  # which they answer
            self.fakes = replace(fakes, condition=real.condition)
        self.done = facts["done"]
        self.ticks_done = facts["ticks_done"]
        self.sums = {name: (total, count) for name, (total, count) in facts["sums"].items()}
        self.best_mle = facts["best_mle"]
        self.mle_entropy = facts["mle_entropy"]
        self.discriminator_ready = facts["discriminator_ready"]
        self.held_out_losses = facts["held_out_losses"]
        self.alarms = facts["alarms"]
        self.records = facts.get("records")


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in _weights_of(network)}


def _weights_of(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """All weights by all of their names, as a state_dict has them: some may have two."""
    return network.named_parameters(remove_duplicate=False)


def _on(device: torch.device, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}
