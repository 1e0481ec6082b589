"""The recurrent pair discriminator, sentence by sentence."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from worlds import SOURCES, VARIABLE, judged, same

from textgan.models.discriminators.pair_rnn import PairRNNDiscriminator


def both_ends(network: nn.RNNBase, vectors: Tensor) -> Tensor:
    """The last state of each direction over one sentence (T, E)."""
    states: Tensor = network(vectors)[0]
    size = network.hidden_size
    return torch.cat([states[-1, :size], states[0, size:]])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_features_are_both_sides_and_their_product(cell: str) -> None:
    judge, texts = judged(replace(VARIABLE, source=SOURCES), "pair_rnn", cell=cell)
    assert isinstance(judge, PairRNNDiscriminator)
    features, source = judge.features(texts), texts.source
    assert source is not None
    for row, (words, answer) in enumerate(zip(source.tolist(), texts.tolist(), strict=True)):
        target = both_ends(judge.target, judge.embedding.weight[answer])
        asked = both_ends(judge.source, judge.source_embedding.weight[words])
        assert same(features[row], torch.cat([target, asked, target * asked]))
