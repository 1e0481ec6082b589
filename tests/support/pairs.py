"""All answers to two sources, a table of their scores, and what is exactly true of them."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from answers import ANSWERS, all_answers, sources
from dialogues import QUESTIONS, tsv
from torch import Tensor, nn
from toys import TOY, small_parts
from worlds import enumerate_texts, gradient, log_probs, texts_of

from textgan.contracts.worlds import begin, steps_of, train
from textgan.core.distributed import Group
from textgan.core.optim import Loss
from textgan.data.text import Condition, Text
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.rollout import Reward
from textgan.objectives.base import Objective, without_state
from textgan.training.config import make_config
from textgan.training.run import Run, create_run
from textgan.training.shards import Shard, accumulate

SOURCES = (0, 1)
N = len(enumerate_texts(ANSWERS))
RADIX = ANSWERS.vocabulary ** torch.arange(ANSWERS.length)


def references() -> Text:
    """What a human answers to each of the two sources."""
    texts = texts_of(ANSWERS, [(0, 1, 4), (1, 1, 0)])
    return replace(texts, condition=Condition(source=sources()))


def which(text: Text) -> Tensor:
    """Which of the two sources each text answers."""
    assert text.source is not None
    return (text.source.tokens[:, 0] == 3).long()


class PairTable(Discriminator):
    """A discriminator whose score of each text in answer to each source is given, (2, texts)."""

    reads_source = True

    def __init__(self, scores: Tensor) -> None:
        super().__init__(ANSWERS)
        codes = enumerate_texts(ANSWERS).tokens @ RADIX
        table = torch.full((2, ANSWERS.vocabulary**ANSWERS.length), torch.nan, dtype=torch.float64)
        table[:, codes] = scores
        self.table = nn.Parameter(table)
        self.seen: list[Text] = []

    def features(self, text: Text) -> Tensor:
        raise NotImplementedError

    def forward(self, text: Text) -> Tensor:
        self.seen.append(text)
        wide = text if text.tokens.shape[1] >= 3 else text.pad_to(3, ANSWERS.pad)
        return self.table[which(text), wide.tokens[:, :3] @ RADIX]


def random_scores(seed: int = 5) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, N, generator=random, dtype=torch.float64)


def exact_rollouts(
    generator: AutoregressiveGenerator, fake: Text, reward: Reward, n: int, chunk: int = 0
) -> Tensor:
    """In place of `rollout_values`: what it comes to with infinitely many completions."""
    values = torch.zeros(fake.tokens.shape, dtype=torch.float64)
    for sentence, source in enumerate(which(fake).tolist()):
        texts = all_answers(source)
        log_prob = type(generator).log_prob(generator, texts).detach()  # a test may have its own
        chances = (log_prob * texts.mask).sum(1).exp()
        with torch.no_grad():
            rewards = reward(texts, torch.full((len(texts),), sentence))
        for t in range(int(fake.lengths[sentence])):
            begun = (texts.tokens[:, : t + 1] == fake.tokens[sentence, : t + 1]).all(1)
            weights = chances * begun
            values[sentence, t] = (weights * rewards).sum() / weights.sum()
    return values


def expected(
    objective: Objective, generator: AutoregressiveGenerator, judge: Discriminator | None
) -> Tensor:
    """The expected gradient of the loss of one text, added up over the two sources."""
    total = torch.zeros((), dtype=torch.float64)
    for source in SOURCES:
        texts, real = all_answers(source), references()[source : source + 1]
        for i, chance in enumerate(log_probs(generator, texts).detach().exp()):
            fake = texts[i : i + 1]
            loss = objective.generator_loss(generator, judge, real, fake, 0.0)  # type: ignore[arg-type]
            total = total + chance * loss[0]
    return gradient(total, generator)


def climbed(generator: AutoregressiveGenerator, rewards: Tensor) -> Tensor:
    """The gradient of the expected reward (2, texts), added up over the two sources."""
    total = torch.zeros((), dtype=torch.float64)
    for source in SOURCES:
        chances = log_probs(generator, all_answers(source)).exp()
        total = total + (chances * rewards[source]).sum()
    return gradient(total, generator)


def in_shards(
    objective: Objective,
    generator: AutoregressiveGenerator,
    judge: Discriminator | None,
    real: Text,
    fake: Text,
    parts: int,
) -> Tensor:
    """The gradient of the generator's loss over so many equal shards of a batch."""

    def loss(part: slice) -> Loss:
        given = (generator, judge, real[part], fake[part], 0.0)
        return without_state(objective.generator_loss(*given))[0]  # type: ignore[arg-type]

    size = len(real) // parts
    slices = [slice(i * size, (i + 1) * size) for i in range(parts)]
    shards = [Shard(partial(loss, part), fake[part]) for part in slices]
    generator.zero_grad()
    accumulate(generator, shards, range(parts), objective.reduction, Group())
    gradients = [weight.grad for weight in generator.parameters()]
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


def translating(name: str, folder: Path, **settings: Any) -> Run:
    """A run of a second on 36 pairs, not yet trained."""
    kept = ("seed", "schedule.", "evaluation.")
    told = {key: value for key, value in TOY.items() if key.startswith(kept)} | small_parts(name)
    told |= {"data.pairs": str(tsv(folder, QUESTIONS)), "data.min_count": 1}
    told |= {"schedule.fakes": 8, "schedule.mle_weight": 1.0}
    return create_run(make_config(name, told | settings), folder / f"run-{len(os.listdir(folder))}")


def assert_resumes_after_every_step(name: str, folder: Path, **settings: Any) -> None:
    """A run that is saved, and goes on from what was saved, after every step ends in the same bits
    as one that was not."""
    whole, killed = (translating(name, folder, **settings) for _ in range(2))
    stops = range(1, len(steps_of(killed, begin(killed))))
    assert train(whole).read_bytes() == train(killed, stops).read_bytes()
