"""The parts of a round as training does them, each beside the textbook's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from textgan.bench.arithmetic import Arithmetic
from textgan.bench.pairs import PAIR_PARTS, PairSides, pair_amounts
from textgan.bench.setting import CLIP, DISCRIMINATOR_RATE, GENERATOR_RATE, ORDERS, BenchSetting
from textgan.bench.textbook import Textbook
from textgan.bench.work import Work, plainly
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
    *PAIR_PARTS,
)
# those that do no less than the plain count of `arithmetic`, so are no faster than a matrix product
PLAIN = ("sampling", "rollouts", "policy_update", "mle_epoch")
PER_COMPLETION = ("rollouts", "scoring", "generator_step")  # the others are per sentence


def choose_parts(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return these parts in the order of a round, all where none are named.

    Raises UserError for a part that there is not.
    """
    for name in wanted:
        if name not in PARTS:
            raise UserError(f"parts = {name!r}: there is no such part; known: {', '.join(PARTS)}")
    return tuple(name for name in PARTS if name in wanted) if wanted else PARTS


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
        """Return a context in which everything is computed in the precision."""
        return precision(self.name, self.device)

    def rest(self) -> None:
        """Free the gradients of the last updates."""
        self.generator_optimiser.zero_grad()
        self.discriminator_optimiser.zero_grad()

    def sample(self, n: int) -> Text:
        """Draw n sentences."""
        with self.precisely():
            return draw_texts(self.generator, n)

    def complete(self, fake: Text, rollouts: int) -> Text:
        """Draw all completions of all prefixes."""
        with self.precisely():
            return roll_out(self.generator, fake, rollouts).text

    @torch.no_grad()
    def score(self, text: Text) -> Tensor:
        """Compute the rewards of many texts."""
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
        """Draw n texts and score them as at a tick of a run, in float32; return the scores and the
        texts."""
        return measure(self.generator, corpus, oracle, samples=n, seed=0)

    def _update(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        loss: Callable[[], Loss],
        clip: float,
    ) -> None:
        with self.precisely():
            update(network, optimiser, loss, plain, clip, wait=False)

    def bleu(self, texts: Tensor, references: Tensor) -> Tensor:
        """Compute the mean BLEU of texts (B, T) for each of `ORDERS`."""
        reference, sample = (Sentences.of(Text.full(part), None) for part in (references, texts))
        scores = References(reference, max(ORDERS)).score(sample)
        return scores.mean(0)[[n - 1 for n in ORDERS]]


@dataclass(frozen=True)
class _Texts:
    """The texts that the parts work on.

    real, drawn, valid, test: texts of any words. fake: a batch that the generator drew. values:
    (B, T) of its prefixes. completed: what rollouts make of them. common, references: (N, T) of
    words some of which are much rarer than others, for BLEU.
    """

    real: Text
    drawn: Text
    valid: Text
    test: Text
    fake: Text
    values: Tensor
    completed: Text
    common: Tensor
    references: Tensor


@dataclass(frozen=True)
class Sides:
    """Both sides, each with networks and optimisers of its own, and the oracle of both."""

    setting: BenchSetting
    ours: Optimised
    textbook: Textbook
    oracle: LSTMGenerator

    @staticmethod
    def make(setting: BenchSetting, device: torch.device, name: Precision) -> Sides:
        """Make both sides with equal weights."""
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

    @cached_property
    def answering(self) -> PairSides:
        """Both sides of the parts with a source."""
        return PairSides.make(self.setting.answering, self.ours.device, self.ours.name)

    @property
    def arithmetic(self) -> Arithmetic:
        """The arithmetic that the parts cannot do without."""
        discriminator = self.ours.discriminator
        filters = [
            (layer.kernel_size[0], layer.out_channels)
            for layer in discriminator.convolutions
            if isinstance(layer, nn.Conv1d)
        ]
        return Arithmetic(self.setting, discriminator.embedding.embedding_dim, tuple(filters))

    def amounts(self, sentences: int, rollouts: int) -> dict[str, int]:
        """Return the amount of work of each part, in its unit."""
        completions = rollouts * self.arithmetic.completions
        of = dict.fromkeys(PARTS, sentences) | {"discriminator_epoch": 2 * sentences}
        of |= dict.fromkeys(PER_COMPLETION, completions)
        of |= pair_amounts(self.setting.answering, self._share(sentences))
        return of | {"policy_update": self.setting.batch}

    def _share(self, sentences: int) -> float:
        return sentences / self.setting.sentences

    def work(self, sentences: int, rollouts: int, parts: Sequence[str] = PARTS) -> list[Work]:
        """Return the work of these parts over so many sentences, with so many rollouts."""
        ours, textbook, oracle, count = self.ours, self.textbook, self.oracle, self.arithmetic
        texts = self._texts(sentences, rollouts if "scoring" in parts else 0)
        real, drawn, fake, values = texts.real, texts.drawn, texts.fake, texts.values
        corpus, few = self._corpus(texts), min(TEXTBOOK_TEXTS, sentences)
        every: dict[str, tuple[Callable[[], object], Callable[[], object], int | None]] = {
            "sampling": (
                lambda: ours.sample(sentences),
                lambda: textbook.sample(sentences),
                count.sampling(sentences),
            ),
            "rollouts": (
                lambda: ours.complete(fake, rollouts),
                lambda: list(textbook.completions(fake.tokens, rollouts)),
                count.rollouts(rollouts),
            ),
            "scoring": (
                lambda: ours.score(texts.completed),
                lambda: textbook.score(texts.completed.tokens),
                count.scoring(rollouts),
            ),
            "policy_update": (
                lambda: ours.policy_update(fake, values),
                lambda: textbook.policy_update(fake.tokens, values),
                count.policy_update(),
            ),
            "generator_step": (
                lambda: ours.generator_step(rollouts),
                lambda: textbook.generator_step(rollouts),
                count.generator_step(rollouts),
            ),
            "mle_epoch": (
                lambda: ours.mle_epoch(real),
                lambda: textbook.mle_epoch(real.tokens),
                count.mle_epoch(sentences),
            ),
            "discriminator_epoch": (
                lambda: ours.discriminator_epoch(real, drawn),
                lambda: textbook.discriminator_epoch(real.tokens, drawn.tokens),
                count.discriminator_epoch(sentences),
            ),
            "evaluation": (
                lambda: ours.evaluate(oracle, corpus, sentences),
                lambda: textbook.evaluate(oracle, texts.valid.tokens, texts.test.tokens, sentences),
                count.evaluation(sentences),
            ),
            "bleu": (
                lambda: ours.bleu(texts.common, texts.references),
                lambda: textbook.bleu(texts.common[:few], texts.references),
                None,
            ),
        }
        amounts = self.amounts(sentences, rollouts)
        works = [
            Work(
                name,
                "completions" if name in PER_COMPLETION else "sentences",
                amounts[name],
                optimised,
                plainly(plain_work, ours.device),
                flop,
                few if name == "bleu" and few < sentences else None,
                ours.rest,
            )
            for name, (optimised, plain_work, flop) in every.items()
            if name in parts
        ]
        if set(PAIR_PARTS).isdisjoint(parts):
            return works
        few_rollouts = rollouts / self.setting.rollouts
        return works + self.answering.work(self._share(sentences), few_rollouts, parts)

    def _texts(self, sentences: int, rollouts: int) -> _Texts:
        """Texts for all parts. rollouts: of `completed`; 0 where no part needs it."""
        # what the words are makes no difference to the work of training
        real, drawn, valid, test = (Text.full(self._random(sentences)) for _ in range(4))
        # but rollouts share their prefixes, and in any language some words are much rarer
        fake = draw_texts(self.ours.generator, self.setting.batch)
        values = torch.rand(fake.tokens.shape, device=fake.tokens.device)
        completed = roll_out(self.ours.generator, fake, rollouts).text if rollouts else fake
        common, references = self._language(sentences)
        return _Texts(real, drawn, valid, test, fake, values, completed, common, references)

    def _corpus(self, texts: _Texts) -> Corpus:
        space = self.ours.generator.space
        tokenizer = WordTokenizer.numbers(space.vocabulary, space.length)
        return Corpus("bench", space, texts.real, texts.valid, texts.test, tokenizer, {})

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
