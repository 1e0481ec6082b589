"""The size of everything that is timed, and the paper's whole experiment."""

from __future__ import annotations

from dataclasses import dataclass

from textgan.training.schedule import Schedule

GENERATOR_RATE, DISCRIMINATOR_RATE, CLIP = 1e-2, 1e-4, 5.0  # the paper's
ORDERS = (2, 3, 4, 5)  # of BLEU


@dataclass(frozen=True)
class BenchSetting:
    """The size of everything that is timed.

    batch: sentences of an update; of the discriminator's, half are real and half fake.
    sentences: real sentences of an epoch, and how many are sampled.
    sizes, counts: the discriminator's filters; none means the paper's table.
    """

    vocabulary: int = 5000
    length: int = 20
    embedding: int = 32
    hidden: int = 32
    batch: int = 64
    rollouts: int = 16
    sentences: int = 10_000
    sizes: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()


PAPER = BenchSetting()

# experiments/paper/seqgan.toml has the same
PAPER_SCHEDULE = Schedule(
    batch_size=64,
    mle_epochs=120,
    discriminator_turns=50,
    rounds=200,
    g_steps=1,
    d_steps=5,
    k=3,
    fakes=10_000,
    evaluate_every=5,
)


@dataclass(frozen=True)
class Axes:
    """Along what the growth of time and memory is measured, each time from `base`.

    length (T), vocabulary (V) and rollouts: the values that each takes in turn.
    """

    base: BenchSetting
    length: tuple[int, ...] = (20, 40, 80)
    vocabulary: tuple[int, ...] = (1_000, 5_000, 50_000)
    rollouts: tuple[int, ...] = (1, 4, 16, 64)


# an eighth of the paper's rollouts: 80 tokens cost 16 times the rollouts of 20
PAPER_AXES = Axes(BenchSetting(rollouts=2, sentences=320))
