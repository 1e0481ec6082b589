"""The paper's work beside a textbook implementation of it, timed in one run.

Measured are one MLE epoch, the sampling of as many sentences, one generator step with rollouts at
every prefix, one discriminator epoch, and BLEU-2 to BLEU-5 of as many texts against as many
references, in the setting of SeqGAN (arXiv 1609.05473): `PAPER`.

How to read the report: seconds depend on the machine and on what else it does, so they compare
only within one run. The two sides of a part are measured one right after the other, in alternating
order, and the ratio (textbook seconds / seconds) is the number to keep. Where other work takes a
core, threads wait for the one that lost it and everything is many times slower: the report says
how busy the machine was before it began; OMP_NUM_THREADS=1 is the remedy.

The textbook side is what one writes first: sentences are sampled a batch at a time with
`torch.multinomial`, every prefix of every rollout starts again from the empty sentence and is
scored when its batch is finished, real and fake sentences go through the discriminator one after
the other, and Adam has its default settings. It uses the same networks, so that both sides do the
same work; tests/test_bench.py shows that they agree. Only fixed-length text is measured.

The textbook's BLEU is nltk's, which reads all references again for each text and would take hours:
it scores a few texts, and its seconds are multiplied to those of all.
"""

from __future__ import annotations

import copy
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from textgan.backward import plain
from textgan.bleu import References
from textgan.discriminators.cnn import CNNDiscriminator
from textgan.generators.base import draw_texts
from textgan.generators.recurrent import LSTMGenerator
from textgan.losses import Loss, nll
from textgan.objectives.seqgan import SeqGAN
from textgan.run import choose_device
from textgan.sampling import seeded
from textgan.sentences import Sentences
from textgan.text import START, Text, TextSpace
from textgan.training import build_optimiser, update

GENERATOR_RATE, DISCRIMINATOR_RATE, CLIP = 1e-2, 1e-4, 5.0  # the paper's
ORDERS = (2, 3, 4, 5)  # of BLEU
TEXTBOOK_TEXTS = 4  # of which the textbook takes BLEU


@dataclass(frozen=True)
class Setting:
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


PAPER = Setting()


@dataclass(frozen=True)
class Part:
    """What one kind of work took: seconds here and in the textbook, for `amount` of `unit`.

    textbook_amount: how much the textbook did where that is less; its seconds are scaled to all.
    """

    name: str
    unit: str
    amount: int
    seconds: float
    textbook_seconds: float
    textbook_amount: int | None = None

    @property
    def ratio(self) -> float:
        """How many times as long the textbook took."""
        return self.textbook_seconds / self.seconds

    @property
    def per_second(self) -> float:
        """How much of `unit` was done in a second."""
        return self.amount / self.seconds


@dataclass(frozen=True)
class Report:
    """All parts (medians over the repeats), the machine they ran on and how much was asked for."""

    parts: list[Part]
    machine: dict[str, Any]
    setting: Setting
    scale: float
    repeats: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        parts = [
            asdict(part) | {"ratio": part.ratio, "per_second": part.per_second}
            for part in self.parts
        ]
        return asdict(self) | {"parts": parts}

    def __str__(self) -> str:
        setting, machine = self.setting, self.machine
        rows = [
            (
                part.name,
                f"{part.amount:,} {part.unit}",
                f"{part.seconds:.3g}",
                f"{part.textbook_seconds:.3g}",
                f"{part.ratio:.1f}",
                f"{part.per_second:,.0f}",
            )
            for part in self.parts
        ]
        headers = ["part", "work", "seconds", "textbook", "times faster", "per second"]
        lines = [
            f"setting  vocabulary {setting.vocabulary:,}, {setting.length} tokens, "
            f"batch {setting.batch}, {setting.rollouts} rollouts",
            f"machine  {machine['processor']}, {machine['cores']} cores, "
            f"torch threads {machine['threads']}, {machine['gpu'] or 'no GPU'}, "
            f"torch {machine['torch']}, {machine['gflops']:,.0f} GFLOP/s in float32 on "
            f"{machine['device']}",
            ("measured once" if self.repeats == 1 else f"median of {self.repeats} measurements")
            + (f"; load {machine['load']:.1f} before it began" if machine["load"] else "")
            + (f"; at scale {self.scale:g}: only for a quick look" if self.scale < 1 else ""),
            "",
            tabulate(rows, headers, colalign=("left", *["right"] * 5), disable_numparse=True),
        ]
        lines += [
            f"{part.name}: the textbook did {part.textbook_amount:,} of {part.amount:,} "
            f"{part.unit}, one by one; its seconds are scaled to all"
            for part in self.parts
            if part.textbook_amount is not None
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Work:
    """One kind of work, ready to be done by either side.

    textbook_amount: how much of it the textbook does, None for all.
    """

    name: str
    unit: str
    amount: int
    ours: Callable[[], object]
    textbook: Callable[[], object]
    textbook_amount: int | None = None

    def part(self, ours: list[float], textbook: list[float]) -> Part:
        """The medians of what either side took, the textbook's scaled to all of the work."""
        scale = self.amount / (self.textbook_amount or self.amount)
        return Part(
            self.name,
            self.unit,
            self.amount,
            median(ours),
            median(textbook) * scale,
            self.textbook_amount,
        )


def run_bench(repeats: int = 1, scale: float = 1.0, setting: Setting = PAPER) -> Report:
    """Time every part on both sides, interleaved, on the GPU where there is one.

    scale: the share of the sentences and of the rollouts that is done, one batch and one rollout
    at least. The random state is afterwards what it was before.
    """
    device = choose_device("auto")
    sentences = max(setting.batch, round(setting.sentences * scale))
    rollouts = max(1, round(setting.rollouts * scale))
    with seeded(0, device):
        machine = _machine(device)
        for work in make_work(setting, setting.batch, 1, device):  # the first time is never fair
            work.ours()
            work.textbook()
        works = make_work(setting, sentences, rollouts, device)
        times: dict[str, tuple[list[float], list[float]]] = {work.name: ([], []) for work in works}
        with tqdm(total=2 * repeats * len(works), disable=None, dynamic_ncols=True) as bar:
            for repeat in range(repeats):
                for work in works:
                    ours, textbook = times[work.name]
                    sides = [("ours", work.ours, ours), ("textbook", work.textbook, textbook)]
                    for side, do, seconds in sides if repeat % 2 == 0 else reversed(sides):
                        bar.set_description(f"{work.name}, {side}")
                        seconds.append(_seconds(do, device))
                        bar.update()
    parts = [work.part(*times[work.name]) for work in works]
    return Report(parts, machine, setting, scale, repeats)


def make_work(setting: Setting, sentences: int, rollouts: int, device: torch.device) -> list[Work]:
    """Everything that is timed, each side with networks and optimisers of its own."""
    space = TextSpace(setting.vocabulary, setting.length)
    generator = LSTMGenerator(space, embedding=setting.embedding, hidden=setting.hidden)
    discriminator = CNNDiscriminator(space, sizes=list(setting.sizes), counts=list(setting.counts))
    # copies first: moving a recurrent network is what packs its weights for cuDNN
    copies = copy.deepcopy(generator).to(device), copy.deepcopy(discriminator).to(device)
    ours = Ours(generator.to(device), discriminator.to(device), setting.batch)
    textbook = Textbook(*copies, setting.batch)
    # what the words are makes no difference to the work
    real, fake = (
        torch.randint(setting.vocabulary, (sentences, setting.length), device=device)
        for _ in range(2)
    )
    texts = Text.full(real), Text.full(fake)
    completions = rollouts * setting.batch * (setting.length - 1)
    # here they do: the n-th word is n times as rare as the first, as in any language
    common = 1 / torch.arange(1, setting.vocabulary + 1, device=device)
    words = torch.multinomial(common, 2 * sentences * setting.length, replacement=True)
    judged, references = words.view(2, sentences, setting.length)
    few = min(TEXTBOOK_TEXTS, sentences)
    return [
        Work(
            "MLE epoch",
            "sentences",
            sentences,
            lambda: ours.mle_epoch(texts[0]),
            lambda: textbook.mle_epoch(real),
        ),
        Work(
            "sampling",
            "sentences",
            sentences,
            lambda: draw_texts(generator, sentences),
            lambda: textbook.sample(sentences),
        ),
        Work(
            "generator step",
            "completions",
            completions,
            lambda: ours.generator_step(rollouts),
            lambda: textbook.generator_step(rollouts),
        ),
        Work(
            "discriminator epoch",
            "sentences",
            2 * sentences,
            lambda: ours.discriminator_epoch(*texts),
            lambda: textbook.discriminator_epoch(real, fake),
        ),
        Work(
            "BLEU-2 to BLEU-5",
            "texts",
            sentences,
            lambda: ours.bleu(judged, references),
            lambda: textbook.bleu(judged[:few], references),
            few if few < sentences else None,
        ),
    ]


class Ours:
    """The work as training does it."""

    def __init__(
        self, generator: LSTMGenerator, discriminator: CNNDiscriminator, batch: int
    ) -> None:
        self.generator, self.discriminator, self.batch = generator, discriminator, batch
        self.generator_optimiser = build_optimiser(generator, GENERATOR_RATE)
        self.discriminator_optimiser = build_optimiser(discriminator, DISCRIMINATOR_RATE)
        generator.dropout.eval()  # `update` turns it on for itself
        discriminator.dropout.eval()

    def mle_epoch(self, real: Text) -> None:
        """Maximise the likelihood of every sentence once."""
        for part in real.split(self.batch):

            def loss(part: Text = part) -> Loss:
                return nll(self.generator.log_prob(part), part.mask), {}

            update(self.generator, self.generator_optimiser, loss, plain, CLIP)

    def generator_step(self, rollouts: int) -> None:
        """Draw a batch and update the generator on it."""
        self.generator_update(draw_texts(self.generator, self.batch), rollouts)

    def generator_update(self, fake: Text, rollouts: int) -> None:
        """Update the generator on these texts, each prefix worth what its rollouts earn."""
        objective = SeqGAN(rollouts=rollouts)

        def loss() -> Loss:
            return objective.generator_loss(self.generator, self.discriminator, fake, fake, 0.0)

        update(self.generator, self.generator_optimiser, loss, plain, CLIP)

    def discriminator_epoch(self, real: Text, fake: Text) -> None:
        """Show the discriminator every sentence once."""
        objective, half = SeqGAN(), self.batch // 2
        for pair in zip(real.split(half), fake.split(half), strict=True):

            def loss(pair: tuple[Text, Text] = pair) -> Loss:
                return objective.discriminator_loss(self.discriminator, *pair)

            update(self.discriminator, self.discriminator_optimiser, loss, plain, 0)

    def bleu(self, texts: Tensor, references: Tensor) -> Tensor:
        """The mean BLEU of texts (B, T) of each of `ORDERS`."""
        known, judged = (Sentences.of(Text.full(part), None) for part in (references, texts))
        scores = References(known, max(ORDERS)).score(judged)
        return scores.mean(0)[[n - 1 for n in ORDERS]]


class Textbook:
    """The same work as one writes it first. Text is token ids (B, T)."""

    def __init__(
        self, generator: LSTMGenerator, discriminator: CNNDiscriminator, batch: int
    ) -> None:
        self.generator, self.discriminator, self.batch = generator, discriminator, batch
        self.generator_optimiser = torch.optim.Adam(generator.parameters(), lr=GENERATOR_RATE)
        self.discriminator_optimiser = torch.optim.Adam(
            discriminator.parameters(), lr=DISCRIMINATOR_RATE
        )

    @torch.no_grad()
    def complete(self, prefix: Tensor) -> Tensor:
        """One sentence (B, T) after each prefix (B, t), which is read again from its beginning."""
        state = self.generator.start(len(prefix))
        symbol = prefix.new_full((len(prefix),), START)
        written = []
        for position in range(self.generator.space.length):
            logits, state = self.generator.step(symbol, state)
            if position < prefix.shape[1]:
                symbol = prefix[:, position]
            else:
                symbol = torch.multinomial(logits.softmax(1), 1).squeeze(1)
            written.append(symbol)
        return torch.stack(written, 1)

    def sample(self, n: int) -> Tensor:
        """n sentences (n, T), a batch at a time."""
        device = self.generator.embedding.weight.device
        empty = torch.empty(n, 0, dtype=torch.long, device=device)
        return torch.cat([self.complete(part) for part in empty.split(self.batch)])

    @torch.no_grad()
    def reward(self, tokens: Tensor) -> Tensor:
        """How real each sentence looks, (B,), between 0 and 1."""
        self.discriminator.eval()
        score: Tensor = self.discriminator(Text.full(tokens))
        return score.sigmoid()

    def values(self, tokens: Tensor, rollouts: int) -> Tensor:
        """The mean reward (B, T) of each prefix's completions, one prefix after another."""
        length = tokens.shape[1]
        values = torch.zeros(tokens.shape, device=tokens.device)
        for _ in range(rollouts):
            for t in range(1, length):
                values[:, t - 1] += self.reward(self.complete(tokens[:, :t])) / rollouts
        values[:, length - 1] = self.reward(tokens)
        return values

    def generator_step(self, rollouts: int) -> None:
        """Draw a batch and update the generator on it."""
        self.generator_update(self.sample(self.batch), rollouts)

    def generator_update(self, fake: Tensor, rollouts: int) -> None:
        """Update the generator on these texts, each prefix worth what its rollouts earn."""
        values = self.values(fake, rollouts)
        log_prob = self.generator(Text.full(fake)).log_softmax(2)
        chosen = log_prob.gather(2, fake.unsqueeze(2)).squeeze(2)
        self._descend(-(chosen * values).sum(), self.generator, self.generator_optimiser, CLIP)

    def mle_epoch(self, real: Tensor) -> None:
        """Maximise the likelihood of every sentence once."""
        for part in real.split(self.batch):
            logits = self.generator(Text.full(part))
            loss = F.cross_entropy(logits.flatten(0, 1), part.flatten())
            self._descend(loss, self.generator, self.generator_optimiser, CLIP)

    def discriminator_epoch(self, real: Tensor, fake: Tensor) -> None:
        """Show the discriminator every sentence once."""
        self.discriminator.train()
        half, output, l2 = self.batch // 2, self.discriminator.output, SeqGAN().l2
        for real_part, fake_part in zip(real.split(half), fake.split(half), strict=True):
            real_score = self.discriminator(Text.full(real_part))
            fake_score = self.discriminator(Text.full(fake_part))
            real_loss = F.binary_cross_entropy_with_logits(real_score, torch.ones_like(real_score))
            fake_loss = F.binary_cross_entropy_with_logits(fake_score, torch.zeros_like(fake_score))
            penalty = (output.weight.square().sum() + output.bias.square().sum()) / 4
            loss = (real_loss + fake_loss) / 2 + l2 * penalty
            self._descend(loss, self.discriminator, self.discriminator_optimiser, 0)

    def bleu(self, texts: Tensor, references: Tensor) -> Tensor:
        """The mean BLEU of texts (B, T) of each of `ORDERS`."""
        from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

        known, method = references.tolist(), SmoothingFunction().method1
        weights = [(1 / n,) * n for n in ORDERS]
        scores = [
            sentence_bleu(known, text, weights, smoothing_function=method)
            for text in texts.tolist()
        ]
        return torch.tensor(scores, dtype=torch.float64).mean(0)

    def _descend(
        self, loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer, clip: float
    ) -> None:
        optimiser.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimiser.step()


def _seconds(do: Callable[[], object], device: torch.device) -> float:
    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    start = now()
    do()
    return now() - start


def _machine(device: torch.device) -> dict[str, Any]:
    """What a reader needs to compare two reports; a matrix product says how fast it really is."""
    a, b = torch.rand(2, 2000, 2000, device=device)
    torch.mm(a, b)
    fastest = min(_seconds(lambda: torch.mm(a, b), device) for _ in range(3))
    return {
        "device": str(device),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "torch": torch.__version__,
        "gflops": 2 * 2000**3 / fastest / 1e9,
    }


def _processor() -> str:
    """The processor's name, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
