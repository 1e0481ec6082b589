"""The LSTM that starts from noise."""

import torch
from networks import noise_generator
from worlds import VARIABLE, same

from textgan.models.generators.noise_lstm import NoiseLSTMGenerator


def test_the_lstm_reads_its_own_rows() -> None:
    generator = noise_generator(VARIABLE, "noise_lstm")
    assert isinstance(generator, NoiseLSTMGenerator)
    noise = torch.randn(2, 3, dtype=torch.float64)
    table = generator.embedding.weight
    hidden, cell = generator.start(noise).split(4, 1)
    read = table[[0, 0]]
    for t in range(3):
        hidden, cell = generator.cell(read, (hidden, cell))
        logits = generator.output(hidden)
        assert same(generator(noise)[:, t], logits)
        read = logits.softmax(1) @ table
