"""Parts as somebody wrote them for version 0.1, by its paths and its names."""

from dataclasses import dataclass

import torch
from torch import nn

from textgan import losses
from textgan.backward import computed
from textgan.discriminators.base import Discriminator
from textgan.generators.base import TokenEmbedding
from textgan.generators.recurrent import LSTMGenerator
from textgan.losses import leave_one_out, logistic
from textgan.objectives.base import Objective
from textgan.perturb.base import Passes, Perturbation
from textgan.rollout import rollout_values
from textgan.sampling import Categorical, seeded
from textgan.text import Text


@dataclass(kw_only=True)
class Method(Objective):
    """Rollouts, weighed by the mean length of the fakes before, and a bound on the weights."""

    rollouts: int = 2

    def prepare(self, generator, discriminator, train):
        self.memory.setdefault("length", train.sizes.double().mean().float())

    @torch.no_grad()
    def sample(self, generator, real, progress):
        return generator.sample(len(real), choose=Categorical(1.0), labels=real.labels)

    def discriminator_loss(self, discriminator, real, fake):
        return logistic(*discriminator.judge(real, fake)), {}

    def generator_loss(self, generator, discriminator, real, fake, progress):
        def reward(text: Text, origin):
            return discriminator.opinions(text).mean(1).sigmoid()

        values = rollout_values(generator, fake, reward, self.rollouts)
        weights = leave_one_out(values, fake.mask) * self.memory["length"]
        loss = losses.policy_gradient(generator.log_prob(fake), weights, fake.mask, "mean_sentence")
        return loss, {"reward": values[fake.mask].mean()}

    def remember(self, fake):
        with seeded(1, torch.device("cpu")):
            self.memory["length"] = fake.sizes.double().mean().float() + 0.01 * torch.rand(())

    def constrain(self, discriminator):
        for weight in discriminator.parameters():
            weight.data.clamp_(-2, 2)


class Writer(LSTMGenerator):
    """An LSTM of one's own."""


class Reader(Discriminator):
    """Means of embeddings, whose scores of real and fake texts are taken apart."""

    def __init__(self, space, *, embedding: int = 4):
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, embedding)
        self.dropout = nn.Dropout(0.1)
        self.output = nn.Linear(embedding, space.classes or 1)

    def features(self, text):
        vectors = self.embedding(text.symbols) * text.mask[:, :, None]
        return vectors.sum(1) / text.sizes[:, None]

    def judge(self, real, fake):
        return self(real), self(fake)


@dataclass(kw_only=True)
class Push(Perturbation):
    """The loss, and the loss a little way along its gradient."""

    epsilon: float = 0.1

    def __call__(self, network, loss, outputs=None, scale=1.0, /):
        passes = Passes(network, self)
        with passes.at(None) as here:
            value, metrics = computed(loss)
            slopes = here.accumulate(value * scale)
        with passes.at([self.epsilon * passes.place.direction(slope) for slope in slopes]) as here:
            shifted, _ = computed(loss)
            here.accumulate(shifted * scale)
        return value.detach(), metrics | {"pushed": shifted.detach()}
