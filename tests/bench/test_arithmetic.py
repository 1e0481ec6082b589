"""The arithmetic of each part: what torch counts, by formulas."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from textgan.bench.arithmetic import Arithmetic
from textgan.bench.parts import Sides
from textgan.bench.setting import BenchSetting
from textgan.data.text import Text
from textgan.losses import logistic
from textgan.models.discriminators.cnn import PRESETS

CPU = torch.device("cpu")
TINY = BenchSetting(
    vocabulary=12, length=5, embedding=3, hidden=4, batch=4, rollouts=2, sentences=8,
    sizes=(1, 3), counts=(3, 2),
)  # fmt: skip
TEXTS = Text.full(torch.randint(12, (7, 5)))


def counted(work: Callable[[], object]) -> int:
    """FLOP as torch counts them; of float64, for there an LSTM is made of matrix products."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def test_arithmetic_is_what_torch_counts() -> None:
    sides = Sides.make(TINY, CPU, "float32")
    count, textbook = sides.arithmetic, sides.textbook
    assert count.filters == ((1, 3), (3, 2))
    generator, discriminator = textbook.generator.double(), textbook.discriminator.double()
    assert counted(lambda: generator(TEXTS)) == count.sampling(7)
    assert counted(lambda: discriminator(TEXTS)) == 7 * count.score

    def update() -> None:
        score = textbook.score_of(TEXTS.tokens)
        logistic(score[:3], score[3:]).backward()

    assert counted(update) == 3 * 7 * count.score


def test_arithmetic_of_rollouts_is_one_token_after_another() -> None:
    count = Sides.make(TINY, CPU, "float32").arithmetic
    total = texts = 0
    for _ in range(4):  # sentences
        for kept in range(1, 5):
            total += count.read  # the last token of the prefix is read once for all rollouts
            for _ in range(3):  # rollouts
                texts += 1
                for _ in range(kept, 5):
                    total += count.token
    assert count.rollouts(3) == total
    assert count.scoring(3) == texts * count.score
    step = count.sampling(4) + total + (texts + 4) * count.score + 3 * count.sampling(4)
    assert count.generator_step(3) == step


def test_arithmetic_of_the_paper() -> None:
    count = Arithmetic(BenchSetting(), 64, tuple(PRESETS["seqgan20"].items()))
    assert count.completions * 16 == 19_456
    # issue-sized numbers: 0.2 TFLOP for an MLE epoch, 1.6 for a discriminator epoch
    assert count.mle_epoch(10_000) == 3 * 200_000 * (2 * 128 * 64 + 2 * 32 * 5000)
    assert count.discriminator_epoch(10_000) == 3 * 20_000 * 2 * (118_600 * 64 + 1720 * 3440 + 1720)
