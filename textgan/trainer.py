"""Training: one function for every method. The words of the loop are defined in `schedule`."""

from __future__ import annotations

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

from textgan.checkpoint import checkpoints
from textgan.config import make_config
from textgan.discriminators.base import Discriminator
from textgan.errors import Interrupted, UserError
from textgan.generators.base import AutoregressiveGenerator
from textgan.intervals import Estimate
from textgan.log import Log
from textgan.monitor import ngram_divergences
from textgan.results import Results, finish
from textgan.rollout import rollout_bytes
from textgan.run import Run, create_run, locked, memory_errors, open_run
from textgan.schedule import PHASE_NAMES, Phase, Step, plan
from textgan.training import Training


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
            return finish(run, training.alarms, log)
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
    if facts.get("labels"):
        few = [f"{name} ({count} train)" for name, count in list(facts["labels"].items())[:6]]
        log.say(f"labels     {len(facts['labels'])}: {', '.join(few)}")
    if facts.get("too_long"):
        log.say(f"           {facts['too_long']} longer sentences are left out (data.length)")
    if run.oracle is not None:
        low, high = facts["oracle_entropy_interval"]
        entropy = Estimate(facts["oracle_entropy"], low, high)
        log.say(f"oracle     entropy {entropy} nats per token: the floor of NLL_oracle")
    told = run.config.evaluation
    if told.ngrams:
        real = run.corpus.test[: told.samples]
        floor = ngram_divergences(real, run.corpus, told.ngrams)
        shown = ", ".join(f"{name} {estimate}" for name, estimate in floor.items())
        log.say(f"n-grams    {len(real)} held-out texts from the training text: {shown}: the floor")
    settings = run.config.objective.settings
    if "rollouts" in settings and isinstance(training.generator, AutoregressiveGenerator):
        judge = training.discriminator
        features = judge.output.in_features if isinstance(judge, Discriminator) else 0
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
