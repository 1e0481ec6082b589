"""The parts of a conditional round as training does them, each beside the textbook's.

A translator of Multi30k's size (`PairSetting`): an MLE epoch, greedy decoding, and one generator
step each of BR-CSGAN and of REGS with rollouts and its critic. Words are any words, lengths of
sources and references a Poisson's. The generator ends a text with the chance 1 / mean at each
token, so that its texts are as long as trained ones; greedy decoding, which would end at once,
writes texts of the mean length. Both sides draw texts of their own by the same law.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from textgan.bench.setting import CLIP, END, PAIR_RATE, PairSetting
from textgan.bench.textbook_pairs import PairTextbook
from textgan.bench.work import Work, plainly
from textgan.core.optim import Loss, build_optimiser, clipped_step, plain, update
from textgan.core.precision import Precision, precision
from textgan.data.text import Condition, Text, TextSpace
from textgan.models.beam import BeamSearch
from textgan.models.discriminators.base import Discriminator
from textgan.models.discriminators.hierarchical import HierarchicalDiscriminator
from textgan.models.discriminators.pair_cnn import PairCNNDiscriminator
from textgan.models.generators.attention import RNNSearchGenerator
from textgan.objectives.base import Objective, without_state
from textgan.objectives.br_csgan import BRCSGAN
from textgan.objectives.regs import REGS

PAIR_PARTS = ("pair_mle_epoch", "translation", "br_csgan_step", "regs_step")


def pair_amounts(setting: PairSetting, share: float) -> dict[str, int]:
    """Return how many sources each part answers, of a share of the pairs, one batch at least."""
    pairs = max(setting.batch, round(setting.pairs * share))
    return dict(zip(PAIR_PARTS, (pairs, pairs, setting.batch, setting.batch), strict=True))


class PairOptimised:
    """The work as training does it, in a precision."""

    def __init__(
        self,
        setting: PairSetting,
        generator: RNNSearchGenerator,
        cnn: PairCNNDiscriminator,
        hierarchical: HierarchicalDiscriminator,
        train: Text,
        name: Precision = "float32",
    ) -> None:
        self.setting, self.generator = setting, generator
        self.cnn, self.hierarchical = cnn, hierarchical
        self.device, self.name = generator.embedding.weight.device, name
        self.br_csgan, self.regs = BRCSGAN(), REGS()
        self.regs.connect(generator, hierarchical, train)
        self.optimiser = build_optimiser(generator, PAIR_RATE)
        self.critic_optimiser = build_optimiser(self.critic, PAIR_RATE)
        for network in (generator, cnn, hierarchical):
            network.dropout.eval()  # as outside of their updates

    @property
    def critic(self) -> HierarchicalDiscriminator:
        """The network of REGS that expects rewards."""
        critic = self.regs.networks["critic"]
        assert isinstance(critic, HierarchicalDiscriminator)
        return critic

    def precisely(self) -> AbstractContextManager[None]:
        """Return a context in which everything is computed in the precision."""
        return precision(self.name, self.device)

    def rest(self) -> None:
        """Free the gradients of the last updates."""
        self.optimiser.zero_grad()
        self.critic_optimiser.zero_grad()

    def mle_epoch(self, real: Text) -> None:
        """Maximise the likelihood of every text once."""
        for part in real.split(self.setting.batch):

            def loss(part: Text = part) -> Loss:
                return self.br_csgan.mle_loss(self.generator, part)

            with self.precisely():
                update(self.generator, self.optimiser, loss, plain, CLIP, wait=False)

    def translate(self, source: Text) -> Text:
        """Decode greedily texts of the mean length."""
        search = BeamSearch(width=1, min_length=self.setting.mean)
        with self.precisely():
            return search(self.generator, Condition(source=source)).text

    def br_csgan_step(self, real: Text, rollouts: int) -> None:
        """Draw an answer to each source and update the generator on them."""
        self.br_csgan_update(self._sample(self.br_csgan, real), real, rollouts)

    def br_csgan_update(self, fake: Text, real: Text, rollouts: int) -> None:
        """Update the generator on these answers, rewarded by the discriminator and BLEU."""
        self.br_csgan.rollouts = rollouts
        self._update(self.br_csgan, self.cnn, real, fake)

    def regs_step(self, real: Text, rollouts: int) -> None:
        """Draw an answer to each source and update the generator and the critic on them."""
        self.regs_update(self._sample(self.regs, real), real, rollouts)

    def regs_update(self, fake: Text, real: Text, rollouts: int) -> None:
        """Update the generator and the critic on these answers, rewarded by the discriminator."""
        self.regs.rollouts = rollouts
        self._update(self.regs, self.hierarchical, real, fake)

    def loss(self, objective: Objective, network: Discriminator, real: Text, fake: Text) -> Tensor:
        """Compute the loss of a generator step."""
        returned = objective.generator_loss(self.generator, network, real, fake, 0.0)
        return without_state(returned)[0][0]

    def _sample(self, objective: Objective, real: Text) -> Text:
        with self.precisely():
            return objective.sample(self.generator, real, 0.0)

    def _update(self, objective: Objective, network: Discriminator, real: Text, fake: Text) -> None:
        self.rest()
        with self.precisely():
            loss = self.loss(objective, network, real, fake)
            loss.backward()
            trained: list[tuple[nn.Module, torch.optim.Optimizer]] = [
                (self.generator, self.optimiser)
            ]
            if objective.networks:
                trained.append((self.critic, self.critic_optimiser))
            for part, optimiser in trained:
                clipped_step(part, optimiser, loss, CLIP, wait=False)


@dataclass(frozen=True)
class PairSides:
    """Both sides, each with networks and optimisers of its own."""

    setting: PairSetting
    ours: PairOptimised
    textbook: PairTextbook

    @staticmethod
    def make(setting: PairSetting, device: torch.device, name: Precision = "float32") -> PairSides:
        """Make both sides with equal weights."""
        space = TextSpace(
            setting.vocabulary,
            setting.length,
            END,
            source=TextSpace(setting.source_vocabulary, setting.length, END),
        )
        size, embedding = setting.size, setting.discriminator_embedding
        generator = RNNSearchGenerator(space, embedding=size, hidden=size, attention=size)
        with torch.no_grad():  # the other logits are about zero
            generator.output.bias[END] = math.log(setting.vocabulary / (setting.mean - 1))
        cnn = PairCNNDiscriminator(space, embedding=embedding)
        hierarchical = HierarchicalDiscriminator(space)
        ours = PairOptimised(
            setting,
            generator.to(device),
            cnn.to(device),
            hierarchical.to(device),
            random_texts(setting.batch, space, setting.mean, device),
            name,
        )
        # moving the copies is what packs their recurrent weights for cuDNN
        textbook = PairTextbook(
            setting,
            copy.deepcopy(generator).to(device),
            copy.deepcopy(cnn).to(device),
            copy.deepcopy(hierarchical).to(device),
            copy.deepcopy(ours.critic).to(device),
        )
        return PairSides(setting, ours, textbook)

    def work(self, share: float, of_rollouts: float, parts: Sequence[str]) -> list[Work]:
        """Return the work of those of these parts that are here.

        share, of_rollouts: of the pairs and of the rollouts; one batch and one rollout at least.
        """
        ours, textbook = self.ours, self.textbook
        rollouts = max(1, round(self.setting.rollouts * of_rollouts))
        amounts = pair_amounts(self.setting, share)
        real = random_texts(
            amounts["pair_mle_epoch"], ours.generator.space, self.setting.mean, ours.device
        )
        batch, source = real[slice(self.setting.batch)], real.condition.require_source()
        every: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "pair_mle_epoch": (lambda: ours.mle_epoch(real), lambda: textbook.mle_epoch(real)),
            "translation": (lambda: ours.translate(source), lambda: textbook.translate(source)),
            "br_csgan_step": (
                lambda: ours.br_csgan_step(batch, rollouts),
                lambda: textbook.br_csgan_step(batch, rollouts),
            ),
            "regs_step": (
                lambda: ours.regs_step(batch, rollouts),
                lambda: textbook.regs_step(batch, rollouts),
            ),
        }
        return [
            Work(
                part,
                "sources",
                amounts[part],
                optimised,
                plainly(plain_work, ours.device),
                rest=ours.rest,
            )
            for part, (optimised, plain_work) in every.items()
            if part in parts
        ]


def random_texts(n: int, space: TextSpace, mean: int, device: torch.device) -> Text:
    """Make n texts of any words, each in answer to a source where the space has one, of lengths
    that are a Poisson's with this mean, from 1 to the longest."""
    means = torch.full((n,), float(mean), device=device)
    lengths = torch.poisson(means).clamp(1, space.length).long()
    tokens = torch.randint(END + 1, space.vocabulary, (n, space.length), device=device)
    tokens[torch.arange(n, device=device), lengths - 1] = END
    source = None if space.source is None else random_texts(n, space.source, mean, device)
    return replace(Text.ended(tokens, space), condition=Condition(source=source))
