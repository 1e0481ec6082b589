"""SimCSE."""

import torch
from contrast import TAU, assert_gradients, batch, tokenizer, transformer

from textgan.core.seeds import fork_rng
from textgan.data.text import TextSpace
from textgan.data.tokenizers import EOS
from textgan.encoders.contrast.losses import info_nce
from textgan.encoders.contrast.simcse import SimCSE
from textgan.models.discriminators.rnn import RNNDiscriminator


def test_simcse_contrasts_two_draws_of_dropout() -> None:
    method = SimCSE(transformer(dropout=0.3), tokenizer()).double()
    text = method.read(batch())
    with fork_rng(3, torch.device("cpu")):
        first, second = (method.head(method.network.dropout(method.network.features(text)))
                         for _ in range(2))  # fmt: skip
    assert not torch.equal(first, second)
    with fork_rng(3, torch.device("cpu")):
        value, _ = method.accumulate(batch())
    torch.testing.assert_close(value, info_nce(first, second, TAU).detach())
    assert_gradients(method, info_nce(first, second, TAU))


def test_looks_of_a_network_without_inner_dropout_differ() -> None:
    space = TextSpace(tokenizer().space.vocabulary, 30, EOS)
    method = SimCSE(RNNDiscriminator(space, embedding=4, hidden=3, dropout=0.5), tokenizer())
    text = method.read(batch())
    assert torch.equal(method.network.features(text), method.network.features(text))
    assert not torch.equal(method.view(text), method.view(text))
