"""What changes while a run trains, how each step changes it, and what a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from textgan.core.distributed import Group
from textgan.core.files import understood
from textgan.core.identity import RUN
from textgan.core.log import Log
from textgan.core.memory import is_out_of_memory
from textgan.core.optim import (
    Backward,
    Loss,
    NotFinite,
    Reduction,
    accumulated,
    build_optimiser,
    dropout,
    plain,
    update,
)
from textgan.core.precision import precision, supported
from textgan.core.seeds import fork_rng
from textgan.core.statistics import Estimate
from textgan.core.streams import Purpose, stream
from textgan.core.tensors import restore_module, save_tensors, under_prefix, with_prefix
from textgan.data.batches import Batches
from textgan.data.text import Text, class_rows, concatenate
from textgan.data.vocabulary import UNKNOWN
from textgan.models.discriminators.base import Discriminator
from textgan.models.draw import draw_texts, labels_like
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import greedy, multinomial, without
from textgan.training.checkpoint import (
    checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from textgan.training.monitor import accuracy, adversary_warnings, measure, sample_warnings
from textgan.training.run import Run
from textgan.training.schedule import PHASE_NAMES, Step, pool_size
from textgan.training.shards import Shard, accumulate, averaged

DRAWN_AT_ONCE = 4096  # fakes of one turn that are written together
Trained = Literal["mle", "generator", "discriminator"]
JUDGED = 500  # texts of each kind on which a discriminator's accuracy is counted


def outputs_of(network: nn.Module, texts: Sequence[Text]) -> Tensor:
    """What a network says of texts, logits (N, C), (N, 1) of yes: a discriminator of each text in
    each view, a generator of each token."""
    if isinstance(network, Discriminator):
        return torch.cat([network.logits(text).flatten(0, 1) for text in texts])
    return torch.cat([network(text)[text.mask] for text in texts])


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
}


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


class Training:
    """Everything that changes while a run trains, and how each kind of step changes it.

    group: the processes that train it together; each holds all of this, and does its shards.
    """

    def __init__(self, run: Run, group: Group | None = None) -> None:
        config = run.config
        supported(config.precision, run.device)
        self.run = run
        self.group = group or Group()
        with self._weights(Purpose.GENERATOR_WEIGHTS):
            self.generator: Generator = run.build_generator()
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
        for network in (self.generator, self.discriminator):
            for module in network.modules() if network is not None else ():
                if isinstance(module, nn.Dropout):
                    module.eval()

        self.perturbations = run.perturbations()

        self.done = 0  # steps of the plan
        self.ticks_done = 0
        self.batches_done = dict.fromkeys(("mle", "discriminator", "generator", "turn"), 0)
        self.sums: dict[str, tuple[float, int]] = {}  # of the current tick's figures
        self.fakes: Text | None = None  # of the current turn
        self.best_mle: float | None = None
        self.mle_entropy: float | None = None
        self.alarms: list[str] = []
        self.records: str | None = None  # the digest of what was logged so far

        size, seed, n = config.schedule.batch_size, run.seed, len(run.corpus.train)
        pool, half = pool_size(config.schedule, n), config.schedule.judged // 2
        self.batches = {
            "mle": Batches(n, size, stream(Purpose.MLE_BATCHES, seed)),
            "generator": Batches(n, size, stream(Purpose.GENERATOR_BATCHES, seed)),
            "real": Batches(n, half, stream(Purpose.REAL_BATCHES, seed)),
            "fake": Batches(pool, half, stream(Purpose.FAKE_BATCHES, seed)),
            "turn": Batches(n, pool, stream(Purpose.TURN_BATCHES, seed)),
        }
        # the texts of each class, and an endless order of them
        real = self.batches["real"]
        self.classes = [
            (rows, Batches(len(rows), half, real.seed))
            for rows in class_rows(run.corpus.train, self.generator.space.classes)
        ]

    def _weights(self, purpose: Purpose) -> AbstractContextManager[None]:
        """Random numbers for a network's first weights; an old run goes on in its one stream."""
        if self.run.old:
            return nullcontext()
        return fork_rng(stream(purpose, self.run.seed), self.run.device)

    @property
    def adversary(self) -> bool:
        """Whether there is a discriminator to train."""
        return self.discriminator is not None

    def do(self, step: Step, log: Log) -> dict[str, Tensor]:
        """Do one step of the plan."""
        try:
            figures: dict[str, Tensor] = {}
            if step.do == "tick":
                means = {name: total / count for name, (total, count) in sorted(self.sums.items())}
                self.sums, self.ticks_done = {}, step.tick
                self.group.lead(lambda: self._tick(step, means, log))
            else:
                with precision(self.run.config.precision, self.run.device):
                    figures = self._train(step)
        except NotFinite as error:
            saved = checkpoints(self.run.folder)
            where = f"{PHASE_NAMES[step.phase]} {step.number + 1}"
            kept = f"the last good state is {saved[-1]}" if saved else "nothing was saved yet"
            raise NotFinite(
                f"{error}, in {where}; {kept}. Try a smaller optimisers.*_lr or optimisers.clip"
            ) from None
        for name, value in figures.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + float(value), count + 1)
        self.done += 1
        return figures

    def _train(self, step: Step) -> dict[str, Tensor]:
        if step.do == "fakes":
            self.fakes = self._draw_fakes(step.progress)
            return {}
        if step.do == "mle":
            return self._mle(step)
        if step.do == "discriminator":
            return self._discriminator()
        return self._generator(step.progress)

    def _real(self, kind: str, number: int) -> Text:
        train = self.run.corpus.train
        return train[self.batches[kind][number].to(train.tokens.device)]

    def _opposite(self, number: int, fake: Text) -> Text:
        """The real texts of the discriminator's update of that number, of the fakes' classes.

        Methods compare the two text by text. Place i of the update is, for its class, the same
        place of an endless shuffled stream of the class's own texts.
        """
        if fake.labels is None or self.run.old:  # an old run goes on as it began
            return self._real("real", number)
        chosen = torch.zeros_like(fake.labels)
        for label, (rows, batches) in enumerate(self.classes):
            own = fake.labels == label
            if own.any():  # then there are texts of that class: the fakes answer some
                chosen[own] = rows[batches[number].to(rows.device)[own]]
        return self.run.corpus.train[chosen]

    def _next(self, kind: str) -> int:
        number = self.batches_done[kind]
        self.batches_done[kind] += 1
        return number

    def _mle(self, step: Step) -> dict[str, Tensor]:
        generator = self.generator
        assert isinstance(generator, AutoregressiveGenerator)  # create_run refuses others

        def loss(real: Text) -> Loss:
            value: Loss = self.objective.mle_loss(generator, real)
            return value

        reals = self._shards(self._real("mle", self._next("mle")))
        losses = [partial(loss, real) for real in reals]
        config = self.run.config
        weight = config.schedule.mle_weight if step.phase == "adversarial" else 1.0
        # Adam is blind to the scale of a loss, so the weight is one of the step
        self.optimisers["mle"].param_groups[0]["lr"] = weight * config.optimisers.mle_lr
        return self._update("mle", generator, losses, reals, "mean_token")

    def _draw_fakes(self, progress: float) -> Text:
        real = self._real("turn", self._next("turn"))
        with torch.no_grad():
            return self._whole(self._answers(real, progress, DRAWN_AT_ONCE), real)

    def _discriminator(self) -> dict[str, Tensor]:
        discriminator, fakes = self.discriminator, self.fakes
        assert discriminator is not None and fakes is not None  # the plan draws fakes first
        number = self._next("discriminator")
        fake = fakes[self.batches["fake"][number].to(fakes.tokens.device)]
        reals = self._shards(self._opposite(number, fake))

        def loss(real: Text, fake: Text) -> Loss:
            value: Loss = self.objective.discriminator_loss(discriminator, real, fake)
            return value

        pairs = list(zip(reals, self._shards(fake), strict=True))
        losses = [partial(loss, *pair) for pair in pairs]
        return self._update("discriminator", discriminator, losses, reals, "mean_sentence", pairs)

    def _generator(self, progress: float) -> dict[str, Tensor]:
        objective = self.objective
        real = self._real("generator", self._next("generator"))
        if objective.group > 1:
            real = real.repeat(objective.group)
        fakes = self._answers(real, progress, len(real))
        objective.remember(self._whole([replace(fake, rows=None) for fake in fakes], real))
        before, after = objective.memory, [objective.memory for _ in fakes]

        def loss(number: int, real: Text, fake: Text) -> Loss:
            objective.memory = dict(before)
            value: Loss = objective.generator_loss(
                self.generator, self.discriminator, real, fake, progress
            )
            after[number] = objective.memory
            return value

        losses = [
            partial(loss, number, real, fake)
            for number, (real, fake) in enumerate(zip(self._shards(real), fakes, strict=True))
        ]
        figures = self._update("generator", self.generator, losses, fakes, objective.reduction)
        objective.memory = averaged(after, self.group)
        return figures

    def _update(
        self,
        who: Trained,
        network: nn.Module,
        losses: Sequence[Callable[[], Loss]],
        texts: Sequence[Text],
        reduction: Reduction,
        judged: Sequence[Sequence[Text]] = (),
    ) -> dict[str, Tensor]:
        """One update by the losses of this process's shards, which are about these texts.

        judged: all texts that each loss reads, if not these.
        """
        judged = judged or [[text] for text in texts]
        seed, step = self.run.seed, self.done
        streams = [stream(Purpose.SHARD_LOSS, seed, step, shard) for shard in self._mine]
        said = [partial(outputs_of, network, text) for text in judged]
        shards = [Shard(*parts) for parts in zip(losses, texts, streams, said, strict=True)]
        perturbation = self.perturbations.get(who)
        backward: Backward = perturbation or plain
        loss = partial(accumulate, network, shards, reduction, self.group, backward)
        rates = self.run.config.optimisers
        clip = rates.discriminator_clip if who == "discriminator" else rates.clip
        # the first version had it on in all updates of a generator, and never in its drawing
        thinned = who != "generator" or self.objective.generator_dropout or self.run.old
        for _ in range(perturbation.replays if perturbation else 1):
            figures = update(
                network, self.optimisers[who], loss, accumulated, clip, thinned=thinned
            )
            if who == "discriminator":
                self.objective.constrain(self.discriminator)
        return {f"{who}/{name}": value for name, value in figures.items()}

    @property
    def _mine(self) -> range:
        return self.group.share(self.run.config.schedule.shards)

    def _shards(self, text: Text) -> list[Text]:
        """This process's shards of a batch, or of another number of texts, nearly equal."""
        bounds = self._bounds(len(text))
        return [text[slice(bounds[shard], bounds[shard + 1])] for shard in self._mine]

    def _bounds(self, texts: int) -> list[int]:
        """Where each shard of that many texts begins, and the last one ends."""
        shards = self.run.config.schedule.shards
        return [texts * shard // shards for shard in range(shards + 1)]

    def _whole(self, pieces: Sequence[Text], real: Text) -> Text:
        """The texts of all processes, in their order; the pieces are the shards of this one."""
        own = concatenate(pieces)
        if self.group.size == 1:
            return own
        start = self._bounds(len(real))[self._mine.start]

        def whole(part: Tensor) -> Tensor:
            return self.group.whole(part, start, len(real))

        rows = None if own.rows is None else whole(own.rows)
        return Text(whole(own.tokens), whole(own.sizes), rows, real.source, real.labels, own.given)

    def _answers(self, real: Text, progress: float, at_once: int) -> list[Text]:
        """The generator's texts in answer to this process's shards, drawn so many at once."""
        found = []
        thinned = self.objective.generator_dropout and not self.run.old
        for shard, part in zip(self._mine, self._shards(real), strict=True):
            with self._random(shard), dropout(self.generator) if thinned else nullcontext():
                pieces = [
                    self.objective.sample(self.generator, piece, progress)
                    for piece in part.split(at_once)
                ]
            found.append(pieces[0] if len(pieces) == 1 else concatenate(pieces))
        return found

    def _random(self, shard: int) -> AbstractContextManager[None]:
        """Random numbers for a shard's texts: its own, or where it is the only one the run's."""
        if self.run.config.schedule.shards == 1:
            return nullcontext()
        return fork_rng(
            stream(Purpose.SHARD_TEXTS, self.run.seed, self.done, shard), self.run.device
        )

    def _tick(self, step: Step, means: Mapping[str, float], log: Log) -> None:
        """Log the means of what was trained, and measure the generator where the plan says so."""
        figures = dict(means)
        samples: Text | None = None
        if step.evaluate and step.phase != "discriminator":
            found, samples = self._measure(step.tick)
            if not all(math.isfinite(estimate.value) for estimate in found.values()):
                raise NotFinite("the generator's weights are no longer numbers")
            for name, estimate in found.items():
                tag = "generator/entropy" if name == "entropy" else f"eval/{name}"
                figures[tag] = estimate.value
            if self.run.oracle_entropy is not None:
                figures["eval/oracle_entropy"] = self.run.oracle_entropy
            self._watch(step, found, log)
        if step.evaluate and step.phase != "mle" and self.objective.score_is_logit:
            figures |= self._accuracy(samples, step)
        for name, value in figures.items():
            if not math.isfinite(value):
                self._alarm(f"{name} is not a number but {value}", step, log)
        if step.phase == "adversarial":
            judged = 2 * min(JUDGED, len(self.run.corpus.valid))
            for message in adversary_warnings(figures, judged):
                self._alarm(message, step, log)
        where = {"phase": step.phase, "number": step.number, "tick": step.tick, "step": self.done}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        log.tick(where, figures, f"{PHASE_NAMES[step.phase]} {step.number + 1}: {shown}")
        if samples is not None:
            log.samples(step.tick, self.run.corpus.decode(self._readable(samples[:10], step.tick)))

    def _readable(self, samples: Text, tick: int) -> Text:
        """These samples, or as many others without the unknown word, as `textgan sample` writes
        them."""
        corpus = self.run.corpus
        if corpus.vocabulary is None or not bool((samples.tokens == UNKNOWN).any()):
            return samples
        likely = isinstance(self.generator, AutoregressiveGenerator)
        seed = self.run.seed
        with fork_rng(stream(Purpose.MONITOR_LINES, seed, tick), corpus.train.tokens.device):
            labels = labels_like(corpus.train, len(samples))
            choose = without(UNKNOWN, multinomial if likely else greedy)
            return draw_texts(self.generator, len(samples), choose, labels)

    def _measure(self, tick: int) -> tuple[dict[str, Estimate], Text]:
        run = self.run
        told = run.config.evaluation
        return measure(
            self.generator,
            run.corpus,
            run.oracle,
            samples=told.samples,
            seed=stream(Purpose.MONITOR, run.seed, tick),  # other texts at every tick
            ngrams=told.ngrams,
        )

    def _watch(self, step: Step, found: dict[str, Estimate], log: Log) -> None:
        """Keep the best MLE epoch; raise the alarm when the samples collapse."""
        if step.phase == "mle":
            self.mle_entropy = found["entropy"].value
            score = found["nll_oracle" if self.run.oracle is not None else "nll_valid"].value
            if self.best_mle is None or score < self.best_mle:
                self.best_mle = score
                facts = {RUN: self.run.digest, "epoch": step.number + 1, "score": score}
                save_tensors(self.run.folder / "mle.safetensors", self._networks(), facts)
            return
        limits = self.run.config.evaluation
        for message in sample_warnings(
            found,
            unique_alarm=limits.unique_alarm,
            entropy_alarm=limits.entropy_alarm,
            mle_entropy=self.mle_entropy,
            oracle=self.run.oracle_level,
        ):
            self._alarm(message, step, log)

    def _alarm(self, message: str, step: Step, log: Log) -> None:
        """Say what a reader of the curves should know, once a kind, which is its first word."""
        kind = message.split()[0]
        if not any(kind in alarm for alarm in self.alarms):
            self.alarms.append(f"round {step.number + 1}: {message}")
            log.alarm(step.tick, self.alarms[-1])

    @torch.no_grad()
    def _accuracy(self, samples: Text | None, step: Step) -> dict[str, float]:
        """How well the discriminator tells fresh fakes from its training text and from new text,
        dropout off."""
        discriminator = self.discriminator
        if not isinstance(discriminator, Discriminator):
            return {}
        corpus, n = self.run.corpus, JUDGED
        if samples is None:
            device = corpus.train.tokens.device
            with fork_rng(stream(Purpose.ACCURACY, self.run.seed, step.tick), device):
                real = corpus.valid[:n]
                samples = self.objective.sample(self.generator, real, step.progress)
        fake = discriminator(samples[:n])
        return {
            "discriminator/accuracy": accuracy(discriminator(corpus.train[:n]), fake),
            "discriminator/accuracy_held_out": accuracy(discriminator(corpus.valid[:n]), fake),
        }

    def _networks(self) -> dict[str, Tensor]:
        tensors = with_prefix("generator", self.generator.state_dict())
        if self.discriminator is not None:
            tensors |= with_prefix("discriminator", self.discriminator.state_dict())
        return tensors

    def save(self) -> Path:
        """Write a checkpoint of everything, from which the run continues as if never stopped."""
        tensors = self._networks()
        for name, optimiser in self.optimisers.items():
            tensors |= with_prefix(f"optimiser.{name}", optimiser_tensors(optimiser))
        tensors |= with_prefix("objective", self.objective.memory)
        for name, perturbation in self.perturbations.items():
            tensors |= with_prefix(f"perturbation.{name}", perturbation.memory)
        tensors["random.cpu"] = torch.get_rng_state()
        if self.run.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.run.device)
        if self.fakes is not None:
            tensors["fakes.tokens"] = self.fakes.tokens
            tensors["fakes.sizes"] = self.fakes.sizes
            if self.fakes.rows is not None:
                tensors["fakes.rows"] = self.fakes.rows
        facts = {
            RUN: self.run.digest,
            "done": self.done,
            "ticks_done": self.ticks_done,
            "batches_done": self.batches_done,
            "sums": self.sums,
            "best_mle": self.best_mle,
            "mle_entropy": self.mle_entropy,
            "alarms": self.alarms,
            "records": self.records,
            "given": 0 if self.fakes is None else self.fakes.given,
        }
        return save_checkpoint(self.run.folder, self.done, tensors, facts)

    def restore(self, path: Path) -> None:
        """Become what `save` wrote. Raises UserError for a checkpoint that is not of this run."""
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
        _check_facts(facts, self.batches_done)
        restore_module(self.generator, under_prefix("generator", tensors), path)
        if self.discriminator is not None:
            restore_module(self.discriminator, under_prefix("discriminator", tensors), path)
        for name, optimiser in self.optimisers.items():
            restore_optimiser(optimiser, under_prefix(f"optimiser.{name}", tensors))
        memory = under_prefix("objective", tensors)
        self.objective.memory = {name: tensor.to(device) for name, tensor in memory.items()}
        for name, perturbation in self.perturbations.items():
            memory = under_prefix(f"perturbation.{name}", tensors)
            perturbation.memory = {key: tensor.to(device) for key, tensor in memory.items()}
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], device)
        self.batches_done = facts["batches_done"]
        if "fakes.tokens" in tensors:
            real = self._real("turn", self.batches_done["turn"] - 1)
            self.fakes = Text(
                tensors["fakes.tokens"].to(device),
                tensors["fakes.sizes"].to(device),
                tensors["fakes.rows"].to(device) if "fakes.rows" in tensors else None,
                real.source,  # fakes answer the real texts of their turn
                real.labels,
                facts["given"],
            )
        self.done = facts["done"]
        self.ticks_done = facts["ticks_done"]
        self.sums = {name: (total, count) for name, (total, count) in facts["sums"].items()}
        self.best_mle = facts["best_mle"]
        self.mle_entropy = facts["mle_entropy"]
        self.alarms = facts["alarms"]
        self.records = facts.get("records")
