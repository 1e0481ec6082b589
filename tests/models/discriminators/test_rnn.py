"""The recurrent discriminator."""

import pytest
import torch
from worlds import VARIABLE, enumerate_texts, same, small_discriminator

from textgan.models.discriminators.rnn import RNNDiscriminator


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_discriminator_reads_both_ways(cell: str) -> None:
    judge = small_discriminator(VARIABLE, "rnn", cell=cell)
    assert isinstance(judge, RNNDiscriminator)
    texts = enumerate_texts(VARIABLE)
    result = judge.features(texts)
    for row, size in enumerate(texts.lengths.tolist()):
        _, last = judge.rnn(judge.embedding(texts.tokens[row : row + 1, :size]))
        hidden = last[0] if cell == "lstm" else last
        assert same(result[row], torch.cat([hidden[0, 0], hidden[1, 0]]))
