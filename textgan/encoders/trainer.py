"""EncoderTrainer: an objective, a network and data, and how the one trains the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from textgan.core import registry
from textgan.core.contract import FEW, is_own
from textgan.core.errors import UserError
from textgan.core.log import Log
from textgan.core.optim import NotFinite, dropout, plain
from textgan.core.own_code import Typed
from textgan.core.progress import bar
from textgan.core.seeds import fork_rng
from textgan.core.settings import check_settings
from textgan.core.streams import Purpose, stream
from textgan.data.noise import disturb_lines
from textgan.data.sides import spacing_facts
from textgan.data.splits import Split, split_file
from textgan.data.tokenizers import WordTokenizer, tokenizer_warnings
from textgan.encoders.config import EncoderConfig, rate_at
from textgan.encoders.contrast.base import Batch, EncoderObjective
from textgan.encoders.contrast.contract import check_encoder_objective
from textgan.encoders.data import EncoderData, TokenizedLines, batch_rows, tokenize
from textgan.encoders.folder import SavedEncoder
from textgan.encoders.initial import (
    InitialNetwork,
    network_of_encoder,
    new_network,
    pooling_warnings,
)
from textgan.encoders.results import NOISE
from textgan.encoders.similarity import alignment, retrieval, uniformity
from textgan.models.fit import Best, fit
from textgan.perturb.base import Perturbation, perturbation

Step = TypeVar("Step")


@dataclass
class EncoderTrainer:
    """Trains an encoder and measures it; it writes nothing.

    name, settings: the objective's. best: the weights that did best in validation.
    """

    name: str
    objective: EncoderObjective
    settings: dict[str, Any]
    initial: InitialNetwork
    config: EncoderConfig
    perturbation: Perturbation | None
    data: EncoderData
    seed: int
    quiet: bool

    def __post_init__(self) -> None:
        self.best = Best(self.initial.network, self.objective.higher_is_better)

    @property
    def updates(self) -> int:
        """The number of batches in training."""
        return self.config.epochs * len(batch_rows(len(self.data.train), self.config.batch))

    @property
    def chosen(self) -> dict[str, Any]:
        """The metric that chose the best weights, its value, and after which update."""
        best = self.best
        return {"measure": self.objective.metric, "value": best.value, "update": best.step}

    def train(self, log: Log) -> None:
        """Do all updates, with a validation now and then; the network then has its best weights.

        Raises NotFinite where a gradient or a validation is not a number.
        """
        config, updates = self.config, self.updates
        lr = config.lr or self.initial.default_lr
        every = config.every or updates // config.epochs
        log.plan({None: updates})
        log.phase(self.name, updates, 0)
        sums: Counter[str] = Counter()
        before = 0  # batches at the validation before

        def rate(step: int) -> float:
            return rate_at(step, updates, config.warmup)

        def on_update(metrics: Mapping[str, Tensor]) -> None:
            sums.update({name: float(value) for name, value in metrics.items()})
            log.advance(self.name, metrics)

        def on_validation(number: int, step: int, value: float) -> None:
            nonlocal before
            shown = {f"encode/{name}": total / (step - before) for name, total in sums.items()}
            shown["encode/lr"] = lr * rate(step - 1)
            shown[f"valid/{self.objective.metric}"] = value
            where = {"phase": "encode", "number": number, "tick": number + 1, "step": step}
            line = ", ".join(f"{name} {value:.3g}" for name, value in shown.items())
            log.tick(where, shown, f"update {step} of {updates}: {line}")
            sums.clear()
            before = step

        batches = self._batches()
        fit(
            self.objective,
            (islice(batches, every) for _ in range(math.ceil(updates / every))),
            partial(self.objective.accumulate, backward=self.perturbation or plain),
            self.validate,
            best=self.best,
            lr=lr,
            clip=config.clip,
            rate=rate,
            repeats=self.perturbation.replays if self.perturbation else 1,
            on_update=on_update,
            on_validation=on_validation,
        )

    def _batches(self) -> Iterator[Batch]:
        train = self.data.train
        for _ in range(self.config.epochs):
            order = torch.randperm(len(train))
            for rows in batch_rows(len(order), self.config.batch):
                yield train[order[rows]]

    def validate(self) -> float:
        """Compute the metric of the validation lines. Raises NotFinite where it is not a number."""
        value = self._metric(self.data.valid)
        if not math.isfinite(value):
            raise NotFinite(f"{self.objective.metric} of held-out lines is {value}")
        return value

    def _metric(self, part: TokenizedLines) -> float:
        """The objective's metric of a part, the same for the same weights."""
        device = self.initial.network.output.weight.device
        total = 0.0
        with fork_rng(stream(Purpose.ENCODER_HELD_OUT, self.seed), device):
            for rows in batch_rows(len(part), self.config.batch):
                total += float(self.objective.validation_step(part[rows])) * len(rows)
        return total / len(part)

    def measure(self) -> dict[str, float]:
        """Measure the network as it is, on the test lines. Raises UserError where its vectors are
        not finite."""
        initial, lines = self.initial, self.data.test.lines
        encoder = SavedEncoder(
            self.name,
            initial.network,
            initial.tokenizer,
            dict(self.objective.pooling),
            initial.name,
            initial.settings,
        )
        tokens = self.config.data.tokens
        if isinstance(initial.tokenizer, WordTokenizer):  # of another encoder, perhaps
            tokens = "char" if initial.tokenizer.kind == "char" else "word"
        copies = disturb_lines(lines, NOISE, "drop", (), self.seed, tokens=tokens)
        clean, noisy = (encoder.encode_lines(some, self._progress) for some in (lines, copies))
        set_training(self.objective)
        if not bool(clean.isfinite().all() and noisy.isfinite().all()):
            raise UserError(f"network = {initial.name!r}: some of its vectors are not finite")
        return {
            "alignment": alignment(clean, noisy),
            "uniformity": uniformity(clean),
            "accuracy@1": float(retrieval(noisy, clean).first.mean()),
            self.objective.metric.replace("_", " "): self._metric(self.data.test),
        }

    def _progress(self, steps: Iterable[Step], what: str) -> Iterable[Step]:
        return bar(steps, what, self.quiet)


def set_training(objective: nn.Module) -> None:
    """Set training mode, but with dropout off for now: only in this mode do cuDNN's recurrent
    layers have gradients."""
    objective.train()
    with dropout(objective):
        pass


def prepare(
    name: str,
    path: Path,
    network: str | None,
    start: str | Path | None,
    config: EncoderConfig,
    seed: int,
    device: torch.device,
    quiet: bool,
) -> EncoderTrainer:
    """Check and build all that training takes; the arguments are those of `encode`. Raises
    UserError."""
    part: type[EncoderObjective] = registry.find("contrast", name, "method", Typed())
    settings = check_settings("contrast", part, config.contrast)
    shift = perturbation(config.perturb, code=Typed())
    if shift is not None and part.shifts_embeddings:
        raise UserError(
            f"perturb = {config.perturb!r}: {name} shifts embeddings itself; leave it out"
        )
    split = _split(path, config, name, part.needs_labels)
    classes = len(split.names) if part.needs_labels else 0
    if start is None:
        initial = new_network(part, name, split, path, network, config, classes)
    else:
        initial = network_of_encoder(Path(start), network, config, classes)
    objective: EncoderObjective
    initial.network.to(device)
    try:
        objective = part(initial.network, initial.tokenizer, **settings).to(device)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    _check_dropout(initial, name, objective)
    tokenizer, lines = initial.tokenizer, split.train.lines
    warnings = [*tokenizer_warnings(tokenizer, lines), *pooling_warnings(initial.name, objective)]
    data = tokenize(
        path,
        split,
        tokenizer,
        labelled=part.needs_labels,
        seed=seed,
        warnings=warnings,
        quiet=quiet,
    )
    if isinstance(tokenizer, WordTokenizer) and start is None:
        data.facts.update(spacing_facts(lines, config.data.tokens, config.data.spaced))
    set_training(objective)
    if is_own(objective):
        few = torch.arange(min(len(data.train), config.batch, FEW))
        check_encoder_objective(objective, data.train[few])
        set_training(objective)
    return EncoderTrainer(name, objective, settings, initial, config, shift, data, seed, quiet)


def _split(path: Path, config: EncoderConfig, method: str, labelled: bool) -> Split:
    """The file in three parts. Raises UserError where labels are missing."""
    data = config.data
    split = split_file(path, form=data.form, valid=data.valid, test=data.test, seed=data.split_seed)
    if labelled and not split.names:
        raise UserError(
            f"data.file = {str(path)!r} has no labels, and {method} learns from them; give lines "
            "of label, tab, sentence in a .tsv file, or data.label_field = NAME of a table"
        )
    return split


def _check_dropout(initial: InitialNetwork, method: str, objective: EncoderObjective) -> None:
    """UserError where two views of a sentence would be the same."""
    dropouts = [part for part in initial.network.modules() if isinstance(part, nn.Dropout)]
    if objective.two_views and not any(part.p > 0 for part in dropouts):
        raise UserError(
            f"network = {initial.name!r} has no dropout, by which alone {method} tells two views "
            "of a sentence apart; give network.dropout = 0.1"
        )
