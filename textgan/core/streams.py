"""Random streams by purpose: where every seed of the project is made.

Whatever is drawn has a purpose, and its seed is a hash of the purpose's name, the seed that the
user gave, and the numbers of the step. So two purposes share no random numbers, nor do two seeds,
however near they are, and none depends on what else was drawn. What must be drawn alike (the
resamplings behind a paired difference) has the same purpose and the same seed.

The first version made seeds by addition: the corpus of the oracle had the seed `oracle.seed + 1`,
with which run 1 then drew its samples, and the generator of run 0 began with the weights of oracle
0, scaled, where it had their shape. What a run that began so still needs of that is in
`_by_addition`, and nowhere else.
"""

from __future__ import annotations

import hashlib
from enum import Enum, auto

import numpy as np

SCHEME = 2  # how seeds are made, as runs remember it; 1 is by addition


class Purpose(Enum):
    """Purposes of random numbers. The name is hashed: another name gives other numbers."""

    # a run's data
    ORACLE_TRAIN = auto()
    ORACLE_VALID = auto()
    ORACLE_TEST = auto()
    SPLIT = auto()  # of sentences into training, validation and test

    # training
    GENERATOR_WEIGHTS = auto()
    DISCRIMINATOR_WEIGHTS = auto()
    METHOD_WEIGHTS = auto()  # of the networks that a method trains beside the two
    TRAINING = auto()  # the stream that goes on from step to step: fakes, rollouts, dropout
    MLE_BATCHES = auto()
    GENERATOR_BATCHES = auto()
    REAL_BATCHES = auto()
    FAKE_BATCHES = auto()
    TURN_BATCHES = auto()
    SHARD_TEXTS = auto()
    SHARD_LOSS = auto()
    PENALTY_LINES = auto()  # of WGAN-GP, between real and fake texts
    PREFIXES = auto()  # of REGS, at which its discriminator's texts are cut

    # a run's own measures
    MONITOR = auto()  # at a tick
    MONITOR_LINES = auto()  # those of TensorBoard
    ACCURACY = auto()
    MEASURED = auto()  # texts of `measure`
    FINAL_TEXTS = auto()
    FINAL_ORACLE = auto()
    FINAL_RANDOM = auto()
    FINAL_LINES = auto()  # samples.txt

    # commands on what a run left, or on files
    SAMPLE = auto()
    EVALUATION_TEXTS = auto()
    EVALUATION_ORACLE = auto()
    REAL_ROW = auto()
    NETWORK_PART = auto()  # of the references, for networks
    EQUAL_TEXTS = auto()  # of a larger file, beside a smaller
    CHOSEN_ALONE = auto()
    CHOSEN_PAIRED = auto()
    CHOSEN_REAL = auto()
    COOLED = auto()
    JOINT_TEMPERATURE = auto()  # which proposals are kept
    PARTITION = auto()  # candidates that a resampled generator's Z is estimated from

    # intervals
    BOOTSTRAP = auto()
    SUBSETS = auto()

    # metrics
    LANGUAGE_MODEL = auto()
    JUDGE = auto()  # the discriminator that a metric trains
    JUDGE_PARTS = auto()
    SHUFFLED_WORDS = auto()
    PAIR_PARTS = auto()  # one for each evaluator of dialogue
    PAIR_EVALUATOR = auto()
    CLUSTERING = auto()
    CLUSTERINGS_DRAWN = auto()

    # encoders and classifiers
    ENCODER = auto()
    ENCODER_HELD_OUT = auto()
    ENCODER_LINES = auto()
    SIMILARITY_LINES = auto()
    NOISE = auto()
    CLASSIFIER = auto()
    CLASSIFIER_BATCHES = auto()
    ATTACK = auto()

    DRY_RUN = auto()  # a toy step before a run begins
    DISCARDED = auto()  # weights that are looked at, or overwritten, and never used
    BENCH = auto()


class OldSeed(int):
    """The seed of a run that began by addition: its streams are those that it began with."""


def stream(purpose: Purpose, seed: int, *steps: int) -> int:
    """Return the seed of a purpose: 63 bits of SHA-256 of its name, the user's seed and the steps.

    torch's generator of a processor reads the lowest 32 bits only; those of a hash will do. The
    seed of a seed is an `OldSeed` again where it was one.
    """
    if isinstance(seed, OldSeed):
        return OldSeed(_by_addition(purpose, int(seed), *steps))
    text = "/".join([purpose.name, *(str(int(number)) for number in (seed, *steps))])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _by_addition(purpose: Purpose, seed: int, *steps: int) -> int:
    """The seed that the first version had for a purpose of a run."""
    match purpose:
        case Purpose.MLE_BATCHES:
            return seed + 1
        case Purpose.GENERATOR_BATCHES:
            return seed + 2
        case Purpose.REAL_BATCHES:
            return seed + 3
        case Purpose.FAKE_BATCHES:
            return seed + 4
        case Purpose.TURN_BATCHES:
            return seed + 5
        case Purpose.SHARD_TEXTS | Purpose.SHARD_LOSS:
            use = int(purpose is Purpose.SHARD_LOSS)
            mixed = np.random.SeedSequence([seed, *steps, use])
            return int(mixed.generate_state(1, np.uint64)[0])
        case Purpose.MONITOR | Purpose.MONITOR_LINES | Purpose.ACCURACY:
            return seed * 1_000_003 + steps[0]
        case Purpose.PENALTY_LINES:
            return seed + 1
        case Purpose.FINAL_ORACLE:
            return 2**40 + seed
        case _:
            return seed
