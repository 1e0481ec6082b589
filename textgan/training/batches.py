"""The texts of every update of a run."""

from __future__ import annotations

import torch

from textgan.core.streams import Purpose, stream
from textgan.data.batches import Batches
from textgan.data.text import Text, class_rows
from textgan.training.run import Run
from textgan.training.schedule import pool_size


class TrainingBatches:
    """The texts of every update, as a function of its number: nothing here changes."""

    def __init__(self, run: Run, classes: int) -> None:
        self.train = run.corpus.train
        device = self.train.tokens.device
        schedule, seed, n = run.config.schedule, run.seed, len(self.train)
        size, half = schedule.batch_size, schedule.discriminator_texts // 2
        pool = pool_size(schedule, n)
        self.indices = {
            "mle": Batches(n, size, stream(Purpose.MLE_BATCHES, seed), device),
            "generator": Batches(n, size, stream(Purpose.GENERATOR_BATCHES, seed), device),
            "real": Batches(n, half, stream(Purpose.REAL_BATCHES, seed), device),
            "fake": Batches(pool, half, stream(Purpose.FAKE_BATCHES, seed), device),
            "turn": Batches(n, pool, stream(Purpose.TURN_BATCHES, seed), device),
        }
        # the rows of each class in the training text, and an endless order of them; a run of the
        # first version goes on without
        self.by_class = [
            (rows, Batches(len(rows), half, self.indices["real"].seed, device))
            for rows in class_rows(self.train, classes)
            if not run.old
        ]

    def real(self, kind: str, number: int) -> Text:
        """Return the training texts of the update of that kind and number."""
        return self.train[self.indices[kind][number]]

    def fake(self, fakes: Text, number: int) -> Text:
        """Return those of the turn's fakes that the discriminator's update of that number reads."""
        return fakes[self.indices["fake"][number]]

    def opposite(self, fake: Text, number: int, turn: int) -> Text:
        """Return the real texts of the discriminator's update of that number, of the fakes'
        classes, or with the fakes' sources.

        Methods compare the two text by text. A fake that answers a source, drawn in that turn, is
        beside the real answer. Else place i of the update is, for its class, the same place of an
        endless shuffled stream of the class's own texts.
        """
        if fake.source is not None:
            return self.real("turn", turn)[self.indices["fake"][number]]
        if fake.labels is None or not self.by_class:
            return self.real("real", number)
        chosen = torch.zeros_like(fake.labels)
        for label, (rows, batches) in enumerate(self.by_class):
            if len(rows):  # or no fake answers one of this class
                chosen = torch.where(fake.labels == label, rows[batches[number]], chosen)
        return self.train[chosen]
