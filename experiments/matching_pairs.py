"""Which discriminators of pairs tell a text's own source from that of another text.

python experiments/matching_pairs.py multi30k [epochs]

Real texts with their sources against the same texts with each other's: neither side says by itself
which is which. Printed is the share of held-out pairs that are told right, 1/2 by chance.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from textgan.core import registry
from textgan.core.optim import dropout
from textgan.data.corpus import Corpus, read_corpus
from textgan.data.settings import RunDataConfig
from textgan.data.text import Text, exchange_sources
from textgan.losses import logistic
from textgan.models.discriminators.base import Discriminator

WAYS: list[tuple[str, dict[str, Any]]] = [
    ("pair_cnn", {"match": 0}),
    ("pair_cnn", {}),
    ("pair_rnn", {}),
    ("pair_grid", {}),
    ("hierarchical", {}),
]


def mixed(text: Text) -> Text:
    """The texts in another order."""
    return text[torch.randperm(len(text))]


@torch.no_grad()
def right(network: Discriminator, text: Text) -> float:
    """The share of the pairs, own and another's, that are told right."""
    own, other = network(text), network(exchange_sources(text))
    return float(torch.cat([own > 0, other < 0]).double().mean())


def trained(name: str, settings: dict[str, Any], corpus: Corpus, epochs: int) -> list[float]:
    """The share after each epoch of a discriminator, at Adam's usual rate."""
    torch.manual_seed(0)
    network: Discriminator = registry.build("discriminator", name, settings, corpus.space).eval()
    optimiser = torch.optim.Adam(network.parameters())
    held_out, shares = mixed(corpus.valid), []
    for _ in range(epochs):
        for batch in mixed(corpus.train).split(64):
            with dropout(network):
                loss = logistic(*network.score_pair(batch, exchange_sources(batch)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        shares.append(right(network, held_out))
    return shares


def main(folder: Path, epochs: int) -> None:
    """Print a row for each discriminator."""
    files = {"file": "train.en", "source": "train.de", "valid_file": "val.en"}
    files |= {"valid_source": "val.de", "test_file": "test_2016_flickr.en"}
    files |= {"test_source": "test_2016_flickr.de"}
    data = RunDataConfig(
        **{key: str(folder / name) for key, name in files.items()}, min_count=2, length=25
    )
    corpus = read_corpus(data)
    for name, settings in WAYS:
        shares = trained(name, settings, corpus, epochs)
        print(f"{name} {settings or ''}".ljust(24), *(f"{share:.3f}" for share in shares))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
