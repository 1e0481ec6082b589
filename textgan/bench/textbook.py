"""The textbook implementation: the same work as one writes it first, always in float32.

Sentences are sampled a batch at a time with `torch.multinomial`, every prefix of every rollout
starts again from the empty sentence and is scored when its batch is finished, real and fake
sentences go through the discriminator one after the other, which is torch's convolutions and
linear layers, and Adam has its default settings. It has the weights of the same networks, so that
both sides do the same work; tests/bench/test_parts.py shows that they agree.

Its BLEU is nltk's, which reads all references again for each text and would take hours: it scores
a few texts, and its seconds are multiplied to those of all.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.bench.setting import CLIP, DISCRIMINATOR_RATE, GENERATOR_RATE, ORDERS
from textgan.data.text import Text
from textgan.models.discriminators.base import Highway
from textgan.models.discriminators.cnn import CNNDiscriminator
from textgan.models.discriminators.convolution import filters_of
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.objectives.seqgan import SeqGAN


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
        """Complete each prefix (B, t), read again from its beginning, to a sentence (B, T)."""
        state = self.generator.start(len(prefix))
        symbol = prefix.new_full((len(prefix),), self.generator.space.bos)
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
        """Draw n sentences (n, T), a batch at a time."""
        device = self.generator.embedding.weight.device
        empty = torch.empty(n, 0, dtype=torch.long, device=device)
        return torch.cat([self.complete(part) for part in empty.split(self.batch)])

    def score_of(self, tokens: Tensor) -> Tensor:
        """The discriminator's score of each sentence, (B,)."""
        network = self.discriminator
        vectors = network.embedding(tokens).transpose(1, 2)
        pooled = torch.cat(
            [F.relu(layer(vectors)).amax(2) for layer in filters_of(network.convolutions)], 1
        )
        if isinstance(network.highway, Highway):
            pooled = through_highway(network.highway, pooled)
        scores: Tensor = network.output(network.dropout(pooled))
        return scores.squeeze(1)

    @torch.no_grad()
    def reward(self, tokens: Tensor) -> Tensor:
        """Return the probability (B,) that each sentence is real."""
        self.discriminator.eval()
        return self.score_of(tokens).sigmoid()

    def score(self, tokens: Tensor) -> Tensor:
        """Compute the rewards (R,) of many texts, a batch at a time."""
        return torch.cat([self.reward(part) for part in tokens.split(self.batch)])

    def completions(self, tokens: Tensor, rollouts: int) -> Iterator[tuple[int, Tensor]]:
        """Yield the number of tokens kept and all sentences (B, T) completed after them, for one
        prefix length after another, as often as there are rollouts."""
        for _ in range(rollouts):
            for kept in range(1, tokens.shape[1]):
                yield kept, self.complete(tokens[:, :kept])

    def values(self, tokens: Tensor, rollouts: int) -> Tensor:
        """Compute the mean reward (B, T) of each prefix's completions."""
        values = torch.zeros(tokens.shape, device=tokens.device)
        for kept, finished in self.completions(tokens, rollouts):
            values[:, kept - 1] += self.reward(finished) / rollouts
        values[:, -1] = self.reward(tokens)
        return values

    def generator_step(self, rollouts: int) -> None:
        """Draw a batch and update the generator on it."""
        self.generator_update(self.sample(self.batch), rollouts)

    def generator_update(self, fake: Tensor, rollouts: int) -> None:
        """Update the generator on these texts, each prefix worth what its rollouts earn."""
        self.policy_update(fake, self.values(fake, rollouts))

    def policy_update(self, fake: Tensor, values: Tensor) -> None:
        """Update the generator on these texts, whose prefixes are worth these values (B, T)."""
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
            real_score = self.score_of(real_part)
            fake_score = self.score_of(fake_part)
            real_loss = F.binary_cross_entropy_with_logits(real_score, torch.ones_like(real_score))
            fake_loss = F.binary_cross_entropy_with_logits(fake_score, torch.zeros_like(fake_score))
            penalty = (output.weight.square().sum() + output.bias.square().sum()) / 4
            loss = (real_loss + fake_loss) / 2 + l2 * penalty
            self._descend(loss, self.discriminator, self.discriminator_optimiser, 0)

    def evaluate(
        self, oracle: LSTMGenerator, valid: Tensor, test: Tensor, n: int
    ) -> dict[str, float]:
        """Draw n texts with the generator and measure them."""
        return self.figures(self.sample(n), oracle, valid, test)

    def figures(
        self, drawn: Tensor, oracle: LSTMGenerator, valid: Tensor, test: Tensor
    ) -> dict[str, float]:
        """Measure the nats per token of the texts under the oracle and under their generator, and
        of real ones under the generator; how many of the texts differ; their mean length."""
        return {
            "nll_oracle": self.nll(oracle, drawn),
            "nll_test": self.nll(self.generator, test),
            "nll_valid": self.nll(self.generator, valid),
            "entropy": self.nll(self.generator, drawn),
            "unique": len(set(map(tuple, drawn.tolist()))) / len(drawn),
            "length": float(drawn.shape[1]),
        }

    @torch.no_grad()
    def nll(self, model: LSTMGenerator, tokens: Tensor) -> float:
        """Compute the nats per token of texts (N, T), a batch at a time."""
        total = 0.0
        for part in tokens.split(self.batch):
            log_prob = model(Text.full(part)).log_softmax(2)
            total -= float(log_prob.gather(2, part.unsqueeze(2)).sum())
        return total / tokens.numel()

    def bleu(self, texts: Tensor, references: Tensor) -> Tensor:
        """Compute the mean BLEU of texts (B, T) for each of `ORDERS`."""
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


def through_highway(highway: Highway, features: Tensor) -> Tensor:
    """Map features (B, F) by a highway layer."""
    both = highway.both
    candidate, gate = F.linear(features, both.weight, both.bias).chunk(2, 1)
    share = gate.sigmoid()
    return share * candidate.relu() + (1 - share) * features
