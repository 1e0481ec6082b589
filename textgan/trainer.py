"""Training: one function for every method. The words of the loop are defined in `schedule`."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from textgan import registry
from textgan.backward import Backward, plain
from textgan.checkpoint import (
    checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_module,
    restore_optimiser,
    save_checkpoint,
    save_tensors,
    under_prefix,
    with_prefix,
)
from textgan.config import make_config
from textgan.corpus import Batches
from textgan.discriminators import Discriminator
from textgan.errors import Interrupted, UserError
from textgan.generators import AutoregressiveGenerator, Generator
from textgan.log import Log
from textgan.losses import Loss, nll
from textgan.metrics import Estimate, accuracy, measure, sample_warnings, seeded
from textgan.results import Results, finish
from textgan.rollout import rollout_bytes
from textgan.run import CONFIG, Run, create_run, locked, memory_errors, open_run
from textgan.schedule import Phase, Step, plan
from textgan.text import Text, concatenate

PHASE_NAMES: dict[Phase, str] = {
    "mle": "MLE epoch",
    "discriminator": "discriminator turn",
    "adversarial": "round",
}
DRAWN_AT_ONCE = 4096  # fakes of one turn that are written together


class NotFinite(UserError):
    """A gradient or a measure is not a number; the message says what became of the weights."""


def train(
    objective: str | Path | Mapping[str, Any] = "seqgan",
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Results:
    """Train as `textgan train` does and return the final table.

    objective: a name, `path/to/file.py:Class`, a TOML file, or a mapping of all settings.
    settings: dotted keys as keywords, as in `**{"objective.rollouts": 8}`, or groups, as in
    `schedule={"rounds": 20}`. Raises UserError for whatever cannot be right, before it writes.
    """
    if isinstance(objective, Path):
        objective = str(objective)
    if not isinstance(objective, (str, Mapping)):
        raise UserError(f"objective = {objective!r}: give a name, a file or a mapping of settings")
    if data is not None:
        settings["data.file"] = str(data)
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": setting for inner, setting in value.items()}
        else:
            flat[key] = value
    run = create_run(make_config(objective, flat), None if out is None else Path(out))
    return train_run(run, quiet=quiet)


def resume(folder: str | Path, *, device: str | None = None, quiet: bool = False) -> Results:
    """Continue the run in a folder from its last checkpoint, or return the results it has."""
    return train_run(open_run(Path(folder), device), quiet=quiet)


def train_run(run: Run, *, quiet: bool = False) -> Results:
    """Train a run from wherever it is to its end.

    Raises Interrupted on Ctrl-C (or SIGTERM) once a checkpoint is written, NotFinite when a
    gradient is not finite, UserError for a checkpoint that cannot be trusted.
    """
    with locked(run.folder):
        torch.manual_seed(run.config.seed)
        training = Training(run)
        saved = checkpoints(run.folder)
        if saved:
            training.restore(saved[-1])
        log = Log(run.folder, training.ticks_done, quiet)
        try:
            _introduce(run, training, log)
            _loop(run, training, log)
            return finish(run, training.objective, log)
        finally:
            log.close()


def _loop(run: Run, training: Training, log: Log) -> None:
    """Every step of the plan that is not done yet, with a checkpoint now and then."""

    def steps() -> Iterator[Step]:
        return plan(run.config.schedule, len(run.corpus.train), training.adversary)

    totals = Counter(step.phase for step in steps())
    done = Counter(step.phase for step in islice(steps(), training.done))
    every = run.config.checkpoint_seconds
    phase: Phase | None = None
    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        log.flush()
        training.save()
        saved_at = time.monotonic()

    with _stop_requests() as stop:
        for step in islice(steps(), training.done, None):
            if step.phase != phase:
                if phase is not None:
                    save()
                phase = step.phase
                log.phase(PHASE_NAMES[phase], totals[phase], done[phase])
            with memory_errors("a smaller schedule.batch_size, or objective.chunk=1 for rollouts"):
                figures = training.do(step, log)
            log.advance(f"{PHASE_NAMES[phase]} {step.number + 1}", figures)
            if stop() or time.monotonic() - saved_at >= every:
                save()
            if stop():
                log.end_phase()
                raise Interrupted(
                    f"stopped in {PHASE_NAMES[phase]} {step.number + 1}; everything is saved. "
                    f"Go on with: textgan resume {run.folder}"
                )
    save()
    log.end_phase()


def _introduce(run: Run, training: Training, log: Log) -> None:
    facts = run.corpus.facts
    split = facts["split"]
    log.say(f"run        {run.folder}")
    known = f" ({facts['known_as']} of textgan data list)" if facts.get("known_as") else ""
    log.say(
        f"data       {facts['source']}{known}: {split['train']} train, {split['valid']} valid, "
        f"{split['test']} test sentences of at most {run.corpus.space.length} tokens, "
        f"vocabulary {run.corpus.space.vocabulary}"
    )
    if facts.get("too_long"):
        log.say(f"           {facts['too_long']} longer sentences are left out (data.length)")
    if run.oracle is not None:
        low, high = facts["oracle_entropy_interval"]
        entropy = Estimate(facts["oracle_entropy"], low, high)
        log.say(f"oracle     entropy {entropy} nats per token: the floor of NLL_oracle")
    settings = run.config.objective.settings
    if "rollouts" in settings and isinstance(training.generator, AutoregressiveGenerator):
        features = training.discriminator.output.in_features if training.discriminator else 0
        size = rollout_bytes(
            training.generator,
            run.config.schedule.batch_size,
            settings["rollouts"],
            settings.get("chunk", 0),
            features,
        )
        log.say(f"rollouts   about {size / 2**20:.0f} MiB (bound it with objective.chunk)")
    log.say(f"device     {run.device}, {torch.get_num_threads()} threads")
    log.say(f"watch      tensorboard --logdir {run.folder.parent}  then open /#custom_scalars")
    if training.done:
        log.say(f"resumed    after step {training.done}")


def update(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss: Callable[[], Loss],
    backward: Backward,
    clip: float,
) -> dict[str, Tensor]:
    """One optimiser step: clear, accumulate, clip the norm at `clip` (0: never), step.

    Dropout is on inside. Raises NotFinite, the weights unchanged, if the gradient's norm is not
    a number.
    """
    optimiser.zero_grad()
    with dropout(network):
        value, metrics = backward(network, loss)
    norm = nn.utils.clip_grad_norm_(network.parameters(), clip or float("inf"))
    if not norm.isfinite():
        name = type(network).__name__
        loss_value = float(value.detach())
        raise NotFinite(
            f"the gradient of {name} is not finite (loss {loss_value:g}), its weights are unchanged"
        )
    optimiser.step()
    return {"loss": value.detach(), "gradient_norm": norm.detach(), **metrics}


@contextmanager
def dropout(network: nn.Module) -> Iterator[None]:
    """Dropout on inside, off outside. Only the dropout modules are switched: cuDNN refuses a
    recurrent network's backward pass in eval mode, and losses go back through discriminators."""
    modules = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    for module in modules:
        module.train()
    try:
        yield
    finally:
        for module in modules:
            module.eval()


def build_optimiser(network: nn.Module, lr: float) -> torch.optim.Adam:
    """Adam over what may change; fused takes 13 of 56 ms off an update of the paper's CNN."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(trained, lr=lr, fused=True)


class Training:
    """Everything that changes while a run trains, and how each kind of step changes it."""

    def __init__(self, run: Run) -> None:
        config = run.config
        self.run = run
        self.generator: Generator = run.build_generator()
        self.discriminator: Discriminator | None = run.build_discriminator()
        part = config.objective
        self.objective = registry.build("objective", part.name, part.settings)
        self.objective.connect(self.generator, self.discriminator)
        rates = config.optimisers
        self.optimisers = {
            "mle": build_optimiser(self.generator, rates.mle_lr),
            "generator": build_optimiser(self.generator, rates.generator_lr),
        }
        if self.discriminator is not None:
            self.optimisers["discriminator"] = build_optimiser(
                self.discriminator, rates.discriminator_lr
            )
        for network in (self.generator, self.discriminator):
            for module in network.modules() if network is not None else ():
                if isinstance(module, nn.Dropout):
                    module.eval()

        self.done = 0  # steps of the plan
        self.ticks_done = 0
        self.batches_done = dict.fromkeys(("mle", "discriminator", "generator", "turn"), 0)
        self.sums: dict[str, tuple[float, int]] = {}  # of the current tick's figures
        self.fakes: Text | None = None  # of the current turn
        self.best_mle: float | None = None
        self.mle_entropy: float | None = None
        self.alarms: list[str] = []

        size, seed, n = config.schedule.batch_size, config.seed, len(run.corpus.train)
        pool = config.schedule.fakes or n
        self.batches = {
            "mle": Batches(n, size, seed + 1),
            "generator": Batches(n, size, seed + 2),
            "real": Batches(n, size // 2, seed + 3),
            "fake": Batches(pool, size // 2, seed + 4),
            "turn": Batches(n, pool, seed + 5),
        }

    @property
    def adversary(self) -> bool:
        """Whether there is a discriminator to train."""
        return self.discriminator is not None

    def do(self, step: Step, log: Log) -> dict[str, Tensor]:
        """Do one step of the plan."""
        try:
            figures: dict[str, Tensor] = {}
            if step.do == "tick":
                self._tick(step, log)
            elif step.do == "fakes":
                self.fakes = self._draw_fakes(step.progress)
            elif step.do == "mle":
                figures = self._mle()
            elif step.do == "discriminator":
                figures = self._discriminator()
            else:
                figures = self._generator(step.progress)
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

    def _real(self, kind: str, number: int) -> Text:
        train = self.run.corpus.train
        return train[self.batches[kind][number].to(train.tokens.device)]

    def _next(self, kind: str) -> int:
        number = self.batches_done[kind]
        self.batches_done[kind] += 1
        return number

    def _mle(self) -> dict[str, Tensor]:
        real = self._real("mle", self._next("mle"))
        generator = self.generator
        assert isinstance(generator, AutoregressiveGenerator)  # create_run refuses others

        def loss() -> Loss:
            return nll(generator.log_prob(real), real.mask), {}

        clip = self.run.config.optimisers.clip
        return _tagged("mle", update(generator, self.optimisers["mle"], loss, plain, clip))

    def _draw_fakes(self, progress: float) -> Text:
        real = self._real("turn", self._next("turn"))
        with torch.no_grad():
            pieces = [
                self.objective.sample(self.generator, piece, progress)
                for piece in real.split(DRAWN_AT_ONCE)
            ]
        return concatenate(pieces)

    def _discriminator(self) -> dict[str, Tensor]:
        discriminator, fakes = self.discriminator, self.fakes
        assert discriminator is not None and fakes is not None  # the plan draws fakes first
        number = self._next("discriminator")
        real = self._real("real", number)
        fake = fakes[self.batches["fake"][number].to(fakes.tokens.device)]

        def loss() -> Loss:
            value: Loss = self.objective.discriminator_loss(discriminator, real, fake)
            return value

        clip = self.run.config.optimisers.discriminator_clip
        optimiser = self.optimisers["discriminator"]
        return _tagged("discriminator", update(discriminator, optimiser, loss, plain, clip))

    def _generator(self, progress: float) -> dict[str, Tensor]:
        real = self._real("generator", self._next("generator"))
        fake = self.objective.sample(self.generator, real, progress)

        def loss() -> Loss:
            value: Loss = self.objective.generator_loss(
                self.generator, self.discriminator, real, fake
            )
            return value

        clip = self.run.config.optimisers.clip
        optimiser = self.optimisers["generator"]
        return _tagged("generator", update(self.generator, optimiser, loss, plain, clip))

    def _tick(self, step: Step, log: Log) -> None:
        """Log the means of what was trained, and measure the generator where the plan says so."""
        figures = {name: total / count for name, (total, count) in sorted(self.sums.items())}
        self.sums = {}
        self.ticks_done = step.tick
        samples: Text | None = None
        if step.evaluate:
            found, samples = self._measure(step.tick)
            if not all(math.isfinite(estimate.value) for estimate in found.values()):
                raise NotFinite("the generator's weights are no longer numbers")
            for name, estimate in found.items():
                tag = "generator/entropy" if name == "entropy" else f"eval/{name}"
                figures[tag] = estimate.value
            if self.run.oracle_entropy is not None:
                figures["eval/oracle_entropy"] = self.run.oracle_entropy
            self._watch(step, found, log)
        if self.discriminator is not None and step.phase != "mle":
            figures |= self._accuracy(samples, step)
        where = {"phase": step.phase, "number": step.number, "tick": step.tick, "step": self.done}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        log.tick(where, figures, f"{PHASE_NAMES[step.phase]} {step.number + 1}: {shown}")
        if samples is not None:
            log.samples(step.tick, self.run.corpus.decode(samples[:10]))

    def _measure(self, tick: int) -> tuple[dict[str, Estimate], Text]:
        run = self.run
        seed = run.config.seed * 1_000_003 + tick  # other texts at every tick
        n = run.config.evaluation.samples
        return measure(self.generator, run.corpus, run.oracle, samples=n, seed=seed)

    def _watch(self, step: Step, found: dict[str, Estimate], log: Log) -> None:
        """Keep the best MLE epoch; raise the alarm when the samples collapse."""
        if step.phase == "mle":
            self.mle_entropy = found["entropy"].value
            score = found["nll_oracle" if self.run.oracle is not None else "nll_valid"].value
            if self.best_mle is None or score < self.best_mle:
                self.best_mle = score
                facts = {"epoch": step.number + 1, "score": score}
                path = self.run.folder / "mle.safetensors"
                save_tensors(path, self.generator.state_dict(), facts)
            return
        limits = self.run.config.evaluation
        for message in sample_warnings(
            found,
            unique_alarm=limits.unique_alarm,
            entropy_alarm=limits.entropy_alarm,
            mle_entropy=self.mle_entropy,
            oracle_entropy=self.run.oracle_entropy,
        ):
            kind = message.split(":")[0].split()[0]
            if kind not in self.alarms:  # once a kind is enough for a reader
                self.alarms.append(kind)
                log.alarm(step.tick, f"round {step.number + 1}: {message}")

    @torch.no_grad()
    def _accuracy(self, samples: Text | None, step: Step) -> dict[str, float]:
        """How well the discriminator tells fresh fakes from its training text and from new text,
        dropout off."""
        discriminator = self.discriminator
        assert discriminator is not None
        corpus, n = self.run.corpus, 500
        if samples is None:
            device = corpus.train.tokens.device
            with seeded(self.run.config.seed * 1_000_003 + step.tick, device):
                real = corpus.valid[:n]
                samples = self.objective.sample(self.generator, real, step.progress)
        fake = discriminator(samples[:n])
        return {
            "discriminator/accuracy": accuracy(discriminator(corpus.train[:n]), fake),
            "discriminator/accuracy_held_out": accuracy(discriminator(corpus.valid[:n]), fake),
        }

    def save(self) -> Path:
        """Write a checkpoint of everything, from which the run continues as if never stopped."""
        tensors = with_prefix("generator", self.generator.state_dict())
        if self.discriminator is not None:
            tensors |= with_prefix("discriminator", self.discriminator.state_dict())
        for name, optimiser in self.optimisers.items():
            tensors |= with_prefix(f"optimiser.{name}", optimiser_tensors(optimiser))
        tensors |= with_prefix("objective", self.objective.memory)
        tensors["random.cpu"] = torch.get_rng_state()
        if self.run.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.run.device)
        if self.fakes is not None:
            tensors["fakes.tokens"] = self.fakes.tokens
            tensors["fakes.sizes"] = self.fakes.sizes
            if self.fakes.rows is not None:
                tensors["fakes.rows"] = self.fakes.rows
        facts = {
            "run": self.run.digest,
            "done": self.done,
            "ticks_done": self.ticks_done,
            "batches_done": self.batches_done,
            "sums": self.sums,
            "best_mle": self.best_mle,
            "mle_entropy": self.mle_entropy,
            "alarms": self.alarms,
            "given": 0 if self.fakes is None else self.fakes.given,
        }
        return save_checkpoint(self.run.folder, self.done, tensors, facts)

    def restore(self, path: Path) -> None:
        """Become what `save` wrote."""
        tensors, facts = load_checkpoint(path)
        if facts.get("run") != self.run.digest:
            raise UserError(
                f"checkpoint {path} belongs to another run, or {CONFIG} was changed since; "
                "restore what was there, or train anew"
            )
        device = self.run.device
        restore_module(self.generator, under_prefix("generator", tensors), path)
        if self.discriminator is not None:
            restore_module(self.discriminator, under_prefix("discriminator", tensors), path)
        for name, optimiser in self.optimisers.items():
            restore_optimiser(optimiser, under_prefix(f"optimiser.{name}", tensors))
        memory = under_prefix("objective", tensors)
        self.objective.memory = {name: tensor.to(device) for name, tensor in memory.items()}
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


def _tagged(who: str, figures: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{who}/{name}": value for name, value in figures.items()}


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came: the step under way ends first. A second Ctrl-C is at once."""
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # signals belong to the main thread
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
