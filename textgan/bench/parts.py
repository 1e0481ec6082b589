"""The parts of a round as training does them, each beside the textbook's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from textgan.bench.arithmetic import Arithmetic
from textgan.bench.setting import CLIP, DISCRIMINATOR_RATE, GENERATOR_RATE, ORDERS, BenchSetting
from textgan.bench.textbook import Textbook
from textgan.core.errors import UserError
from textgan.core.optim import Loss, build_optimiser, plain, update
from textgan.core.precision import Precision, precision
from textgan.core.score import Scores
from textgan.data.corpus import Corpus
from textgan.data.sentences import Sentences
from textgan.data.text import Text, TextSpace
from textgan.data.tokenizers import WordTokenizer
from textgan.losses import nll, policy_gradient
from textgan.metrics.functional.bleu import References
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.draw import draw_texts
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.rollout import roll_out
from textgan.objectives.base import without_state
from textgan.objectives.seqgan import SeqGAN
from textgan.training.measure import measure

TEXTBOOK_TEXTS = 4  # of which the textbook takes BLEU

PARTS = (
    "sampling",
    "rollouts",
    "scoring",
    "policy_update",
    "generator_step",
    "mle_epoch",
    "discriminator_epoch",
    "evaluation",
    "bleu",
)


def choose_parts(wanted: Sequence[str]) -> tuple[str, ...]:
    """These parts in the order of a round, all where none are named.

    Raises UserError for a part that there is not.
    """
    for name in wanted:
        if name not in PARTS:
            raise UserError(f"--parts: there is no part {name!r}; known: {', '.join(PARTS)}")
    return tuple(name for name in PARTS if name in wanted) if wanted else PARTS


@dataclass(frozen=True)
class Work:
    """One kind of work, ready to be done by either side.

    flop: what it cannot do without (see arithmetic.py); None where that is no matrix product.
    textbook_amount: how much of it the textbook does, None for all. rest: frees what our side keeps
    from one time to the next, which would hide what it needs.
    """

    name: str
    unit: str
    amount: int
    ours: Callable[[], object]
    textbook: Callable[[], object]
    flop: int | None = None
    textbook_amount: int | None = None
    rest: Callable[[], object] = lambda: None


class Optimised:
    """The work as training does it, in a precision."""

    def __init__(
        self,
        generator: LSTMGenerator,
        discriminator: CNNDiscriminator,
        batch: int,
        name: Precision = "float32",
    ) -> None:
        self.generator, self.discriminator, self.batch = generator, discriminator, batch
        self.device, self.name = generator.embedding.weight.device, name
        self.generator_optimiser = build_optimiser(generator, GENERATOR_RATE)
        self.discriminator_optimiser = build_optimiser(discriminator, DISCRIMINATOR_RATE)
        generator.dropout.eval()  # `update` turns it on for itself
        discriminator.dropout.eval()

    def precisely(self) -> AbstractContextManager[None]:
        """The precision of what is computed inside."""
        return precision(self.name, self.device)

    def rest(self) -> None:
        """Free the gradients of the last updates."""
        self.generator_optimiser.zero_grad()
        self.discriminator_optimiser.zero_grad()

    def sample(self, n: int) -> Text:
        """n sentences."""
        with self.precisely():
            return draw_texts(self.generator, n)

    def complete(self, fake: Text, rollouts: int) -> Text:
        """All completions of all prefixes."""
        with self.precisely():
            return roll_out(self.generator, fake, rollouts).text

    @torch.no_grad()
    def score(self, text: Text) -> Tensor:
        """The rewards of many texts."""
        with self.precisely():
            score: Tensor = self.discriminator(text)
            return score.sigmoid()

    def policy_update(self, fake: Text, values: Tensor) -> None:
        """Update the generator on these texts, whose prefixes are worth these values (B, T)."""

        def loss() -> Loss:
            log_prob = self.generator.log_prob(fake)
            return policy_gradient(log_prob, values, fake.mask, SeqGAN().reduction), {}

        self._update(self.generator, self.generator_optimiser, loss, CLIP)

    def generator_step(self, rollouts: int) -> None:
        """Draw a batch and update the generator on it."""
        self.generator_update(self.sample(self.batch), rollouts)

    def generator_update(self, fake: Text, rollouts: int) -> None:
        """Update the generator on these texts, each prefix worth what its rollouts earn."""
        objective = SeqGAN(rollouts=rollouts)

        def loss() -> Loss:
            given = (self.generator, self.discriminator, fake, fake, 0.0)
            return without_state(objective.generator_loss(*given))[0]

        self._update(self.generator, self.generator_optimiser, loss, CLIP)

    def mle_epoch(self, real: Text) -> None:
        """Maximise the likelihood of every sentence once."""
        for part in real.split(self.batch):

            def loss(part: Text = part) -> Loss:
                return nll(self.generator.log_prob(part), part.mask), {}

            self._update(self.generator, self.generator_optimiser, loss, CLIP)

    def discriminator_epoch(self, real: Text, fake: Text) -> None:
        """Show the discriminator every sentence once."""
        objective, half = SeqGAN(), self.batch // 2
        for pair in zip(real.split(half), fake.split(half), strict=True):

            def loss(pair: tuple[Text, Text] = pair) -> Loss:
                return objective.discriminator_loss(self.discriminator, *pair)

            self._update(self.discriminator, self.discriminator_optimiser, loss, 0)

    def evaluate(self, oracle: LSTMGenerator, corpus: Corpus, n: int) -> tuple[Scores, Text]:
        """The scores of n texts that the generator draws, as at a tick of a run: in float32."""
        return measure(self.generator, corpus, oracle, samples=n, seed=0)

    def _update(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        loss: Callable[[], Loss],
        clip: float,
    ) -> None:
        with self.precisely():
            update(network, optimiser, loss, plain, clip)

    def bleu(self, texts: Tensor, references: Tensor) -> Tensor:
        """The mean BLEU of texts (B, T) of each of `ORDERS`."""
        reference, sample = (Sentences.of(Text.full(part), None) for part in (references, texts))
        scores = References(reference, max(ORDERS)).score(sample)
        return scores.mean(0)[[n - 1 for n in ORDERS]]


@dataclass(frozen=True)
class Sides:
    """Both sides, each with networks and optimisers of its own, and the oracle of both."""

    setting: BenchSetting
    ours: Optimised
    textbook: Textbook
    oracle: LSTMGenerator

    @staticmethod
    def make(setting: BenchSetting, device: torch.device, name: Precision) -> Sides:
        """Both sides with equal weights."""
        space = TextSpace(setting.vocabulary, setting.length)
        generator, oracle = (
            LSTMGenerator(space, embedding=setting.embedding, hidden=setting.hidden)
            for _ in range(2)
        )
        discriminator = CNNDiscriminator(
            space, sizes=list(setting.sizes), counts=list(setting.counts)
        )
        # copies first: moving a recurrent network is what packs its weights for cuDNN
        copies = copy.deepcopy(generator).to(device), copy.deepcopy(discriminator).to(device)
        ours = Optimised(generator.to(device), discriminator.to(device), setting.batch, name)
        return Sides(setting, ours, Textbook(*copies, setting.batch), oracle.to(device))

    @property
    def arithmetic(self) -> Arithmetic:
        """How to count what the parts cannot do without."""
        discriminator = self.ours.discriminator
        filters = [
            (layer.kernel_size[0], layer.out_channels)
            for layer in discriminator.convolutions
            if isinstance(layer, nn.Conv1d)
        ]
        return Arithmetic(self.setting, discriminator.embedding.embedding_dim, tuple(filters))

    def amounts(self, sentences: int, rollouts: int) -> dict[str, int]:
        """How much work each part is, in its unit."""
        completions = rollouts * self.arithmetic.completions
        of = dict.fromkeys(PARTS, sentences) | {"discriminator_epoch": 2 * sentences}
        of |= dict.fromkeys(("rollouts", "scoring", "generator_step"), completions)
        return of | {"policy_update": self.setting.batch}

    def work(self, sentences: int, rollouts: int, parts: Sequence[str] = PARTS) -> list[Work]:
        """The named parts, over that many sentences and with that many rollouts."""
        setting, ours, textbook, oracle = self.setting, self.ours, self.textbook, self.oracle
        # what the words are makes no difference to the work of training
        real, drawn = self._random(sentences), self._random(sentences)
        valid, test = self._random(sentences), self._random(sentences)
        texts = Text.full(real), Text.full(drawn)
        space = ours.generator.space
        tokenizer = WordTokenizer.numbers(space.vocabulary, space.length)
        corpus = Corpus("bench", space, texts[0], Text.full(valid), Text.full(test), tokenizer, {})
        # but rollouts share their prefixes, and in any language some words are much rarer
        fake = draw_texts(ours.generator, setting.batch)
        values = torch.rand(fake.tokens.shape, device=fake.tokens.device)
        needed = {"scoring"} & set(parts)
        grown = roll_out(ours.generator, fake, rollouts).text if needed else fake
        sample, references = self._language(sentences)
        few = min(TEXTBOOK_TEXTS, sentences)

        count, amounts = self.arithmetic, self.amounts(sentences, rollouts)
        every = [
            Work(
                "sampling",
                "sentences",
                amounts["sampling"],
                lambda: ours.sample(sentences),
                lambda: textbook.sample(sentences),
                count.sampling(sentences),
            ),
            Work(
                "rollouts",
                "completions",
                amounts["rollouts"],
                lambda: ours.complete(fake, rollouts),
                lambda: list(textbook.completions(fake.tokens, rollouts)),
                count.rollouts(rollouts),
            ),
            Work(
                "scoring",
                "completions",
                amounts["scoring"],
                lambda: ours.score(grown),
                lambda: textbook.score(grown.tokens),
                count.scoring(rollouts),
            ),
            Work(
                "policy_update",
                "sentences",
                amounts["policy_update"],
                lambda: ours.policy_update(fake, values),
                lambda: textbook.policy_update(fake.tokens, values),
                count.policy_update(),
            ),
            Work(
                "generator_step",
                "completions",
                amounts["generator_step"],
                lambda: ours.generator_step(rollouts),
                lambda: textbook.generator_step(rollouts),
                count.generator_step(rollouts),
            ),
            Work(
                "mle_epoch",
                "sentences",
                amounts["mle_epoch"],
                lambda: ours.mle_epoch(texts[0]),
                lambda: textbook.mle_epoch(real),
                count.mle_epoch(sentences),
            ),
            Work(
                "discriminator_epoch",
                "sentences",
                amounts["discriminator_epoch"],
                lambda: ours.discriminator_epoch(*texts),
                lambda: textbook.discriminator_epoch(real, drawn),
                count.discriminator_epoch(sentences),
            ),
            Work(
                "evaluation",
                "sentences",
                amounts["evaluation"],
                lambda: ours.evaluate(oracle, corpus, sentences),
                lambda: textbook.evaluate(oracle, valid, test, sentences),
                count.evaluation(sentences),
            ),
            Work(
                "bleu",
                "sentences",
                amounts["bleu"],
                lambda: ours.bleu(sample, references),
                lambda: textbook.bleu(sample[:few], references),
                None,
                few if few < sentences else None,
            ),
        ]
        chosen = [work for work in every if work.name in parts]
        return [
            replace(work, textbook=self._plainly(work.textbook), rest=ours.rest) for work in chosen
        ]

    def _plainly(self, do: Callable[[], object]) -> Callable[[], object]:
        """The same in float32, whatever the precision of our side."""

        def done() -> object:
            with precision("float32", self.ours.device):
                return do()

        return done

    def _random(self, sentences: int) -> Tensor:
        """Sentences (N, T) of any words."""
        shape = sentences, self.setting.length
        return torch.randint(self.setting.vocabulary, shape, device=self.ours.device)

    def _language(self, sentences: int) -> tuple[Tensor, Tensor]:
        """Two sets of sentences (N, T) of which the n-th word is n times as rare as the first."""
        vocabulary, length = self.setting.vocabulary, self.setting.length
        common = 1 / torch.arange(1, vocabulary + 1, device=self.ours.device)
        words = torch.multinomial(common, 2 * sentences * length, replacement=True)
        first, second = words.view(2, sentences, length)
        return first, second
