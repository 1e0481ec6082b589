"""Which discriminators of pairs tell a text's own source from that of another text, and people's
texts from a run's.

python experiments/matching_pairs.py multi30k [--epochs 3] [--run runs/multi30k] [--pairs 8000]

Real texts with their sources against the same texts with each other's: neither side says by itself
which is which. With `--run` against what that run draws in answer to the same sources, once
for all epochs. Printed is the share of held-out pairs that are told right, 1/2 by chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from textgan.core import registry
from textgan.core.optim import dropout
from textgan.data.corpus import read_corpus
from textgan.data.settings import RunDataConfig
from textgan.data.text import Text, TextSpace, exchange_sources
from textgan.losses import logistic
from textgan.models.discriminators.base import Discriminator
from textgan.models.draw import draw_texts
from textgan.models.sampling import Categorical
from textgan.training.run import open_run


class Both(NamedTuple):
    """Real texts, and what they are to be told from; nothing: each other's sources."""

    real: Text
    fake: Text | None = None

    def batch(self, rows: Tensor) -> tuple[Text, Text]:
        real = self.real[rows]
        return real, exchange_sources(real) if self.fake is None else self.fake[rows]


WAYS: list[tuple[str, dict[str, Any]]] = [
    ("pair_cnn", {"match": 0}),
    ("pair_cnn", {}),
    ("pair_rnn", {}),
    ("pair_grid", {}),
    ("hierarchical", {}),
]


@torch.no_grad()
def right(network: Discriminator, real: Text, fake: Text) -> float:
    """The share of the pairs that are told right."""
    own, other = network(real), network(fake)
    return float(torch.cat([own > 0, other < 0]).double().mean())


def trained(
    name: str, settings: dict[str, Any], space: TextSpace, train: Both, held_out: Both, epochs: int
) -> list[float]:
    """The share after each epoch of a discriminator, at Adam's usual rate."""
    torch.manual_seed(0)
    network: Discriminator = registry.build("discriminator", name, settings, space).eval()
    optimiser = torch.optim.Adam(network.parameters())
    shares = []
    for _ in range(epochs):
        for rows in torch.randperm(len(train.real)).split(64):
            with dropout(network):
                loss = logistic(*network.score_pair(*train.batch(rows)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        shares.append(right(network, *held_out.batch(torch.arange(len(held_out.real)))))
    return shares


def main() -> None:
    """Print a row for each discriminator."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--run", type=Path, help="of multi30k.toml")
    parser.add_argument("--pairs", type=int, help="of training, at most")
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.run:
        run = open_run(args.run, "cpu")
        corpus, generator = run.corpus, run.load_generator()
    else:
        files = {"file": "train.en", "source": "train.de", "valid_file": "val.en"}
        files |= {"valid_source": "val.de", "test_file": "test_2016_flickr.en"}
        files |= {"test_source": "test_2016_flickr.de"}
        paths = {key: str(args.folder / name) for key, name in files.items()}
        corpus = read_corpus(RunDataConfig(**paths, min_count=2, length=25))

    def both(text: Text) -> Both:
        text = text[torch.randperm(len(text))[: args.pairs]]
        if args.run is None:
            return Both(text)
        return Both(text, draw_texts(generator, len(text), Categorical(), text.condition))

    train, held_out = both(corpus.train), both(corpus.valid)
    for name, settings in WAYS:
        shares = trained(name, settings, corpus.space, train, held_out, args.epochs)
        print(
            f"{name} {settings or ''}".ljust(24), *(f"{share:.3f}" for share in shares), flush=True
        )


if __name__ == "__main__":
    main()
