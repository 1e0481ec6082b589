"""Files of parts of one's own, as text."""

import json
from pathlib import Path
from textwrap import dedent, indent
from typing import Protocol

from toys import TOY

# settings of a short run, as keywords and as arguments of a command
SHORT = {key: value for key, value in TOY.items() if not key.startswith("objective.")}
ONE = [f"{key}={json.dumps(value)}" for key, value in SHORT.items()]

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from torch import nn
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.embedding import TokenEmbedding
from textgan.losses import logistic, policy_gradient
from textgan.metrics.base import Metric
from textgan.objectives.base import Objective
from textgan.perturb.base import Perturbation
"""


METHOD = """
@dataclass(kw_only=True)
class Mine(Objective):
    scale: float = 1.0

    def sample(self, generator, real, progress):
        return generator.sample(len(real), condition=real.condition)

    def discriminator_loss(self, discriminator, real, fake):
        return logistic(*discriminator.score_pair(real, fake)), {}

    def generator_loss(self, generator, discriminator, real, fake, progress):
        reward = self.scale * discriminator(fake).sigmoid()[:, None].expand_as(fake.tokens)
        value = policy_gradient(generator.log_prob(fake), reward, fake.mask, "sum")
        return value, {"reward": reward.detach().mean()}
"""


NETWORKS = """
class Window(AutoregressiveGenerator):
    def __init__(self, space, *, hidden: int = 4):
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, hidden)
        self.output = nn.Linear(hidden, space.vocabulary)

    def start(self, n, condition):
        from textgan.models.generators.base import State
        return State((torch.zeros(n, 1),))

    def read(self, symbol, state):
        return self.embedding(symbol), state

    def logits(self, hidden):
        return self.output(hidden)

    def forward(self, text):
        from textgan.models.generators.base import read_before
        return self.output(self.embedding(read_before(text, self.space)))

class Bag(Discriminator):
    def __init__(self, space, *, size: int = 4):
        super().__init__(space)
        self.embedding = TokenEmbedding(space.vocabulary, size)
        self.dropout = nn.Dropout(0.1)
        self.output = nn.Linear(size, max(1, space.classes))

    def features(self, text):
        return self.embedding(text.inputs).mean(1)
"""


class WritePart(Protocol):
    """Writes a file of one's own to the working directory: `base`, whose last class has `body`."""

    def __call__(self, body: str, base: str = METHOD, name: str = "mine.py") -> None: ...


def write_part(body: str, base: str = METHOD, name: str = "mine.py") -> None:
    """See `WritePart`."""
    # the class's last lines win, so that a case is the one function that is wrong
    Path(name).write_text(HEAD + base + indent(dedent(body), "    "))
