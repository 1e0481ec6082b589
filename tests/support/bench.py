"""A benchmark that takes no time: its setting, both sides, a report of it."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from textgan.bench.counting import Count
from textgan.bench.pairs import PairSides, random_texts
from textgan.bench.parts import Optimised
from textgan.bench.report import BenchReport, PartReport
from textgan.bench.setting import PAPER, BenchSetting, PairSetting
from textgan.bench.textbook import Textbook
from textgan.data.text import Text, TextSpace
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.generators.recurrent import LSTMGenerator

CPU = torch.device("cpu")
TINY = BenchSetting(
    vocabulary=12, length=5, embedding=4, hidden=4, batch=4, rollouts=2, sentences=10,
    sizes=(1, 3), counts=(3, 3),
    answering=PairSetting(12, 10, 6, 3, 5, 4, batch=4, rollouts=2, pairs=8),
)  # fmt: skip
MACHINE: dict[str, Any] = {
    "device": "cpu", "processor": "P", "cores": 1, "threads": 1, "gpu": None, "torch": "2",
    "load": 0.1, "gflops": 50.0,
}  # fmt: skip


def networks(vocabulary: int, length: int) -> tuple[LSTMGenerator, CNNDiscriminator]:
    """A generator far from uniform and a discriminator without dropout that cares for words."""
    torch.manual_seed(0)
    space = TextSpace(vocabulary, length)
    generator = LSTMGenerator(space, embedding=4, hidden=4, init=1.0)
    discriminator = CNNDiscriminator(space, sizes=[1, 2], counts=[4, 4], dropout=0)
    with torch.no_grad():
        discriminator.output.weight.mul_(10)
    return generator, discriminator


def sides(batch: int) -> tuple[Optimised, Textbook]:
    """Both sides with equal weights, in a world of 6 words and 4 tokens."""
    generator, discriminator = networks(6, 4)
    textbook = Textbook(copy.deepcopy(generator), copy.deepcopy(discriminator), batch)
    return Optimised(generator, discriminator, batch), textbook


def pair_sides() -> PairSides:
    """Both sides, with a generator far from uniform and discriminators that tell texts apart."""
    torch.manual_seed(1)
    made = PairSides.make(TINY.answering, CPU)
    ours, textbook = made.ours, made.textbook
    pairs = [
        (ours.generator, textbook.generator),
        (ours.cnn, textbook.cnn),
        (ours.hierarchical, textbook.hierarchical),
        (ours.critic, textbook.critic),
    ]
    with torch.no_grad():
        for weight in ours.generator.parameters():
            weight.add_(torch.randn_like(weight) / 2)
        for network in (ours.hierarchical, ours.critic):
            nn.init.normal_(network.output.weight)
    for one, other in pairs:
        other.load_state_dict(one.state_dict())
    return made


def answering_texts(sides: PairSides, n: int) -> Text:
    return random_texts(n, sides.ours.generator.space, TINY.answering.mean, CPU)


def report(ratios: dict[str, float], setting: BenchSetting = PAPER, **facts: Any) -> BenchReport:
    parts = [PartReport(name, "x", 6, 2.0, 2.0 * ratio) for name, ratio in ratios.items()]
    return BenchReport(
        parts, MACHINE | facts, setting, 1.0, 1, counts=[Count("bleu", 100, 7, 1000)]
    )


def kept(made: BenchReport, path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(made.to_dict() | changes))
    return path
