"""The textbook implementation of conditional generation, in float32.

RNNSearch is written as its equations are, with torch's GRU cell and one step for each token, in
teacher forcing as in sampling; its context is multiplied by its weights at every step. A completion
starts from its source, which is read again for each prefix of each rollout, and is scored when its
batch is finished, by torch's convolutions and LSTMs, which read the source again for every text,
and by BLEU from counted n-grams, one sentence after another.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from textgan.bench.setting import CLIP, END, PAIR_RATE, PairSetting
from textgan.bench.textbook import through_highway
from textgan.data.text import Text
from textgan.models.discriminators.convolution import filters_of
from textgan.models.discriminators.hierarchical import HierarchicalDiscriminator
from textgan.models.discriminators.pair_cnn import PairCNNDiscriminator
from textgan.models.generators.attention import RNNSearchGenerator
from textgan.objectives.br_csgan import BRCSGAN

Choose = Callable[[Tensor, int], Tensor]
"""A token (B,) for each text, of logits (B, V) at a position."""


class RNNSearch:
    """The equations of RNNSearch (see models/generators/attention.py) with a generator's weights.

    Shapes: B texts, S positions of a source, T positions of a text, H hidden.
    """

    def __init__(self, generator: RNNSearchGenerator) -> None:
        self.generator = generator
        attention, gates, output = generator.sizes
        self.key, self.context_gates, self.context_output = generator.of_memory.weight.split(
            generator.sizes
        )
        of_word = generator.of_word
        self.word_gates, self.word_output = of_word.weight.split([gates, output])
        self.word_bias, self.output_bias = of_word.bias.split([gates, output])
        of_middle = generator.of_middle
        self.query, self.middle_gates = of_middle.weight.split([attention, gates])
        self.query_bias, self.middle_bias = of_middle.bias.split([attention, gates])
        self.no_bias = torch.zeros_like(self.middle_bias)

    def start(self, source: Text) -> tuple[Tensor, Tensor, Tensor]:
        """Read a source: the first state (B, H), the memory (B, S, 2 H), the keys (B, S, A)."""
        generator = self.generator
        vectors = generator.source_embedding(source.tokens)
        packed = pack_padded_sequence(vectors, source.lengths.cpu(), True, False)
        memory, _ = pad_packed_sequence(
            generator.encoder(packed)[0], True, total_length=vectors.shape[1]
        )
        mean = memory.sum(1) / source.lengths.unsqueeze(1)
        first = F.linear(mean, generator.initial.weight, generator.initial.bias).tanh()
        return first, memory, F.linear(memory, self.key)

    def step(
        self, symbol: Tensor, state: Tensor, memory: Tensor, key: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Read a symbol (B,): the logits (B, V) of the next, and the state after it."""
        generator = self.generator
        word = generator.embedding(symbol)
        middle = torch.gru_cell(
            word, state, self.word_gates, generator.of_state.weight, self.word_bias, self.no_bias
        )
        query = F.linear(middle, self.query, self.query_bias)
        score = (query.unsqueeze(1) + key).tanh() @ generator.alignment
        weights = score.masked_fill(~mask, -torch.inf).softmax(1)
        context = (weights.unsqueeze(1) @ memory).squeeze(1)
        after = torch.gru_cell(
            context, middle, self.context_gates, self.middle_gates, self.no_bias, self.middle_bias
        )
        hidden = (
            F.linear(after, generator.of_new_state.weight)
            + F.linear(word, self.word_output, self.output_bias)
            + F.linear(context, self.context_output)
        ).tanh()
        logits = F.linear(hidden, generator.output.weight, generator.output.bias)
        return logits + generator.forbidden, after

    def log_prob(self, text: Text) -> Tensor:
        """Compute the log-probability (B, T) of each token of texts, whose padding counts too."""
        source = text.condition.require_source()
        state, memory, key = self.start(source)
        symbol = torch.full_like(text.lengths, self.generator.space.bos)
        written = []
        for following in text.tokens.unbind(1):
            logits, state = self.step(symbol, state, memory, key, source.mask)
            chosen = logits.log_softmax(1).gather(1, following.unsqueeze(1))
            written.append(chosen.squeeze(1))
            symbol = following
        return torch.stack(written, 1)

    def write(self, source: Text, prefix: Tensor, choose: Choose) -> Text:
        """Complete each prefix (B, t), read from its beginning, to an answer to its source."""
        space = self.generator.space
        state, memory, key = self.start(source)
        symbol = torch.full_like(source.lengths, space.bos)
        ended = torch.zeros_like(symbol, dtype=torch.bool)
        written = []
        for position in range(space.length):
            logits, state = self.step(symbol, state, memory, key, source.mask)
            given = position < prefix.shape[1]
            symbol = prefix[:, position] if given else choose(logits, position)
            symbol = symbol.masked_fill(ended, space.pad)
            written.append(symbol)
            ended = ended | (symbol == space.eos)
            if ended.all():
                break
        text = Text.ended(torch.stack(written, 1), space)
        return replace(text, condition=replace(text.condition, source=source))


def draw(logits: Tensor, position: int) -> Tensor:
    """Draw a token of each row."""
    return torch.multinomial(logits.softmax(1), 1).squeeze(1)


class PairTextbook:
    """The same work as one writes it first. Texts come with their sources."""

    def __init__(
        self,
        setting: PairSetting,
        generator: RNNSearchGenerator,
        cnn: PairCNNDiscriminator,
        hierarchical: HierarchicalDiscriminator,
        critic: HierarchicalDiscriminator,
    ) -> None:
        self.setting, self.generator = setting, generator
        self.cnn, self.hierarchical, self.critic = cnn, hierarchical, critic
        self.optimiser = torch.optim.Adam(generator.parameters(), lr=PAIR_RATE)
        self.critic_optimiser = torch.optim.Adam(critic.parameters(), lr=PAIR_RATE)

    def mle_epoch(self, real: Text) -> None:
        """Maximise the likelihood of every text once."""
        for part in real.split(self.setting.batch):
            log_prob = RNNSearch(self.generator).log_prob(part)
            self._descend(-log_prob[part.mask].mean())

    @torch.no_grad()
    def translate(self, source: Text) -> Text:
        """Decode greedily, a batch at a time."""
        least, eos = self.setting.mean, self.generator.space.eos

        def choose(logits: Tensor, position: int) -> Tensor:
            if position + 1 < least:
                logits[:, eos] = -torch.inf
            return logits.argmax(1)

        model, batch = RNNSearch(self.generator), self.setting.batch
        texts = [
            model.write(part, part.tokens[:, :0], choose).pad_to(self.setting.length)
            for part in source.split(batch)
        ]
        return Text.ended(torch.cat([text.tokens for text in texts]), self.generator.space)

    def br_csgan_step(self, real: Text, rollouts: int) -> None:
        """Draw an answer to each source and update the generator on them."""
        self.br_csgan_update(self._sample(real), real, rollouts)

    def br_csgan_update(self, fake: Text, real: Text, rollouts: int) -> None:
        """Update the generator on these answers, rewarded by the discriminator and BLEU."""
        objective = BRCSGAN()
        references = _words(real)

        def reward(text: Text) -> Tensor:
            of_network = self.cnn_score(text).sigmoid() - objective.baseline
            scores = map(add_one_bleu, _words(text), references)
            of_bleu = torch.tensor([*scores], device=of_network.device)
            share = objective.bleu_share
            return (1 - share) * of_network + share * of_bleu

        values, mask = self.values(fake, rollouts, reward), fake.mask.float()
        others = (values.sum(0) - values) / (mask.sum(0) - mask).clamp(min=1)
        advantages = (values - others) * mask
        advantages = advantages / (advantages.square().sum() / mask.sum()).sqrt()
        self._descend(self._policy_loss(fake, advantages))

    def regs_step(self, real: Text, rollouts: int) -> None:
        """Draw an answer to each source and update the generator and the critic on them."""
        self.regs_update(self._sample(real), rollouts)

    def regs_update(self, fake: Text, rollouts: int) -> None:
        """Update the generator and the critic on these answers, rewarded by the discriminator."""

        def reward(text: Text) -> Tensor:
            return self.hierarchical_score(self.hierarchical, text).sigmoid()

        values, mask = self.values(fake, rollouts, reward), fake.mask.float()
        errors = (values - self.expected(fake)) * mask
        advantages = errors.detach()
        advantages = advantages / (advantages.square().sum() / mask.sum()).sqrt()
        self.critic_optimiser.zero_grad()
        (errors.square().sum() / len(fake)).backward()
        nn.utils.clip_grad_norm_(self.critic.parameters(), CLIP)
        self._descend(self._policy_loss(fake, advantages))
        self.critic_optimiser.step()

    @torch.no_grad()
    def values(self, fake: Text, rollouts: int, reward: Callable[[Text], Tensor]) -> Tensor:
        """Compute the mean reward (B, T) of each prefix's completions."""
        source = fake.condition.require_source()
        values = torch.zeros(fake.tokens.shape, device=fake.tokens.device)
        for _ in range(rollouts):
            for kept in range(1, fake.tokens.shape[1]):
                finished = RNNSearch(self.generator).write(source, fake.tokens[:, :kept], draw)
                values[:, kept - 1] += reward(finished) / rollouts
        values[torch.arange(len(fake)), fake.lengths - 1] = reward(fake)
        return values * fake.mask

    def cnn_score(self, text: Text) -> Tensor:
        """The score (B,) of each text and its source by convolutions."""
        network = self.cnn
        sides = [
            _pooled(network.embedding(text.tokens), text, network.target.convolutions),
            _pooled(
                network.source_words(text.condition.require_source().tokens),
                text.condition.require_source(),
                network.source.convolutions,
            ),
        ]
        target = through_highway(network.target.highway, sides[0])
        source = through_highway(network.source.highway, sides[1])
        left, right = (
            F.linear(side, layer.weight, layer.bias)
            for side, layer in ((target, network.of_target), (source, network.of_source))
        )
        scores: Tensor = network.output(torch.cat([target, source, left * right], 1))
        return scores.squeeze(1)

    def hierarchical_score(self, network: HierarchicalDiscriminator, text: Text) -> Tensor:
        """The score (B,) of each text and its source by LSTMs."""
        words, _ = network.words(network.embedding(text.tokens))
        scores: Tensor = network.output(self._after_source(network, text, _last(words, text)))
        return scores.squeeze(1)

    def expected(self, text: Text) -> Tensor:
        """The critic's value (B, T) of each prefix, before its next token is known."""
        network = self.critic
        begin = torch.full_like(text.tokens[:, :1], self.generator.space.bos)
        before = torch.cat([begin, text.tokens[:, :-1]], 1)
        words, _ = network.words(network.embedding(before))
        scores = [
            network.output(self._after_source(network, text, state)).squeeze(1)
            for state in words.unbind(1)
        ]
        return torch.stack(scores, 1)

    def _after_source(
        self, network: HierarchicalDiscriminator, text: Text, state: Tensor
    ) -> Tensor:
        """The state (B, H) of the utterance LSTM after the source and one utterance (B, H)."""
        source = text.condition.require_source()
        words, _ = network.words(network.source_words(source.tokens))
        both = torch.stack([_last(words, source), state], 1)
        utterances: Tensor = network.utterances(both)[0]
        return utterances[:, 1]

    @torch.no_grad()
    def _sample(self, real: Text) -> Text:
        source = real.condition.require_source()
        return RNNSearch(self.generator).write(source, real.tokens[:, :0], draw)

    def _policy_loss(self, fake: Text, advantages: Tensor) -> Tensor:
        log_prob = RNNSearch(self.generator).log_prob(fake)
        return -(log_prob * advantages)[fake.mask].sum() / len(fake)

    def _descend(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.generator.parameters(), CLIP)
        self.optimiser.step()


def add_one_bleu(words: Sequence[int], reference: Sequence[int], order: int = 4) -> float:
    """The sentence BLEU of words, with one matching n-gram more of every order but the first."""
    total = 0.0
    for n in range(1, order + 1):
        seen, known = (
            Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in (words, reference)
        )
        more = n > 1
        matches = (seen & known).total() + more
        if not matches:
            return 0.0
        total += math.log(matches / max(1, seen.total() + more)) / order
    return math.exp(total + min(0.0, 1 - len(reference) / max(1, len(words))))


def _words(text: Text) -> list[list[int]]:
    """The words of each text, its end token left out."""
    pairs = zip(text.tokens.tolist(), text.lengths.tolist(), strict=True)
    texts = [tokens[:length] for tokens, length in pairs]
    return [tokens[:-1] if tokens[-1] == END else tokens for tokens in texts]


def _pooled(vectors: Tensor, text: Text, convolutions: nn.ModuleList) -> Tensor:
    """The largest value (B, F) of each filter within each text, of vectors (B, T, E)."""
    vectors = (vectors * text.mask.unsqueeze(2)).transpose(1, 2)
    filters = filters_of(convolutions)
    longest = max(layer.kernel_size[0] for layer in filters)
    vectors = F.pad(vectors, (0, max(0, longest - vectors.shape[2])))
    pooled = []
    for layer in filters:
        values = F.relu(layer(vectors))
        last = (text.lengths - layer.kernel_size[0]).clamp(min=0)
        outside = torch.arange(values.shape[2], device=last.device) > last.unsqueeze(1)
        pooled.append(values.masked_fill(outside.unsqueeze(1), 0).amax(2))
    return torch.cat(pooled, 1)


def _last(states: Tensor, text: Text) -> Tensor:
    """The state (B, H) at the last token of each text, of states (B, T, H)."""
    return states[torch.arange(len(text), device=states.device), text.lengths - 1]
