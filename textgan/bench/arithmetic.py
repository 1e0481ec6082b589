"""The least arithmetic of each part, in closed form.

Counted are the multiplications and additions of matrix products (2 for each pair of numbers that
meet): the LSTM's, the output layer's, the convolutions', the highway layer's. A forward pass counts
once, one with its backward pass three times. Element-wise work, sums, the exponentials of softmax
and the optimisers are not counted. It is the plain count: each window of each text is convolved,
and whoever finds a way around that (tables of what each word contributes to a filter, prefixes that
texts share) does less, and may then seem faster than any matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

from textgan.bench.setting import BenchSetting

BACKWARD = 3  # a forward pass, and as much again for either factor of each product


@dataclass(frozen=True)
class Arithmetic:
    """FLOP of each part in a setting.

    discriminator_embedding: the size of its token vectors. filters: (size, number) of its
    convolutions; it has a highway layer and one output.
    """

    setting: BenchSetting
    discriminator_embedding: int
    filters: tuple[tuple[int, int], ...]

    @property
    def read(self) -> int:
        """One token read by the LSTM: four gates from the token's vector and the state."""
        return 2 * 4 * self.setting.hidden * (self.setting.embedding + self.setting.hidden)

    @property
    def token(self) -> int:
        """One token read, and the logits of the next."""
        return self.read + 2 * self.setting.hidden * self.setting.vocabulary

    @property
    def score(self) -> int:
        """One text scored: every window under every filter, the highway layer, the score."""
        length, features = self.setting.length, sum(count for _, count in self.filters)
        windows = sum((length - size + 1) * size * count for size, count in self.filters)
        return 2 * (windows * self.discriminator_embedding + features * 2 * features + features)

    @property
    def completions(self) -> int:
        """The proper prefixes of a batch: how many texts one rollout of each of them finishes."""
        return self.setting.batch * (self.setting.length - 1)

    def sampling(self, sentences: int) -> int:
        """Count the FLOP of drawing every token of the sentences once."""
        return sentences * self.setting.length * self.token

    def rollouts(self, n: int) -> int:
        """Count T (T - 1) / 2 tokens a sentence and rollout, after reading each sentence once."""
        batch, length = self.setting.batch, self.setting.length
        return batch * (length - 1) * (self.read + n * length * self.token // 2)

    def scoring(self, n: int) -> int:
        """Count the FLOP of scoring every completion."""
        return n * self.completions * self.score

    def policy_update(self) -> int:
        """Count the FLOP of the likelihood of a batch, forward and backward."""
        return BACKWARD * self.sampling(self.setting.batch)

    def generator_step(self, n: int) -> int:
        """Count the FLOP of drawing a batch and its rollouts, of scoring all of these texts, and of
        the update."""
        batch = self.setting.batch
        scored = self.scoring(n) + batch * self.score
        return self.sampling(batch) + self.rollouts(n) + scored + self.policy_update()

    def mle_epoch(self, sentences: int) -> int:
        """Count the FLOP of the likelihood of every sentence, forward and backward."""
        return BACKWARD * self.sampling(sentences)

    def discriminator_epoch(self, sentences: int) -> int:
        """Count the FLOP of scoring as many real as fake texts, forward and backward."""
        return BACKWARD * 2 * sentences * self.score

    def evaluation(self, sentences: int) -> int:
        """Count the FLOP of drawing texts, and of reading four sets of as many texts with all
        logits: the texts by the oracle and by the generator, validation and test text by the
        generator."""
        return 5 * self.sampling(sentences)
