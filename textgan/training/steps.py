"""The steps of the plan: what each draws, computes and changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from textgan.core.log import Log
from textgan.core.optim import Loss, NotFinite, Reduction, clipped_step, dropout, plain
from textgan.core.precision import precision
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream
from textgan.data.text import Text, concatenate
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.objectives.base import refuse_changes, without_state
from textgan.training.checkpoint import checkpoints
from textgan.training.monitor import HELD_OUT_LOSS, observe
from textgan.training.schedule import PHASE_NAMES, Step
from textgan.training.shards import Shard, accumulate, averaged
from textgan.training.state import TrainingState

DRAWN_AT_ONCE = 4096  # fakes of one turn that are written together
Trained = Literal["mle", "generator", "discriminator"]


def outputs_of(network: nn.Module, texts: Sequence[Text]) -> Tensor:
    """Compute a network's logits of texts, (N, C), or (N, 1) of yes: of a discriminator for each
    text in each view, of a generator for each token."""
    if isinstance(network, Discriminator):
        return torch.cat([network.logits(text).flatten(0, 1) for text in texts])
    return torch.cat([network(text)[text.mask] for text in texts])


def take_step(state: TrainingState, step: Step, log: Log) -> dict[str, Tensor]:
    """Do one step of the plan and count it; the metrics of its update, if it is one.

    A turn of the discriminator's pretraining is empty once that is as accurate as the schedule
    asks for, or no longer gets better. Raises NotFinite, which says where that was and what is
    left.
    """
    metrics: dict[str, Tensor] = {}
    schedule = state.run.config.schedule
    stops = schedule.discriminator_until or schedule.discriminator_patience
    if stops and step.phase == "discriminator":
        step = step._replace(evaluate=not state.discriminator_ready)
    with located(state, step):
        if step.do == "tick":
            means = state.means()
            state.sums, state.ticks_done = {}, step.tick
            ready, loss = state.group.lead(lambda: tick(state, step, means, log))
            if loss is not None and state.stop_early(loss, step.number):
                log.say(f"loss       of new texts is smallest in turn {state.best_turn + 1}, taken")
                ready = True
            state.discriminator_ready = state.discriminator_ready or ready
        elif step.phase != "discriminator" or not state.discriminator_ready:
            metrics = train_step(state, step)
    state.add(metrics)
    state.done += 1
    return metrics


@contextmanager
def located(state: TrainingState, step: Step) -> Iterator[None]:
    """Let a NotFinite inside say at which step that was and what is left."""
    try:
        yield
    except NotFinite as error:
        saved = checkpoints(state.run.folder)
        where = f"{PHASE_NAMES[step.phase]} {step.number + 1}"
        kept = f"the last good state is {saved[-1]}" if saved else "nothing was saved yet"
        raise NotFinite(
            f"{error}, in {where}; {kept}. Try a smaller optimisers.*_lr or optimisers.clip"
        ) from None


def train_step(state: TrainingState, step: Step) -> dict[str, Tensor]:
    """Draw a turn's fakes, or update one of the networks; the metrics of the update."""
    with precision(state.run.config.precision, state.run.device):
        match step.do:
            case "fakes":
                state.fakes = _turn_of_fakes(state, step.progress)
                return {}
            case "mle":
                return _update_by_mle(state, step)
            case "discriminator":
                return _update_discriminator(state)
        return _update_generator(state, step.progress)


def _update_by_mle(state: TrainingState, step: Step) -> dict[str, Tensor]:
    generator, objective = state.generator, state.objective
    assert isinstance(generator, AutoregressiveGenerator)  # create_run refuses others
    loss = partial(objective.mle_loss, generator)
    if step.phase == "adversarial":
        loss = partial(objective.teacher_loss, generator, state.discriminator)
    shards = [
        Shard(partial(loss, real), real, partial(outputs_of, generator, [real]))
        for real in state.shards.split(state.batches.real("mle", state.next("mle")))
    ]
    config = state.run.config
    weight = config.schedule.mle_weight if step.phase == "adversarial" else 1.0
    # Adam is blind to the scale of a loss, so the weight is one of the step
    state.optimisers["mle"].param_groups[0]["lr"] = weight * config.optimisers.mle_lr
    return _update(state, "mle", generator, shards, "mean_token")


def _turn_of_fakes(state: TrainingState, progress: float) -> Text:
    real = state.batches.real("turn", state.next("turn"))
    with torch.no_grad():
        draw = state.objective.discriminator_sample
        return state.shards.gather(_answers(state, real, progress, DRAWN_AT_ONCE, draw), real)


def _update_discriminator(state: TrainingState) -> dict[str, Tensor]:
    discriminator, objective = state.discriminator, state.objective
    assert discriminator is not None and state.fakes is not None  # the plan draws fakes first
    number = state.next("discriminator")
    fakes = state.batches.fake(state.fakes, number)
    reals = state.batches.opposite(fakes, number, state.batches_done["turn"] - 1)
    shards = [
        Shard(
            partial(objective.discriminator_loss, discriminator, real, fake),
            real,
            partial(outputs_of, discriminator, [real, fake]),
        )
        for real, fake in zip(state.shards.split(reals), state.shards.split(fakes), strict=True)
    ]
    return _update(state, "discriminator", discriminator, shards, "mean_sentence")


def _update_generator(state: TrainingState, progress: float) -> dict[str, Tensor]:
    generator, objective = state.generator, state.objective
    reals = state.batches.real("generator", state.next("generator"))
    if objective.group > 1:
        reals = reals.repeat(objective.group)
    fakes = _answers(state, reals, progress, len(reals), objective.sample)
    objective.on_fakes(
        state.shards.gather([replace(fake, soft_tokens=None) for fake in fakes], reals)
    )
    kept: dict[int, Mapping[str, Tensor]] = {}  # what the loss of each shard asks to be kept

    def loss(shard: int, real: Text, fake: Text) -> Loss:
        returned = objective.generator_loss(generator, state.discriminator, real, fake, progress)
        value, kept[shard] = without_state(returned)
        return value

    shards = [
        Shard(partial(loss, shard, real, fake), fake)
        for shard, (real, fake) in enumerate(zip(state.shards.split(reals), fakes, strict=True))
    ]
    before = dict(objective.state)
    metrics = _update(state, "generator", generator, shards, objective.reduction)
    if state.shards.count > 1:  # the losses of all shards must have read the same
        refuse_changes(objective, before)
    objective.state = {**objective.state, **averaged(list(kept.values()), state.group)}
    return metrics


def _update(
    state: TrainingState,
    who: Trained,
    network: nn.Module,
    shards: Sequence[Shard],
    reduction: Reduction,
) -> dict[str, Tensor]:
    """One update of a network on this process's shards of a batch; or several in a row, where a
    perturbation repeats each batch."""
    run, objective = state.run, state.objective
    streams = [stream(Purpose.SHARD_LOSS, run.seed, state.done, one) for one in state.shards.own]
    perturbation = state.perturbations.get(who)
    rates = run.config.optimisers
    clip = rates.discriminator_clip if who == "discriminator" else rates.clip
    # the method's own networks follow the gradient of the generator's loss
    beside = dict(objective.networks) if who == "generator" else {}
    trained = {who: network, **beside}
    together = nn.ModuleList(trained.values()) if beside else network
    # the first version had it on in all updates of a generator, and never in its drawing
    with_dropout = who != "generator" or objective.generator_dropout or run.old
    replays = perturbation.replays if perturbation else 1
    # the metrics of a tick show what a GPU skipped, but neither those of a replay that is not the
    # last one, nor at the same step in several processes
    wait = replays > 1 or state.group.size > 1
    for _ in range(replays):
        for name in trained:
            state.optimisers[name].zero_grad()
        with dropout(network) if with_dropout else nullcontext():
            loss, metrics = accumulate(
                together, shards, streams, reduction, state.group, perturbation or plain
            )
        steps = {
            name: clipped_step(part, state.optimisers[name], loss, clip, wait=wait)
            for name, part in trained.items()
        }
        if who == "discriminator":
            objective.after_discriminator_step(state.discriminator)
        else:
            state.update_average()
    norms = {f"{name}/gradient_norm": steps[name]["gradient_norm"] for name in beside}
    return {f"{who}/{name}": value for name, value in {**steps[who], **metrics}.items()} | norms


def _answers(
    state: TrainingState,
    real: Text,
    progress: float,
    at_once: int,
    draw: Callable[[Generator, Text, float], Text],
) -> list[Text]:
    """The generator's texts in answer to this process's shards, drawn so many at once."""
    answers = []
    run, objective = state.run, state.objective
    with_dropout = objective.generator_dropout and not run.old
    for shard, part in zip(state.shards.own, state.shards.split(real), strict=True):
        # a shard's texts have random numbers of their own; the only one has the run's
        random = (
            nullcontext()
            if state.shards.count == 1
            else fork_rng(stream(Purpose.SHARD_TEXTS, run.seed, state.done, shard), run.device)
        )
        with random, dropout(state.generator) if with_dropout else nullcontext():
            pieces = [draw(state.generator, piece, progress) for piece in part.split(at_once)]
        answers.append(pieces[0] if len(pieces) == 1 else concatenate(pieces))
    return answers


def tick(
    state: TrainingState, step: Step, means: Mapping[str, float], log: Log
) -> tuple[bool, float | None]:
    """Log the means of what was trained and what the plan wants measured; keep the best MLE
    epoch.

    Returns whether the discriminator is as accurate as its pretraining should make it, and its
    loss on held-out texts where that is what decides.
    """
    with state.averaged():
        seen = observe(state, step, means)
        if seen.mle is not None:
            state.mle_entropy = seen.mle.entropy
            if seen.mle.best:
                state.save_best_mle(step.number + 1, seen.mle.score)
    for message in seen.warnings:  # once a kind, which is a message's first word
        if not any(message.split()[0] in alarm for alarm in state.alarms):
            state.alarms.append(f"round {step.number + 1}: {message}")
            log.alarm(step.tick, state.alarms[-1])
    where = {"phase": step.phase, "number": step.number, "tick": step.tick, "step": state.done}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in seen.metrics.items())
    log.tick(where, seen.metrics, f"{PHASE_NAMES[step.phase]} {step.number + 1}: {shown}")
    if seen.samples:
        log.samples(step.tick, seen.samples)
    if step.phase != "discriminator" or not step.evaluate:
        return False, None
    return _accurate(state, step, seen.metrics, log), seen.metrics.get(HELD_OUT_LOSS)


def _accurate(state: TrainingState, step: Step, metrics: Mapping[str, float], log: Log) -> bool:
    """Return whether the discriminator is as accurate as the schedule asks for; warn where its
    turns end before it is."""
    schedule = state.run.config.schedule
    if not schedule.discriminator_until:
        return False
    accuracy = metrics["discriminator/accuracy_held_out"]
    if accuracy >= schedule.discriminator_until:
        turns = f"turn {step.number + 1} of {schedule.discriminator_turns}"
        log.say(f"accuracy   {accuracy:.3f} of new texts: pretraining ends in {turns}")
        return True
    if step.number + 1 == schedule.discriminator_turns:
        state.alarms.append(
            f"discriminator is weak: accuracy {accuracy:.3f} of new texts after pretraining, below "
            f"schedule.discriminator_until = {schedule.discriminator_until:g}; give it more "
            "schedule.discriminator_turns or optimisers.discriminator_lr, or a larger network"
        )
        log.alarm(step.tick, state.alarms[-1])
    return False
