"""The size of everything that is timed, and the paper's whole experiment."""

from __future__ import annotations

from dataclasses import dataclass, field

from textgan.training.schedule import Schedule

GENERATOR_RATE, DISCRIMINATOR_RATE, CLIP = 1e-2, 1e-4, 5.0  # the paper's
ORDERS = (2, 3, 4, 5)  # of BLEU
END = 1  # the end token's id where texts answer a source
PAIR_RATE = 1e-5  # BR-CSGAN's; so small that texts are as long after many updates as before


@dataclass(frozen=True)
class PairSetting:
    """The size of what is timed of texts that answer a source.

    By default that of `experiments/small/multi30k.toml` and `br_csgan.toml` beside it. size: of the
    generator's word vectors, states and alignment. mean: tokens of a source or text, of which
    `length` are the most; the end token counts. pairs: of an MLE epoch, and sources to translate.
    """

    source_vocabulary: int = 7855
    vocabulary: int = 5917
    length: int = 30
    mean: int = 13
    size: int = 256
    discriminator_embedding: int = 128
    batch: int = 64
    rollouts: int = 4
    pairs: int = 1000


@dataclass(frozen=True)
class BenchSetting:
    """The size of everything that is timed.

    batch: sentences of an update; of the discriminator's, half are real and half fake.
    sentences: real sentences of an epoch, and how many are sampled.
    sizes, counts: the discriminator's filters; none means the paper's table.
    answering: the size of the parts with a source.
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
    answering: PairSetting = field(default_factory=PairSetting)


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

    length (T), vocabulary (V) and rollouts, and sources of a batch where texts answer one: the
    values that each takes in turn.
    """

    base: BenchSetting
    length: tuple[int, ...] = (20, 40, 80)
    vocabulary: tuple[int, ...] = (1_000, 5_000, 50_000)
    rollouts: tuple[int, ...] = (1, 4, 16, 64)
    sources: tuple[int, ...] = (16, 32, 64, 128)


# an eighth of the paper's rollouts: 80 tokens cost 16 times the rollouts of 20
PAPER_AXES = Axes(BenchSetting(rollouts=2, sentences=320, answering=PairSetting(rollouts=2)))
