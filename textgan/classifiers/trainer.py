"""ClassifierTrainer: trains classifiers that differ in nothing but a perturbation and a seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from textgan.classifiers.config import ClassifierConfig
from textgan.classifiers.data import ClassifierData
from textgan.classifiers.results import CLEAN, TrainedClassifier
from textgan.classifiers.robustness import ATTACKED_AT_ONCE, accuracy, robustness
from textgan.core.contract import FEW, is_own
from textgan.core.errors import UserError
from textgan.core.memory import memory_errors, reuse_memory
from textgan.core.optim import Backward, Loss, NotFinite, dropout, plain
from textgan.core.own_code import Typed
from textgan.core.seeds import fork_rng
from textgan.core.streams import SCHEME, Purpose, stream
from textgan.core.version import __version__
from textgan.data.batches import batches
from textgan.data.text import Text
from textgan.data.tokenizers import tokenizer_warnings
from textgan.models.discriminators.base import Discriminator
from textgan.models.fit import Best, fit
from textgan.models.pretrained import build_network
from textgan.perturb.base import Perturbation, perturbation
from textgan.perturb.contract import check_perturbation
from textgan.perturb.shifts import find_embedding

Advance = Callable[[int], object]  # so many steps are done


@dataclass(frozen=True)
class ClassifierTrainer:
    """The trainer of all classifiers of a study. network: a name for `build_network`."""

    network: str
    config: ClassifierConfig
    data: ClassifierData
    device: torch.device

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that decide its numbers."""
        warnings = tokenizer_warnings(self.data.tokenizer, self.data.split.train.lines)
        return {
            "textgan": __version__,
            "streams": SCHEME,
            "network": self.network,
            "tokenizer": self.data.tokenizer.name,
            "settings": self.config.recorded(),
            "data": self.data.split.facts,
            "device": self.device.type,
            "majority": self.data.majority,
            "clock": _clock(self.device)[0],
            **({"warnings": warnings} if warnings else {}),
        }

    def build(self) -> Discriminator:
        """Build a new network."""
        data, settings = self.data, self.config.network
        made = build_network(self.network, settings, data.tokenizer, len(data.split.names))
        return made.to(self.device)

    def check(self, perturbations: Sequence[str]) -> None:
        """Refuse what cannot be trained before anything is. Raises UserError."""
        made = [perturbation(name, code=Typed()) for name in perturbations]
        remedy = memory_errors("a smaller network")
        with fork_rng(stream(Purpose.DISCARDED, 0), self.device), remedy:
            network = self.build()
        for shift in made:
            if shift is None:
                continue
            find_embedding(network, shift.embedding)
            if is_own(shift):
                text = self.data.train[:FEW].trimmed().to(self.device)
                closures = partial(_loss, network, text), partial(network.class_logits, text)
                once = stream(Purpose.DRY_RUN, 0)
                with fork_rng(once, self.device), dropout(network):
                    check_perturbation(shift, network, *closures)

    @property
    def _batches(self) -> int:
        """In a pass over the sentences."""
        return math.ceil(len(self.data.train) / self.config.batch)

    def _epochs(self, repeats: int) -> int:
        """Passes over the sentences, where each batch is for so many updates in a row."""
        return max(1, round(self.config.epochs / repeats))

    @property
    def _attack_steps(self) -> int:
        return math.ceil(len(self.data.tests[CLEAN]) / ATTACKED_AT_ONCE)

    def steps(self, name: str) -> int:
        """Return the steps of training a classifier, as a progress bar counts them. name: of its
        perturbation."""
        shift = perturbation(name, code=Typed())
        repeats = shift.replays if shift else 1
        updates = self._batches * repeats * self._epochs(repeats)
        return updates + len(self.config.attack.epsilon) * self._attack_steps

    def train(
        self, name: str, seed: int, advance: Advance
    ) -> tuple[TrainedClassifier, Discriminator]:
        """Train one classifier. The same seed gives all of them the same first weights and
        batches.

        name: of its perturbation. advance: called with the number of steps done.
        Raises UserError where the weights stop being numbers.
        """
        remedy = "a smaller batch, data.length or network"
        reuse_memory()
        with fork_rng(stream(Purpose.CLASSIFIER, seed), self.device), memory_errors(remedy):
            network = self.build()
            try:
                facts = self._fit(network, perturbation(name, code=Typed()), seed, advance)
            except NotFinite as error:
                raise UserError(f"{name}, seed {seed}: {error}; try a smaller lr") from None
            accuracies, norm = robustness(
                network,
                self.data.tests,
                self.config.attack,
                seed,
                lambda: advance(self._attack_steps),
            )
        return TrainedClassifier(name, seed, accuracies, norm=norm, **facts), network

    def _fit(
        self, network: Discriminator, shift: Perturbation | None, seed: int, advance: Advance
    ) -> dict[str, Any]:
        """Train a network; it becomes what it was after its best epoch."""
        text, batch = self.data.train, self.config.batch
        backward: Backward = shift or plain
        repeats = shift.replays if shift else 1
        epochs, clock = self._epochs(repeats), _clock(self.device)[1]
        seconds = 0.0

        def epoch_batches(epoch: int) -> Iterator[Text]:
            nonlocal seconds
            with fork_rng(stream(Purpose.CLASSIFIER_BATCHES, seed, epoch), self.device):
                order = batches(text.lengths, batch)
            began = clock()
            for rows in order:
                yield text[rows].trimmed().to(self.device)
                advance(repeats)
            seconds += clock() - began

        def accumulate(part: Text) -> Loss:
            outputs = partial(network.class_logits, part)
            return backward(network, partial(_loss, network, part), outputs)

        best = fit(
            network,
            map(epoch_batches, range(1, epochs + 1)),
            accumulate,
            lambda: accuracy(network, self.data.valid),
            best=Best(network, higher_is_better=True),
            lr=self.config.lr,
            clip=self.config.clip,
            repeats=repeats,
        )
        epoch = best.step // self._batches
        return {"valid": best.value, "epoch": epoch, "epochs": epochs, "seconds": seconds}


def _loss(network: Discriminator, text: Text) -> Loss:
    assert text.labels is not None
    return F.cross_entropy(network.class_logits(text), text.labels), {}


def _clock(device: torch.device) -> tuple[str, Callable[[], float]]:
    """The unit of the time of training and its clock, without the time of other work where that is
    possible."""
    if device.type == "cuda":

        def synchronised() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return "seconds", synchronised
    if torch.get_num_threads() == 1:
        return "processor seconds", time.process_time
    return "seconds", time.perf_counter
