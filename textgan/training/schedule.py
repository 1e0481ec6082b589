"""The plan of a run: the whole of it as one list of steps, known before it begins.

    run          pretraining, then adversarial rounds
    pretraining  MLE epochs, then discriminator turns; or parts of the two in turn
    round        g_steps generator updates (MLE among them), d_steps discriminator turns
    turn         (of the discriminator) draw fresh fakes, then k epochs over them and real text
    update       one optimiser step on one batch
    shard        an equal part of a batch; a process computes one or more of them
    tick         what is logged as one point: an MLE epoch, a pretraining turn, or a round

Because the list is a function of the schedule and the corpus size alone, a number says exactly
where a run is: resuming is skipping the steps that are done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Phase = Literal["mle", "discriminator", "adversarial"]
PHASE_NAMES: dict[Phase, str] = {  # in their order
    "mle": "MLE epoch",
    "discriminator": "discriminator turn",
    "adversarial": "round",
}
Do = Literal["mle", "fakes", "discriminator", "generator", "tick"]


class Schedule(BaseModel):
    """The lengths of all parts of training; g_steps, d_steps and k are the paper's names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    batch_size: int = Field(
        64, ge=2, le=10**6, description="sentences a batch; half of them fake for D"
    )
    discriminator_batch: int = Field(
        0,
        ge=0,
        le=10**6,
        description="sentences a batch of the discriminator, half of them fake; 0: batch_size",
    )
    shards: int = Field(
        1,
        ge=1,
        le=4096,
        description="equal parts of a batch, each with random numbers of its own and a batch of "
        "its own where a method compares texts; as many processes (torchrun) can share the work",
    )
    mle_epochs: int = Field(20, ge=0, description="pretraining epochs of the generator; paper: 120")
    discriminator_turns: int = Field(
        10, ge=0, description="pretraining turns of the discriminator; paper: 50"
    )
    discriminator_until: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="accuracy on held-out texts, measured after each of these turns, at which the "
        "others are left out; 0: none",
    )
    discriminator_patience: int = Field(
        0,
        ge=0,
        le=10**6,
        description="of these turns, so many in a row without a smaller loss on held-out texts, "
        "after which the others are left out; then the best turn's weights are taken; 0: none",
    )
    pretraining_rounds: int = Field(
        1,
        ge=1,
        le=10**6,
        description="equal parts of the two, trained in turn; LeakGAN's code: 10",
    )
    pretraining_first: Literal["generator", "discriminator"] = Field(
        "generator", description="whose part comes first; LeakGAN's code: the discriminator's"
    )
    rounds: int = Field(40, ge=0, description="adversarial rounds; paper: 200")
    g_steps: int = Field(1, ge=0, description="generator updates a round; paper: 1")
    d_steps: int = Field(1, ge=0, description="discriminator turns a round; paper: 5")
    warmup_rounds: int = Field(
        0, ge=0, description="first rounds of warmup_d_steps turns; WGAN's code: 24, see wgan"
    )
    warmup_every: int = Field(
        0, ge=0, description="rounds from one more of those to the next; 0: none; WGAN's code: 500"
    )
    warmup_d_steps: int = Field(100, ge=0, description="discriminator turns of those rounds")
    k: int = Field(1, ge=1, description="epochs over the fakes of one turn; paper: 3")
    fakes: int = Field(
        2000,
        ge=0,
        le=10**8,
        description="fakes of one turn, half a batch at least; 0: as many as training sentences",
    )
    mle_steps: int = Field(
        0, ge=0, description="MLE updates at a time among the rounds (interleaved teacher forcing)"
    )
    mle_every: int = Field(
        0, ge=0, description="generator updates between those; 0: at the end of every round"
    )
    mle_weight: float = Field(
        1.0, gt=0, le=1000, description="of those updates: a factor of their learning rate"
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay, at each update, of a running mean of the generator's weights, which is "
        "what is measured, sampled and kept as the best epoch; 0: none",
    )
    evaluate_every: int = Field(1, ge=1, description="epochs or rounds between evaluations")

    @property
    def discriminator_texts(self) -> int:
        """The number of texts that an update of the discriminator reads, half of them fake."""
        return self.discriminator_batch or self.batch_size


class Step(NamedTuple):
    """One thing to do.

    tick: the running number of the epoch, turn or round it belongs to, from 1; `number` is its
    number within the phase, from 0. progress: from 0 to 1 over the rounds. evaluate: only of
    ticks.
    """

    do: Do
    phase: Phase
    tick: int
    number: int
    progress: float = 0.0
    evaluate: bool = False


def pool_size(schedule: Schedule, sentences: int) -> int:
    """Return the number of fakes that a turn draws over a corpus of that many training
    sentences."""
    return max(schedule.fakes or sentences, schedule.discriminator_texts // 2)


def plan(schedule: Schedule, sentences: int, adversary: bool) -> Iterator[Step]:
    """Yield every step of a run over a corpus of that many training sentences, in order.

    adversary: whether there is a discriminator; without one its steps are left out.
    """
    batches = max(1, sentences // schedule.batch_size)
    pairs = max(1, 2 * pool_size(schedule, sentences) // schedule.discriminator_texts)
    tick = 0

    def turn(phase: Phase, number: int, progress: float) -> Iterator[Step]:
        yield Step("fakes", phase, tick, number, progress)
        for _ in range(schedule.k * pairs):
            yield Step("discriminator", phase, tick, number, progress)

    def epochs(part: range) -> Iterator[Step]:
        nonlocal tick
        for epoch in part:
            tick += 1
            for _ in range(batches):
                yield Step("mle", "mle", tick, epoch)
            yield Step("tick", "mle", tick, epoch, 0.0, evaluated(epoch, schedule.mle_epochs))

    def turns(part: range) -> Iterator[Step]:
        nonlocal tick
        for index in part:
            tick += 1
            yield from turn("discriminator", index, 0.0)
            evaluate = evaluated(index, schedule.discriminator_turns)
            yield Step("tick", "discriminator", tick, index, 0.0, evaluate)

    def evaluated(number: int, of: int) -> bool:
        return number + 1 == of or number % schedule.evaluate_every == 0

    for part in range(schedule.pretraining_rounds):
        by_generator = epochs(_part(schedule.mle_epochs, part, schedule.pretraining_rounds))
        by_discriminator = turns(
            _part(
                schedule.discriminator_turns if adversary else 0, part, schedule.pretraining_rounds
            )
        )
        if schedule.pretraining_first == "generator":
            yield from by_generator
            yield from by_discriminator
        else:
            yield from by_discriminator
            yield from by_generator

    for index in range(schedule.rounds):
        tick += 1
        progress = index / schedule.rounds
        mle = [Step("mle", "adversarial", tick, index, progress)] * schedule.mle_steps
        for update in range(schedule.g_steps):
            yield Step("generator", "adversarial", tick, index, progress)
            done = index * schedule.g_steps + update + 1
            if schedule.mle_every and done % schedule.mle_every == 0:
                yield from mle
        for _ in range(_d_steps(schedule, index) if adversary else 0):
            yield from turn("adversarial", index, progress)
        if not schedule.mle_every:
            yield from mle
        evaluate = evaluated(index, schedule.rounds)
        yield Step("tick", "adversarial", tick, index, progress, evaluate)


def _part(total: int, part: int, parts: int) -> range:
    """Return which of `total` numbers belong to one of so many nearly equal parts."""
    return range(total * part // parts, total * (part + 1) // parts)


def _d_steps(schedule: Schedule, index: int) -> int:
    """Return the number of discriminator turns in round `index`, from 0."""
    every = schedule.warmup_every
    warm = index < schedule.warmup_rounds or (every > 0 and (index + 1) % every == 0)
    return schedule.warmup_d_steps if warm else schedule.d_steps
